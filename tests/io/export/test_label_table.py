from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import voxtrace
from exported import Made
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.export import export, measure
from voxtrace.volume import Geometry, LabelMap, Volume

# Two pieces of label 2, of 4 and 1 voxels that touch at no corner; label 5 touches itself at a corner alone.
GEOMETRY = Geometry.from_spacing((4, 5, 6), (3.0, 2.0, 1.0), (10.0, 20.0, 30.0))


def labels() -> LabelMap:
    data = np.zeros((4, 5, 6), np.uint8)
    data[0, 0, 0:4] = 2
    data[3, 4, 5] = 2
    data[1, 2, 2] = data[2, 3, 3] = 5
    return LabelMap(data, GEOMETRY, {2: "liver"})


def volume(modality: str = "CT", channels: int = 1) -> Volume:
    data = np.zeros((channels, 4, 5, 6), np.int16)
    data[:, 0, 0, 0:4] = [10, 20, 30, 40]
    data[:, 3, 4, 5] = 100
    return Volume(data, GEOMETRY, modality=modality)


def test_a_row_says_how_much_where_and_in_how_many_pieces() -> None:
    liver, unnamed = measure(labels())
    assert (liver.label, liver.name, liver.voxels) == (2, "liver", 5)
    assert liver.volume_ml == pytest.approx(5 * 6 / 1000)
    assert (liver.components, liver.largest_component_ml) == (2, pytest.approx(4 * 6 / 1000))
    assert (liver.first_voxel_xyz, liver.last_voxel_xyz) == ((0, 0, 0), (5, 4, 3))
    assert liver.low_mm == pytest.approx((29.5, 19.0, 8.5))  # L, P, S: half a voxel before the first centre
    assert liver.high_mm == pytest.approx((35.5, 29.0, 20.5))
    assert (unnamed.name, unnamed.components) == ("label 5", 1)
    assert liver.mean is None


def test_intensities_are_described_in_their_unit() -> None:
    liver = measure(labels(), volume())[0]
    assert (liver.unit, liver.mean, liver.p50) == ("HU", 40.0, 30.0)
    assert liver.sd == pytest.approx(np.sqrt((30**2 + 20**2 + 10**2 + 0 + 60**2) / 5))
    assert (liver.p5, liver.p25, liver.p75, liver.p95) == pytest.approx((12.0, 20.0, 40.0, 88.0))
    assert measure(labels(), volume("MR"))[0].unit == ""


def test_boxes_are_those_of_the_files_own_grid(case: Made) -> None:
    row = next(row for row in measure(case.labels) if row.label == 3)
    assert (row.first_voxel_xyz, row.last_voxel_xyz) == ((4, 5, 2), (29, 29, 11))


def test_csv_and_json_hold_the_same_rows(tmp_path: Path) -> None:
    rows = measure(labels(), volume())
    with export(labels(), tmp_path / "a.csv", image=volume()).open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    document = json.loads(export(labels(), tmp_path / "a.json", image=volume()).read_text(encoding="utf-8"))
    assert [row["name"] for row in table] == [row["name"] for row in document] == ["liver", "label 5"]
    assert float(table[0]["volume_ml"]) == document[0]["volume_ml"] == rows[0].volume_ml
    assert (table[0]["last_voxel_x"], table[0]["high_S_mm"]) == ("5", "20.5")
    assert document[0]["high_mm"] == [35.5, 29.0, 20.5]
    assert document[0]["p95"] == rows[0].p95 == pytest.approx(float(table[0]["p95"]), rel=1e-6)


def test_an_empty_label_map_has_a_header_and_no_rows(tmp_path: Path) -> None:
    empty = LabelMap(np.zeros((4, 5, 6), np.uint8), GEOMETRY)
    assert measure(empty) == ()
    lines = export(empty, tmp_path / "a.csv").read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("label,name,voxels,volume_ml,components")


def test_an_image_on_another_grid_or_with_channels_is_refused() -> None:
    elsewhere = Volume(np.zeros((1, 4, 5, 6)), Geometry.from_spacing((4, 5, 6), (3.0, 2.0, 1.1)))
    with pytest.raises(GeometryError, match="resample"):
        measure(labels(), elsewhere)
    with pytest.raises(GeometryError, match="2 channels"):
        measure(labels(), volume(channels=2))


def test_a_volume_is_no_label_map_and_an_unknown_end_no_format(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds intensities"):
        export(volume(), tmp_path / "a.csv")
    with pytest.raises(OutputError, match="names no format"):
        export(labels(), tmp_path / "a.xyz")


def test_real_organs_have_the_density_of_soft_tissue(real_data: Path, real_labels: LabelMap) -> None:
    scan = voxtrace.read(real_data / "ct_abdomen" / "dicom")
    rows = {row.name: row for row in measure(real_labels, scan)}
    assert len(rows) == 31
    assert rows["liver"].unit == "HU"
    assert 80 < rows["liver"].p50 < 140  # portal venous phase
    assert rows["rib_left_8"].mean > 150
    assert sum(row.voxels for row in rows.values()) == np.count_nonzero(real_labels.data)
