"""A station that is read only when its voxels are asked for.

napari asks for ``data[0].dtype`` at every stroke; reading a whole station for it would take a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt


class LazyStation(np.lib.mixins.NDArrayOperatorsMixin):
    """Labels (I, P, L) that behave as a numpy array of their own: what is written to it stays in it.

    Parameters
    ----------
    read
        Gives the labels.
    shape, dtype
        Known without reading.
    """

    def __init__(self, read: Callable[[], npt.NDArray[Any]], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._read, self.shape, self.dtype = read, shape, dtype
        self.ndim, self.size = len(shape), int(np.prod(shape))

    @cached_property
    def _values(self) -> npt.NDArray[Any]:
        return self._read()

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self._values, dtype) if copy else np.asarray(self._values, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [one._values if isinstance(one, LazyStation) else one for one in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._values[key] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what numpy or pickle looks for is not there
            raise AttributeError(name)
        return getattr(self._values, name)
