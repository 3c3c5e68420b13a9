"""The reader for napari opens what can be read, whatever program wrote it; no window."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from made_foreign import gipl, mgh_tags
from voxtrace.io import write
from voxtrace.io.export import ExportOptions, export_all
from voxtrace.plugin.npe2.reader import get_reader, load
from voxtrace.volume import Geometry, LabelMap, Volume

AFFINE = np.diag([-1.0, -2.0, 3.0, 1.0])


def intensities() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(-500, 500, (7, 6, 5)).astype(np.int16)


def scans(folder: Path) -> list[Path]:
    """Write one scan in several formats."""
    values = intensities()
    nibabel.save(nibabel.MGHImage(values.astype(np.int32), AFFINE), folder / "a.mgz")
    nibabel.save(nibabel.Nifti1Pair(values, AFFINE), folder / "b.img")
    (folder / "c.gipl").write_bytes(gipl(values.T, 15, (1.0, 2.0, 3.0), (0.0, 0.0, 0.0)))
    volume = Volume(values.T[np.newaxis], Geometry.from_spacing((5, 6, 7), (3.0, 2.0, 1.0)))
    write(volume, folder / "d.ome.zarr")
    with zipfile.ZipFile(folder / "e.zip", "w") as archive:
        archive.write(folder / "a.mgz", "inside/x.mgz")
    names = ("a.mgz", "b.img", "b.hdr", "c.gipl", "d.ome.zarr", "e.zip")
    return [folder / name for name in names]


def test_scans_of_other_programs_are_image_layers_in_place(tmp_path: Path) -> None:
    for path in scans(tmp_path):
        assert get_reader(str(path)) is not None, path.name
        [(data, about, kind)] = load([path])
        assert (kind, about["name"].split(" ")[0]) == ("image", path.name[0]), path.name
        np.testing.assert_array_equal(np.sort(np.asarray(data).ravel()), np.sort(intensities().ravel()))


@pytest.mark.parametrize("ending", [".mgz", "/labels/segmentation", ".ome.zarr"])
def test_labels_of_other_programs_are_labels_layers_with_their_names(tmp_path: Path, ending: str) -> None:
    labels = LabelMap(np.zeros((5, 6, 7), np.uint8), Geometry.from_spacing((5, 6, 7), (3.0, 2.0, 1.0)), {17: "left"})
    labels.data[1:3, 2:4] = 17
    if ending == ".mgz":
        nibabel.save(nibabel.MGHImage(labels.data.T.copy(), AFFINE), tmp_path / "a.mgh")
        content = (tmp_path / "a.mgh").read_bytes()[: 284 + labels.data.size] + mgh_tags({17: ("left", (9, 9, 9))})
        path = tmp_path / "a.mgh"
        path.write_bytes(content)
    else:
        image = Volume(labels.data[np.newaxis] * np.int16(3), labels.geometry)
        options = ExportOptions(image=image if ending.startswith("/") else None)
        export_all(labels, tmp_path / "a.ome.zarr", options)
        path = Path(str(tmp_path / "a.ome.zarr") + ending.removesuffix(".ome.zarr"))
    [(data, about, kind)] = load([path])
    assert kind == "labels"
    assert int(np.asarray(data).max()) == 17
    assert "left" in str(about)


def test_a_file_of_voxels_that_belongs_to_nothing_is_refused_without_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(b"some bytes")
    assert get_reader(str(tmp_path / "a.img")) is not None  # told in a sentence when it is opened
    assert get_reader(str(tmp_path)) is None
