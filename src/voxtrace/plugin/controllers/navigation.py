"""Planes and slices: roll keeps to the three anatomical planes, wheel and arrow keys go through slices and steps."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.models import planes

_ZOOM = 1.15  # for one notch of the wheel
_FRONT, _HEAD = (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)  # along (I, P, L): from the front to the back, and up


class NavigationController:
    """Keeps the step axis out of the picture and moves through slices and steps.

    In 3-D the axes are always drawn in the order (I, P, L), because another order mirrors the patient; back in 2-D the
    plane of before is shown again. The first 3-D view is frontal.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self._order = tuple(viewer.dims.order)
        self._plane, self._turned, self._busy, self._progress = planes.AXIAL, False, False, 0.0
        dims = viewer.dims.events
        dims.order.connect(self._on_order)
        dims.ndisplay.connect(self._on_ndisplay)
        for event in (dims.axis_labels, dims.ndim, viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._on_axes)
        compat.replace_wheel(viewer, self._on_wheel)
        for key, move in self._keys.items():
            viewer.bind_key(key, move, overwrite=True)
        self._on_axes()

    @property
    def _keys(self) -> dict[str, Callable[[Any], None]]:
        # up is towards the head, which has the smaller index along I
        return {
            "Up": lambda _: self.go_slices(-1),
            "Down": lambda _: self.go_slices(1),
            "PageUp": lambda _: self.go_slices(-10),
            "PageDown": lambda _: self.go_slices(10),
            "Left": lambda _: self.go_steps(-1),
            "Right": lambda _: self.go_steps(1),
        }

    @property
    def spatial(self) -> tuple[int, ...]:
        """The viewer's axes along I, P and L; empty where what is shown is not a scan."""
        viewer = self._viewer()
        return planes.spatial_axes(compat.axis_names(viewer)) if viewer is not None else ()

    @property
    def plane(self) -> int:
        """The plane on screen, by the axis it is perpendicular to; in 3-D the one shown before."""
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None or not spatial or viewer.dims.ndisplay == 3:
            return self._plane
        return planes.shown_plane(viewer.dims.order, spatial)

    def show_plane(self, axis: int) -> None:
        """Show the axial (0), coronal (1) or sagittal (2) plane, upright."""
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None or not spatial:
            return
        viewer.dims.ndisplay = 2
        viewer.dims.order = planes.order_of_plane(axis, viewer.dims.order, spatial)

    def show_solid(self) -> None:
        """Show the 3-D view."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.dims.ndisplay = 3

    def go_slices(self, slices: int) -> None:
        """Move a number of slices along the axis that the shown plane is perpendicular to."""
        viewer, spatial = self._viewer(), self.spatial
        if viewer is not None and spatial:
            _move(viewer, spatial[self.plane], slices)

    def go_steps(self, steps: int) -> None:
        """Move a number of steps, or frames, along the axis before the spatial ones; without one, slices.

        Where no scan is shown, the slider used last is moved, as napari does.
        """
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None:
            return
        others = [axis for axis in range(viewer.dims.ndim) if axis not in spatial]
        if not spatial:
            _move(viewer, int(viewer.dims.last_used), steps)
        elif others:
            _move(viewer, others[-1], steps)
        else:
            self.go_slices(steps)

    def _on_axes(self, event: Any = None) -> None:
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None:
            return
        viewer.dims.rollable = tuple(not spatial or axis in spatial for axis in range(viewer.dims.ndim))
        self._order = tuple(viewer.dims.order)

    def _on_order(self, event: Any = None) -> None:
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None or self._busy:
            return
        order = tuple(viewer.dims.order)
        if spatial and len(order) == len(self._order):
            solid = viewer.dims.ndisplay == 3
            wanted = (
                planes.solid_order(order, spatial) if solid else planes.anatomical_order(self._order, order, spatial)
            )
            self._set_order(viewer, wanted)
        self._order = tuple(viewer.dims.order)

    def _on_ndisplay(self, event: Any = None) -> None:
        viewer, spatial = self._viewer(), self.spatial
        if viewer is None or not spatial:
            return
        order = tuple(viewer.dims.order)
        if viewer.dims.ndisplay == 2:
            self._set_order(viewer, planes.order_of_plane(self._plane, order, spatial))
        else:
            self._plane = planes.shown_plane(order, spatial)
            self._set_order(viewer, planes.solid_order(order, spatial))
            if not self._turned:
                self._turned = True
                compat.look_along(viewer, _FRONT, _HEAD)
                viewer.reset_view(reset_camera_angle=False)
        self._order = tuple(viewer.dims.order)

    def _set_order(self, viewer: Any, order: tuple[int, ...]) -> None:
        self._busy = True
        try:
            viewer.dims.order = order
        finally:
            self._busy = False

    def _on_wheel(self, viewer: Any, event: Any) -> None:
        """Scroll through slices; with Ctrl zoom at the cursor. In 3-D napari's own zoom is left alone."""
        if viewer.dims.ndisplay != 2 or not self.spatial or set(event.modifiers) - {"Control"}:
            return
        event.handled = True
        notches = float(np.clip(event.delta[1], -1, 1))
        if "Control" in event.modifiers:
            _zoom(viewer, event, _ZOOM**notches)
            return
        self._progress += notches
        if abs(self._progress) >= 1:
            self.go_slices(-int(self._progress))
            self._progress -= int(self._progress)


def _move(viewer: Any, axis: int, steps: int) -> None:
    current, last = int(viewer.dims.current_step[axis]), int(viewer.dims.nsteps[axis]) - 1
    viewer.dims.set_current_step(axis, int(np.clip(current + steps, 0, last)))


def _zoom(viewer: Any, event: Any, factor: float) -> None:
    """Zoom so that the position under the cursor stays where it is."""
    camera = compat.camera(viewer)
    centre = np.asarray(camera.center, float)[-2:]
    pointed = np.asarray([event.position[axis] for axis in viewer.dims.displayed[-2:]])
    camera.zoom *= factor
    camera.center = tuple(pointed + (centre - pointed) / factor)
