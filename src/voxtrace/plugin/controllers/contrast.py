"""Contrast of the scan on screen: presets by key, window and level by dragging, and presets of one's own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from napari.layers import Image
from psygnal import Signal

from voxtrace.errors import GeometryError
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.layers import known_source, label_source, shows_ct, source_of
from voxtrace.plugin.controllers.scans import is_scan, same_volume, shown_scan, shown_scans
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models import presets
from voxtrace.plugin.models.presets import Preset
from voxtrace.plugin.models.settings import ViewerSettings

RIGHT_BUTTON = 2
_DRAG_PX = 400  # pixels that double the width of the window


class ContrastController:
    """Acts on the scan that is visible, whichever layer is active.

    The number keys are napari's drawing tools while a tool of a labels layer is in use; in pan-and-zoom mode they are
    presets. The letters that napari gives to the same tools are left alone.
    """

    changed = Signal()

    def __init__(self, viewer: Any, settings: ViewerSettings) -> None:
        self._viewer, self._settings = weakref.ref(viewer), settings
        self._cache: tuple[Any, Any, tuple[Preset, ...]] | None = None
        self._watched: weakref.WeakSet[Any] = weakref.WeakSet()
        viewer.mouse_drag_callbacks.append(self._on_drag)
        for number in range(1, presets.CUSTOM_KEY + 1):
            viewer.bind_key(str(number), self._viewer_key(number), overwrite=True)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_layers)
        for layer in viewer.layers:
            self._watch(layer)

    @property
    def scan(self) -> Image | None:
        """The scan that presets act on."""
        viewer = self._viewer()
        return shown_scan(viewer) if viewer is not None else None

    @property
    def offered(self) -> tuple[Preset, ...]:
        """The presets of the scan on screen; empty without one."""
        scan = self.scan
        return self._presets_of(scan) if scan is not None else ()

    @property
    def chosen(self) -> int:
        """The index of the preset that is shown, or −1."""
        scan = self.scan
        return presets.matching(self.offered, _limits(scan)) if scan is not None else -1

    @property
    def words(self) -> str:
        """Level and width in words; ``""`` without a scan."""
        scan = self.scan
        if scan is None:
            return ""
        return presets.window_words(_limits(scan), shows_ct(scan))

    def apply(self, key: int) -> None:
        """Show the preset with this key, on every visible channel of the scan."""
        viewer, scan = self._viewer(), self.scan
        if viewer is None or scan is None:
            return
        for layer in same_volume(shown_scans(viewer), scan):
            found = next((one for one in self._presets_of(layer) if one.key == key), None)
            if found is not None:
                _set_limits(layer, found.limits)

    def remember(self) -> None:
        """Keep the contrast on screen as one's own preset for this kind of scan."""
        scan = self.scan
        source = _source(scan) if scan is not None else None
        if scan is None or source is None:
            return
        level, width = presets.remembered(source.volume, source.channel, _limits(scan))
        self._settings.remember_window(presets.modality_of(source.volume), width, level)
        self._cache = None
        self.changed.emit()

    def _presets_of(self, scan: Image) -> tuple[Preset, ...]:
        kept = self._settings.values.windows
        if self._cache is None or self._cache[0] is not scan or self._cache[1] is not kept:
            source = _source(scan)
            found = presets.presets(source.volume, source.channel, kept) if source is not None else ()
            self._cache = (scan, kept, found)
        return self._cache[2]

    def _on_drag(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        scan = self.scan
        if event.button != RIGHT_BUTTON or event.modifiers or viewer.dims.ndisplay != 2 or scan is None:
            return
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) != "pan_zoom":
            return  # the tool in use has its own meaning for this button
        event.handled = True
        start, limits = tuple(event.pos), _limits(scan)
        unit = max(limits[1] - limits[0], 1e-12) / _DRAG_PX
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            _set_limits(scan, presets.dragged(limits, (event.pos[0] - start[0], event.pos[1] - start[1]), unit))
            event.handled = True
            yield
        if moved:
            self.remember()

    def _viewer_key(self, number: int) -> Callable[[Any], None]:
        def press(_viewer: Any) -> None:  # a function, because napari asks for its name at every key
            self.apply(number)

        return press

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.changed.emit()

    def _on_layers(self, event: Any = None) -> None:
        self._cache = None
        self.changed.emit()

    def _watch(self, layer: Any) -> None:
        if layer in self._watched:
            return
        self._watched.add(layer)
        if is_scan(layer):
            layer.events.contrast_limits.connect(self._on_contrast)
        layer.events.visible.connect(self._on_layers)
        if is_scan(layer) or label_source(layer) is not None:
            for number in range(1, presets.CUSTOM_KEY + 1):
                compat.bind_in_pan_zoom(layer, str(number), partial(self.apply, number))

    def _on_contrast(self, event: Any = None) -> None:
        self.changed.emit()


def _source(scan: Image) -> ImageSource | None:
    """Return the source of a scan; of another plugin's layer as far as it can be read."""
    try:
        return known_source(scan) or source_of(scan)
    except GeometryError:
        return None


def _limits(scan: Image) -> tuple[float, float]:
    low, high = (float(v) for v in scan.contrast_limits)
    return low, high


def _set_limits(scan: Image, limits: tuple[float, float]) -> None:
    """Set limits and widen the range of napari's slider, which otherwise clips them."""
    low, high = (float(v) for v in scan.contrast_limits_range)
    if limits[0] < low or limits[1] > high:
        scan.contrast_limits_range = (min(low, limits[0]), max(high, limits[1]))
    scan.contrast_limits = limits
