"""Identities of cases: what is hashed, and when a prepared case is made anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cases import ball, ball_dataset, small_plan
from voxtrace.errors import DatasetError
from voxtrace.io import read_labels, write
from voxtrace.io.contents import file_digest
from voxtrace.training import open_dataset
from voxtrace.training.chunked import ChunkedArray
from voxtrace.training.dataset import CaseFolder
from voxtrace.training.identity import CaseIdentity, case_names, change_words, identify, unread
from voxtrace.training.preprocessed import preprocess_cases


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    return ball_dataset(tmp_path / "balls", 2)


def cases_of(folder: Path) -> CaseFolder:
    dataset = open_dataset(folder)
    return dataset.cases([files.name for files in dataset.files])


def correct(file: Path) -> None:
    """Change one voxel of a label file, and leave its size and time as they were where the file system can."""
    before, labels = file.stat(), read_labels(file)
    data = labels.data.copy()
    data[0, 0, 0] = 1
    write(replace(labels, data=data), file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_names_are_known_before_anything_is_read(balls: Path) -> None:
    assert case_names(cases_of(balls)) == ("ball_000", "ball_001")
    assert case_names([ball(3)]) == ("ball_003",)


def test_files_are_hashed_and_a_corrected_label_is_another(balls: Path) -> None:
    before = identify(unread(cases_of(balls), 0))
    assert before == identify(unread(cases_of(balls), 0))
    assert before.images == (file_digest(balls / "imagesTr" / "ball_000_0000.nii.gz"),)
    correct(balls / "labelsTr" / "ball_000.nii.gz")
    assert before.changes(identify(unread(cases_of(balls), 0))) == ("labels",)


def test_a_header_in_a_file_of_its_own_counts_with_its_voxels(tmp_path: Path) -> None:
    header = write(ball(0).volume, tmp_path / "scan.mhd")
    before = file_digest(header)
    voxels = next(path for path in tmp_path.iterdir() if path != header)
    voxels.write_bytes(b"\x01" + voxels.read_bytes()[1:])
    assert file_digest(header) != before


def test_cases_in_memory_are_hashed_by_voxels_and_grid() -> None:
    one = ball(0)
    moved = replace(one.volume.geometry, affine=tuple(tuple(2 * v for v in row) for row in one.volume.geometry.affine))
    other = replace(one, volume=replace(one.volume, geometry=moved), labels=replace(one.labels, geometry=moved))
    assert identify(one) == identify(ball(0))
    assert identify(one).changes(identify(other)) == ("image", "labels")
    assert identify(one).changes(identify(replace(one, scores={"a": float("nan")}))) == ("scores",)
    assert (
        identify(replace(one, scores={"a": float("nan")})).changes(identify(replace(one, scores={"a": float("nan")})))
        == ()
    )


def test_a_file_that_is_gone_is_named(balls: Path) -> None:
    cases = cases_of(balls)
    (balls / "labelsTr" / "ball_001.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"case ball_001: .*ball_001\.nii\.gz cannot be read"):
        identify(unread(cases, 1))


def test_an_identity_returns_from_json() -> None:
    one = CaseIdentity("a", ("x", "y"), "z", {"reliability": 0.5})
    assert CaseIdentity.from_json(one.to_json()) == one


def test_what_changed_is_said_by_kind() -> None:
    changed = {"a": ("labels",), "b": ("labels",), "c": ("image", "labels"), "d": ("labels",), "e": ("labels",)}
    assert change_words(changed) == "labels of a, b, d and 1 more; image and labels of c"


def test_a_prepared_case_is_kept_until_its_files_or_its_plan_change(balls: Path, tmp_path: Path) -> None:
    def prepare(spacing: float = 1.0) -> list[int]:
        plan = small_plan(spacing_mm=(spacing,) * 3)
        done = preprocess_cases(cases_of(balls), plan, tmp_path / "cases", 0)
        return [(case.folder / "labels.zarr" / "zarr.json").stat().st_mtime_ns for case in done]

    first = prepare()
    assert prepare() == first
    correct(balls / "labelsTr" / "ball_001.nii.gz")
    second = prepare()
    assert (second[0] == first[0], second[1] == first[1]) == (True, False)
    assert ChunkedArray(tmp_path / "cases" / "00001" / "labels.zarr")[...][0, 0, 0] == 1
    assert all(now != before for now, before in zip(prepare(2.0), second, strict=True))
    (tmp_path / "cases" / "00000" / "source.json").write_bytes(b"\xff")
    assert len(prepare(2.0)) == 2
