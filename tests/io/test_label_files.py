"""Labels that rounding has moved are put right, ringing masks are refused, and layers of 3D Slicer become one map."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxtrace.errors import ReadError
from voxtrace.io import read, read_labels, write
from voxtrace.volume import Geometry, LabelMap

LABELS = np.random.default_rng(1).integers(0, 4, (5, 4, 3)).astype(np.uint8)


def nifti(path: Path, values: np.ndarray, kind: type = nibabel.Nifti1Image) -> Path:
    """Save values (X, Y, Z)."""
    nibabel.save(kind(values, np.diag([-1.0, -1.0, 1.0, 1.0])), path)
    return path


def stored(path: Path) -> np.ndarray:
    return read_labels(path).data.T


@pytest.mark.parametrize("off", [1e-5, -1e-5, 5e-4])
def test_labels_that_are_whole_up_to_rounding_are_read(tmp_path: Path, off: float) -> None:
    path = nifti(tmp_path / "a.nii.gz", LABELS.astype(np.float64) + off * (LABELS == 3))
    assert np.array_equal(stored(path), LABELS)
    assert read_labels(path).data.dtype == np.uint8


def test_labels_scaled_by_the_header_are_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(LABELS * 60, np.eye(4))
    image.header.set_slope_inter(1 / 60 + 1e-9, 0)
    nibabel.save(image, tmp_path / "a.nii")
    assert sorted(read_labels(tmp_path / "a.nii").values) == [1, 2, 3]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.linspace(-115.2, 342.7, 60, dtype=np.float32).reshape(5, 4, 3), "have fractions, such as"),
        (np.linspace(-115, 342, 60).astype(np.int16).reshape(5, 4, 3), "labels run from -115 to 342"),
        (LABELS + 0.4, "such as 0.4"),
    ],
    ids=["spline", "spline as whole numbers", "linear"],
)
def test_a_mask_that_was_interpolated_is_refused_with_the_remedy(
    tmp_path: Path, values: np.ndarray, words: str
) -> None:
    with pytest.raises(ReadError, match=words) as caught:
        read_labels(nifti(tmp_path / "a.nii", values))
    assert "nearest neighbour" in str(caught.value)


def test_nifti_2_keeps_its_label_names(tmp_path: Path) -> None:
    table = (
        '<CaretExtension><VolumeInformation Index="0"><LabelTable><Label Key="1"><![CDATA[spleen]]></Label>'
        '<Label Key="99999999999999999999">no label</Label></LabelTable></VolumeInformation></CaretExtension>'
    )
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        image = kind(LABELS, np.eye(4))
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, table.encode()))
        nibabel.save(image, tmp_path / "a.nii.gz")
        assert read_labels(tmp_path / "a.nii.gz").names == {1: "spleen"}


# Layers

FIRST = np.zeros((4, 3, 2), np.uint8)
FIRST[:2] = 1
SECOND = np.zeros((4, 3, 2), np.uint8)
SECOND[2:] = 1


def layered(path: Path, layers: list[np.ndarray], segments: list[tuple[str, int, int]]) -> Path:
    """Save layers (X, Y, Z) as 3D Slicer does; segments are (name, label, layer)."""
    keys = "".join(
        f"Segment{i}_Name:={name}\nSegment{i}_LabelValue:={value}\nSegment{i}_Layer:={layer}\n"
        f"Segment{i}_Color:={i} 0 1\n"
        for i, (name, value, layer) in enumerate(segments)
    )
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: {len(layers)} 4 3 2\n"
        f"space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: gzip\n"
        f"space origin: (0,0,0)\n{keys}\n"
    )
    voxels = np.stack(layers).ravel(order="F").tobytes()
    path.write_bytes(header.encode() + gzip.compress(voxels))
    return path


def test_layers_without_a_common_voxel_become_one_map(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", [FIRST, SECOND * 2], [("liver", 1, 0), ("spleen", 2, 1)])
    labels = read_labels(path)
    assert labels.names == {1: "liver", 2: "spleen"}
    assert labels.colours == {1: (0.0, 0.0, 1.0), 2: (1.0, 0.0, 1.0)}
    assert np.array_equal(labels.data.T, FIRST + SECOND * 2)


def test_layers_that_use_the_same_label_get_numbers_of_their_own(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", [FIRST, SECOND], [("liver", 1, 0), ("spleen", 1, 1)])
    labels = read_labels(path)
    assert labels.names == {1: "liver", 2: "spleen"}
    assert np.array_equal(labels.data.T, FIRST + SECOND * 2)


def test_segments_that_overlap_are_refused_by_name(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", [FIRST, FIRST], [("liver", 1, 0), ("tumour", 1, 1)])
    with pytest.raises(ReadError, match=r"segments 'liver' and 'tumour' overlap in 12 voxels"):
        read_labels(path)


def test_one_layer_carries_the_names_of_its_own_segments(tmp_path: Path) -> None:
    path = layered(tmp_path / "a.seg.nrrd", [FIRST, FIRST], [("liver", 1, 0), ("tumour", 1, 1)])
    assert [read_labels(path, number).names for number in (0, 1)] == [{1: "liver"}, {1: "tumour"}]


# NIfTI headers


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("offset", "start"), [(0, 352), (348, 348), (348, 352), (400, 400), (16, 352)])
def test_voxels_start_where_the_file_has_them(tmp_path: Path, offset: int, start: int, suffix: str) -> None:
    plain = nifti(tmp_path / "plain.nii", LABELS + 1).read_bytes()
    header = plain[:108] + struct.pack("<f", offset) + plain[112:348] + bytes(max(0, start - 348))
    whole = header + (LABELS + 1).tobytes(order="F")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(whole) if suffix == ".nii.gz" else whole)
    assert np.array_equal(read(path).data[0].T, LABELS + 1)


def test_a_file_whose_name_and_packing_disagree_is_to_be_renamed(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "a.nii", LABELS)
    plain.rename(tmp_path / "plain.nii.gz")
    packed = nifti(tmp_path / "a.nii.gz", LABELS)
    packed.rename(tmp_path / "packed.nii")
    for name, ending in (("plain.nii.gz", ".nii"), ("packed.nii", ".nii.gz")):
        with pytest.raises(ReadError, match=f"rename it to {ending}"):
            read(tmp_path / name)


def test_the_file_beside_of_the_name_without_gz_is_not_read(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii.gz", LABELS)
    nifti(tmp_path / "a.nii", LABELS * 0)
    assert np.array_equal(read(tmp_path / "a.nii.gz").data[0].T, LABELS)


def test_volumes_along_the_fourth_axis_are_channels_where_as_many_are_wanted(tmp_path: Path) -> None:
    film = np.stack([LABELS, LABELS + 10], axis=-1)
    path = nifti(tmp_path / "BRATS_001.nii.gz", film)
    volume = read(path, channels=2)
    assert volume.name == "BRATS_001"
    assert np.array_equal(volume.data[1].T, LABELS + 10)
    with pytest.raises(ReadError, match=r"holds 2 volumes .* where 4 channels are expected"):
        read(path, channels=4)
    with pytest.raises(ReadError, match="holds 2 frames"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".dcm", ""])
def test_a_pipe_is_refused_at_once(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"a{suffix}")
    for function in (read, read_labels):
        with pytest.raises(ReadError, match="pipe, a socket or a device"):
            function(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mgz", "FreeSurfer"),
        ("a.gipl.gz", "a GIPL header"),
        ("a.img", "two files"),
        ("a.BRIK", "AFNI"),
        ("a.tgz", "unpack"),
        ("a.mnc.gz", "gunzip"),
        ("a.zip", "not a zip archive"),
        ("a.par", "no PAR header"),
        ("a.hdr", "NIfTI"),
        ("a.mnc", "netCDF or HDF5"),
        ("a.zarr", "which is a folder"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"some bytes")
    for function in (read, read_labels):
        with pytest.raises(ReadError, match=words):
            function(tmp_path / name)


def test_voxels_beside_a_header_may_not_be_a_pipe(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes")
    os.mkfifo(tmp_path / "a.raw")
    text = "NDims = 3\nDimSize = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(text)
    with pytest.raises(ReadError, match="pipe, a socket or a device"):
        read(tmp_path / "a.mhd")


def test_letters_that_xml_cannot_hold_cost_no_name(tmp_path: Path) -> None:
    geometry = Geometry.from_spacing(LABELS.shape, (1, 1, 1), (0, 0, 0))
    names = {1: "spleen\x01 left\uffff", 2: "liver 🫀", 3: "\x1b"}
    write(LabelMap(LABELS, geometry, names), tmp_path / "a.nii.gz")
    assert read_labels(tmp_path / "a.nii.gz").names == {1: "spleen left", 2: "liver 🫀"}
