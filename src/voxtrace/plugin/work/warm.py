"""Prepare, in a thread, what napari would otherwise make and compile when it shows the first layers.

napari maps label values to colours with a function that numba compiles at its first call, on the thread of the
window: 0.5 to 3 s in which nothing moves. Compiling the same function earlier, in a thread, leaves only the call. It
is compiled and not called: with some threading layers numba's parallel loops must not run in two threads at once.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np

_done = threading.Event()
_LOCK = threading.Lock()


def prepare_layers() -> None:
    """Make the first image and the first labels of napari, of a few voxels, and compile how labels are coloured.

    Layers are made without a window, so a thread may do it.
    """
    image()
    compile_label_colours()
    labels()
    _dashes()


def _dashes() -> None:
    """Compute vispy's dash patterns, which every labels layer asks for; vispy keeps them."""
    importlib.import_module("vispy.visuals.line.dash_atlas").DashAtlas()


def image() -> Any:
    """Return an image layer of a few voxels."""
    from napari.layers import Image

    return Image(np.zeros((2, 4, 4), np.float32), contrast_limits=(0.0, 1.0))


def labels() -> Any:
    """Return a labels layer of a few voxels."""
    from napari.layers import Labels

    return Labels(np.zeros((2, 4, 4), np.uint8), colormap={None: "magenta", 0: "transparent", 1: "red"})


def compile_label_colours() -> None:
    """Compile napari's mapping of label values to colours for labels of 8 and 16 bits; the second call does nothing.

    Where napari runs without numba, there is nothing to compile.
    """
    with _LOCK:
        if _done.is_set():
            return
        from napari.utils.colormaps import DirectLabelColormap

        colours = DirectLabelColormap(color_dict={None: "magenta", 0: "transparent", 1: "red"})
        loop = _compiled_loop()
        if loop is not None:
            for dtype in (np.uint8, np.uint16):
                _compile(loop, colours, np.dtype(dtype))
        _done.set()


def _compiled_loop() -> Any:
    """Return napari's function as numba wraps it; None where it is not compiled."""
    module = importlib.import_module("napari.utils.colormaps._accelerated_cmap")
    loop = getattr(module, "_labels_raw_to_texture_direct_inner_loop", None)
    return loop if hasattr(loop, "compile") else None


def _compile(loop: Any, colours: Any, dtype: np.dtype[Any]) -> None:
    import numba

    mapping = colours._get_typed_dict_mapping(dtype)  # compiles what a dictionary of this type needs, too
    texture = np.zeros(4, np.uint8)
    typeof: Any = numba.typeof
    loop.compile((typeof(np.zeros(4, dtype)), typeof(mapping), typeof(texture)))
