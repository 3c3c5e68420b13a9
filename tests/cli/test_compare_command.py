from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import made
from made import Run
from voxtrace.io import write
from voxtrace.volume import Geometry, LabelMap

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


def test_worse_than_a_limit_ends_with_1(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[0] / "c.nii.gz").unlink()
    good, bad, reference = *folders, tmp_path / "true"
    for case in ("a", "b"):
        made.labels(reference / f"{case}.nii.gz", block=4)
        made.labels(bad / f"{case}.nii.gz", block=3)
    command = ("compare", good, bad, "--reference", reference, "--json", "--worse-than")
    fell = run(*command, "0.01")
    assert fell.code == 1
    assert fell.json["verdict"]["worse"] is True
    assert "B is worse by more than 0.01" in fell.sentence
    within = run(*command, "0.9")
    assert (within.code, within.json["verdict"]["worse"]) == (0, False)
    assert run("compare", bad, good, *command[3:], "0.01").code == 0


def test_a_case_that_b_lacks_counts_as_worse(run: Run, folders: tuple[Path, Path]) -> None:
    command = ("--worse-than", "0.9", "--json", "--reference", folders[0])
    outcome = run("compare", *folders, *command)
    assert outcome.code == 1
    assert outcome.json["verdict"]["lost"] == ["c"]
    assert "no score for 1 cases" in outcome.sentence
    assert run("compare", *reversed(folders), *command).code == 0


def test_worse_than_without_a_reference_is_refused(run: Run, folders: tuple[Path, Path]) -> None:
    outcome = run("compare", *folders, "--worse-than", "0.01")
    assert outcome.code == 2
    assert "--reference" in outcome.sentence


def test_labels_and_worst_cases_against_the_reference_are_told(
    run: Run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    for case in ("a", "b"):
        made.labels(tmp_path / "true" / f"{case}.nii.gz", block=4)
    command = ("compare", *folders, "--reference", tmp_path / "true")
    against = run(*command, "--json").json["reference"]
    assert [case["case"] for case in against["cases"]] == ["b", "a"]
    assert against["labels"]["1"]["other"] == pytest.approx((1 + SMALLER) / 2)
    assert against["labels"]["1"]["p"] == 1.0  # of one difference either sign is as likely
    assert against["labels"]["2"]["mean"] == 0.0
    lines = run(*command).out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("worst for B"))
    assert lines[at + 1].split()[0] == "b"
    assert any(line.startswith("Dice of the label") for line in lines)


def test_voxels_that_the_reference_ignores_score_neither(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    made.labels(tmp_path / "true" / "a.nii.gz", block=4)
    names = tmp_path / "names.json"
    names.write_text('{"labels": {"background": 0, "liver": 1, "ignore": 2}}')
    command = ("compare", *folders, "--reference", tmp_path / "true", "--json")
    assert list(run(*command, "--names", names).json["reference"]["labels"]) == ["1"]
    assert set(run(*command).json["reference"]["labels"]) == {"1", "2"}


def test_a_label_is_matched_by_its_name(run: Run, tmp_path: Path) -> None:
    """The same spleen as 1 in one file, and as 2 behind a liver in the other and in the reference."""
    spleen, both = np.zeros(made.SHAPE, np.uint8), np.zeros(made.SHAPE, np.uint8)
    spleen[2:5, 2:8, 2:8], both[2:5, 2:8, 2:8] = 1, 2
    both[6:8, 10:14, 10:14] = 1
    geometry = Geometry.from_spacing(made.SHAPE, (2.0, 1.0, 1.0))
    write(LabelMap(spleen, geometry, {1: "spleen"}), tmp_path / "one" / "a.seg.nrrd")
    for folder in ("other", "true"):
        write(LabelMap(both, geometry, {1: "liver", 2: "Spleen"}), tmp_path / folder / "a.seg.nrrd")
    folders = (tmp_path / "one", tmp_path / "other")
    alone = run("compare", *folders, "--json").json
    named = {record["name"].casefold(): record for record in alone["agreement"]["labels"].values()}
    assert (named["spleen"]["dice"], named["liver"]["dice"]) == (1.0, 0.0)
    against = run("compare", *folders, "--reference", tmp_path / "true", "--json").json["reference"]["labels"]
    assert (against["2"]["one"], against["2"]["other"]) == (1.0, 1.0)
    assert (against["1"]["one"], against["1"]["other"]) == (0.0, 1.0)
