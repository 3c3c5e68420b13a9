from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Outline
from skimage.draw import polygon2mask

import awkward_dicom as made
import voxtrace
from exported import Made, complaints, dice, on
from voxtrace.errors import OutputError
from voxtrace.io.export import export, rtstruct
from voxtrace.io.export.outlines import keyholed, outlines
from voxtrace.volume import LabelMap


def winding(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how often a closed line (x, y) winds round each voxel's centre: by crossings of a ray along +x."""
    rows, columns = np.meshgrid(*map(np.arange, shape), indexing="ij")
    turns = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (min(y0, y1) <= rows) & (rows < max(y0, y1)) & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
        turns += np.where(crosses, 1 if y1 > y0 else -1, 0)
    return turns


def in_voxels(region: pydicom.Dataset, place: made.ImagePlanePosition) -> dict[int, list[np.ndarray]]:
    """Return the contours of a region by plane of the images, points (x, y) in voxels, by DICOM's own formula."""
    axes = np.stack([place.across * made.SPACING_MM[2], place.down * made.SPACING_MM[1], place.step_mm], axis=1)
    found: dict[int, list[np.ndarray]] = {}
    for contour in region.ContourSequence:
        points = np.reshape(np.asarray(contour.ContourData, float), (-1, 3))
        assert len(points) == contour.NumberOfContourPoints >= 3
        voxels = (points - place.position(0)) @ np.linalg.inv(axes).T
        plane = round(float(voxels[0, 2]))
        assert np.abs(voxels[:, 2] - plane).max() < 1e-3
        found.setdefault(plane, []).append(np.round(voxels[:, :2], 3))
    return found


def rasterised(region: pydicom.Dataset, place: made.ImagePlanePosition, rule: str) -> np.ndarray:
    mask = np.zeros((made.PLANES, made.ROWS, made.COLUMNS), bool)
    for plane, lines in in_voxels(region, place).items():
        turns = [winding(line, mask.shape[1:]) for line in lines]
        mask[plane] = np.sum(turns, axis=0) % 2 == 1 if rule == "even-odd" else np.any([t != 0 for t in turns], axis=0)
    return mask


@pytest.mark.parametrize("rule", ["even-odd", "non-zero"])
def test_contours_filled_by_either_rule_are_the_labels(case: Made, tmp_path: Path, rule: str) -> None:
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.rtstruct.dcm"))
    for region, value in zip(written.ROIContourSequence, (3, 7, 9, 20), strict=True):
        assert dice(rasterised(region, case.place, rule), case.stacked == value) == 1.0


def test_holes_join_their_outline_and_islands_stand_alone(axial: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(axial.labels, tmp_path / "a.rtstruct.dcm"))
    liver, kidney = (in_voxels(region, axial.place) for region in written.ROIContourSequence[:2])
    # plane 3: a block with one hole. Plane 5: three holes and an island. Plane 6: the island has a hole.
    assert {plane: len(liver[plane]) for plane in (2, 3, 5, 6)} == {2: 1, 3: 1, 5: 2, 6: 2}
    assert len(kidney[13]) == 2  # the single voxel and the line
    assert len(kidney[14]) in (1, 10)  # voxels that touch at corners


def test_every_contour_names_the_image_of_its_plane(case: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.rtstruct.dcm"))
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, case.folder.iterdir())}
    frame = written.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert (frame.FrameOfReferenceUID, series.SeriesInstanceUID) == ("2.25.3", "2.25.2")
    assert {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence} == set(images)
    for contour in written.ROIContourSequence[0].ContourSequence:
        (named,) = contour.ContourImageSequence
        offset = (
            np.asarray(contour.ContourData[:3], float) - images[named.ReferencedSOPInstanceUID].ImagePositionPatient
        )
        assert abs(offset @ case.place.step_mm) < 1e-3


def test_regions_have_names_colours_types_and_codes(axial: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(axial.labels, tmp_path / "a.rtstruct.dcm"))
    assert [roi.ROIName for roi in written.StructureSetROISequence] == [
        "liver",
        "kidney_left",
        "Enhancing tumour",
        "Mystery Ω",
    ]
    assert list(written.ROIContourSequence[0].ROIDisplayColor) == [204, 51, 51]
    kinds = [item.RTROIInterpretedType for item in written.RTROIObservationsSequence]
    assert kinds == ["ORGAN", "ORGAN", "", ""]  # a finding and an unknown name may be targets
    assert written.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0].CodeValue == "10200004"
    assert "RTROIIdentificationCodeSequence" not in written.RTROIObservationsSequence[3]


def test_numbers_fit_into_sixteen_characters(case: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.rtstruct.dcm"))
    texts = [v.original_string for r in written.ROIContourSequence for c in r.ContourSequence for v in c.ContourData]
    assert max(map(len, texts)) <= 16


def test_frames_of_an_enhanced_file_are_named(tmp_path: Path) -> None:
    order = list(range(made.PLANES))[::-1]
    source = made.enhanced(made.images(made.rotated(17)), order)
    made.save(tmp_path / "images", [source])
    case = on(tmp_path / "images", made.rotated(17))
    path = export(case.labels, tmp_path / "a.rtstruct.dcm")
    written = pydicom.dcmread(path)
    assert np.array_equal(rasterised(written.ROIContourSequence[0], case.place, "even-odd"), case.stacked == 3)
    contour = written.ROIContourSequence[0].ContourSequence[0]
    number = contour.ContourImageSequence[0].ReferencedFrameNumber
    assert order[number - 1] == min(in_voxels(written.ROIContourSequence[0], case.place)) == 2
    assert complaints(path) == []


def test_a_straightened_grid_has_contours_on_its_own_planes(tmp_path: Path) -> None:
    made.save(tmp_path / "images", made.images(made.tilted(12)))
    geometry = voxtrace.read(tmp_path / "images").geometry
    data = np.zeros(geometry.shape, np.uint8)
    data[3:9, 10:20, 12:18] = 1
    path = export(LabelMap(data, geometry), tmp_path / "a.rtstruct.dcm")
    written = pydicom.dcmread(path)
    contours = written.ROIContourSequence[0].ContourSequence
    assert all("ContourImageSequence" not in contour for contour in contours)
    points = np.concatenate([np.reshape(np.asarray(c.ContourData, float), (-1, 3)) for c in contours])
    inside = geometry.world_mm(np.argwhere(data))[:, ::-1]
    assert np.all(points.min(0) <= inside.min(0) + 1e-3)
    assert np.allclose(points.mean(0), inside.mean(0), atol=0.1)
    assert complaints(path) == []


def test_what_is_read_back_wrong_is_not_kept(axial: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = rtstruct._in_mm
    monkeypatch.setattr(
        rtstruct, "_in_mm", lambda points, stack, plane: right(points + np.asarray([1, 0]), stack, plane)
    )
    with pytest.raises(OutputError, match="nothing was kept"):
        export(axial.labels, tmp_path / "a.rtstruct.dcm")
    assert not list(tmp_path.iterdir())


def test_an_empty_label_map_is_refused(axial: Made, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing to outline"):
        export(replace(axial.labels, data=np.zeros_like(axial.labels.data)), tmp_path / "a.rtstruct.dcm")


def test_dciodvfy_finds_no_error(case: Made, tmp_path: Path) -> None:
    assert complaints(export(case.labels, tmp_path / "a.rtstruct.dcm")) == []


def test_one_voxel_is_a_diamond() -> None:
    mask = np.zeros((5, 6), bool)
    mask[2, 3] = True
    (line,) = outlines(mask)
    assert sorted(map(tuple, line.tolist())) == [(2.5, 2.0), (3.0, 1.5), (3.0, 2.5), (3.5, 2.0)]


def test_a_channel_runs_from_the_hole_to_the_right() -> None:
    outer = np.asarray([(0, 0), (10, 0), (10, 10), (0, 10)], float)
    hole = np.asarray([(4, 4), (4, 6), (6, 6), (6, 4)], float)
    line = keyholed(outer, [hole])
    assert line.tolist() == [
        [0, 0], [10, 0], [10, 6], [6, 6], [6, 4], [4, 4], [4, 6], [6, 6], [10, 6], [10, 10], [0, 10],
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_any_mask_comes_back_from_its_outlines(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((14, 17)) < (0.3, 0.5, 0.7, 0.9)[seed % 4]
    lines = outlines(mask)
    turns = [winding(line, mask.shape) for line in lines]
    assert np.array_equal(np.sum(turns, axis=0) % 2 == 1, mask)
    assert np.array_equal(np.any([t != 0 for t in turns], axis=0), mask)
    assert outlines(np.zeros((3, 3), bool)) == []


@pytest.mark.slow
def test_real_labels_return_from_their_contours(real_data: Path, real_labels: LabelMap, tmp_path: Path) -> None:
    folder = real_data / "ct_abdomen" / "dicom"
    path = export(real_labels, tmp_path / "a.rtstruct.dcm", source=folder)
    assert complaints(path) == []
    written = pydicom.dcmread(path)
    first = pydicom.dcmread(sorted(folder.iterdir())[0], stop_before_pixels=True)
    spacing = np.asarray(first.PixelSpacing, float)
    corner = np.asarray(first.ImagePositionPatient, float)
    depths = sorted(
        float(pydicom.dcmread(f, stop_before_pixels=True).ImagePositionPatient[2]) for f in folder.iterdir()
    )
    scores = {}
    for region, value in zip(written.ROIContourSequence, real_labels.values, strict=True):
        by_path, by_polygon = (np.zeros((20, 512, 512), bool) for _ in range(2))
        for contour in region.ContourSequence:
            points = np.reshape(np.asarray(contour.ContourData, float), (-1, 3))
            plane = int(np.argmin(np.abs(np.asarray(depths) - points[0, 2])))
            voxels = (points[:, :2] - corner[:2]) / spacing[::-1]
            (x0, y0), (x1, y1) = np.floor(voxels.min(0)).astype(int), np.ceil(voxels.max(0)).astype(int) + 1
            box, size = (plane, slice(y0, y1), slice(x0, x1)), (y1 - y0, x1 - x0)
            centres = np.argwhere(np.ones(size))[:, ::-1]
            local = voxels - (x0, y0)
            outline = Outline(np.concatenate([local, local[:1]]), closed=True)
            by_path[box] ^= outline.contains_points(centres).reshape(size)
            by_polygon[box] ^= polygon2mask(size, local[:, ::-1])
        scores[value] = (dice(by_path, real_labels.data == value), dice(by_polygon, real_labels.data == value))
    assert len(scores) == 31
    assert np.min(list(scores.values())) >= 0.98, scores
