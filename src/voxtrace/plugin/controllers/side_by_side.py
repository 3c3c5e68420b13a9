"""Results side by side: napari's grid of linked views, each with the scan and one result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image, Labels

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.layers import COPY
from voxtrace.plugin.models.compare import shape_of


class SideBySide:
    """A grid with a cell for each result; leaving it restores what was visible.

    napari fills cells with a fixed number of consecutive layers. So each result gets a copy of the scan below it (the
    voxels are shared), and the pairs are moved to the top of the list, from where the cells are counted.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._copies: list[Image] = []
        self._results: list[Labels] = []
        self._hidden: list[Any] = []
        self._shown: list[Labels] = []  # results that were hidden before

    @property
    def is_shown(self) -> bool:
        """Whether results are side by side now."""
        return bool(self._copies)

    def show(self, results: Sequence[Labels], scan: Image) -> None:
        """Show results side by side over their scan."""
        self.leave()
        layers = self._viewer.layers
        active, self._results = layers.selection.active, list(results)
        self._shown = [one for one in results if not one.visible]
        self._hidden = [one for one in layers if one.visible and one not in results]
        for one in self._hidden:
            one.visible = False
        for result in reversed(results):  # the first result ends on top, in the first cell
            copy = _copy(self._viewer, scan, result.name)
            self._copies.append(copy)
            layers.move(layers.index(result), len(layers))
            result.visible = True
            result.name_overlay.visible = True
        layers.link_layers([scan, *self._copies], ("contrast_limits", "gamma", "colormap"))
        grid = compat.grid(self._viewer)
        grid.stride, grid.shape = -2, shape_of(len(results), compat.canvas_size(self._viewer))
        grid.enabled = True
        layers.selection.active = active
        self._viewer.reset_view()

    def leave(self) -> None:
        """Show one view again."""
        if not self._copies:
            return
        grid = compat.grid(self._viewer)
        grid.enabled, grid.stride, grid.shape = False, 1, (-1, -1)
        layers = self._viewer.layers
        for copy in self._copies:
            if copy in layers:
                layers.remove(copy)
        for one in self._hidden:
            one.visible = True
        for one in self._shown:
            one.visible = False
        for result in self._results:
            result.name_overlay.visible = False
        self._copies, self._hidden, self._shown, self._results = [], [], [], []
        self._viewer.reset_view()


def _copy(viewer: Any, scan: Image, name: str) -> Image:
    about = {key: getattr(scan, key) for key in ("scale", "translate", "units", "axis_labels", "contrast_limits")}
    return viewer.add_image(
        scan.data,
        name=f"{scan.name} · below {name}",
        colormap=scan.colormap,
        interpolation2d=scan.interpolation2d,
        metadata={**scan.metadata, COPY: True},  # presets and the value under the cursor work on it as on the scan
        **about,
    )
