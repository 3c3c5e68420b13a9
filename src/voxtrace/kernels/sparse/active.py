"""Active: the kernels of a convolution that are not all 0, listed by output channel.

A kernel 1×3×3 is one entry; a kernel 3×3×3 is one for each of its planes::

    entry        k      0      1      2      3 …
    output       o      0      0      1      1        first_entry = 0, 2, …
    input, plane        2, 0   7, 0   0, 0   7, 0
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Active:
    """Entries in order of output channel.

    Attributes
    ----------
    first_entry
        (Cout + 1,) int64: entries of output o are first_entry[o] ≤ k < first_entry[o + 1].
    channels, planes
        (entries,) int64: input channel, and plane of the kernel along depth (always 0 where ``whole``).
    weights
        (entries, ky, kx) float32, or (entries, kz, ky, kx) where ``whole``.
    """

    first_entry: Words
    channels: Words
    planes: Words
    weights: Floats


def active(weight: Tensor, *, whole: bool = False) -> Active:
    """Return the entries of a weight (Cout, Cin, kz, ky, kx); with ``whole`` a 3×3×3 kernel is one entry.

    Without, each of its three planes along depth is an entry, and planes that are all 0 are left out.
    """
    values = weight.detach().float().cpu().contiguous().numpy()
    if whole:
        values = values[:, :, None]
    # A kernel plane counts as active if any of its taps is not 0.
    on = (values != 0).reshape(*values.shape[:3], -1).any(3)
    outputs, channels, planes = np.nonzero(on)
    first_entry = np.searchsorted(outputs, np.arange(len(values) + 1)).astype(np.int64)
    chosen = np.ascontiguousarray(values[outputs, channels, planes], np.float32)
    return Active(first_entry, channels.astype(np.int64), planes.astype(np.int64), chosen)
