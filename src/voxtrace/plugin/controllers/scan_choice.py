"""Which of a viewer's image layers is segmented, and which stand for the channels of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Image
from psygnal import Signal

from voxtrace.plugin.controllers.layers import COPY, known_source, label_source, timepoint_count
from voxtrace.plugin.models.scan_rows import ChannelChoice, ScanRow, choose_channels, chosen_scan


class ScanChoice:
    """Follows the layers of a viewer; ``changed`` is emitted when the scans, or which is chosen, may have changed.

    A scan that was picked stays chosen until it is closed. Without a pick the active scan is chosen (also by a result
    of it), else the topmost visible one.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._picked = ""
        self._picked_channels: dict[int, str] = {}
        self._watched: list[Image] = []
        self._rows: list[ScanRow] | None = None  # until something changes
        for event in self._events:
            event.connect(self._on_layers)
        self._watch()

    @property
    def _events(self) -> tuple[Any, ...]:
        layers = self._viewer.layers
        return layers.events.inserted, layers.events.removed, layers.events.reordered, layers.selection.events.active

    def close(self) -> None:
        """Disconnect from the viewer and its layers."""
        for event in self._events:
            event.disconnect(self._on_layers)
        for layer in self._watched:
            layer.events.visible.disconnect(self._on_layers)
            layer.events.name.disconnect(self._on_layers)
        self._watched = []

    @property
    def scans(self) -> list[Image]:
        """The image layers that can be segmented, from top to bottom."""
        images = [
            x for x in reversed(self._viewer.layers) if isinstance(x, Image) and not x.rgb and COPY not in x.metadata
        ]
        return [x for x in images if _is_scan(x)]

    @property
    def rows(self) -> list[ScanRow]:
        """The scans as the panel offers them."""
        if self._rows is None:
            scans, active = self.scans, self._active
            self._rows = [
                ScanRow(scan.unique_id, scan.name, grid, scan.unique_id == active, bool(scan.visible), _about(scan))
                for scan, grid in zip(scans, _grids(scans), strict=True)
            ]
        return self._rows

    @property
    def _active(self) -> str:
        """The unique id of the active scan, or of the scan that the active result belongs to."""
        layer = self._viewer.layers.selection.active
        if layer is None:
            return ""
        source = label_source(layer)
        found: str = source.scan if source is not None else layer.unique_id
        return found

    @property
    def chosen(self) -> int | None:
        """The index of the chosen scan, from the top."""
        return chosen_scan(self.rows, self._picked)

    @property
    def timepoint(self) -> int:
        """The position of the first slider of a scan over time, counted from 0."""
        dims = self._viewer.dims
        return int(dims.current_step[dims.ndim - 4]) if dims.ndim >= 4 else 0

    @property
    def picked_a_channel(self) -> bool:
        """Whether the scan, or an image for a channel, was picked by hand."""
        return bool(self._picked or self._picked_channels)

    def channels(self, wanted: Sequence[str]) -> tuple[ChannelChoice, ...]:
        """Return the image for each channel that a model needs."""
        picked = [self._picked_channels.get(channel) for channel in range(len(wanted))]
        return choose_channels(wanted, self.rows, self.chosen, picked)

    def pick(self, index: int) -> None:
        """Choose another scan."""
        self._picked, self._picked_channels = self.scans[index].unique_id, {}
        self.changed.emit()

    def pick_channel(self, channel: int, index: int) -> None:
        """Choose another image for a channel."""
        self._picked_channels[channel] = self.scans[index].unique_id
        self.changed.emit()

    def forget_channels(self) -> None:
        """Drop the images that were picked for channels; the scan stays chosen."""
        self._picked_channels = {}

    def _on_layers(self, event: Any = None) -> None:
        self._watch()
        self._rows = None
        self.changed.emit()

    def _watch(self) -> None:
        """Follow whether each image is visible and what it is called."""
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        for layer in images:
            if layer not in self._watched:
                layer.events.visible.connect(self._on_layers)
                layer.events.name.connect(self._on_layers)
        self._watched = images


def _is_scan(layer: Image) -> bool:
    """Tell whether a layer holds voxels (Z, Y, X) of a scan, once or over time; maps of a result are none."""
    return (layer.ndim == 3 and layer.metadata.get("voxtrace") is None) or known_source(layer) is not None


def _grids(scans: Sequence[Image]) -> list[int]:
    """Return a number for each scan, the same for scans on the same grid."""
    firsts: list[Image] = []
    numbers = []
    for scan in scans:
        number = next((n for n, first in enumerate(firsts) if _same_grid(first, scan)), len(firsts))
        if number == len(firsts):
            firsts.append(scan)
        numbers.append(number)
    return numbers


def _same_grid(first: Image, second: Image) -> bool:
    a, b = known_source(first), known_source(second)
    if a is not None and b is not None:
        return a.volume.geometry.is_close(b.volume.geometry)
    attributes = [(tuple(x.data.shape[-3:]), tuple(x.scale[-3:]), tuple(x.translate[-3:])) for x in (first, second)]
    return attributes[0] == attributes[1]


def _about(scan: Image) -> str:
    """Return size and spacing in words, e.g. ``"512×512×300 · 0.75×0.75×1.5 mm"``, columns first."""
    shape, spacing = tuple(scan.data.shape[-3:])[::-1], tuple(scan.scale[-3:])[::-1]
    size = "×".join(str(n) for n in shape)
    count = timepoint_count(scan)
    frames = f" · {count} frames" if count > 1 else ""
    return f"{size} · {'×'.join(f'{float(mm):.3g}' for mm in spacing)} mm{frames}"
