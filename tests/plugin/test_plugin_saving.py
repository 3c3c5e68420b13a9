"""A labels layer goes onto its scan's own grid in every format, or is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import awkward_dicom as awkward
from made_layers import ImmediateRunner, Recorded, made_trace, made_volume
from voxtrace import io
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.export import read_seg
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.layers import folder_of, open_scans, source_of
from voxtrace.plugin.controllers.save import SaveController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display import LabelSource
from voxtrace.plugin.layers.display_space import AXES, UNITS
from voxtrace.plugin.layers.timepoints import TimepointsSource, timepoint_labels_layer, timepoints_layer
from voxtrace.plugin.models.formats import FORMATS, named
from voxtrace.plugin.models.provenance import shown_labels
from voxtrace.plugin.npe2.reader import load
from voxtrace.plugin.work import saving
from voxtrace.plugin.work.compare import OpenResult
from voxtrace.trace import Trace
from voxtrace.trace.edits import Edit
from voxtrace.volume import Geometry, LabelMap, Triple, Volume

NAMES = {1: "liver", 3: "left kidney"}
COLOURS: dict[int, Triple] = {1: (0.2, 0.4, 0.6), 3: (1.0, 0.0, 0.4)}
BLOCK = (slice(4, 9), slice(10, 20), slice(5, 12))  # canonical (Z, Y, X)


def add(model: Any, layers: Any) -> Any:
    for data, about, kind in layers:
        layer = getattr(model, f"add_{kind}")(data, **about)
    return layer


def drawn_on(model: Any, scan: Any) -> Any:
    """Return a labels layer made as napari's new-labels button makes it, with one block of label 1."""
    model.layers.selection.active = scan
    model._new_labels()
    layer = model.layers[-1]
    layer.data[0, 1, 2] = 1  # the most superior slice
    return layer


def saved(model: Any, layer: Any, path: Path) -> Any:
    return saving.save(path, layer.data, layer.as_layer_data_tuple()[1], open_scans(model.layers))


def refused(model: Any, layer: Any, path: Path, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        saved(model, layer, path)
    assert not list(path.parent.glob(f"{path.name}*"))


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    """Return a folder with one CT series, its rows running to the right and its stack to the feet."""
    direction = np.diag([-1.0, 1.0, -1.0])
    return awkward.save(tmp_path / "series", awkward.images(awkward.place(direction)), seed=3)


def labels_on(volume: Volume, name: str = "organs") -> LabelMap:
    data = np.zeros(volume.geometry.shape, np.uint8)
    data[BLOCK] = 1
    data[-1, :3, :2] = 3
    return LabelMap(data, volume.geometry, NAMES, COLOURS, name)


def test_drawn_labels_get_the_exact_place_of_the_scan_they_were_drawn_on(tmp_path: Path, model: Any) -> None:
    tilt = np.radians(20.0)
    affine = np.diag([3.0, 2.0, 1.0, 1.0])
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    oblique = Geometry((4, 6, 5), tuple(tuple(row) for row in affine.tolist()))
    scan = add(model, display.image_layers(replace(made_volume(), geometry=oblique)))
    [path] = saved(model, drawn_on(model, scan), tmp_path / "drawn.nii.gz").paths
    back = io.read_labels(path)
    assert back.geometry.is_close(oblique)
    assert np.argwhere(back.data).tolist() == [[3, 1, 2]]


def test_of_two_scans_of_one_shape_the_one_that_was_drawn_on_counts(tmp_path: Path, model: Any) -> None:
    there = made_volume()
    elsewhere = replace(there, geometry=Geometry.from_spacing(there.geometry.shape, (3.0, 2.0, 1.0), (80.0, 5.0, 7.0)))
    for volume in (there, elsewhere):
        scan = add(model, display.image_layers(volume))
        layer = drawn_on(model, scan)
        [path] = saved(model, layer, tmp_path / "drawn.nii.gz").paths
        assert io.read_labels(path).geometry.is_close(volume.geometry)


def test_two_scans_in_one_place_that_lie_differently_are_not_guessed_between(tmp_path: Path, model: Any) -> None:
    upright = Geometry.from_spacing((5, 5, 5), (2.0, 2.0, 2.0), (-4.0, -4.0, -4.0))
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]]) * 2
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = turn, -turn @ (2, 2, 2)
    oblique = Geometry((5, 5, 5), tuple(tuple(row) for row in turned.tolist()))
    data = np.zeros((1, 5, 5, 5), np.int16)
    for geometry in (upright, oblique):
        scan = add(model, display.image_layers(Volume(data, geometry, "MR")))
    refused(model, drawn_on(model, scan), tmp_path / "drawn.nii.gz", "fit 2 open scans that lie differently")


def test_drawn_labels_that_fit_no_open_scan_are_refused(tmp_path: Path, model: Any) -> None:
    scan = add(model, display.image_layers(made_volume()))
    layer = drawn_on(model, scan)
    model.layers.remove(scan)
    refused(model, layer, tmp_path / "drawn.nii.gz", "match none of the 0 open")
    add(model, display.image_layers(made_volume()))
    layer.data = np.zeros((4, 6, 4), np.uint8)
    refused(model, layer, tmp_path / "drawn.nii.gz", "match none of the 1 open")


@pytest.mark.parametrize("turn", [{"rotate": 10}, {"shear": [0.1, 0, 0]}, {"affine": np.diag([1, 1, 2, 1.0])}])
def test_drawn_labels_on_a_turned_layer_are_refused(tmp_path: Path, model: Any, turn: dict[str, Any]) -> None:
    about = {"scale": (3.0, 2.0, 1.0), "units": UNITS, "axis_labels": AXES}
    add(model, display.image_layers(made_volume()))
    if "rotate" in turn:
        cos, sin = np.cos(0.2), np.sin(0.2)
        turn = {"rotate": np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])}
    layer = model.add_labels(np.ones((4, 6, 5), np.uint8), **about, **turn)
    refused(model, layer, tmp_path / "drawn.nii.gz", "rotated or sheared")


def test_drawn_labels_of_two_or_four_axes_are_refused(tmp_path: Path, model: Any) -> None:
    flat = model.add_labels(np.ones((6, 5), np.uint8))
    refused(model, flat, tmp_path / "drawn.nii.gz", "have 2 axes")
    stepped = model.add_labels(np.ones((3, 4, 6, 5), np.uint8))
    refused(model, stepped, tmp_path / "drawn.nii.gz", "have 4 axes")


def test_drawn_labels_on_an_image_whose_axes_nobody_named_are_refused(tmp_path: Path, model: Any) -> None:
    other = model.add_image(np.zeros((4, 6, 5)), scale=(3, 2, 1), translate=(7, 8, 9))
    refused(model, drawn_on(model, other), tmp_path / "drawn.nii.gz", "position in the patient is unknown")


def test_drawn_labels_on_another_plugins_image_in_mm_get_its_place(tmp_path: Path, model: Any) -> None:
    about = {"scale": (3, 2, 1), "translate": (7, 8, 9), "units": UNITS, "axis_labels": AXES}
    other = model.add_image(np.zeros((4, 6, 5), np.float32), **about)
    [path] = saved(model, drawn_on(model, other), tmp_path / "drawn.nii.gz").paths
    back = io.read_labels(path)
    [voxel] = np.argwhere(back.data)
    assert back.geometry.world_mm(voxel) == pytest.approx((-7.0, 8.0 + 2, 9.0 + 2))  # I = -S


def test_a_layer_of_ours_that_was_moved_is_refused(tmp_path: Path, model: Any) -> None:
    layer = add(model, [display.label_layer(labels_on(Volume(awkward.values()[None], _plain())))])
    saved(model, layer, tmp_path / "before.nii.gz")
    layer.translate = np.add(layer.translate, (0, 0, 5))
    refused(model, layer, tmp_path / "moved.nii.gz", "moved, scaled or turned")


def _plain() -> Geometry:
    return Geometry.from_spacing((awkward.PLANES, awkward.ROWS, awkward.COLUMNS), (3.0, 1.5, 1.25))


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_names_and_colours_come_back_when_our_own_files_are_opened_again(
    tmp_path: Path, model: Any, ending: str
) -> None:
    rough = np.random.default_rng(0).integers(0, 2, _plain().shape).astype(np.uint8)  # no patches: only names tell
    labels = LabelMap(np.where(rough, rough + 2 * (rough > 0), 0).astype(np.uint8), _plain(), NAMES, COLOURS)
    layer = add(model, [display.label_layer(labels)])
    [path] = saved(model, layer, tmp_path / f"organs{ending}").paths
    [(data, about, kind)] = load([path])
    assert kind == "labels"
    assert np.array_equal(data, layer.data)
    source = about["metadata"][display.KEY]
    assert source.names == NAMES
    assert {k: tuple(round(v, 2) for v in rgb) for k, rgb in source.colours.items()} == COLOURS
    assert list(about["features"]["label"]) == ["background", "liver", "left kidney"]


def test_a_result_on_dicom_becomes_a_dicom_segmentation_that_opens_as_labels(
    tmp_path: Path, model: Any, dicom: Path
) -> None:
    scan = add(model, load([dicom]))
    volume = scan.metadata[display.KEY].volume
    layer = add(model, [display.label_layer(labels_on(volume))])
    [path] = saved(model, layer, tmp_path / "organs.dcm").paths
    back = read_seg(path)
    assert back.names == NAMES
    for value in NAMES:
        expected = volume.geometry.world_mm(np.argwhere(labels_on(volume).data == value)).mean(0)
        found = back.geometry.world_mm(np.argwhere(back.data == value)).mean(0)
        assert np.allclose(found, expected, atol=0.05)
    [(_, about, kind)] = load([path])
    assert (kind, about["metadata"][display.KEY].names) == ("labels", NAMES)


def test_what_was_drawn_on_dicom_refers_to_its_images(tmp_path: Path, model: Any, dicom: Path) -> None:
    import pydicom

    scan = add(model, load([dicom]))
    [path] = saved(model, drawn_on(model, scan), tmp_path / "drawn.dcm").paths
    header = pydicom.dcmread(path)
    assert header.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    [series] = header.ReferencedSeriesSequence
    uids = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in dicom.iterdir()}
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence} <= uids
    where = np.argwhere(read_seg(path).data)
    stated = scan.metadata[display.KEY].volume.geometry.world_mm([awkward.PLANES - 1, 1, 2])
    assert np.allclose(read_seg(path).geometry.world_mm(where[0]), stated, atol=0.01)


def test_the_table_measures_the_scan_the_labels_belong_to(tmp_path: Path, model: Any, dicom: Path) -> None:
    scan = add(model, load([dicom]))
    volume = scan.metadata[display.KEY].volume
    other = add(model, display.image_layers(replace(volume, data=volume.data + 1000)))
    data, about, kind = display.label_layer(labels_on(volume))
    for layer in (scan, other):
        source = replace(about["metadata"][display.KEY], scan=layer.unique_id)
        mine = add(model, [(data, about | {"metadata": {display.KEY: source}}, kind)])
        [path] = saved(model, mine, tmp_path / "organs.json").paths
        row = next(row for row in json.loads(path.read_text()) if row["name"] == "liver")
        assert row["mean"] == pytest.approx(float(layer.metadata[display.KEY].volume.data[0][BLOCK].mean()))
        assert (row["unit"], row["voxels"]) == ("HU", 5 * 10 * 7)


def test_every_frame_with_labels_becomes_a_file(tmp_path: Path, model: Any) -> None:
    volume = made_volume()
    film = TimepointsSource(volume, np.repeat(volume.data, 4, 0))
    scan = add(model, [timepoints_layer(film)])
    answers = [LabelMap(np.full(volume.geometry.shape, k, np.uint8), volume.geometry, {1: "a", 2: "b"}) for k in (1, 2)]
    layer = add(model, [timepoint_labels_layer(answers, (1, 3), 4, scan.unique_id, "beats")])
    written = saved(model, layer, tmp_path / "beats.nrrd")
    assert [path.name for path in written.paths] == ["beats_t001.nrrd", "beats_t003.nrrd"]
    assert [int(io.read_labels(path).data.max()) for path in written.paths] == [1, 2]
    assert "2 files (beats_t001.nrrd, beats_t003.nrrd)" in saving.saved_message(written, "beats")


def test_a_typed_name_gets_the_ending_of_the_chosen_format() -> None:
    by_ending = {one.ending: one for one in FORMATS}
    assert named(Path("a.b"), by_ending[".dcm"]).name == "a.b.dcm"
    assert named(Path("a.nii.gz"), by_ending[".stl"]).name == "a.nii.gz"  # what was typed out counts
    assert named(Path("a.dcm"), by_ending[".rtstruct.dcm"]).name == "a.rtstruct.dcm"


def test_the_manifest_offers_every_format_of_the_panel() -> None:
    import yaml

    root = Path(__file__).resolve().parents[2]
    manifest = yaml.safe_load((root / "napari.yaml").read_text(encoding="utf-8"))
    offered = {ending for writer in manifest["contributions"]["writers"] for ending in writer["filename_extensions"]}
    assert {one.ending for one in FORMATS} <= offered


@pytest.mark.parametrize("ending", [one.ending for one in FORMATS])
def test_npe2_hands_every_ending_to_our_writer(ending: str) -> None:
    from npe2 import PluginManager

    manager = PluginManager.instance()
    if "voxtrace" not in manager:
        manager.discover()
    writer, _ = manager.get_writer(f"/somewhere/organs{ending}", ["labels"], "voxtrace")
    assert writer is not None
    assert ending in writer.filename_extensions


@pytest.fixture
def current(model: Any) -> CurrentResult:
    return CurrentResult(model)


@pytest.fixture
def controller(model: Any, view: Recorded, runner: ImmediateRunner, current: CurrentResult) -> SaveController:
    return SaveController(model, view, runner, current, EditController(model, current))


def test_the_panel_saves_what_is_selected_or_the_result_on_top(
    controller: SaveController, model: Any, view: Recorded
) -> None:
    assert view.last("set_target") == ("", "", None)
    scan = add(model, display.image_layers(made_volume()))
    result = add(model, [display.trace_layer(made_trace(), "scan · tiny")])
    model.layers.selection.active = scan
    model.dims.set_point(0, 2)
    assert view.last("set_target")[:2] == ("cycle 3 of 3 of “scan · tiny”", "scan_tiny.nii.gz")
    drawn = drawn_on(model, scan)
    assert view.last("set_target")[0] == f"“{drawn.name}”"
    model.layers.selection.active = result
    model.dims.set_point(0, 0)
    assert view.last("set_target")[0] == "cycle 1 of 3 of “scan · tiny”"


def test_of_two_results_the_current_one_is_saved(controller: SaveController, model: Any, view: Recorded) -> None:
    scan = add(model, display.image_layers(made_volume()))
    first = add(model, [display.trace_layer(made_trace(), "first")])
    second = add(model, [display.trace_layer(made_trace(), "second")])
    assert first.visible
    assert second.visible
    model.layers.selection.active = first
    model.layers.selection.active = scan
    assert view.last("set_target")[1] == "first.nii.gz"
    assert controller.layer is first
    first.visible = False
    assert controller.layer is second


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_step_on_screen_is_saved_and_named(
    controller: SaveController, model: Any, view: Recorded, tmp_path: Path, step: int
) -> None:
    add(model, [display.trace_layer(made_trace(), "scan · tiny")])
    model.dims.set_point(0, step)
    controller.save(tmp_path / "out.nii.gz")
    assert view.state.level == "done"
    assert f"Saved cycle {step + 1} of 3 of scan · tiny as out.nii.gz" in view.state.message
    assert np.array_equal(io.read_labels(tmp_path / "out.nii.gz").data, made_trace().labels[step])
    record = json.loads((tmp_path / "out.provenance.json").read_text())
    assert (record["labels"], record["files"]) == (f"cycle {step + 1} of 3", ["out.nii.gz"])


def test_painting_on_a_step_and_saving_saves_the_painting(
    controller: SaveController, model: Any, view: Recorded, tmp_path: Path
) -> None:
    layer = add(model, [display.trace_layer(made_trace(), "scan · tiny")])
    model.dims.set_point(0, 1)
    layer.brush_size = 1
    layer.paint((1, 0, 5, 0), 2)  # the most superior slice
    controller.save(tmp_path / "out.nii.gz")
    assert "Saved the edited labels (1 edit on cycle 2) of scan · tiny" in view.state.message
    expected = made_trace().labels[1].copy()
    expected[3, 5, 0] = 2
    np.testing.assert_array_equal(io.read_labels(tmp_path / "out.nii.gz").data, expected)
    [edit] = json.loads((tmp_path / "out.provenance.json").read_text())["edits"]
    assert (edit["what"], edit["name"], edit["voxels"], edit["station"]) == ("paint", "spleen", 1, "cycle 2")
    controller.save(tmp_path / "table.json")
    rows = {row["name"]: row["voxels"] for row in json.loads((tmp_path / "table.json").read_text())}
    assert rows == {"liver": 2, "spleen": 1}


def test_an_edited_result_says_so_in_dicom(tmp_path: Path, model: Any, dicom: Path) -> None:
    import pydicom

    scan = add(model, load([dicom]))
    volume = scan.metadata[display.KEY].volume
    labels = np.repeat(labels_on(volume).data[None], 2, 0)
    empty = np.zeros((0, 6), np.int64)
    trace = Trace(labels, {"loss": np.zeros((2, 0))}, empty, {}, volume.geometry, {0: "background", **NAMES}, "cycle")
    data, about, _ = display.trace_layer(trace, "result", scan.unique_id)
    layer = model.add_labels(data, **about)
    shown = shown_labels(data, about["metadata"][display.KEY], 0)
    attributes = layer.as_layer_data_tuple()[1]
    saving.save(tmp_path / "a.dcm", data, attributes, open_scans(model.layers), shown=shown)
    header = pydicom.dcmread(tmp_path / "a.dcm")
    assert header.ContentDescription == "cycle 1 of 2"
    assert {one.SegmentAlgorithmType for one in header.SegmentSequence} == {"AUTOMATIC"}
    data[1, 3, 3, 3] = 1
    data.note(lambda drawn: Edit("2026-11-27T10:02:00+00:00", "paint", 1, "liver", len(drawn), "cycle 2"))
    saving.save(tmp_path / "b.dcm", data, attributes, open_scans(model.layers))
    header = pydicom.dcmread(tmp_path / "b.dcm")
    assert header.ContentDescription == "edited labels (1 edit on cycle 2)"
    assert {one.SegmentAlgorithmType for one in header.SegmentSequence} == {"SEMIAUTOMATIC"}


def test_saving_starts_where_the_scan_lies(tmp_path: Path, model: Any, dicom: Path) -> None:
    file = tmp_path / "there" / "scan.nii.gz"
    io.write(replace(made_volume(), channels=()), file)
    [opened] = model.open(file, plugin="voxtrace")
    assert folder_of(opened, model.layers) == tmp_path / "there"
    source = LabelSource(opened.metadata[display.KEY].volume.geometry, scan=opened.unique_id)
    result = model.add_labels(np.zeros(source.geometry.shape, np.uint8), metadata={display.KEY: source})
    assert folder_of(result, model.layers) == tmp_path / "there"
    series = add(model, load([dicom]))
    assert folder_of(series, model.layers) == dicom.parent
    assert folder_of(model.add_labels(np.zeros((2, 2), np.uint8)), model.layers) is None


@pytest.mark.parametrize("ours", [True, False])
def test_a_scan_that_is_turned_in_the_window_is_not_segmented(model: Any, ours: bool) -> None:
    scan = add(model, display.image_layers(made_volume()))
    if not ours:
        scan.metadata.pop(display.KEY)
    source_of(scan)
    cos, sin = np.cos(0.2), np.sin(0.2)
    scan.rotate = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    with pytest.raises(GeometryError, match="Reset the layer's transform"):
        source_of(scan)


def test_a_failure_to_save_is_a_sentence_and_leaves_no_file(
    controller: SaveController, model: Any, view: Recorded, tmp_path: Path
) -> None:
    add(model, [display.trace_layer(made_trace(), "scan · tiny")])
    (tmp_path / "file").write_text("in the way")
    controller.save(tmp_path / "file" / "out.nii.gz")
    assert view.state.level == "error"
    assert "not a folder" in view.state.message
    controller.save(tmp_path / "out.dcm")  # labels that came from no DICOM; nobody named the folder of the images
    assert view.state.level == "error"
    assert "out.dcm was not saved" in view.state.message
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_dicom_formats_ask_for_the_images_only_where_nobody_knows_them(
    controller: SaveController, model: Any, view: Recorded, tmp_path: Path, dicom: Path
) -> None:
    volume = load([dicom])[0][1]["metadata"][display.KEY].volume
    stranger = replace(labels_on(volume), geometry=replace(volume.geometry, stored=None))
    add(model, [display.label_layer(stranger)])
    controller.save(tmp_path / "organs.dcm")
    assert view.last("ask_images") == ()
    view.calls.clear()
    add(model, load([dicom]))  # the scan is opened, and knows its images
    model.layers.selection.active = model.layers[0]
    controller.save(tmp_path / "organs.dcm")
    assert view.last("ask_images") is None
    assert view.state.level == "done", view.state.message
    assert read_seg(tmp_path / "organs.dcm").names == NAMES


def test_the_folder_of_the_images_may_be_named_by_hand(model: Any, tmp_path: Path, dicom: Path) -> None:
    volume = load([dicom])[0][1]["metadata"][display.KEY].volume
    stranger = replace(labels_on(volume), geometry=replace(volume.geometry, stored=None))
    data, about, _ = display.label_layer(stranger)
    saving.save(tmp_path / "organs.dcm", data, about, (), dicom)
    assert read_seg(tmp_path / "organs.dcm").names == NAMES


def test_labels_that_were_moved_in_the_window_are_not_compared(model: Any) -> None:
    layer = add(model, [display.trace_layer(made_trace(), "scan · tiny")])

    def compared() -> LabelMap:
        data, attributes, _ = layer.as_layer_data_tuple()
        return OpenResult(layer.name, data, attributes).label_map(())

    assert np.array_equal(compared().data, made_trace().labels[-1])
    layer.translate = np.add(layer.translate, (0, 0, 0, 4))
    with pytest.raises(GeometryError, match="scan · tiny was moved, scaled or turned"):
        compared()
