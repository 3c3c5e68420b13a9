"""The distance between planes of a segmentation follows from positions, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from exported import Made
from voxtrace.errors import ReadError
from voxtrace.io.export import export, is_seg, read_seg
from voxtrace.io.export.seg_planes import plane_distance


@pytest.mark.parametrize(
    ("depths", "stated", "thick", "step", "indices"),
    [
        ([0, 3, 6, 9], 3, 3, 3, (0, 1, 2, 3)),
        ([0, 3, 6, 9], 0, 3, 3, (0, 1, 2, 3)),
        ([0, 3, 6, 9], -3, 0, 3, (0, 1, 2, 3)),
        ([0, 3, 6, 9], 5, 0, 3, (0, 1, 2, 3)),  # stated wrongly
        ([0, 3, 6, 9], 1, 3, 3, (0, 1, 2, 3)),
        ([0, 3, 9], 0, 3, 3, (0, 1, 3)),
        ([0, 6, 15], 3, 3, 3, (0, 2, 5)),  # no neighbours among the planes
        ([0, 30], 3, 3, 3, (0, 10)),
        ([0, 3], 0, 3, 3, (0, 1)),
        ([0, 2.5], 0, 5, 2.5, (0, 1)),  # thicker than their distance
        ([0], 3, 5, 3, (0,)),
        ([0], 0, 5, 5, (0,)),
        ([0, 0.6, 1.3, 1.9, 2.5], 0.625, 1, 0.625, (0, 1, 2, 3, 4)),
    ],
)
def test_planes_get_their_distance(
    depths: list[float], stated: float, thick: float, step: float, indices: tuple[int, ...]
) -> None:
    found = plane_distance(np.asarray(depths, float), stated, thick)
    assert found.step_mm == pytest.approx(step)
    assert found.indices == indices


@pytest.mark.parametrize(
    ("depths", "stated", "thick", "words"),
    [
        ([0], 0, 0, "one labelled plane"),
        ([0, 30], 0, 0, "planes between"),
        ([0, 30], 0, 3, "planes between"),
        ([0, 10, 20], 0, 2.5, "planes between"),
        ([0, 10, 20, 30], 2.5, 0, "throughout"),
        ([0, 3, 7.4, 9], 0, 3, "not evenly"),
    ],
)
def test_planes_whose_distance_cannot_be_told_are_refused(
    depths: list[float], stated: float, thick: float, words: str
) -> None:
    with pytest.raises(ReadError, match=words):
        plane_distance(np.asarray(depths, float), stated, thick)


def measures(header: pydicom.Dataset) -> pydicom.Dataset:
    return header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


@pytest.mark.parametrize("stated", [None, 0, 7.7, -3])
def test_the_stated_distance_does_not_change_the_volume(axial: Made, tmp_path: Path, stated: float | None) -> None:
    header = pydicom.dcmread(export(axial.labels, tmp_path / "a.dcm"))
    if stated is None:
        del measures(header).SpacingBetweenSlices
    else:
        measures(header).SpacingBetweenSlices = stated
    header.save_as(tmp_path / "b.dcm")
    back = read_seg(tmp_path / "b.dcm")
    assert back.geometry.voxel_ml == pytest.approx(axial.labels.geometry.voxel_ml)
    assert np.array_equal(np.bincount(back.data.ravel())[1:], np.bincount(axial.labels.data.ravel())[1:])


def spoilt(name: str, header: pydicom.Dataset) -> None:
    frames = header.PerFrameFunctionalGroupsSequence
    if name == "frames without position":
        del frames[1].PlanePositionSequence
    elif name == "frames without segment":
        del frames[1].SegmentIdentificationSequence
    elif name == "infinite position":
        frames[1].PlanePositionSequence[0].ImagePositionPatient = ["1", "2", "1e400"]
    elif name == "more frames than pixels":
        header.NumberOfFrames = 5000
    elif name == "another segment":
        frames[1].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 99
    elif name == "segment 0":
        header.SegmentSequence[0].SegmentNumber = 0
    else:
        delattr(header, name)


@pytest.mark.parametrize(
    "name",
    [
        "frames without position",
        "frames without segment",
        "infinite position",
        "more frames than pixels",
        "another segment",
        "segment 0",
        "SegmentSequence",
        "SegmentationType",
        "PerFrameFunctionalGroupsSequence",
        "Rows",
        "PixelData",
    ],
)
def test_a_segmentation_that_lacks_something_is_refused_by_name(axial: Made, tmp_path: Path, name: str) -> None:
    header = pydicom.dcmread(export(axial.labels, tmp_path / "a.dcm"))
    spoilt(name, header)
    header.save_as(tmp_path / "b.dcm")
    assert is_seg(tmp_path / "b.dcm")
    with pytest.raises(ReadError, match=r"b\.dcm"):
        read_seg(tmp_path / "b.dcm")


def test_a_segmentation_without_its_empty_planes_is_exported_again(case: Made, tmp_path: Path) -> None:
    back = read_seg(export(case.labels, tmp_path / "a.dcm"))
    assert back.geometry.shape != case.labels.geometry.shape  # outer planes are empty
    again = read_seg(export(back, tmp_path / "b.dcm", source=case.folder))
    assert np.array_equal(again.data, back.data)
    assert again.geometry.is_close(back.geometry)
    assert again.names == back.names
