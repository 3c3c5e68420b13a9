from __future__ import annotations

from pathlib import Path

import pytest

import made
from made import Run
from voxtrace.volume import Grid


def test_a_volume_shows_its_passport(run: Run, tmp_path: Path) -> None:
    document = run("inspect", made.scan(tmp_path / "a.nii.gz"), "--json").json
    assert document["kind"] == "volume"
    assert document["shape"] == list(made.SHAPE)
    assert document["spacing_mm"] == pytest.approx([2.0, 1.0, 1.0])
    assert document["orientation"] == "LPS"
    assert document["obliquity_deg"] == pytest.approx(0.0)


def test_a_bundle_shows_its_card(run: Run, bundle: Path) -> None:
    document = run("inspect", bundle, "--json").json
    assert (document["kind"], document["method"]["name"]) == ("bundle", "recyclenet")


def test_predictions_show_ledger_and_trace(run: Run, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", bundle, "-o", out)
    ledger = run("inspect", out, "--json").json
    assert (ledger["kind"], ledger["done"], ledger["failed"]) == ("ledger", 1, 0)
    trace = run("inspect", out / "a.trace", "--json").json
    assert (trace["kind"], len(trace["steps"])) == ("trace", 3)
    assert run("inspect", out / "a.trace").out.count("changed_voxels") == 3


def test_a_mixed_dicom_folder_lists_its_series(run: Run, real_data: Path) -> None:
    document = run("inspect", real_data / "dicom_mixed_study", "--json").json
    assert len(document["series"]) == 5
    assert sum(series["images"] for series in document["series"]) == 128
    assert {series["modality"] for series in document["series"]} == {"MR"}


def test_nothing_names_the_patient(run: Run, real_data: Path) -> None:
    assert "PGBM" not in run("inspect", real_data / "dicom_mixed_study", "--json").out.replace("dicom_mixed_study", "")


def test_what_is_nothing_known_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("inspect", tmp_path).code == 3
    assert run("inspect", tmp_path / "nowhere").code == 2


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((0, 0, 1, 1, 0, 0, 0, 1, 0), "PSL"),  # columns are where x, y and z run
    ],
)
def test_orientation_names_where_the_axes_run(direction: tuple[float, ...], letters: str) -> None:
    assert Grid((2, 2, 2), (1.0, 1.0, 1.0), direction=direction).axis_codes == letters
