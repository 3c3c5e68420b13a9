from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import awkward_dicom as made
import voxtrace
from exported import COLOURS, NAMES, Made, on
from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.export import export, is_rtstruct, read_rtstruct


def test_labels_come_back_voxel_by_voxel_with_values_names_and_colours(case: Made, tmp_path: Path) -> None:
    path = export(case.labels, tmp_path / "a.rtstruct.dcm")
    assert is_rtstruct(path)
    back = read_rtstruct(path, case.folder)
    assert np.array_equal(back.data, case.labels.data)
    assert back.geometry.is_close(case.labels.geometry)
    assert back.names == NAMES
    assert back.colours[3] == pytest.approx(COLOURS[3], abs=1 / 255)


def test_frames_of_an_enhanced_file_are_planes(tmp_path: Path) -> None:
    order = [(7 * i) % made.PLANES for i in range(made.PLANES)]
    made.save(tmp_path / "images", [made.enhanced(made.images(made.rotated(17)), order)])
    case = on(tmp_path / "images", made.rotated(17))
    back = read_rtstruct(export(case.labels, tmp_path / "a.rtstruct.dcm"), case.folder)
    assert np.array_equal(back.data, case.labels.data)


def square(low: float, high: float, place: made.Place, plane: int) -> list[float]:
    """Return a square contour from ``low`` to ``high`` voxels in both directions, in mm."""
    along, down = place.across * made.SPACING_MM[2], place.down * made.SPACING_MM[1]
    corners = [(low, low), (high, low), (high, high), (low, high)]
    points = [place.position(plane) + x * along + y * down for x, y in corners]
    return [round(float(v), 4) for point in points for v in point]


def others(axial: Made, path: Path, contours: list[list[float]], kind: str = "CLOSED_PLANAR") -> Path:
    """Write an RTSTRUCT as other programs do: one region of number 5, contours as given."""
    written = pydicom.dcmread(export(axial.labels, path))
    region, name = written.ROIContourSequence[0], written.StructureSetROISequence[0]
    items = [pydicom.Dataset() for _ in contours]
    for item, points in zip(items, contours, strict=True):
        item.ContourGeometricType, item.NumberOfContourPoints, item.ContourData = kind, len(points) // 3, points
    region.ContourSequence, region.ReferencedROINumber, name.ROINumber = items, 5, 5
    del name.ROIDescription
    written.ROIContourSequence, written.StructureSetROISequence = [region], [name]
    written.save_as(path)
    return path


def test_a_hole_that_is_a_contour_of_its_own_stays_empty(axial: Made, tmp_path: Path) -> None:
    lines = [square(4.5, 14.5, axial.place, 3), square(7.5, 10.5, axial.place, 3)]
    back = read_rtstruct(others(axial, tmp_path / "a.rtstruct.dcm", lines), axial.folder)
    assert back.values == (5,)  # the number of the region
    assert np.count_nonzero(back.data) == 100 - 9


def test_contours_between_the_images_are_refused(axial: Made, tmp_path: Path) -> None:
    points = np.reshape(square(4.5, 14.5, axial.place, 3), (-1, 3)) + 0.5 * np.asarray(axial.place.step_mm)
    path = others(axial, tmp_path / "a.rtstruct.dcm", [points.ravel().tolist()])
    with pytest.raises(GeometryError, match=r"1\.5 mm from the nearest image"):
        read_rtstruct(path, axial.folder)


def test_open_lines_and_points_are_no_labels(axial: Made, tmp_path: Path) -> None:
    path = others(axial, tmp_path / "a.rtstruct.dcm", [square(4.5, 14.5, axial.place, 3)], "OPEN_PLANAR")
    with pytest.raises(ReadError, match="no closed contour"):
        read_rtstruct(path, axial.folder)


def test_regions_that_overlap_are_refused_by_name_and_taken_alone(axial: Made, tmp_path: Path) -> None:
    path = export(axial.labels, tmp_path / "a.rtstruct.dcm")
    written = pydicom.dcmread(path)
    written.ROIContourSequence[2].ContourSequence = written.ROIContourSequence[0].ContourSequence
    written.save_as(path)
    with pytest.raises(ReadError, match=r"'liver' and 'Enhancing tumour' overlap.*--only"):
        read_rtstruct(path, axial.folder)
    alone = read_rtstruct(path, axial.folder, only=("Enhancing tumour", "kidney_left"))
    assert alone.values == (7, 9)
    with pytest.raises(ReadError, match="no region 'spleen' with closed contours; it has liver, kidney_left"):
        read_rtstruct(path, axial.folder, only=("spleen",))


def test_the_images_must_be_named_and_be_those_of_the_contours(axial: Made, tmp_path: Path) -> None:
    path = export(axial.labels, tmp_path / "a.rtstruct.dcm")
    for read in (voxtrace.read_labels, read_rtstruct):
        with pytest.raises(ReadError, match=r"holds contours \(RTSTRUCT\).*--source"):
            read(path)
    made.save(tmp_path / "others", made.images(axial.place, SeriesInstanceUID="2.25.77"))
    with pytest.raises(GeometryError, match="drawn on images that are not in"):
        read_rtstruct(path, tmp_path / "others")


def test_other_files_are_no_rtstruct(axial: Made, tmp_path: Path) -> None:
    image = next(axial.folder.iterdir())
    assert not is_rtstruct(image)
    with pytest.raises(ReadError, match="is no RTSTRUCT"):
        read_rtstruct(image, axial.folder)


def test_a_damaged_contour_is_refused(axial: Made, tmp_path: Path) -> None:
    path = export(replace(axial.labels, colours={}), tmp_path / "a.rtstruct.dcm")
    content = path.read_bytes()
    at = content.index(b"\x06\x30\x50\x00") + 8  # ContourData
    path.write_bytes(content[:at] + b"nonsense" + content[at + 8 :])
    with pytest.raises(ReadError, match="contours cannot be read"):
        read_rtstruct(path, axial.folder)
