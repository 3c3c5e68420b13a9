"""``voxtrace inspect`` prints a page without ``--all``, and says which cases a prediction will not read."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

import awkward_dicom as awkward
import made
from made import Run
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.cli.inspect_page import MOST_LETTERS, MOST_ROWS, shortened
from voxtrace.trace import Trace
from voxtrace.volume import Geometry


@pytest.fixture
def many(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "results")
    for number in range(99):
        status = "failed" if number == 77 else "done"
        volumes = {"liver": 0.0 if number == 55 else 1500.0}
        ledger.append(Entry(f"case_{number:02d}", status, volumes_ml=volumes, error="no space" * (number == 77)))
    return tmp_path / "results"


def test_a_ledger_is_a_page_with_what_went_wrong_first(run: Run, many: Path) -> None:
    lines = run("inspect", many).out.splitlines()
    assert len(lines) < MOST_ROWS + 15
    assert [line.split()[:2] for line in lines if line.startswith("case_")][:2] == [
        ["case_77", "failed"],
        ["case_55", "done"],
    ]
    assert "… and 69 more cases; --all prints them." in lines
    whole = run("inspect", many, "--all").out
    assert all(f"case_{number:02d}" in whole for number in range(99))
    assert len(run("inspect", many, "--json").json["cases"]) == 99


def test_a_long_text_is_cut_and_a_short_one_is_not() -> None:
    assert shortened([1.0, 2.0]) == [1.0, 2.0]
    text = shortened({"dice": list(range(1000))})
    assert text.startswith("dice: 0, 1, 2")
    assert text.endswith("(all of it: --all)")
    assert len(text) < MOST_LETTERS + 30


def test_a_bundle_is_a_page(run: Run) -> None:
    page, whole = (run("inspect", "hippocampus-unet", *words).out for words in ((), ("--all",)))
    assert max(map(len, page.splitlines())) < MOST_LETTERS + 60 < max(map(len, whole.splitlines()))


def test_steps_are_counted_from_1_also_where_only_the_last_was_kept(run: Run, tmp_path: Path) -> None:
    trace = Trace(
        labels=np.zeros((1, 2, 1, 2), np.uint8),
        facts={"entropy": np.array([[1.0], [2.0], [3.0]], np.float32)},
        windows=np.array([[0, 0, 0, 2, 1, 2]]),
        units={"entropy": "nat", "cost": "GFLOP"},
        geometry=Geometry.from_spacing((2, 1, 2), (1.0, 1.0, 1.0)),
        names={0: "background", 1: "liver"},
        slice_facts={"cost": np.array([[2, 4]], np.float32)},
    )
    folder = trace.save(tmp_path / "a.trace")
    assert [row["step"] for row in run("inspect", folder, "--json").json["steps"]] == [1, 2, 3]
    lines = [line.split() for line in run("inspect", folder).out.splitlines()]
    assert ["cost", "GFLOP", "3", "2", "2", "3", "4"] in lines


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    made.scan(folder / "good.nii.gz")
    whole = made.scan(tmp_path / "cut.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


def test_preflight_names_what_will_fail_and_exits_with_1(run: Run, scans: Path) -> None:
    told = run("inspect", scans, "--preflight")
    assert told.code == 1
    assert [line.split()[:3] for line in told.out.splitlines() if line.startswith("cut")] == [["cut", "will", "fail"]]
    assert "2 cases: 1 will fail, 1 will run" in told.out
    (scans / "cut.nii.gz").unlink()
    assert run("inspect", scans, "--preflight").code == 0
    (scans / "good.nii.gz").write_bytes(b"")
    assert run("inspect", scans, "--preflight").code == 3


def test_preflight_asks_whether_the_model_takes_the_case(
    run: Run, scans: Path, bundle: Path, two_channel_bundle: Path
) -> None:
    (scans / "cut.nii.gz").unlink()
    one = run("inspect", scans, "--preflight", "-m", bundle, "--json")
    assert one.json["counts"]["will fail"] == 0
    other = run("inspect", scans, "--preflight", "-m", two_channel_bundle, "--json")
    assert other.code == 3
    assert "it has 1 channel, the bundle expects 2" in other.json["cases"][0]["why"]


def test_a_model_without_preflight_is_refused(run: Run, scans: Path, bundle: Path) -> None:
    told = run("inspect", scans, "-m", bundle)
    assert told.code == 2
    assert "--model goes with --preflight" in told.sentence


def test_preflight_takes_the_frames_that_predict_would(run: Run, tmp_path: Path) -> None:
    film = np.stack([made.volume(seed).data[0] for seed in range(3)])
    nibabel.save(nibabel.Nifti1Image(film.T, np.diag([-1.0, -1.0, 2.0, 1.0])), tmp_path / "film.nii.gz")
    assert "3 frames" in run("inspect", tmp_path, "--preflight", "--json").json["cases"][0]["why"]
    every = run("inspect", tmp_path, "--preflight", "--frame", "all", "--json")
    assert every.code == 0
    assert [case["case"] for case in every.json["cases"]] == ["film_t000", "film_t001", "film_t002"]
    assert [run("inspect", tmp_path, "--preflight", "--frame", word).code for word in ("2", "3", "third")] == [0, 3, 2]


def test_preflight_takes_the_series_that_predict_would(run: Run, tmp_path: Path) -> None:
    for number, name in enumerate(("thorax", "leg"), start=1):
        named = {"SeriesDescription": name, "SeriesInstanceUID": f"2.25.{number}"}
        awkward.save(tmp_path / "study" / name, awkward.images(awkward.tilted(0.0), [0, 1, 2, 3, 4], **named))
    assert run("inspect", tmp_path, "--preflight").code == 3  # one case, study, with two series
    assert run("inspect", tmp_path, "--preflight", "--series", "leg").code == 0
    assert run("inspect", tmp_path, "--preflight", "--series", "arm").code == 3


@pytest.mark.parametrize(("option", "value"), [("--frame", "1"), ("--series", "leg")])
def test_what_chooses_cases_is_refused_without_preflight(run: Run, scans: Path, option: str, value: str) -> None:
    told = run("inspect", scans, option, value)
    assert told.code == 2
    assert f"{option} goes with --preflight" in told.sentence
