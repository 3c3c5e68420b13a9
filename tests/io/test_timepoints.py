"""Files with time as their fourth dimension: counted, refused without a choice, read one frame at a time."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from voxtrace.errors import ReadError
from voxtrace.io import count_timepoints, read, read_labels
from voxtrace.volume import Array

FILM = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)  # t, z, y, x
SUFFIXES = [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"]


def film(path: Path, array: Array = FILM) -> Path:
    image = SimpleITK.GetImageFromArray(array, isVector=False)
    image.SetSpacing((1.0, 2.0, 5.0, 0.7))
    image.SetOrigin((7.0, 8.0, 9.0, 0.0))
    SimpleITK.WriteImage(image, str(path))
    return path


def refused(path: Path, *words: str, frame: int | None = None) -> None:
    with pytest.raises(ReadError) as caught:
        read(path, frame)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_frame_is_read_as_a_volume_of_its_own(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"film{suffix}")
    assert count_timepoints(path) == 3
    for frame in range(3):
        volume = read(path, frame)
        assert np.array_equal(volume.data[0], FILM[frame])
        assert volume.name == f"film_t{frame:03d}"
        assert volume.geometry.spacing_mm == (5.0, 2.0, 1.0)
        assert volume.geometry.grid.origin_mm == (7.0, 8.0, 9.0)
        assert [f.found for f in volume.passport.findings if f.what == "frames"] == [f"frame {frame} of 0 to 2"]
    assert np.array_equal(read_labels(path, 1).data, FILM[1])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_a_choice_the_sentence_says_how_many_and_how_to_choose(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"film{suffix}")
    refused(path, "3 frames", "frame=N", "0 to 2", "--frame N", "--frame all")
    refused(path, "no frame 3", "frames 0 to 2", frame=3)
    refused(path, "no frame -1", frame=-1)


def test_a_volume_has_frame_0_only(tmp_path: Path) -> None:
    path = tmp_path / "still.nii"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(FILM[0]), str(path))
    assert count_timepoints(path) == 1
    assert np.array_equal(read(path, 0).data[0], FILM[0])
    assert read(path, 0).name == "still"
    refused(path, "no frame 1", "one frame, 0", frame=1)


def test_channels_are_read_at_one_frame(tmp_path: Path) -> None:
    paths = [film(tmp_path / f"case_{k:04d}.nii.gz", FILM + np.int16(1000 * k)) for k in range(2)]
    volume = read(paths, 2)
    assert np.array_equal(volume.data, np.stack([FILM[2], FILM[2] + 1000]))


@pytest.mark.parametrize("kinds", ["list domain domain domain", "domain domain domain list"])
def test_a_sequence_of_3d_slicer_is_read_frame_by_frame(tmp_path: Path, kinds: str) -> None:
    first = not kinds.startswith("domain")
    sizes = "3 6 5 4" if first else "6 5 4 3"
    steps = "(1,0,0) (0,2,0) (0,0,5)"
    header = (
        f"NRRD0005\ntype: short\ndimension: 4\nspace: left-posterior-superior\nsizes: {sizes}\n"
        f"space directions: {f'none {steps}' if first else f'{steps} none'}\nkinds: {kinds}\nendian: little\n"
        "encoding: raw\nspace origin: (7,8,9)\n\n"
    )
    path = tmp_path / "a.nrrd"
    path.write_bytes(header.encode() + (np.moveaxis(FILM, 0, -1) if first else FILM).tobytes())
    assert count_timepoints(path) == 3
    volume = read(path, 1)
    assert np.array_equal(volume.data[0], FILM[1])
    assert volume.geometry.spacing_mm == (5.0, 2.0, 1.0)


def test_five_dimensions_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 4, 3, 1, 2), np.int16), np.eye(4)), tmp_path / "a.nii.gz")
    refused(tmp_path / "a.nii.gz", "5 dimensions", "X×Y×Z×T×U = 5×4×3×1×2")


def test_a_sheared_film_is_read_frame_by_frame(tmp_path: Path) -> None:
    """ITK refuses it; a constant frame stays constant wherever the sheared volume was."""
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 2] = 0.5
    array = np.broadcast_to(np.array([10, 20, 30], np.int16), (8, 7, 6, 3)).copy()
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    assert count_timepoints(tmp_path / "a.nii.gz") == 3
    assert set(np.unique(read(tmp_path / "a.nii.gz", 1).data)) == {20}


def test_frames_of_dicom_are_series(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "ct_abdomen" / "dicom"
    assert count_timepoints(folder) == 1
    refused(folder, "series of their own", frame=1)
