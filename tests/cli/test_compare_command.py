from __future__ import annotations

from pathlib import Path

import pytest

import made
from made import Run

# A block of 3³ inside one of 4³: Dice 2·27 / (27 + 64); label 2 agrees.
SMALLER = 2 * 27 / (27 + 64)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for folder, blocks in (("one", {"a": 4, "b": 4, "c": 4}), ("other", {"a": 4, "b": 3})):
        for case, block in blocks.items():
            made.labels(tmp_path / folder / f"{case}.nii.gz", block=block)
    return tmp_path / "one", tmp_path / "other"


def test_agreement_and_differing_volume_are_told(run: Run, folders: tuple[Path, Path]) -> None:
    outcome = run("compare", *folders, "--json")
    assert outcome.code == 0
    document = outcome.json
    assert document["agreement"]["labels"]["1"]["dice"] == pytest.approx((1 + SMALLER) / 2)
    same, differs = document["cases"]
    assert (same["case"], same["differs_ml"], same["places"]) == ("a", 0.0, [])
    assert differs["n_places"] == len(differs["places"]) or differs["n_places"] > 10
    voxel_ml = differs["differs_ml"] / (64 - 27)
    assert differs["undecided"] == {"1": pytest.approx(37 * voxel_ml)}
    assert document["left_out"] == ["c"]
    assert "reference" not in document


def test_the_one_nearer_to_the_reference_has_the_higher_dice(
    run: Run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    for case in ("a", "b"):
        made.labels(tmp_path / "true" / f"{case}.nii.gz", block=4)
    against = run("compare", *folders, "--reference", tmp_path / "true", "--json").json["reference"]
    assert against["one"]["dice"] == 1.0
    assert against["other"]["dice"] == pytest.approx((1 + (1 + SMALLER) / 2) / 2)
    difference = against["difference"]["dice"]
    assert difference["mean"] == pytest.approx(against["one"]["dice"] - against["other"]["dice"])
    low, high = difference["ci95"]
    assert 0.0 <= low <= difference["mean"] <= high
    assert difference["n"] == 2


def test_two_files_and_a_reference_belong_together_whatever_they_are_called(
    run: Run, folders: tuple[Path, Path]
) -> None:
    one, other = folders[0] / "a.nii.gz", folders[1] / "b.nii.gz"
    document = run("compare", one, other, "--reference", folders[0] / "c.nii.gz", "--json").json
    assert document["n"] == 1
    assert document["reference"]["one"]["dice"] == 1.0


def test_a_pair_on_different_grids_fails_alone(run: Run, folders: tuple[Path, Path]) -> None:
    made.labels(folders[1] / "c.nii.gz", shape=(8, 18, 20))
    outcome = run("compare", *folders, "--json")
    assert outcome.code == 1
    assert [case["case"] for case in outcome.json["failed"]] == ["c"]
    assert "c: failed." in outcome.err


def test_the_tables_are_readable(run: Run, folders: tuple[Path, Path]) -> None:
    lines = run("compare", *folders, "--reference", folders[0]).out.splitlines()
    assert lines[0].split() == ["label", "n", "Dice", "NSD", "HD95", "mm"]
    assert any(line.startswith("b ") for line in lines)
    assert any(line.startswith("against the reference") for line in lines)


def test_nothing_in_common_is_an_error(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    made.labels(tmp_path / "else" / "z.nii.gz")
    assert run("compare", folders[0], tmp_path / "else").code == 3
    assert run("compare", folders[0], tmp_path / "nowhere").code == 2
