from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import awkward_dicom as made
from exported import COLOURS, NAMES, Made
from voxtrace.errors import OutputError, UsageError
from voxtrace.io.export import ExportOptions, export, export_all, mesh
from voxtrace.io.export.meshfiles import read_obj, read_ply, read_stl
from voxtrace.io.export.surface import signed_volume_ml
from voxtrace.volume import Geometry, Grid, LabelMap

READERS = {".stl": read_stl, ".ply": read_ply, ".obj": read_obj}


def ball(direction: np.ndarray, spacing_mm: tuple[float, float, float] = (0.8, 1.0, 2.0)) -> LabelMap:
    """Return a ball of 15 mm radius on a grid of any handedness; its centre lies at (L, P, S) = (10, -20, 30)."""
    size = (60, 50, 30)
    centre = np.asarray([10.0, -20.0, 30.0])
    origin = centre - direction @ (np.asarray(spacing_mm) * [29, 24, 14])
    grid = Grid(size, spacing_mm, tuple(origin.tolist()), tuple(direction.ravel().tolist()))
    geometry = Geometry.from_grid(grid)
    places = geometry.world_mm(np.moveaxis(np.indices(geometry.shape), 0, -1))[..., ::-1]
    return LabelMap((np.linalg.norm(places - centre, axis=-1) <= 15).astype(np.uint8), geometry, {1: "ball"})


def triangles(path: Path) -> np.ndarray:
    """Return the triangles (N, 3, 3) of an STL file, read byte by byte."""
    content = path.read_bytes()
    count = int.from_bytes(content[80:84], "little")
    assert len(content) == 84 + 50 * count
    rows = np.frombuffer(content[84:], np.dtype([("normal", "<3f4"), ("corners", "<9f4"), ("rest", "<u2")]))
    corners = rows["corners"].reshape(-1, 3, 3).astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.all(np.einsum("ij,ij->i", across, rows["normal"].astype(float)) >= 0)  # the normals told are those wound
    return corners


def volume_ml(corners: np.ndarray) -> float:
    flat = corners.reshape(-1, 3)
    return signed_volume_ml(flat, np.arange(len(flat)).reshape(-1, 3))


MIRRORED = [np.diag(signs) for signs in ((1.0, 1, 1), (-1.0, 1, 1), (1.0, -1, 1), (-1.0, -1, 1), (1.0, 1, -1))]
TURNED = [made.orientations()[7], made.rotated(17).across[:, None] * 0 + np.linalg.qr(np.eye(3) + 0.2)[0]]


@pytest.mark.parametrize("direction", [*MIRRORED, *TURNED])
def test_a_ball_faces_outwards_and_encloses_its_volume_on_any_grid(direction: np.ndarray, tmp_path: Path) -> None:
    labels = ball(direction)
    corners = triangles(export(labels, tmp_path / "a.stl"))
    exact_ml = 4 / 3 * np.pi * 1.5**3
    assert volume_ml(corners) == pytest.approx(exact_ml, rel=0.02)
    assert volume_ml(corners) == pytest.approx(np.count_nonzero(labels.data) * labels.geometry.voxel_ml, rel=0.02)
    centre = np.asarray([10.0, -20.0, 30.0])
    assert np.abs(np.linalg.norm(corners.reshape(-1, 3) - centre, axis=1) - 15).max() < 1.5
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.all(np.einsum("ij,ij->i", across, corners.mean(1) - centre) > 0)


def test_every_label_encloses_nearly_its_voxels(case: Made, tmp_path: Path) -> None:
    options = ExportOptions(each=True)
    written = export_all(case.labels, tmp_path / "a.stl", options)
    assert [path.name for path in written.paths] == [
        f"a.{n}.stl" for n in ("liver", "kidney_left", "Enhancing_tumour", "Mystery_Ω")
    ]
    liver = volume_ml(triangles(written.paths[0]))
    assert liver == pytest.approx(np.count_nonzero(case.stacked == 3) * 3 * 1.5 * 1.25 / 1000, rel=0.03)
    tumour = volume_ml(triangles(written.paths[2]))
    assert tumour == pytest.approx(7 * 5 * 6 * 3 * 1.5 * 1.25 / 1000, rel=0.1)


@pytest.mark.parametrize("ending", [".stl", ".ply", ".obj"])
def test_the_formats_hold_the_same_surface(case: Made, tmp_path: Path, ending: str) -> None:
    vertices, faces = READERS[ending](export(case.labels, tmp_path / f"a{ending}"))
    expected = triangles(export(case.labels, tmp_path / "b.stl"))
    assert faces == len(expected)
    assert np.allclose(vertices.min(0), expected.min((0, 1)), atol=1e-3)
    assert np.allclose(vertices.max(0), expected.max((0, 1)), atol=1e-3)


def test_ply_colours_each_vertex_and_obj_names_each_group(axial: Made, tmp_path: Path) -> None:
    content = export(axial.labels, tmp_path / "a.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    assert b"LPS" in header
    assert "comment label 20 Mystery Ω" in header.decode()
    assert tuple(body[12:15]) == tuple(round(255 * shade) for shade in COLOURS[3])
    text = export(axial.labels, tmp_path / "a.obj").read_text()
    assert "LPS" in text.splitlines()[0]
    assert [line for line in text.splitlines() if line.startswith("g ")] == [
        f"g {name.replace(' ', '_')}" for name in NAMES.values()
    ]


def test_a_hole_is_not_filled(axial: Made, tmp_path: Path) -> None:
    data = np.zeros((20, 20, 20), np.uint8)
    data[2:18, 2:18, 2:18] = 1
    data[6:14, 6:14, 6:14] = 0
    labels = LabelMap(data, Geometry.from_spacing((20, 20, 20), (1.0, 1.0, 1.0)))
    assert volume_ml(triangles(export(labels, tmp_path / "a.stl"))) == pytest.approx((16**3 - 8**3) / 1000, rel=0.02)


def test_smoothing_rounds_and_shrinks_a_ball_as_a_gaussian_does(tmp_path: Path) -> None:
    labels = ball(np.eye(3))
    rough, smooth = (triangles(export(labels, tmp_path / f"{s}.stl", smooth_mm=s)) for s in (0.0, 1.5))
    centre = np.asarray([10.0, -20.0, 30.0])
    spread = [np.linalg.norm(corners.reshape(-1, 3) - centre, axis=1).std() for corners in (rough, smooth)]
    assert spread[1] < spread[0] / 2
    # where a Gaussian over a ball falls to one half: a radius of r − σ²/r
    assert volume_ml(smooth) == pytest.approx(volume_ml(rough) * (1 - 1.5**2 / 15**2) ** 3, rel=0.005)


def test_what_smoothing_would_erase_is_refused(axial: Made, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="too thin to be smoothed by 5 mm"):
        export(axial.labels, tmp_path / "a.stl", smooth_mm=5)
    with pytest.raises(UsageError, match="expected 0 or more"):
        export(axial.labels, tmp_path / "a.stl", smooth_mm=-1)
    assert not list(tmp_path.iterdir())


def test_an_empty_label_map_has_no_surface(axial: Made, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no surface"):
        export(replace(axial.labels, data=np.zeros_like(axial.labels.data)), tmp_path / "a.ply")


def test_labels_of_one_name_get_files_of_their_own(axial: Made, tmp_path: Path) -> None:
    twins = replace(axial.labels, names={3: "lesion", 7: "lesion", 9: "a/b", 20: "c"})
    written = export_all(twins, tmp_path / "a.stl", ExportOptions(each=True))
    assert [path.name for path in written.paths] == ["a.lesion_3.stl", "a.lesion_7.stl", "a.a_b.stl", "a.c.stl"]


def test_no_label_replaces_the_file_of_another(axial: Made, tmp_path: Path) -> None:
    alike = replace(axial.labels, names={3: "lesion", 7: "lesion", 9: "lesion 7", 20: "LESION_7"})
    written = export_all(alike, tmp_path / "a.stl", ExportOptions(each=True)).paths
    assert len({path.name.casefold() for path in written}) == len(list(tmp_path.iterdir())) == 4
    upper = replace(axial.labels, names={3: "Liver", 7: "liver", 9: "a", 20: "b"})
    written = export_all(upper, tmp_path / "b.stl", ExportOptions(each=True)).paths
    assert [path.name for path in written[:2]] == ["b.Liver_3.stl", "b.liver_7.stl"]


def test_what_is_read_back_wrong_is_not_kept(axial: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = mesh.WRITERS[".ply"]
    monkeypatch.setitem(mesh.WRITERS, ".ply", lambda surfaces, file: right(surfaces[:-1], file))
    with pytest.raises(OutputError, match="nothing was kept"):
        export(axial.labels, tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_real_surfaces_enclose_their_labels(real_labels: LabelMap, tmp_path: Path) -> None:
    written = export_all(real_labels, tmp_path / "a.stl", ExportOptions(each=True))
    assert len(written.paths) == 31
    liver = triangles(tmp_path / "a.liver.stl")
    assert volume_ml(liver) == pytest.approx(
        np.count_nonzero(real_labels.data == 5) * real_labels.geometry.voxel_ml, rel=0.01
    )
