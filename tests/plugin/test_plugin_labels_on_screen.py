"""What panels say of the labels on screen: planes and mL follow every edit; legends act on the layer they list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from made_layers import Recorded, made_trace, made_volume
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.label_list import LabelListController
from voxtrace.plugin.controllers.legend import LegendController
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.planes import PlanesController
from voxtrace.plugin.controllers.readout import ReadoutController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.correction import Correction
from voxtrace.plugin.work.plane_volumes import PlaneVolumes
from voxtrace.volume import LabelMap

NAMES = {1: "liver", 2: "spleen"}


class PlanesSeen(Recorded):
    """A planes dock that is seen."""

    is_shown = True

    @property
    def pixels(self) -> list[Any]:
        return [picture.pixels.copy() for picture in self.last("show_planes")[0]]


class Screen:
    """A viewer without a window, with a scan."""

    def __init__(self, model: Any) -> None:
        self.model, self.current = model, CurrentResult(model)
        self.edits = EditController(model, self.current)
        [(data, about, _)] = display.image_layers(made_volume())
        self.scan = model.add_image(data, **about)

    def result(self, name: str = "result") -> Any:
        data, about, _ = display.trace_layer(made_trace(), name, self.scan.unique_id)
        return self.model.add_labels(data, **about)

    def label_map(self, step: int = 2, name: str = "by hand") -> Any:
        trace = made_trace()
        labels = LabelMap(np.asarray(trace.labels[step]).copy(), trace.geometry, NAMES, {}, name)
        data, about, _ = display.label_layer(labels)
        return self.model.add_labels(data, **about)

    def remove_label(self, layer: Any, label: int) -> None:
        last = layer.data.station(layer.data.stations - 1) if layer.ndim == 4 else np.asarray(layer.data)
        where = np.flatnonzero(last == label)
        self.edits.apply(layer, Correction(where, np.zeros(where.size, layer.data.dtype)), "remove", label)


@pytest.fixture
def screen(model: Any) -> Screen:
    return Screen(model)


def at_once(function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
    on_result(function())


def planes_of(screen: Screen) -> PlanesSeen:
    view = PlanesSeen()
    view.kept = PlanesController(
        screen.model,
        view,
        NavigationController(screen.model),
        lambda on_read: PlaneVolumes(on_read, lambda *_: None),
        screen.edits,
    )
    return view


def ml_of(view: Recorded) -> dict[str, float]:
    return {row.name: row.volume_ml for row in view.last("show_labels")[0]}


def same(ones: list[Any], others: list[Any]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("kind", ["result", "label_map"])
def test_planes_follow_a_correction_its_undo_and_redo(screen: Screen, kind: str) -> None:
    layer = getattr(screen, kind)()
    screen.model.dims.set_point(range(screen.model.dims.ndim), [2.0] * screen.model.dims.ndim)
    inside = np.argwhere(np.asarray(layer.data[-1] if layer.ndim == 4 else layer.data) == 1)[0]
    world = layer.data_to_world((*([2] if layer.ndim == 4 else []), *inside))
    screen.model.dims.set_point(range(screen.model.dims.ndim), world)
    view = planes_of(screen)
    before = view.pixels
    screen.remove_label(layer, 1)
    after = view.pixels
    assert not same(before, after)
    layer.undo()
    assert same(view.pixels, before)
    layer.redo()
    assert same(view.pixels, after)


def test_planes_are_cut_anew_where_the_labels_were_moved(screen: Screen) -> None:
    layer = screen.label_map()
    inside = np.argwhere(np.asarray(layer.data) == 1)[0]
    screen.model.dims.set_point(range(3), layer.data_to_world(inside))
    view = planes_of(screen)
    before = view.pixels
    layer.translate = np.asarray(layer.translate) + 2 * np.asarray(layer.scale)
    assert not any(np.array_equal(one, other) for one, other in zip(before, view.pixels, strict=True))


def test_ml_of_a_label_map_follow_a_correction_its_undo_and_redo(screen: Screen) -> None:
    layer, view = screen.label_map(), Recorded()
    listed = LabelListController(screen.model, view, at_once)
    before = ml_of(view)
    assert before["liver"] > 0
    screen.remove_label(layer, 1)
    assert ml_of(view) == before | {"liver": 0.0}
    layer.undo()
    assert ml_of(view) == before
    layer.redo()
    assert ml_of(view)["liver"] == 0.0
    listed.close()


def test_undo_of_a_layer_without_steps_is_told_once_and_slices_are_not(screen: Screen) -> None:
    layer = screen.label_map()
    told: list[Any] = []
    layer.mode = "paint"
    layer.paint((1, 2, 3), 2)
    screen.edits.changed.connect(told.append)
    screen.model.dims.set_current_step(0, 2)
    layer.refresh()
    assert told == []
    layer.undo()
    assert told == [layer]
    assert screen.edits.edits(layer) == ()
    layer.redo()
    assert told == [layer, layer]
    assert len(screen.edits.edits(layer)) == 1


def test_undo_and_redo_of_a_hidden_layer_are_told_at_once(screen: Screen) -> None:
    layer = screen.label_map()
    layer.paint((1, 2, 3), 2)
    layer.visible = False
    told: list[Any] = []
    screen.edits.changed.connect(told.append)
    layer.undo()
    assert told == [layer]
    layer.redo()
    assert told == [layer, layer]
    layer.redo()  # nothing is left
    layer.visible = True
    assert told == [layer, layer]


def begin_encircling(layer: Any, voxel: tuple[int, ...]) -> None:
    """Do what napari does from the press of the right button on, until the way leads back."""
    if not hasattr(layer, "_begin_stroke"):
        pytest.skip("napari encircles since 0.9")
    layer.selected_label, layer.brush_size = 2, 1
    layer._begin_stroke()
    layer.paint(voxel, 2)
    layer.paint((*voxel[:-1], voxel[-1] + 1), 2)


def at_first_liver_voxel(screen: Screen, layer: Any) -> tuple[int, ...]:
    """Show a voxel of the liver at the last step, and return where it is in the layer."""
    last = layer.ndim == 4
    inside = np.argwhere(np.asarray(layer.data[2] if last else layer.data) == 1)[0]
    voxel = (*([2] if last else []), *(int(v) for v in inside))
    screen.model.dims.set_point(range(screen.model.dims.ndim), layer.data_to_world(voxel))
    return voxel


@pytest.mark.parametrize("is_hidden", [False, True])
def test_planes_and_ml_return_when_a_stroke_that_encircles_is_given_up(screen: Screen, is_hidden: bool) -> None:
    layer, view = screen.label_map(), Recorded()
    voxel = at_first_liver_voxel(screen, layer)
    planes, listed = planes_of(screen), LabelListController(screen.model, view, at_once)
    before, ml = planes.pixels, ml_of(view)
    begin_encircling(layer, voxel)
    assert not same(before, planes.pixels)
    assert ml_of(view) != ml
    layer.visible = not is_hidden
    layer._abort_stroke()
    layer.visible = True
    assert same(before, planes.pixels)
    assert ml_of(view) == ml
    listed.close()


def test_a_result_is_as_before_when_a_stroke_that_encircles_is_given_up(screen: Screen) -> None:
    layer = screen.result()
    screen.model.layers.selection.active = layer
    voxel = at_first_liver_voxel(screen, layer)
    planes = planes_of(screen)
    before, ml, labels = planes.pixels, screen.current.volumes_ml(), layer.data.station(2)
    told: list[dict[int, float | None]] = []
    screen.current.labels_changed.connect(lambda: told.append(dict(screen.current.volumes_ml())))
    begin_encircling(layer, voxel)
    assert told[-1] != ml
    layer._abort_stroke()
    assert np.array_equal(layer.data.station(layer.data.n_steps), labels)
    assert (told[-1], screen.current.volumes_ml()) == (ml, ml)
    assert same(before, planes.pixels)
    assert screen.edits.edits(layer) == ()
    layer.paint(voxel, 2)
    assert [edit.voxels for edit in screen.edits.edits(layer)] == [1]


@pytest.mark.parametrize("kind", ["result", "label_map"])
def test_planes_and_ml_follow_what_a_program_writes(screen: Screen, kind: str) -> None:
    layer, view = getattr(screen, kind)(), Recorded()
    at_first_liver_voxel(screen, layer)
    planes, listed = planes_of(screen), LabelListController(screen.model, view, at_once)
    before, ml = planes.pixels, ml_of(view)
    layer.selected_label = 2
    layer.data[:] = 0
    layer.refresh()
    assert not same(before, planes.pixels)
    assert kind == "result" or (ml["liver"], ml_of(view)["liver"]) == (pytest.approx(0.006), 0.0)
    listed.close()


@pytest.mark.parametrize("which", ["labels", "scan"])
def test_planes_follow_other_voxels_of_a_layer(screen: Screen, which: str) -> None:
    layer = screen.label_map() if which == "labels" else screen.scan
    at_first_liver_voxel(screen, screen.label_map() if which == "scan" else layer)
    planes = planes_of(screen)
    before = planes.pixels
    layer.data = np.zeros_like(layer.data)
    assert not same(before, planes.pixels)


def alpha(layer: Any, label: int) -> float:
    return float(layer.colormap.color_dict.get(label, layer.colormap.color_dict[None])[3])


def legend_of_results(screen: Screen, view: Recorded) -> LegendController:
    """The legend of the segment panel."""
    return LegendController(screen.model, view, at_once_too, screen.current, screen.current.result_changed)


def at_once_too(function: Callable[[], Any], on_result: Callable[[Any], None], on_error: Any) -> None:
    on_result(function())


def test_a_legend_of_results_acts_on_the_current_result_whatever_lies_over_it(screen: Screen) -> None:
    first, second = screen.result("first"), screen.result("second")
    data, about, _ = display.settled_layer(made_trace(), "settled")
    settled = screen.model.add_labels(data, **about)
    view = Recorded()
    legend = legend_of_results(screen, view)
    screen.model.layers.selection.active = first
    for other in (screen.scan, settled):
        screen.model.layers.selection.active = other
        assert screen.current.layer is first
        assert legend.layer is first
    legend.show_label(1, False)
    legend.set_opacity(0.25)
    assert [alpha(layer, 1) for layer in (first, second, settled)] == [0.0, 1.0, 1.0]
    assert [layer.opacity == 0.25 for layer in (first, second, settled)] == [True, False, False]
    screen.model.dims.set_point(1, screen.model.dims.range[1].stop)
    legend.jump(1)
    assert screen.current.z == 0  # where the label's only voxel is
    screen.model.layers.selection.active = second
    assert view.last("show_hidden") == (set(),)
    screen.model.layers.selection.active = first
    assert view.last("show_hidden") == ({1},)
    legend.close()
    screen.model.layers.selection.active = second
    assert view.last("show_hidden") == ({1},)


def test_the_list_of_a_label_map_follows_eye_and_order_and_so_do_its_buttons(screen: Screen) -> None:
    below, above = screen.label_map(0, "below"), screen.label_map(2, "above")
    view = Recorded()
    listed = LabelListController(screen.model, view, at_once)
    legend = LegendController(screen.model, Recorded(), at_once_too, listed, listed.changed)
    screen.model.layers.selection.active = screen.scan
    assert legend.layer is above
    both = ml_of(view)
    above.visible = False
    assert ml_of(view) == both | {"spleen": 0.0}  # the lower map has no spleen
    legend.solo(2)
    assert (alpha(below, 1), alpha(above, 1)) == (0.0, 1.0)
    above.visible = True
    assert ml_of(view) == both
    screen.model.layers.move(screen.model.layers.index(above), screen.model.layers.index(below))
    assert ml_of(view) == both | {"spleen": 0.0}
    assert legend.layer is below


def test_the_line_under_the_cursor_follows_edits_and_the_eye(screen: Screen) -> None:
    readout = ReadoutController(screen.model)
    layer = screen.label_map()
    voxel = at_first_liver_voxel(screen, layer)
    screen.model.cursor.position = tuple(layer.data_to_world(voxel))
    assert "liver" in readout.text
    layer.data_setitem(tuple(np.array([v]) for v in voxel), 2)
    assert "spleen" in readout.text
    layer.undo()
    assert "liver" in readout.text
    layer.visible = False
    assert "liver" not in readout.text
    layer.visible = True
    assert "liver" in readout.text
    screen.scan.visible = False
    assert readout.text == ""
