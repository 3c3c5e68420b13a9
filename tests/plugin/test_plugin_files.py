"""Files in, layers; layers out, files on the scan's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made import labels, scan
from made_layers import made_trace
from voxtrace import io
from voxtrace.errors import OutputError, ReadError
from voxtrace.plugin.npe2.reader import get_reader
from voxtrace.plugin.npe2.samples import abdomen_ct, brain_tumour_mr
from voxtrace.plugin.npe2.writer import write_labels


def opened(path: Any) -> list[Any]:
    reader = get_reader(path)
    assert reader is not None
    return reader(path)


def test_a_volume_opens_as_an_image_and_a_label_map_as_labels(tmp_path: Path) -> None:
    assert [kind for _, _, kind in opened(str(scan(tmp_path / "scan.nii.gz")))] == ["image"]
    assert [kind for _, _, kind in opened(str(labels(tmp_path / "labels.nii.gz")))] == ["labels"]


def test_several_files_are_the_channels_of_one_scan(tmp_path: Path) -> None:
    files = [str(scan(tmp_path / f"case_000{c}.nii.gz", seed=c)) for c in range(2)]
    assert len(opened(files)) == 2


def test_a_trace_opens_as_one_stepped_layer(tmp_path: Path) -> None:
    folder = made_trace().save(tmp_path / "case.trace")
    [(data, about, kind)] = opened(str(folder))
    assert (kind, data.shape, about["name"]) == ("labels", (3, 4, 6, 5), "case")


@pytest.mark.parametrize("name", ["picture.png", "missing.nii.gz.txt", "folder", ""])
def test_the_reader_leaves_what_it_cannot_read_to_others(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert get_reader(str(tmp_path / name)) is None
    assert get_reader([]) is None
    assert get_reader(None) is None  # type: ignore[arg-type]


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b not a volume")
    with pytest.raises(ReadError):
        opened(str(tmp_path / "broken.nii.gz"))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_labels_are_saved_onto_the_grid_they_came_from(tmp_path: Path, suffix: str) -> None:
    source = labels(tmp_path / f"labels{suffix}")
    data, about, _ = opened(str(source))[0]
    [written] = write_labels(str(tmp_path / f"saved{suffix}"), np.asarray(data), about)
    assert np.array_equal(io.read_labels(written).data, io.read_labels(source).data)
    assert io.read_labels(written).geometry.grid == io.read_labels(source).geometry.grid


def test_labels_without_a_place_are_refused(tmp_path: Path) -> None:
    attributes = {
        "scale": (1, 1, 1),
        "translate": (0, 0, 0),
        "axis_labels": ("-3", "-2", "-1"),
        "units": ("pixel",) * 3,
    }
    with pytest.raises(OutputError, match="position in the patient is unknown"):
        write_labels(str(tmp_path / "drawn.nii.gz"), np.zeros((2, 2, 2), np.uint8), attributes)
    assert not list(tmp_path.iterdir())


def test_samples_open_with_hidden_truth() -> None:
    for layers, images in ((abdomen_ct(), 1), (brain_tumour_mr(), 4)):
        assert [kind for _, _, kind in layers] == ["image"] * images + ["labels"]
        assert layers[-1][1]["visible"] is False


def test_a_real_dicom_folder_opens_the_right_way_up(real_data: Path) -> None:
    [(data, about, kind)] = opened(str(real_data / "ct_abdomen" / "dicom"))
    assert (kind, data.shape) == ("image", (20, 512, 512))
    assert about["scale"] == pytest.approx((2.0, 0.977, 0.977), abs=0.01)
    assert about["contrast_limits"] == (-160, 240)
    front, back = data[10, :100].astype(float).mean(), data[10, -200:].astype(float).mean()
    assert front < back  # air in front of a patient who lies on the table


def test_a_folder_of_mixed_series_is_refused_in_a_sentence(real_data: Path) -> None:
    with pytest.raises(ReadError, match="series"):
        opened(str(real_data / "dicom_mixed_study"))
