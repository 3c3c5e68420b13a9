"""``--regions`` of evaluate and compare: scores of regions that overlap, as a dataset.json or a bundle has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chance import drawn
from made import Run
from made_regions import LABELS, ORDER, region_plan
from made_traces import made_trace
from voxtrace import methods
from voxtrace.bundle import Bundle, save
from voxtrace.io import write
from voxtrace.volume import Geometry, LabelMap

GEOMETRY = Geometry.from_spacing((4, 6, 6), (2.0, 1.0, 1.0))


def label_map(*rows: int) -> LabelMap:
    """Six rows of 24 voxels, each with one value."""
    return LabelMap(np.broadcast_to(np.array(rows, np.uint8)[None, :, None], (4, 6, 6)).copy(), GEOMETRY)


TRUE = {"a": label_map(0, 1, 1, 2, 3, 3), "b": label_map(0, 0, 1, 1, 0, 0)}
MADE = {"a": label_map(1, 1, 2, 2, 2, 3), "b": label_map(0, 1, 1, 0, 0, 0)}
# a: whole 5 rows of 6 found; core 3 of 4; enhancing 1 of 2.  b: whole 1 of 2 + 2
DICE = {"a": (2 * 5 / 11, 2 * 3 / 7, 2 / 3), "b": (2 / 4, None, None)}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for folder, maps in (("made", MADE), ("true", TRUE)):
        for name, labels in maps.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            write(labels, tmp_path / folder / f"{name}.nii.gz")
    record = {"labels": {**LABELS, "ignore": 4}, "regions_class_order": ORDER}
    (tmp_path / "dataset.json").write_text(json.dumps(record))
    return tmp_path / "made", tmp_path / "true"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    chosen = methods.method("unet")
    with drawn():
        return save(Bundle(chosen, region_plan(), chosen.build(region_plan()).eval(), {"name": "r"}), tmp_path / "r")


@pytest.mark.parametrize("source", ["file", "folder", "bundle"])
def test_regions_are_scored_in_place_of_labels(
    run: Run, folders: tuple[Path, Path], model: Path, source: str, tmp_path: Path
) -> None:
    where = {"file": tmp_path / "dataset.json", "folder": tmp_path, "bundle": model}[source]
    outcome = run("evaluate", *folders, "--regions", where, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert document["regions"]["2"] == {"name": "tumour core", "values": [2, 3]}
    assert [document["labels"][k]["name"] for k in "123"] == ["whole tumour", "tumour core", "enhancing"]
    a, b = document["cases"]
    assert [a["labels"][k]["dice"] for k in "123"] == pytest.approx(DICE["a"])
    assert set(b["labels"]) == {"1"}  # the others are in neither map of b
    assert b["labels"]["1"]["dice"] == pytest.approx(0.5)
    assert a["labels"]["2"]["volume_ml"] == pytest.approx(4 * 24 * 2 / 1000)
    assert a["labels"]["2"]["reference_ml"] == pytest.approx(3 * 24 * 2 / 1000)
    assert document["mean"]["dice"] == pytest.approx((np.mean(DICE["a"]) + 0.5) / 2)
    assert [document["labels"][k]["n"] for k in "123"] == [2, 1, 1]


def test_an_absent_region_counts_as_found_where_that_is_asked_for(
    run: Run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    document = run("evaluate", *folders, "--regions", tmp_path, "--absent", "one", "--json").json
    assert [document["cases"][1]["labels"][k]["dice"] for k in "123"] == [pytest.approx(0.5), 1.0, 1.0]


def test_voxels_that_nobody_annotated_are_left_out(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    write(label_map(4, 1, 1, 2, 3, 3), folders[1] / "a.nii.gz")
    document = run("evaluate", *folders, "--regions", tmp_path, "--json").json
    assert document["cases"][0]["labels"]["1"]["dice"] == 1.0


def test_without_the_option_labels_are_scored_by_the_names_of_their_values(
    run: Run, folders: tuple[Path, Path]
) -> None:
    document = run("evaluate", *folders, "--json").json
    assert "regions" not in document
    assert document["labels"]["1"]["name"] == "whole tumour without tumour core"


def test_a_value_in_no_region_is_refused_for_its_case(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    write(label_map(0, 1, 1, 2, 5, 5), folders[1] / "a.nii.gz")
    outcome = run("evaluate", *folders, "--regions", tmp_path, "--json")
    assert outcome.code == 1
    assert outcome.json["failed"][0]["case"] == "a"
    assert "label value 5, which is in none of the regions whole tumour" in outcome.json["failed"][0]["error"]


def test_what_has_no_regions_is_refused(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1}}))
    outcome = run("evaluate", *folders, "--regions", tmp_path / "plain.json")
    assert outcome.code == 2
    assert "has no regions; expected labels such as" in outcome.err
    assert run("evaluate", *folders, "--regions", tmp_path / "nowhere").code != 0


def test_comparing_scores_regions_of_both(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    made, true = folders
    outcome = run("compare", true, made, "--reference", true, "--regions", tmp_path, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert document["agreement"]["labels"]["1"]["name"] == "whole tumour"
    labels = document["reference"]["labels"]
    assert {labels[k]["name"] for k in labels} == {"whole tumour", "tumour core", "enhancing"}
    assert labels["2"]["mean"] == pytest.approx(1 - DICE["a"][1])  # type: ignore[operator]
    assert document["regions"]["3"]["values"] == [3]


def test_a_trace_is_scored_by_region_at_each_step(run: Run, tmp_path: Path) -> None:
    trace = made_trace(steps=2)
    trace.save(tmp_path / "trace")
    write(LabelMap(np.asarray(trace.labels[1]), trace.geometry), tmp_path / "t.nii.gz")
    record = {"labels": {"background": 0, "both": [1, 2], "spleen": 2}, "regions_class_order": [1, 2]}
    (tmp_path / "two.json").write_text(json.dumps(record))
    outcome = run("evaluate", tmp_path / "trace", tmp_path / "t.nii.gz", "--regions", tmp_path / "two.json", "--json")
    assert outcome.code == 0, outcome.err
    first, last = outcome.json["steps"]
    assert outcome.json["names"] == {"1": "both", "2": "spleen"}
    assert last["labels"] == {"1": 1.0, "2": 1.0}
    counts = [np.count_nonzero(np.asarray(trace.labels[step])) for step in (0, 1)]  # the first lies in the last
    assert first["labels"]["1"] == pytest.approx(2 * counts[0] / sum(counts))
