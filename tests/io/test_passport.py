"""The passport of a file: what its header says wrongly is corrected and told, or refused with a remedy."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from made_scans import letters, oblique, save
from voxtrace.errors import ReadError
from voxtrace.io import read, read_labels, write
from voxtrace.passport import Finding
from voxtrace.volume import Array, LabelMap, Volume

ARRAY = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # x, y, z


def header(
    sform: Array | None = None, qform: Array | None = None, codes: tuple[int, int] = (1, 1), **fields: object
) -> nibabel.Nifti1Header:
    """Return a header of 2 mm voxels with an sform and a qform, (sform code, qform code), and other fields changed."""
    made = nibabel.Nifti1Header()
    made.set_data_dtype(np.int16)
    made.set_data_shape(ARRAY.shape)
    made["pixdim"][:4] = (1, 2, 2, 2)
    if qform is not None:
        made.set_qform(qform, codes[1])
    if sform is not None:
        made.set_sform(sform, codes[0])
    for name, value in fields.items():
        made[name] = value
    return made


def nifti(path: Path, made: nibabel.Nifti1Header, array: Array = ARRAY) -> Path:
    """Write a header byte for byte as it is, and voxels behind it."""
    made["vox_offset"] = 352
    made["magic"] = b"n+1"
    path.write_bytes(made.binaryblock + bytes(4) + array.tobytes("F"))
    return path


def placed(x: float = 0.0, spacing_mm: float = 2.0) -> Array:
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[0, 3] = x
    return affine


def finding(volume: Volume, what: str) -> Finding:
    [found] = [f for f in volume.passport.findings if f.what == what]
    return found


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("form", ["both", "nrrd", "mha"])
def test_every_volume_has_a_passport(tmp_path: Path, form: str) -> None:
    passport = read(save(tmp_path, form, np.diag([1.5, 0.8, 3.0]))).passport
    expected = {"orientation", "obliquity", "spacing", "transforms", "side", "axes", "units", "intensities"}
    assert {f.what for f in passport.findings} == expected
    assert passport.verdict == "fine"
    assert passport.notes == ()


def test_orientation_and_angle_are_told(tmp_path: Path) -> None:
    turned = np.diag([1.0, -1.0, 1.0])
    volume = read(save(tmp_path, "nrrd", oblique(turned)))
    assert finding(volume, "orientation").found == letters(turned) == "LAS"
    assert finding(volume, "obliquity").found == f"oblique by {np.degrees(np.arccos(np.cos(np.radians(17)) ** 2)):.1f}°"


# Transforms: x of the first voxel is 10 mm (R) by sform and 20 mm by qform.


@pytest.mark.parametrize(
    ("codes", "used"),
    [((1, 1), "sform"), ((1, 2), "sform"), ((2, 1), "qform"), ((4, 1), "qform"), ((2, 0), "sform"), ((0, 1), "qform")],
)
def test_of_two_transforms_the_one_that_itk_uses_is_used(tmp_path: Path, codes: tuple[int, int], used: str) -> None:
    path = nifti(tmp_path / "a.nii", header(placed(10.0), placed(20.0), codes))
    volume = read(path)
    assert volume.geometry.grid.origin_mm[0] == {"sform": -10.0, "qform": -20.0}[used]
    assert volume.geometry.grid.origin_mm == SimpleITK.ReadImage(str(path)).GetOrigin()
    assert finding(volume, "side").verdict == "fine"
    found = finding(volume, "transforms")
    if min(codes) == 0:
        assert (found.verdict, found.found) == ("fine", f"{used} only")
    else:
        assert found.verdict == "corrected"
        assert "10 mm apart" in found.found
        assert f"the {used} was used" in found.remedy


def test_transforms_a_hair_apart_agree(tmp_path: Path) -> None:
    volume = read(nifti(tmp_path / "a.nii", header(placed(10.0), placed(10.1))))
    assert finding(volume, "transforms") == Finding("transforms", "fine", "sform and qform agree")


def test_a_file_without_transforms_is_read_as_itk_does_and_said_to_lie_anywhere(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", header())
    volume = read(path)
    assert np.array_equal(volume.data[0], ARRAY.T)
    assert volume.geometry.origin_mm == (0.0, 0.0, 0.0)
    assert finding(volume, "side").verdict == "corrected"
    found = finding(volume, "transforms")
    assert found.verdict == "corrected"
    assert "unknown" in found.found
    assert "check the sides" in found.remedy


def test_an_sform_with_another_voxel_size_than_pixdim_is_believed(tmp_path: Path) -> None:
    """ITK reads such a file with the size of pixdim and an origin of 0."""
    volume = read(nifti(tmp_path / "a.nii", header(placed(10.0, 3.0))))
    assert volume.geometry.spacing_mm == (3.0, 3.0, 3.0)
    assert volume.geometry.grid.origin_mm[0] == -10.0
    assert "spacing: pixdim says 2×2×2 mm; the sform's 3×3×3 mm was used" in volume.notes


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_transform_that_is_no_number_gives_way_to_the_other(tmp_path: Path, bad: float, capfd) -> None:
    broken = placed(10.0)
    broken[0, 0] = bad
    volume = read(nifti(tmp_path / "a.nii", header(broken, placed(20.0))))
    assert volume.geometry.grid.origin_mm[0] == -20.0
    assert "the sform (code 1) is not a usable transform" in finding(volume, "transforms").found
    assert np.array_equal(volume.data[0], ARRAY.T[:, ::-1, ::-1])
    assert capfd.readouterr().out == ""


# Spacing


@pytest.mark.parametrize("size", [0.0, -2.0, np.nan])
def test_a_voxel_size_that_is_not_positive_is_refused(tmp_path: Path, size: float) -> None:
    made = header(qform=placed())
    made["pixdim"][3] = size
    refused(nifti(tmp_path / "a.nii", made), f"{size:g} mm", "Correct pixdim")


def test_a_single_slice_without_thickness_is_read(tmp_path: Path) -> None:
    made = header(qform=placed())
    made.set_data_shape((4, 5, 1))
    made["pixdim"][3] = 0
    assert read(nifti(tmp_path / "a.nii", made, ARRAY[:, :, :1])).geometry.spacing_mm == (1.0, 2.0, 2.0)


@pytest.mark.parametrize("size", [0.002, 250.0])
@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
def test_an_absurd_voxel_size_is_refused(tmp_path: Path, suffix: str, size: float) -> None:
    image = SimpleITK.GetImageFromArray(ARRAY)
    image.SetSpacing((2.0, 2.0, size))
    SimpleITK.WriteImage(image, str(tmp_path / f"a{suffix}"))
    refused(tmp_path / f"a{suffix}", f"2×2×{size:g} mm", "0.01 to 100 mm")


def test_a_voxel_size_of_zero_in_metaimage_and_nrrd_is_refused(tmp_path: Path) -> None:
    for suffix, was, zero in (
        (".mha", b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 0"),
        (".nrrd", b",1)", b",0)"),
    ):
        path = tmp_path / f"a{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), str(path), False)
        path.write_bytes(path.read_bytes().replace(was, zero, 1))
        refused(path, "voxel size of zero")


def test_a_negative_voxel_size_in_metaimage_turns_the_axis_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(ARRAY), str(path), False)
    path.write_bytes(path.read_bytes().replace(b"ElementSpacing = 1 1 1", b"ElementSpacing = 1 1 -2", 1))
    volume = read(path)
    assert volume.geometry.grid.axis_codes == "LPI"
    assert "a voxel size is negative (1 1 -2)" in volume.notes[0]


# Units


@pytest.mark.parametrize(("code", "factor", "name"), [(1, 1e-3, "metres"), (3, 1e3, "micrometres")])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_other_units_become_mm(tmp_path: Path, form: str, code: int, factor: float, name: str) -> None:
    affine = placed(10.0 * factor, 2.0 * factor)
    made = header(**{form: affine}, xyzt_units=code + 8)
    made["pixdim"][1:4] = 2.0 * factor
    volume = read(nifti(tmp_path / "a.nii", made))
    assert volume.geometry.spacing_mm == pytest.approx((2.0, 2.0, 2.0))
    assert volume.geometry.grid.origin_mm[0] == pytest.approx(-10.0)
    assert finding(volume, "units") == Finding(
        "units", "corrected", f"the header measures in {name}", "converted to mm"
    )


def test_metres_that_make_no_sense_are_taken_as_mm(tmp_path: Path) -> None:
    volume = read(nifti(tmp_path / "a.nii", header(placed(10.0), xyzt_units=1)))
    assert volume.geometry.spacing_mm == (2.0, 2.0, 2.0)
    assert "which would make voxels of 2000×2000×2000 mm" in finding(volume, "units").found


def test_an_unnamed_unit_is_mm(tmp_path: Path) -> None:
    volume = read(nifti(tmp_path / "a.nii", header(placed(), xyzt_units=0)))
    assert finding(volume, "units") == Finding("units", "fine", "the header names no unit; taken as mm")


def nrrd(path: Path, *fields: str) -> Path:
    start = ("NRRD0004", "type: short", "dimension: 3", "sizes: 6 5 4", "encoding: raw", "endian: little", *fields)
    path.write_bytes("\n".join((*start, "", "")).encode() + ARRAY.tobytes())
    return path


LPS = ("space: left-posterior-superior", "space directions: (1,0,0) (0,1,0) (0,0,3)")


def test_nrrd_in_metres_or_with_an_open_axis_is_refused(tmp_path: Path) -> None:
    refused(nrrd(tmp_path / "a.nrrd", *LPS, 'space units: "m" "m" "m"'), "measures in 'm'", "mm")
    open_axis = ("space: left-posterior-superior", "space directions: (1,0,0) (0,1,0) none")
    refused(nrrd(tmp_path / "b.nrrd", *open_axis), "2 of three axes")
    assert read(nrrd(tmp_path / "c.nrrd", *LPS, 'space units: "mm" "mm" "mm"')).notes == ()


@pytest.mark.parametrize("fields", [("spacings: 1 1 3",), ("space: scanner-xyz", LPS[1])])
def test_nrrd_that_names_no_side_is_read_and_told(tmp_path: Path, fields: tuple[str, ...]) -> None:
    volume = read(nrrd(tmp_path / "a.nrrd", *fields))
    assert volume.geometry.spacing_mm == (3.0, 1.0, 1.0)
    assert "sides of the patient are unknown" in finding(volume, "transforms").found


def test_nrrd_in_ras_is_turned(tmp_path: Path) -> None:
    volume = read(nrrd(tmp_path / "a.nrrd", "space: right-anterior-superior", LPS[1]))
    assert finding(volume, "orientation").found == "RAS"
    assert volume.notes == ()


# Intensities


@pytest.mark.parametrize(
    ("slope", "intercept", "factor", "words"),
    [(2.0, -5.0, 2.0, "scaled by 2"), (0.0, 7.0, 1.0, "as stored"), (np.nan, np.nan, 1.0, "as stored")],
)
def test_scaled_intensities_are_told(tmp_path: Path, slope: float, intercept: float, factor: float, words: str) -> None:
    volume = read(nifti(tmp_path / "a.nii", header(placed(), scl_slope=slope, scl_inter=intercept)))
    shift = intercept if factor != 1.0 else 0.0
    assert np.array_equal(volume.data[0], ARRAY.T[:, ::-1, ::-1] * factor + shift)
    assert words in finding(volume, "intensities").found


# What is written over such files lies where the image lies, whatever a reader makes of the header.


def awkward() -> dict[str, nibabel.Nifti1Header]:
    metres = header(placed(0.01, 0.002), xyzt_units=1)
    metres["pixdim"][1:4] = 0.002
    nearly = placed(10.0)
    nearly[0, 1] = 2.0 * np.sin(np.radians(0.3))
    unused = header(placed(10.0))
    unused["pixdim"][3] = -2.0
    return {
        "apart": header(placed(10.0), placed(20.0)),
        "apart, qform": header(placed(10.0), placed(20.0), (3, 1)),
        "uncoded": header(),
        "pixdim": header(placed(10.0, 3.0)),
        "negative pixdim": unused,
        "metres": metres,
        "metres, mm meant": header(placed(10.0), xyzt_units=1),
        "0.3° off": header(nearly),
    }


@pytest.mark.parametrize("case", awkward())
def test_a_label_map_keeps_the_header_that_its_image_has(tmp_path: Path, case: str) -> None:
    source = nifti(tmp_path / "in.nii", awkward()[case])
    volume = read(source)
    assert volume.passport.verdict == "corrected"
    out = write(LabelMap((volume.data[0] % 7).astype(np.uint8), volume.geometry, {1: "liver"}), tmp_path / "out.nii.gz")
    before, after = nibabel.load(source), nibabel.load(out)
    assert np.array_equal(before.affine, after.affine)
    assert np.array_equal(np.asarray(after.dataobj), ARRAY % 7)
    for field in ("pixdim", "qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z"):
        assert np.array_equal(before.header[field], after.header[field])
    assert before.header["xyzt_units"] == after.header["xyzt_units"]
    if case != "0.3° off":  # ITK refuses image and label map alike
        images = [SimpleITK.ReadImage(str(path)) for path in (source, out)]
        assert images[0].GetOrigin() == images[1].GetOrigin()
        assert images[0].GetSpacing() == images[1].GetSpacing()
        assert images[0].GetDirection() == images[1].GetDirection()
    again = read_labels(out)
    assert again.geometry.is_close(volume.geometry)
    assert np.array_equal(again.data, volume.data[0] % 7)


def test_nifti_2_is_placed_by_its_own_header(tmp_path: Path) -> None:
    image = nibabel.Nifti2Image(ARRAY, placed(10.0, 0.002))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "two.nii")
    volume = read(tmp_path / "two.nii")
    assert volume.geometry.spacing_mm == pytest.approx((2.0, 2.0, 2.0))
    out = write(LabelMap(volume.data[0].astype(np.uint8), volume.geometry), tmp_path / "out.nii")
    assert np.allclose(nibabel.load(out).affine, image.affine)
