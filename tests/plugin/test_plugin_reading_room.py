"""The reading room in a real window: planes, keys, wheel, presets, readout, measuring, legend, opening."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from made import bundle_folder, scan
from made_layers import ImmediateRunner, made_trace, made_volume
from voxtrace import io
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.layers import display
from voxtrace.trace import Provenance, Trace
from voxtrace.volume import Geometry, LabelMap, Volume

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from voxtrace.plugin.npe2.measure import MeasureWidget
from voxtrace.plugin.npe2.open_scan import DropFilter, dropped_paths, grouped, open_scan
from voxtrace.plugin.npe2.planes import PlanesWidget
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of

SHAPE = (4, 6, 5)


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any) -> Any:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)
    return viewer


@pytest.fixture
def shown(viewer: Any) -> Any:
    """A viewer with a scan, and above it a trace of three cycles, which is active."""
    for data, about, _ in display.image_layers(made_volume()):
        viewer.add_image(data, **about)
    data, about, _ = display.trace_layer(made_trace(), "result", viewer.layers[0].unique_id)
    viewer.add_labels(data, **about)
    return viewer


def camera_of(viewer: Any) -> Any:
    return compat.camera(compat.unwrapped(viewer))


def names(viewer: Any) -> tuple[str, ...]:
    return compat.axis_names(compat.unwrapped(viewer))


def press(viewer: Any, key: str) -> None:
    bare = viewer.__wrapped__
    bare.window._qt_viewer._key_map_handler.press_key(key)


def test_naparis_roll_shows_coronal_and_sagittal_and_never_the_step_axis(shown: Any) -> None:
    planes = []
    for _ in range(3):
        shown.dims.roll()
        planes.append([names(shown)[axis] for axis in shown.dims.displayed])
    assert planes == [["I", "L"], ["I", "P"], ["P", "L"]]
    shown.dims.transpose()
    assert [names(shown)[axis] for axis in shown.dims.displayed] == ["L", "P"]


def test_the_first_3d_view_is_frontal_and_the_plane_comes_back(shown: Any) -> None:
    navigation = viewer_state_of(shown).canvas.navigation
    navigation.show_plane(1)
    shown.dims.ndisplay = 3
    assert np.allclose(camera_of(shown).view_direction, (0, 1, 0), atol=1e-6)
    assert np.allclose(camera_of(shown).up_direction, (-1, 0, 0), atol=1e-6)
    assert shown.dims.order == (0, 1, 2, 3)
    camera_of(shown).angles = (0, 30, 60)
    turned = camera_of(shown).view_direction
    shown.dims.ndisplay = 2
    assert navigation.plane == 1
    shown.dims.ndisplay = 3
    assert np.allclose(camera_of(shown).view_direction, turned, atol=1e-6)  # only the first time


def test_keys_go_through_slices_and_steps(shown: Any) -> None:
    shown.dims.current_step = (0, 1, 2, 2)
    press(shown, "Up")
    press(shown, "Right")
    assert shown.dims.current_step == (1, 0, 2, 2)
    press(shown, "Down")
    press(shown, "Down")
    press(shown, "Left")
    press(shown, "Left")
    assert shown.dims.current_step == (0, 2, 2, 2)


def wheel(shown: Any, delta: float, *modifiers: str) -> SimpleNamespace:
    event = SimpleNamespace(
        delta=(0.0, delta), modifiers=modifiers, handled=False, position=(0.0, 17.0, 10.0, 9.0), native=None
    )
    shown.mouse_wheel_callbacks[0](shown.__wrapped__, event)
    return event


def test_the_wheel_scrolls_slices_and_zooms_with_ctrl(shown: Any) -> None:
    shown.dims.current_step = (2, 2, 2, 2)
    assert wheel(shown, -1.0).handled
    assert shown.dims.current_step == (2, 3, 2, 2)
    wheel(shown, 0.5)
    wheel(shown, 0.5)
    assert shown.dims.current_step == (2, 2, 2, 2)
    before = camera_of(shown).zoom
    wheel(shown, 1.0, "Control")
    assert camera_of(shown).zoom == pytest.approx(1.15 * before)
    assert shown.dims.current_step == (2, 2, 2, 2)
    shown.dims.ndisplay = 3
    assert not wheel(shown, 1.0).handled  # zooms, as napari does


def test_number_keys_are_presets_of_the_scan_while_labels_are_active(shown: Any) -> None:
    labels, image = shown.layers[1], shown.layers[0]
    assert shown.layers.selection.active.name == "result"
    press(shown, "2")
    assert tuple(image.contrast_limits) == (-1350.0, 150.0)
    assert labels.mode == "pan_zoom"


def test_number_keys_stay_tools_while_a_tool_is_in_use(shown: Any) -> None:
    labels, before = shown.layers[1], tuple(shown.layers[0].contrast_limits)
    labels.mode = "paint"
    press(shown, "4")
    assert labels.mode == "fill"
    assert tuple(shown.layers[0].contrast_limits) == before


def test_dragging_with_the_right_button_sets_the_contrast_and_keeps_it(shown: Any) -> None:
    contrast, image = viewer_state_of(shown).canvas.contrast, shown.layers[0]
    press(shown, "1")
    event = SimpleNamespace(button=2, modifiers=(), pos=(10.0, 10.0), type="mouse_press", handled=False)
    drag = contrast._on_drag(shown.__wrapped__, event)
    next(drag)
    event.type, event.pos = "mouse_move", (110.0, 60.0)
    next(drag)
    assert tuple(image.contrast_limits) == (-160.0, 340.0)  # 100 px wider, level 50 px higher, one HU a pixel
    event.type = "mouse_release"
    with pytest.raises(StopIteration):
        next(drag)
    press(shown, "1")
    press(shown, "6")
    assert tuple(image.contrast_limits) == (-160.0, 340.0)


def test_the_line_under_the_cursor_names_value_label_settling_and_place(shown: Any) -> None:
    readout = viewer_state_of(shown).canvas.readout
    shown.dims.current_step = (2, 3, 2, 2)  # display slice 3 is canonical slice 0, where the liver's voxel lies
    shown.cursor.position = tuple(shown.layers[1].data_to_world((2, 3, 1, 2)))
    assert readout.text == "7 HU · liver\nsettled at cycle 1\nL 9.0 P 7.0 I 20.0 mm"
    assert compat._overlays(compat.unwrapped(shown))["voxtrace_readout"].text == readout.text
    shown.cursor.position = (2.0, 0.0, 900.0, 900.0)
    assert readout.text == ""


@pytest.fixture
def planes(shown: Any) -> PlanesWidget:
    widget = PlanesWidget(shown)
    shown.window.add_dock_widget(widget, name="planes")
    return widget


def test_the_dock_shows_the_two_planes_that_the_canvas_does_not(planes: PlanesWidget, shown: Any) -> None:
    assert [one.picture.axis for one in planes.view.canvases if one.picture] == [1, 2]
    planes.view.views[1].click()
    assert [one.picture.axis for one in planes.view.canvases if one.picture] == [0, 2]
    assert planes.view.views[1].isChecked()
    planes.view.views[3].click()
    assert shown.dims.ndisplay == 3


def test_a_click_in_a_plane_moves_naparis_sliders_and_the_other_plane(planes: PlanesWidget, shown: Any) -> None:
    shown.dims.current_step = (2, 0, 0, 0)
    coronal, sagittal = planes.view.canvases
    coronal.pointed.emit(1, 3.0, 4.0)
    assert shown.dims.current_step == (2, 3, 0, 4)
    assert sagittal.picture is not None
    assert sagittal.picture.title == "sagittal 5 of 5"
    sagittal.scrolled.emit(2, -1)
    assert shown.dims.current_step == (2, 3, 0, 3)


def test_planes_show_the_labels_of_the_step_on_screen(planes: PlanesWidget, shown: Any) -> None:
    shown.dims.current_step = (0, 0, 4, 4)  # the voxel at canonical (3, 4, 4) gets its label at cycle 2
    coronal = planes.view.canvases[0]
    assert coronal.picture is not None
    before = coronal.picture.pixels[0, 4].tolist()
    shown.dims.set_current_step(0, 2)
    after = coronal.picture.pixels[0, 4].tolist()
    assert before[0] == before[1] == before[2]
    assert after != before


def test_what_is_painted_appears_in_the_planes(planes: PlanesWidget, shown: Any) -> None:
    labels = shown.layers[1]
    shown.dims.current_step = (2, 1, 3, 3)
    coronal = planes.view.canvases[0]
    assert coronal.picture is not None
    before = coronal.picture.pixels[1, 3].tolist()
    labels.selected_label = 1
    labels.paint((2, 1, 3, 3), 1)
    shown.dims.set_current_step(0, labels.data.shape[0] - 1)
    assert coronal.picture.pixels[1, 3].tolist() != before


def test_the_picture_lies_at_true_scale_and_points_back(planes: PlanesWidget) -> None:
    coronal = planes.view.canvases[0]
    assert coronal.picture is not None
    area = coronal.area
    assert area.height() / area.width() == pytest.approx(4 * 3.0 / (5 * 1.0))
    row, column = coronal.place(QPointF(area.left() + area.width() * 0.5, area.top() + area.height() * 0.5))
    assert (row, column) == pytest.approx((1.5, 2.0))


def test_the_preset_picker_follows_the_scan(planes: PlanesWidget, shown: Any) -> None:
    assert planes.view.contrast.currentText().startswith("1  Abdomen")
    shown.layers[0].contrast_limits = (0, 77)
    assert planes.view.contrast.currentIndex() == -1
    planes.view.preset_asked.emit(3)
    assert planes.view.contrast.currentText().startswith("3  Bone")


def test_a_slow_trace_is_read_in_a_thread_and_then_drawn(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    for data, about, _ in display.image_layers(made_volume()):
        viewer.add_image(data, **about)
    stored = Trace.load(made_trace().save(tmp_path / "case.trace"))
    data, about, _ = display.trace_layer(stored, "result")
    data.steps = stored.labels  # as for a trace that is too large for memory
    viewer.add_labels(data, **about)
    widget = PlanesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="planes")
    viewer.dims.current_step = (2, 0, 4, 4)

    def drawn() -> bool:
        picture = widget.view.canvases[0].picture
        return picture is not None and len(set(picture.pixels[0, 4].tolist())) > 1

    qtbot.waitUntil(drawn, timeout=10_000)


@pytest.fixture
def measure(shown: Any, qtbot: Any) -> MeasureWidget:
    widget = MeasureWidget(shown, ImmediateRunner())
    qtbot.addWidget(widget)
    return widget


def test_a_line_is_measured_on_the_plane_it_is_drawn_in(measure: MeasureWidget, shown: Any) -> None:
    viewer_state_of(shown).canvas.navigation.show_plane(1)
    measure.view.tools["line"].click()
    layer = shown.layers.selection.active
    assert str(layer.mode) == "add_line"
    layer.add([[0, 2, 0], [2, 2, 3]], shape_type="line")
    [row] = measure.view.texts
    assert row[:2] == ["1 line", f"{np.hypot(2 * 3.0, 3 * 1.0):.5g}"]
    assert row[-1] == "coronal, P 9.0 mm"
    assert list(layer.features["measure"]) == ["6.7 mm"]


def test_a_region_is_measured_on_its_slice_also_after_scrolling(measure: MeasureWidget, shown: Any) -> None:
    measure.view.tools["rectangle"].click()
    layer = shown.layers.selection.active
    layer.add([[1, 0.5, 0.5], [1, 0.5, 3.5], [1, 3.5, 3.5], [1, 3.5, 0.5]], shape_type="rectangle")
    inside = np.asarray(shown.layers[0].data)[1, 1:4, 1:4]
    shown.dims.set_current_step(1, 3)
    measure.controller.refresh()
    [row] = measure.view.texts
    assert row[4:8] == [f"{v:.5g}" for v in (inside.mean(), inside.std(), inside.min(), inside.max())]
    layer.data = []
    assert measure.view.texts == []


def test_labels_are_measured_at_the_step_on_screen(measure: MeasureWidget, shown: Any) -> None:
    shown.dims.set_current_step(0, 2)
    measure.view.labels.click()
    assert [row[0] for row in measure.view.texts] == ["liver", "spleen"]
    assert [row[9] for row in measure.view.texts] == ["1", "1"]
    assert measure.controller.table.splitlines()[0].startswith("what,length mm")


def test_without_a_scan_a_tool_says_what_to_do(viewer: Any, qtbot: Any) -> None:
    widget = MeasureWidget(viewer, ImmediateRunner())
    qtbot.addWidget(widget)
    widget.view.tools["line"].click()
    assert widget.view.message.text() == "Open a scan to measure on it."
    assert not widget.view.tools["line"].isChecked()


@pytest.fixture
def legend(shown: Any, qtbot: Any) -> Any:
    widget = SegmentWidget(shown, ImmediateRunner())
    qtbot.addWidget(widget)
    return widget.steps_view.legend


def alpha(shown: Any, value: int) -> float:
    return float(shown.layers[1].colormap.color_dict[value][3])


def test_an_eye_hides_one_label_and_solo_shows_it_alone(legend: Any, shown: Any) -> None:
    legend.row(1).eye.click()
    assert (alpha(shown, 1), alpha(shown, 2)) == (0.0, 1.0)
    legend.row(1).eye.click()
    legend.row(1).solo.click()
    assert (alpha(shown, 1), alpha(shown, 2)) == (1.0, 0.0)
    legend.row(1).solo.click()
    assert (alpha(shown, 1), alpha(shown, 2)) == (1.0, 1.0)


def test_opacity_and_outline_act_on_the_layer_and_follow_it(legend: Any, shown: Any) -> None:
    legend.opacity.setValue(80)
    legend.outline.setChecked(True)
    assert (shown.layers[1].opacity, shown.layers[1].contour) == (0.8, 1)
    shown.layers[1].opacity = 0.3
    assert legend.opacity.value() == 30


def test_the_jump_goes_to_the_labels_slice(legend: Any, shown: Any, qtbot: Any) -> None:
    shown.dims.current_step = (2, 0, 0, 0)
    legend.row(1).jump.click()
    qtbot.waitUntil(lambda: shown.dims.current_step == (2, 3, 1, 2), timeout=5_000)


def many(shown: Any, count: int) -> tuple[Any, ...]:
    from voxtrace.plugin.models.panel_state import LegendRow

    return tuple(LegendRow(k, (1.0, 0.0, 0.0), f"rib {k}", None) for k in range(1, count + 1))


def test_many_labels_are_found_by_name(legend: Any, shown: Any) -> None:
    legend.show_rows(many(shown, 24))
    assert not legend.filter.isHidden()
    legend.filter.setText("rib 2")
    assert [name for name, _ in legend.texts] == ["rib 2", "rib 20", "rib 21", "rib 22", "rib 23", "rib 24"]
    legend.show_rows(many(shown, 3))
    assert len(legend.texts) == 3


def test_a_trace_opens_at_its_answer_with_its_scan_below(viewer: Any, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    trace = made_trace(io.read(scan(tmp_path / "scans" / "case.nii.gz")).geometry)
    known = replace(trace, provenance=Provenance(bundle="liver model"))
    open_scan(viewer, known.save(tmp_path / "results" / "case.trace"))
    image, labels = viewer.layers
    assert (image.name, labels.name) == ("case", "case · liver model")
    assert labels.metadata["voxtrace"].scan == image.unique_id
    assert viewer.dims.current_step[0] == 2
    assert viewer.layers.selection.active.name == labels.name


def test_a_trace_lies_over_the_scan_that_is_open_already(viewer: Any, tmp_path: Path) -> None:
    for data, about, _ in display.image_layers(made_volume()):
        viewer.add_image(data, **about)
    open_scan(viewer, made_trace().save(tmp_path / "case.trace"))
    assert viewer.layers[-1].metadata["voxtrace"].scan == viewer.layers[0].unique_id
    assert len(viewer.layers) == 2


def test_a_bundle_goes_to_the_segment_panel_and_a_dataset_to_training(viewer: Any, tmp_path: Path) -> None:
    open_scan(viewer, bundle_folder(tmp_path / "tiny"))
    panel = viewer_state_of(viewer).open_dock("segment")
    assert any(one.path.name == "tiny" for one in viewer_state_of(viewer).bundle_registry.bundles)
    dataset = tmp_path / "Dataset001_Toy"
    (dataset / "imagesTr").mkdir(parents=True)
    (dataset / "dataset.json").write_text("{}")
    open_scan(viewer, dataset)
    assert viewer_state_of(viewer).open_dock("train").view.dataset.text() == str(dataset)
    assert panel is viewer_state_of(viewer).open_dock("segment")


def drop(*paths: Path) -> QDropEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    where = QPointF(QPoint(5, 5))
    event = QDropEvent(where, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    event._data = data  # type: ignore[attr-defined]  # Qt does not own it
    return event


def test_a_dropped_scan_opens_without_a_question_and_other_files_are_naparis(viewer: Any, tmp_path: Path) -> None:
    file, picture = scan(tmp_path / "case.nii.gz"), tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG")
    assert dropped_paths(drop(file, picture)) == []
    target = viewer.__wrapped__.window._qt_viewer
    [taking] = [
        one for one in target.children() if isinstance(one, DropFilter)
    ]  # Qt delivers drops of a real drag only
    assert taking.eventFilter(target, drop(file))
    assert not taking.eventFilter(target, drop(picture))
    assert [layer.name for layer in viewer.layers] == ["case"]


def test_dropped_dicom_files_of_a_folder_are_opened_together(tmp_path: Path) -> None:
    for name in ("IM0001", "IM0002", "case.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    files = [tmp_path / name for name in ("IM0001", "case.nii.gz", "IM0002")]
    assert grouped(files) == [[files[0], files[2]], [files[1]]]


def test_a_text_file_is_refused_in_a_sentence(viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtrace.plugin.npe2 import open_scan as module

    told = []
    monkeypatch.setattr(module, "notify", lambda kind, text: told.append((kind, text)))
    (tmp_path / "notes.txt").write_text("hello")
    open_scan(viewer, tmp_path / "notes.txt")
    assert told == [("error", "notes.txt holds no CT or MR scan, label map, trace, bundle or dataset.")]


def test_in_3d_the_patients_right_is_on_the_left_of_the_screen(make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer_state_of(viewer)
    data = np.zeros((1, 40, 40, 40), np.float32)
    data[0, 30:38, 16:24, 2:10] = 1.0  # canonical: superior, and towards the patient's right
    volume = Volume(data, Geometry.from_spacing((40, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), "MR", ("T1",), "dot")
    for array, about, _ in display.image_layers(volume):
        viewer.add_image(array, **about | {"contrast_limits": (0, 1)})
    viewer.dims.ndisplay = 3
    picture = np.asarray(viewer.screenshot(canvas_only=True, flash=False))[..., :3].astype(int)
    height, width = picture.shape[:2]
    white = picture.min(axis=2) > 200
    white[: height // 12] = white[-height // 5 :] = False  # letters and the scale bar
    white[:, : width // 12] = white[:, -width // 12 :] = False
    rows, columns = np.nonzero(white)
    assert rows.size > 50
    assert columns.mean() < width / 2
    assert rows.mean() < height / 2


def test_a_label_map_from_a_file_has_a_legend_that_counts_what_is_painted(viewer: Any, qtbot: Any) -> None:
    geometry = Geometry.from_spacing((3, 10, 10), (10.0, 10.0, 1.0), (0.0, 0.0, 0.0))
    data = np.zeros((3, 10, 10), np.uint8)
    data[1, 2:4, 2:7] = 1
    array, about, _ = display.label_layer(LabelMap(data, geometry, {1: "liver", 2: "spleen"}, {}, "truth"))
    layer = viewer.add_labels(array.copy(), **about)
    widget = PlanesWidget(viewer)
    qtbot.addWidget(widget)
    legend = widget.view.legend
    qtbot.waitUntil(lambda: legend.texts == [("liver", "1.00 mL"), ("spleen", "0.00 mL")], timeout=5_000)
    layer.selected_label = 2
    layer.paint((0, 5, 5), 2)
    painted = int(np.count_nonzero(np.asarray(layer.data) == 2))
    assert painted > 3
    qtbot.waitUntil(lambda: legend.texts[1] == ("spleen", f"{painted * 0.1:.2f} mL"), timeout=5_000)


def test_the_crosshair_lies_on_the_canvas_where_the_camera_shows_it(planes: PlanesWidget, shown: Any) -> None:
    overlay = planes.view._overlay
    assert overlay is not None
    shown.dims.current_step = (2, 1, 4, 3)
    camera = camera_of(shown)
    camera.center, camera.zoom = (0.0, 5.0 + 2 * 2.0, 7.0), 10.0  # the middle is at row 2, column 0
    assert overlay.cross == pytest.approx((3 * 1.0 * 10, 2 * 2.0 * 10))  # 3 mm to the left side, 4 mm to the back
    planes.view.cross.click()
    assert overlay.cross is None
    planes.view.cross.click()
    assert overlay.cross == pytest.approx((30.0, 40.0))
    shown.dims.ndisplay = 3
    assert overlay.cross is None


def test_frames_over_time_are_stepped_with_the_arrow_keys(viewer: Any) -> None:
    from voxtrace.plugin.layers.timepoints import TimepointsSource, timepoints_layer

    volume = made_volume()
    data, about, _ = timepoints_layer(TimepointsSource(volume, np.stack([volume.data[0] + k for k in range(3)])))
    viewer.add_image(data, **about)
    viewer.dims.current_step = (0, 1, 2, 2)
    press(viewer, "Right")
    assert viewer.dims.current_step == (1, 1, 2, 2)
    viewer.cursor.position = tuple(viewer.layers[0].data_to_world((1, 1, 0, 0)))
    assert viewer_state_of(viewer).canvas.readout.text.startswith("61 HU")
    viewer.dims.roll()
    assert [names(viewer)[axis] for axis in viewer.dims.displayed] == ["I", "L"]
