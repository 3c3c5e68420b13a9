"""The two other planes of the scan on screen, linked with napari's sliders by a crosshair."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.scans import shown_labels, shown_scan, transform_of
from voxtrace.plugin.layers.display_space import LayerTransform
from voxtrace.plugin.models import planes
from voxtrace.plugin.models.planes import PlanePicture
from voxtrace.plugin.work.plane_volumes import PlaneVolumes

_IMAGE_EVENTS = ("contrast_limits", "visible", "scale", "translate")
_LABEL_EVENTS = ("visible", "opacity", "colormap", "contour", "scale", "translate")
_DATA = "data"  # other voxels
_CLICK_PX = 3  # a press that moves less is a click


class PlanesView(Protocol):
    """The setters of the planes dock."""

    def show_planes(self, pictures: Sequence[PlanePicture], plane: int, message: str) -> None:
        """Show the planes that napari's canvas does not show; ``plane`` is the one it shows, 3 for the 3-D view."""

    def show_cross(self, cross: tuple[float, float] | None) -> None:
        """Draw the crosshair on napari's canvas, pixels right and down of its middle; None for none."""

    @property
    def is_shown(self) -> bool:
        """Whether the planes can be seen."""
        ...


class PlanesController:
    """Cuts two planes through the crosshair; the crosshair is the position of napari's sliders."""

    def __init__(
        self,
        viewer: Any,
        view: PlanesView,
        navigation: NavigationController,
        volumes: Callable[[Callable[[], None]], PlaneVolumes],
        edits: EditController,
    ) -> None:
        self._viewer, self._view, self._navigation = weakref.ref(viewer), view, navigation
        self._edited = edits.changed
        self._edited.connect(self._on_edit)  # of labels that are not on screen, whose planes are kept, too
        self._watch_labels = LabelWatch(viewer, self._on_edit)
        self._volumes = volumes(self._on_read)
        self._pixels: dict[int, tuple[Any, planes.Pixels]] = {}  # by plane, with what it was cut from
        self._edits = 0
        dims = viewer.dims.events
        self._events = [dims.current_step, dims.order, dims.ndisplay, viewer.layers.selection.events.active]
        self._events += [viewer.layers.events.removed, viewer.layers.events.reordered]
        for event in self._events:
            event.connect(self.refresh)
        camera = compat.camera(viewer).events
        self._camera_events = (camera.center, camera.zoom)
        for event in self._camera_events:
            event.connect(self.refresh_cross)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.mouse_drag_callbacks.append(self._on_press)
        for layer in viewer.layers:
            self._watch(layer)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._edited.disconnect(self._on_edit)
        self._watch_labels.follow(None)
        viewer = self._viewer()
        if viewer is None:
            return
        for event in self._events:
            event.disconnect(self.refresh)
        for event in self._camera_events:
            event.disconnect(self.refresh_cross)
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        if self._on_press in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._on_press)
        for layer in viewer.layers:
            for name in (*_IMAGE_EVENTS, *_LABEL_EVENTS):
                if name in layer.events.emitters:
                    layer.events.emitters[name].disconnect(self.refresh)
            if _DATA in layer.events.emitters:
                layer.events.emitters[_DATA].disconnect(self._on_edit)

    @property
    def voxel(self) -> tuple[int, int, int] | None:
        """The voxel of the scan under the crosshair along (I, P, L); None without a scan."""
        viewer, scan = self._viewer(), self._scan
        transform = transform_of(scan) if scan is not None else None
        if viewer is None or scan is None or transform is None:
            return None
        point = [viewer.dims.point[axis] for axis in self._navigation.spatial]
        return planes.voxel_at(point, transform, scan.data.shape[-3:])

    def go(self, axis: int, row: float, column: float) -> None:
        """Move the crosshair to a row and column of a plane."""
        self._go_to(lambda voxel, shape: planes.moved(voxel, axis, (row, column), shape))

    def scroll(self, axis: int, slices: int) -> None:
        """Move the crosshair along the axis that a plane is perpendicular to."""
        self._go_to(lambda voxel, shape: planes.scrolled(voxel, axis, slices, shape))

    def refresh(self, event: Any = None) -> None:
        """Cut the planes anew where something changed, and show them."""
        viewer = self._viewer()
        self.refresh_cross()
        if viewer is None:
            return
        self._watch_labels.follow(shown_labels(viewer))
        if not self._view.is_shown:
            return
        scan, shown = self._scan, 3 if viewer.dims.ndisplay == 3 else self._navigation.plane
        transform, voxel = transform_of(scan) if scan is not None else None, self.voxel
        if scan is None or voxel is None or transform is None:
            rotated = scan is not None and transform is None
            self._view.show_planes((), shown, _ROTATED if rotated else _EMPTY)
            return
        others = [axis for axis in range(3) if axis != self._navigation.plane]
        pictures = [self._picture(scan, transform, axis, voxel) for axis in others]
        found = [one for one in pictures if one is not None]
        self._view.show_planes(found, shown, "" if len(found) == 2 else "Reading the scan …")

    def refresh_cross(self, event: Any = None) -> None:
        """Draw the crosshair on napari's canvas where the camera now shows it."""
        viewer = self._viewer()
        if viewer is None:
            return
        seen = self._view.is_shown and viewer.dims.ndisplay == 2 and self._scan is not None
        if not seen or compat.is_grid(viewer):
            self._view.show_cross(None)
            return
        camera, axes = compat.camera(viewer), viewer.dims.displayed
        down, right = ((float(viewer.dims.point[a]) - float(c)) for a, c in zip(axes, camera.center[-2:], strict=True))
        ways = [str(way) for way in camera.orientation2d]
        zoom = float(camera.zoom)
        self._view.show_cross((right * zoom * (-1) ** (ways[1] == "left"), down * zoom * (-1) ** (ways[0] == "up")))

    @property
    def _scan(self) -> Image | None:
        viewer = self._viewer()
        return shown_scan(viewer) if viewer is not None and self._navigation.spatial else None

    def _go_to(self, target: Callable[[Any, Any], tuple[int, int, int]]) -> None:
        viewer, scan, voxel = self._viewer(), self._scan, self.voxel
        transform = transform_of(scan) if scan is not None else None
        if viewer is None or scan is None or voxel is None or transform is None:
            return
        world = planes.world_of(target(voxel, scan.data.shape[-3:]), transform)
        viewer.dims.set_point(self._navigation.spatial, world)

    def _picture(
        self, scan: Image, transform: LayerTransform, axis: int, voxel: tuple[int, int, int]
    ) -> PlanePicture | None:
        viewer = self._viewer()
        labels = shown_labels(viewer)
        step = None if labels is None else self._step(labels)
        cut_from: tuple[Any, ...] = (
            scan.unique_id,
            self._step(scan),
            voxel[axis],
            tuple(scan.contrast_limits),
            self._edits,
        )
        if labels is not None:
            cut_from += (labels.unique_id, step, labels.opacity, labels.contour, id(labels.colormap))
            cut_from += (transform, transform_of(labels))
        known = self._pixels.get(axis)
        if known is None or known[0] != cut_from:
            pixels = self._cut(scan, transform, axis, voxel, labels)
            if pixels is None:
                return None
            known = self._pixels[axis] = (cut_from, pixels)
        shape = scan.data.shape[-3:]
        return planes.picture(axis, known[1], voxel, shape, transform.scale_mm)

    def _cut(
        self, scan: Image, transform: LayerTransform, axis: int, voxel: tuple[int, int, int], labels: Labels | None
    ) -> planes.Pixels | None:
        volume = self._volumes.get(scan.unique_id, scan.data, self._step(scan))
        if volume is None:
            return None
        low, high = (float(v) for v in scan.contrast_limits)
        greys = planes.grey(planes.slice_of(volume, axis, voxel[axis]), (low, high))
        cut = self._cut_labels(labels, scan, transform, axis, voxel) if labels is not None else None
        if labels is None or cut is None:
            return planes.painted(greys, None, _NO_COLOURS, contour=False, opacity=0.0)
        return planes.painted(
            greys, cut, colour_table(labels, cut), contour=labels.contour > 0, opacity=float(labels.opacity)
        )

    def _cut_labels(
        self, labels: Labels, scan: Image, transform: LayerTransform, axis: int, voxel: tuple[int, int, int]
    ) -> Any:
        """Return the labels on the plane's grid; None where they do not reach it or are still being read."""
        own = transform_of(labels)
        volume = self._volumes.get(labels.unique_id, labels.data, self._step(labels))
        if own is None or volume is None:
            return None
        shape = scan.data.shape[-3:]
        if own == transform and volume.shape == tuple(shape):
            return np.asarray(planes.slice_of(volume, axis, voxel[axis]))
        mm = planes.world_of(voxel, transform)[axis]
        index = round((mm - own.translate_mm[axis]) / own.scale_mm[axis])
        if not 0 <= index < volume.shape[axis]:
            return None
        return planes.resampled_plane(planes.slice_of(volume, axis, index), own, axis, shape, transform)

    def _step(self, layer: Any) -> int | None:
        """Return the step, or frame, of a layer that is on screen; None for a layer of three axes."""
        viewer = self._viewer()
        if layer.ndim == 3 or viewer is None:
            return None
        axis = viewer.dims.ndim - layer.ndim
        return min(round(float(viewer.dims.point[axis])), len(layer.data) - 1)

    def _on_read(self) -> None:
        self._edits += 1
        self.refresh()

    def _on_edit(self, event: Any = None) -> None:
        self._volumes.mark_stale()
        self._on_read()

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.refresh()

    def _watch(self, layer: Any) -> None:
        names = _IMAGE_EVENTS if isinstance(layer, Image) else _LABEL_EVENTS if isinstance(layer, Labels) else ()
        for name in names:
            layer.events.emitters[name].connect(self.refresh)
        if names:
            layer.events.emitters[_DATA].connect(self._on_edit)

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Move the crosshair to where the canvas is clicked; with Shift it follows the mouse."""
        active = viewer.layers.selection.active
        in_use = active is not None and str(active.mode) != "pan_zoom"
        if event.button != 1 or viewer.dims.ndisplay != 2 or in_use or not self._navigation.spatial:
            return
        follows, start = "Shift" in event.modifiers, np.asarray(event.pos)
        far = False
        if follows:
            event.handled = True
            self._point(viewer, event.position)
        yield
        while event.type == "mouse_move":
            far = far or bool(np.max(np.abs(np.asarray(event.pos) - start)) > _CLICK_PX)
            if follows:
                event.handled = True
                self._point(viewer, event.position)
            yield
        if not far:
            self._point(viewer, event.position)

    def _point(self, viewer: Any, position: Sequence[float]) -> None:
        axes = [axis for axis in viewer.dims.displayed if axis in self._navigation.spatial]
        viewer.dims.set_point(axes, [float(position[axis]) for axis in axes])


_EMPTY = "Open a scan: its other planes appear here."
_ROTATED = "This layer is rotated or sheared in the window; its planes cannot be cut along the patient's axes."
_NO_COLOURS = np.zeros((1, 4), np.float32)


def colour_table(labels: Labels, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return red, green, blue and alpha for each label value of a slice, (V, 4); the background is transparent."""
    present = planes.values_in(values)
    table = np.zeros((int(present[-1]) + 1, 4), np.float32)
    colours = labels.colormap
    for value in present[present > 0]:
        if isinstance(colours, DirectLabelColormap):
            table[value] = colours.color_dict.get(int(value), colours.color_dict[None])
        else:
            found = labels.get_color(int(value))
            table[value] = 0.0 if found is None else found
    return table
