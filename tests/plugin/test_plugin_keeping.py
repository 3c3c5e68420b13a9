"""Everything of a result in one folder, and a corrected case in a training set."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import awkward_dicom as awkward
from made_layers import ImmediateRunner, Recorded, made_trace, made_volume
from voxtrace import io
from voxtrace.io.export import read_seg
from voxtrace.plugin.controllers.correct import CorrectController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.keep import KeepController
from voxtrace.plugin.controllers.layers import open_scans
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display import label_map_of
from voxtrace.plugin.models.correct_form import AddRequest
from voxtrace.plugin.models.provenance import shown_labels
from voxtrace.plugin.npe2.reader import load
from voxtrace.plugin.work.keeping import LabelsOnScreen, report_of
from voxtrace.trace import Provenance, Trace
from voxtrace.trace.edits import load_edits
from voxtrace.training.dataset import open_dataset


def printed(html: str, path: Path, title: str) -> Path:
    """Stand for Qt's printing."""
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def datasets() -> list[Path]:
    return []


@pytest.fixture
def keep(model: Any, view: Recorded, runner: ImmediateRunner, datasets: list[Path]) -> KeepController:
    current = CurrentResult(model)
    edits = EditController(model, current)
    target = CorrectController(model, Recorded(), runner, current, edits)
    return KeepController(model, view, runner, target, edits, printed, datasets.append)


def shown(model: Any, volume: Any = None, trace: Trace | None = None) -> Any:
    if volume is not None:
        data, about, _ = display.image_layers(volume)[0]
        scan = model.add_image(data, **about).unique_id
    else:
        scan = model.layers[-1].unique_id
    data, about, _ = display.trace_layer(trace or made_trace(), "scan · tiny", scan)
    return model.add_labels(data, **about)


def test_everything_of_an_edited_result_lies_in_one_folder(
    keep: KeepController, model: Any, view: Recorded, tmp_path: Path
) -> None:
    layer = shown(model, made_volume())
    model.dims.set_point(0, 1)
    layer.brush_size = 1
    layer.paint((1, 0, 5, 0), 2)
    keep.save_everything(tmp_path / "kept", False)
    assert view.state.message.startswith("Saved the edited labels (1 edit on cycle 2) of scan · tiny with its report")
    names = {path.name for path in (tmp_path / "kept").iterdir()}
    assert names == {"labels.nii.gz", "labels.csv", "result.trace", "report.html", "report.pdf", "provenance.json"}
    labels = io.read_labels(tmp_path / "kept/labels.nii.gz").data
    assert labels[3, 5, 0] == 2
    np.testing.assert_array_equal(np.asarray(Trace.load(tmp_path / "kept/result.trace").labels[:]), made_trace().labels)
    edited = load_edits(tmp_path / "kept/result.trace")
    assert edited is not None
    np.testing.assert_array_equal(edited.labels[:], labels)
    assert (edited.began, [edit.what for edit in edited.edits]) == (1, ["paint"])
    record = json.loads((tmp_path / "kept/provenance.json").read_text())
    assert record["edits"][0]["station"] == "cycle 2"


def test_the_report_tells_what_was_found_and_has_three_pictures(
    keep: KeepController, model: Any, tmp_path: Path
) -> None:
    shown(model, made_volume())
    model.dims.set_point(0, 1)
    keep.save_everything(tmp_path / "kept", False)
    page = (tmp_path / "kept/report.html").read_text(encoding="utf-8")
    assert "cycle 2 of 3" in page
    assert re.findall(r'alt="(\w+)" src="data:image/png', page) == ["axial", "coronal", "sagittal"]
    text = re.sub(r"<[^>]*>", " ", page)
    assert re.search(r"liver\s+0\.01\s+2\s", text)  # two voxels of 6 mm³ that do not touch
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.parametrize("with_patient", [False, True])
def test_the_patient_is_named_only_where_it_was_asked(
    keep: KeepController, model: Any, tmp_path: Path, with_patient: bool
) -> None:
    import pydicom

    direction = np.diag([-1.0, 1.0, -1.0])
    series = awkward.save(tmp_path / "Doe^Jane", awkward.images(awkward.place(direction)), seed=3)
    for file in series.iterdir():
        header = pydicom.dcmread(file)
        header.PatientName, header.PatientID = "Doe^Jane", "PID-4711"
        header.save_as(file)
    data, about, _ = load([series])[0]
    scan = model.add_image(data, **about)
    geometry = scan.metadata[display.KEY].volume.geometry
    labels = np.zeros((1, *geometry.shape), np.uint8)
    labels[0, 2:4, 3:9, 3:9] = 1
    names, made = {0: "background", 1: "liver"}, Provenance(scan="Doe^Jane")
    trace = Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, names, "cycle", provenance=made)
    shown(model, trace=trace)
    keep.save_everything(tmp_path / "kept", with_patient)
    page = (tmp_path / "kept/report.html").read_text(encoding="utf-8")
    assert ("PID-4711" in page) == ("Doe^Jane" in page) == with_patient
    assert "Doe" not in (tmp_path / "kept/provenance.json").read_text()
    assert ("Doe" in (tmp_path / "kept/result.trace/trace.json").read_text()) == with_patient
    assert read_seg(tmp_path / "kept/labels.seg.dcm").names == {1: "liver"}


def test_a_folder_that_is_there_is_not_touched(
    keep: KeepController, model: Any, view: Recorded, tmp_path: Path
) -> None:
    shown(model, made_volume())
    (tmp_path / "kept").mkdir()
    keep.save_everything(tmp_path / "kept", False)
    assert view.state.level == "error"
    assert "is there already" in view.state.message
    assert not any((tmp_path / "kept").iterdir())


def test_stopping_leaves_nothing(
    keep: KeepController, model: Any, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    shown(model, made_volume())
    runner.held = True
    keep.save_everything(tmp_path / "kept", False)
    keep.stop()
    runner.let_go()
    assert view.state.message == "Stopped; nothing was saved."
    assert list(tmp_path.iterdir()) == []


def test_a_corrected_case_goes_to_a_training_set_and_the_panel_is_told(
    keep: KeepController, model: Any, view: Recorded, tmp_path: Path, datasets: list[Path]
) -> None:
    layer = shown(model, made_volume())
    assert view.last("set_target")[0] == "scan"
    model.dims.set_point(0, 2)
    layer.brush_size = 1
    layer.paint((2, 0, 5, 0), 2)
    keep.add_case(AddRequest(tmp_path / "Dataset500_Mine", "scan", False))
    assert view.state.message.startswith("Began the dataset Dataset500_Mine with scan; 1 case now")
    assert datasets == [tmp_path / "Dataset500_Mine"]
    dataset = open_dataset(tmp_path / "Dataset500_Mine")
    loaded = dataset.cases(["scan"])[0]
    assert loaded.labels.data[3, 5, 0] == 2
    provenance = json.loads((tmp_path / "Dataset500_Mine/provenance/scan.json").read_text())
    assert (provenance["labels"], len(provenance["edits"])) == ("the edited labels (1 edit on cycle 3)", 1)
    keep.add_case(AddRequest(tmp_path / "Dataset500_Mine", "scan", False))
    assert view.state.level == "error"
    assert "has a case scan already" in view.state.message


def test_an_interval_stands_beside_the_models_own_answer_only(model: Any) -> None:
    layer = shown(model, made_volume())
    interval = {"cases": 20, "factors": [0.5, 2.0], "predicted_ml": [0.001, 1.0], "level": 0.95, "bias": 1.0}
    record = {"intervals": {"labels": {"1": interval}}}
    data, attributes, _ = layer.as_layer_data_tuple()
    layer.data[0, 0, 0, 0] = 1
    told = {}
    for station in (0, 2, 3):
        what = shown_labels(data, attributes["metadata"][display.KEY], station)
        on_screen = LabelsOnScreen(data, attributes, open_scans(model.layers), what, record)
        labels = label_map_of(data, attributes["metadata"][display.KEY], "labels", station)
        told[station] = report_of(labels, made_volume(), on_screen, False).intervals_ml
    assert told == {0: {}, 2: {1: (pytest.approx(0.003), pytest.approx(0.012))}, 3: {}}
