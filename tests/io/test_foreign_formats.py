"""Formats of other programs, voxel by voxel and in mm against nibabel and SimpleITK, and what is refused of them."""

from __future__ import annotations

import gc
import gzip
import shutil
import struct
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from made_foreign import gipl, mgh_tags
from voxtrace.batch.cases import find_cases
from voxtrace.batch.sources import describe_sources
from voxtrace.errors import ReadError
from voxtrace.io import count_timepoints, label_names, read, read_labels
from voxtrace.volume import Volume

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"
AFFINE = np.array([[0, 0, 2.5, -7], [-1.5, 0, 0, 4], [0, 2, 0, 9], [0, 0, 0, 1.0]])  # (R, A, S), axes in another order
STEPS = np.random.default_rng(5)


def voxels(shape: tuple[int, ...] = (5, 6, 7), dtype: Any = np.int16) -> np.ndarray[Any, Any]:
    return STEPS.integers(0, 200, shape).astype(dtype)


def check_places(volume: Volume, values: np.ndarray[Any, Any], affine_ras: np.ndarray[Any, Any]) -> None:
    """Every voxel (x, y, z) of ``values`` has its value where the affine puts it."""
    index = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), -1).reshape(-1, 3)
    lps = (index @ affine_ras[:3, :3].T + affine_ras[:3, 3]) * (-1, -1, 1)
    found = volume.geometry.voxel(lps[:, ::-1])
    nearest = np.rint(found).astype(int)
    assert np.abs(found - nearest).max() < 1e-3
    assert volume.data[0].size == values.size
    np.testing.assert_allclose(volume.data[0][tuple(nearest.T)], values.ravel(), rtol=1e-6, atol=1e-4)


def like_nibabel(path: Path, frame: int | None = None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image: Any = nibabel.load(path)
        values, affine = np.asarray(image.get_fdata()), image.affine
        del image
        gc.collect()  # nibabel leaves files open
    if values.ndim == 4:  # MINC has time first, the others last
        values = values[frame] if path.suffix == ".mnc" else values[..., frame]
    check_places(read(path, frame), values, affine)


# FreeSurfer


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_freesurfer_is_read_as_nibabel_reads_it(tmp_path: Path, ending: str, dtype: Any) -> None:
    nibabel.save(nibabel.MGHImage(voxels(dtype=dtype), AFFINE), tmp_path / f"a{ending}")  # type: ignore[no-untyped-call]
    like_nibabel(tmp_path / f"a{ending}")


def test_frames_of_freesurfer_are_time_points(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(voxels((5, 6, 7, 3)), AFFINE), tmp_path / "a.mgz")  # type: ignore[no-untyped-call]
    assert count_timepoints(tmp_path / "a.mgz") == 3
    like_nibabel(tmp_path / "a.mgz", 2)
    with pytest.raises(ReadError, match="holds 3 frames"):
        read(tmp_path / "a.mgz")


def test_freesurfer_without_a_place_is_coronal_and_says_so(tmp_path: Path) -> None:
    values = voxels(dtype=np.uint8)
    header = struct.pack(">7ih", 1, *values.shape, 1, 0, 0, 0).ljust(284, b"\xff")
    (tmp_path / "a.mgh").write_bytes(header + values.tobytes(order="F"))
    coronal = np.array([[-1.0, 0, 0, 2.5], [0, 0, 1, -3.5], [0, -1, 0, 3], [0, 0, 0, 1]])
    volume = read(tmp_path / "a.mgh")
    check_places(volume, values, coronal)
    assert any("does not say where" in note for note in volume.notes)


def test_the_colour_table_of_a_freesurfer_segmentation_names_its_labels(tmp_path: Path) -> None:
    values = np.zeros((5, 6, 7), np.int32)
    values[1:3, 2:4, 3:5] = 17
    values[4, 4, 4] = 1012
    image = nibabel.MGHImage(values, AFFINE)  # type: ignore[no-untyped-call]
    nibabel.save(image, tmp_path / "plain.mgh")
    named = {17: ("Left-Hippocampus", (220, 216, 20)), 1012: ("ctx-lh-lateralorbitofrontal", (35, 75, 50))}
    content = (tmp_path / "plain.mgh").read_bytes()[: 284 + values.nbytes] + mgh_tags(named)
    (tmp_path / "aseg.mgz").write_bytes(gzip.compress(content))
    labels = read_labels(tmp_path / "aseg.mgz")
    assert (
        labels.names
        == {17: "Left-Hippocampus", 1012: "ctx-lh-lateralorbitofrontal"}
        == label_names(tmp_path / "aseg.mgz")
    )
    assert labels.colours[17] == (220 / 255, 216 / 255, 20 / 255)
    assert labels.values == (17, 1012)


@pytest.mark.parametrize("cut", [0, 3, 24, 40, 60, 90])
def test_a_damaged_colour_table_names_nothing_it_does_not_hold(tmp_path: Path, cut: int) -> None:
    values = np.ones((2, 2, 2), np.uint8)
    tags = mgh_tags({1: ("a", (1, 2, 3)), 2: ("b", (4, 5, 6))})
    nibabel.save(nibabel.MGHImage(values, AFFINE), tmp_path / "a.mgh")  # type: ignore[no-untyped-call]
    (tmp_path / "a.mgh").write_bytes((tmp_path / "a.mgh").read_bytes()[: 284 + 8] + tags[:cut])
    assert read_labels(tmp_path / "a.mgh").names == {}


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, 2, "expected version 1"),
        (4, 0, "at least one along each axis"),
        (4, -1, "at least one along each axis"),
        (4, 1 << 30, "promises"),
        (20, 6, "FreeSurfer type 6"),
        (28, 0x0002_3F80, "goodRASFlag 2"),
        (28, -0x0001 << 16 | 0x3F80, "goodRASFlag -1"),
    ],
)
def test_freesurfer_headers_that_make_no_sense_are_refused(tmp_path: Path, at: int, value: int, words: str) -> None:
    nibabel.save(nibabel.MGHImage(voxels(), AFFINE), tmp_path / "a.mgh")  # type: ignore[no-untyped-call]
    content = bytearray((tmp_path / "a.mgh").read_bytes())
    struct.pack_into(">i", content, at, value)
    (tmp_path / "a.mgh").write_bytes(content)
    (tmp_path / "a.mgz").write_bytes(gzip.compress(content))
    for ending in (".mgh", ".mgz"):
        with pytest.raises(ReadError, match=words):
            read(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("air", [0, 1, 300])
def test_a_frame_that_freesurfer_does_not_count_is_refused(tmp_path: Path, ending: str, dtype: Any, air: int) -> None:
    values = np.full((6, 6, 7, 2), air % 256, dtype)
    values[2:4, 2:4, 2:4] = 77
    nibabel.save(nibabel.MGHImage(values, AFFINE), tmp_path / "a.mgh")  # type: ignore[no-untyped-call]
    content = bytearray((tmp_path / "a.mgh").read_bytes())
    struct.pack_into(">i", content, 16, 1)
    path = tmp_path / f"b{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".mgz" else content)
    with pytest.raises(ReadError, match="may be more voxels"):
        read(path)


@pytest.mark.parametrize(
    "rest", [b"", bytes(20), bytes(32), bytes(20) + b"\xff" * 4 + bytes(8), bytes(20) + b"\0\0\0\2abc"]
)
def test_what_freesurfer_may_end_with_is_read(tmp_path: Path, rest: bytes) -> None:
    values = voxels(dtype=np.uint8)
    nibabel.save(nibabel.MGHImage(values, AFFINE), tmp_path / "a.mgh")  # type: ignore[no-untyped-call]
    (tmp_path / "a.mgh").write_bytes((tmp_path / "a.mgh").read_bytes()[: 284 + values.nbytes] + rest)
    check_places(read(tmp_path / "a.mgh"), values, AFFINE)


def test_freesurfer_that_is_cut_or_misnamed_is_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.MGHImage(voxels(), AFFINE), tmp_path / "a.mgh")  # type: ignore[no-untyped-call]
    content = (tmp_path / "a.mgh").read_bytes()
    (tmp_path / "b.mgz").write_bytes(content)
    with pytest.raises(ReadError, match=r"rename it to \.mgh"):
        read(tmp_path / "b.mgz")
    (tmp_path / "a.mgh").write_bytes(content[:500])
    with pytest.raises(ReadError, match="promises 420"):
        read(tmp_path / "a.mgh")
    (tmp_path / "c.mgz").write_bytes(gzip.compress(content)[:-60])
    with pytest.raises(ReadError, match=r"cut short|corrupt|holds"):
        read(tmp_path / "c.mgz")


# NIfTI in two files


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("endings", [(".hdr", ".img"), (".hdr.gz", ".img.gz")])
def test_a_nifti_pair_is_read_by_either_name(tmp_path: Path, kind: Any, endings: tuple[str, str]) -> None:
    values = voxels((5, 6, 7, 2))
    image = kind(values, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nibabel.save(image, tmp_path / f"a{endings[1]}")
    for ending in endings:
        assert count_timepoints(tmp_path / f"a{ending}") == 2
        like_nibabel(tmp_path / f"a{ending}", 1)
        assert read(tmp_path / f"a{ending}", 1).name == "a_t001"


def test_analyze_is_refused_whose_sides_no_one_knows(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(voxels(), np.diag([-1.5, 2, 2.5, 1])), tmp_path / "a.img")  # type: ignore[no-untyped-call]
    for ending in (".hdr", ".img"):
        with pytest.raises(ReadError, match=r"Analyze 7\.5"):
            read(tmp_path / f"a{ending}")


def test_a_pair_that_lost_a_file_says_which(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(voxels(), AFFINE), tmp_path / "a.img")  # type: ignore[no-untyped-call]
    shutil.copy(tmp_path / "a.img", tmp_path / "alone.img")
    shutil.copy(tmp_path / "a.hdr", tmp_path / "header.hdr")
    with pytest.raises(ReadError, match="no header of its name"):
        read(tmp_path / "alone.img")
    with pytest.raises(ReadError, match="lacks its voxels"):
        read(tmp_path / "header.hdr")
    (tmp_path / "a.img").write_bytes((tmp_path / "a.img").read_bytes()[:-10])
    with pytest.raises(ReadError, match="holds 410 bytes of voxels where its header promises 420"):
        read(tmp_path / "a.hdr")


def test_dicom_called_img_stays_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(bytes(128) + b"DICM" + bytes(50))
    with pytest.raises(ReadError) as refused:
        read(tmp_path / "a.img")
    assert "two files" not in str(refused.value)


# GIPL


@pytest.mark.parametrize("ending", [".gipl", ".gipl.gz"])
def test_gipl_is_read_as_itk_reads_it(tmp_path: Path, ending: str) -> None:
    values = voxels((4, 5, 6))  # z, y, x
    content = bytes(gipl(values, 15, (1.5, 2.0, 2.5), (5.0, -6.0, 7.0)))
    path = tmp_path / f"a{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    image = SimpleITK.ReadImage(str(path))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), values)
    affine = np.diag([-1.5, -2, 2.5, 1])
    affine[:3, 3] = np.array(image.GetOrigin()) * (-1, -1, 1)
    volume = read(path)
    check_places(volume, values.T, affine)
    assert any("left from right" in note for note in volume.notes)


@pytest.mark.parametrize(
    ("kind", "at", "value", "words"),
    [
        (">I", 252, 1, "magic number"),
        (">H", 8, 192, "GIPL type 192"),
        (">f", 106, 0.5, "matrix"),
        (">f", 10, 0.0, "voxels of"),
    ],
)
def test_gipl_headers_that_make_no_sense_are_refused(
    tmp_path: Path, kind: str, at: int, value: float, words: str
) -> None:
    content = gipl(voxels((4, 5, 6)), 15, (1.5, 2.0, 2.5), (5.0, -6.0, 7.0))
    struct.pack_into(kind, content, at, value)
    (tmp_path / "a.gipl").write_bytes(content)
    with pytest.raises(ReadError, match=words):
        read(tmp_path / "a.gipl")


# MINC


@pytest.mark.parametrize("name", ["tiny.mnc", "minc1_1_scale.mnc", "minc1_4d.mnc"])
def test_minc_1_is_read_as_nibabel_reads_it(name: str) -> None:
    like_nibabel(NIBABEL / name, 1 if "4d" in name else None)


@pytest.mark.parametrize("name", ["small.mnc", "minc2_1_scale.mnc", "minc2_4d.mnc", "minc2-4d-d.mnc"])
def test_minc_2_is_read_as_nibabel_reads_it(name: str) -> None:
    pytest.importorskip("h5py", reason="the extra 'minc' is not installed")
    like_nibabel(NIBABEL / name, 1 if "4d" in name else None)


@pytest.mark.parametrize("name", ["minc1-no-att.mnc", "minc2-no-att.mnc"])
def test_minc_without_steps_is_refused(name: str) -> None:
    with pytest.raises(ReadError, match="does not say the step of xspace"):
        read(NIBABEL / name)


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [("start", None, "the start of yspace"), ("units", b"m", "measures yspace in 'm'"), ("units", b"", "")],
)
def test_minc_measures_in_mm_or_is_refused(tmp_path: Path, attribute: str, value: bytes | None, words: str) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra 'minc' is not installed")
    path = Path(shutil.copy(NIBABEL / "minc2_1_scale.mnc", tmp_path / "a.mnc"))
    with h5py.File(path, "a") as file:
        attributes = file["minc-2.0/dimensions/yspace"].attrs
        del attributes[attribute]
        if value is not None:
            attributes[attribute] = value
    if words:
        with pytest.raises(ReadError, match=words):
            read(path)
    else:
        like_nibabel(path)


@pytest.mark.parametrize(
    ("shape", "order"), [((20,), None), ((20,), "yspace"), ((3,), "zspace"), ((10,), None), ((10, 3), "zspace,yspace")]
)
def test_minc_2_scales_of_another_axis_are_refused(tmp_path: Path, shape: tuple[int, ...], order: str | None) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra 'minc' is not installed")
    path = Path(shutil.copy(NIBABEL / "minc2_1_scale.mnc", tmp_path / "a.mnc"))
    with h5py.File(path, "a") as file:
        group = file["minc-2.0/image/0"]
        for name, value in (("image-min", 0.0), ("image-max", 9.0)):
            del group[name]
            group[name] = np.full(shape, value)
            if order is not None:
                group[name].attrs["dimorder"] = order
    with pytest.raises(ReadError, match="expected it over the first axes"):
        read(path)


def test_minc_2_without_h5py_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ReadError, match="pip install h5py"):
        read(NIBABEL / "minc2_1_scale.mnc")


@pytest.mark.parametrize("what", ["link", "storage", "virtual"])
def test_minc_2_reads_no_other_file(tmp_path: Path, what: str) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra 'minc' is not installed")
    path = tmp_path / "a.mnc"
    shutil.copy(NIBABEL / "minc2_1_scale.mnc", path)
    shutil.copy(path, tmp_path / "other.mnc")
    with h5py.File(path, "a") as file:
        group, shape = file["minc-2.0/image/0"], file["minc-2.0/image/0/image"].shape
        attributes = dict(group["image"].attrs)
        del group["image"]
        if what == "link":
            group["image"] = h5py.ExternalLink("other.mnc", "/minc-2.0/image/0/image")
        elif what == "storage":
            made = group.create_dataset("image", shape, "u1", external=[("/etc/passwd", 0, int(np.prod(shape)))])
            made.attrs.update(attributes)
        else:
            layout = h5py.VirtualLayout(shape, "u1")
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.mnc"), "minc-2.0/image/0/image", shape=shape)
            group.create_virtual_dataset("image", layout).attrs.update(attributes)
    with pytest.raises(ReadError, match=r"link|other files"):
        read(path)


def test_every_cut_and_changed_byte_of_a_minc_header_ends_in_our_error(tmp_path: Path) -> None:
    content = (NIBABEL / "tiny.mnc").read_bytes()
    random = np.random.default_rng(1)
    for number in range(300):
        damaged = bytearray(content)
        for at in random.integers(4, 3000, 3):
            damaged[at] = random.integers(0, 256)
        path = tmp_path / "a.mnc"
        path.write_bytes(damaged[: random.integers(10, 4000)] if number % 3 == 0 else damaged)
        try:
            volume = read(path)
        except ReadError:
            continue
        assert volume.data.nbytes < 1 << 20


# Philips PAR/REC


def test_par_rec_is_read_as_nibabel_reads_it(tmp_path: Path) -> None:
    for name in ("phantom_EPI_asc_CLEAR_2_1", "phantom_varscale"):
        like_nibabel(NIBABEL / f"{name}.PAR", 2)
        shutil.copy(NIBABEL / f"{name}.PAR", tmp_path / "a.par")
        shutil.copy(NIBABEL / f"{name}.REC", tmp_path / "a.rec")
        like_nibabel(tmp_path / "a.par", 1)
        assert read(tmp_path / "a.rec", 1).name == "a_t001"


@pytest.mark.parametrize("name", ["R11_T2W_TSE", "umass_anonymized"])
def test_a_par_header_that_places_images_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    shutil.copy(NIBABEL / f"{name}.PAR", tmp_path / "a.PAR")
    (tmp_path / "a.REC").write_bytes(b"")
    with pytest.raises(ReadError, match="from where its stack has it"):
        read(tmp_path / "a.PAR", 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [("phantom_truncated", "expected 4"), ("NA", "slice orientation"), ("phantom_fake_v4", "lacks its voxels")],
)
def test_par_headers_that_are_incomplete_are_refused(tmp_path: Path, name: str, words: str) -> None:
    shutil.copy(NIBABEL / f"{name}.PAR", tmp_path / "a.PAR")
    with pytest.raises(ReadError, match=words):
        read(tmp_path / "a.PAR", 0)


def test_a_cut_rec_file_is_refused(tmp_path: Path) -> None:
    shutil.copy(NIBABEL / "phantom_varscale.PAR", tmp_path / "a.PAR")
    (tmp_path / "a.REC").write_bytes((NIBABEL / "phantom_varscale.REC").read_bytes()[:-100])
    with pytest.raises(ReadError, match="promises"):
        read(tmp_path / "a.PAR", 0)


def test_a_par_header_with_a_billion_slices_is_refused_at_once(tmp_path: Path) -> None:
    text = (NIBABEL / "phantom_varscale.PAR").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "Max. number of slices" in line)
    (tmp_path / "a.PAR").write_text(text.replace(line, line.split(":")[0] + ":   1000000000"), encoding="utf-8")
    with pytest.raises(ReadError, match="no PAR header"):
        read(tmp_path / "a.PAR", 0)


def test_both_files_of_a_pair_are_one_case(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(voxels(), AFFINE), tmp_path / "a.img")
    for given in ([tmp_path], [tmp_path / "a.hdr", tmp_path / "a.img"], [tmp_path / "a.img"]):
        [case] = find_cases(given)
        assert (case.name, case.paths) == ("a", (tmp_path / "a.hdr",))
        assert describe_sources(case)[0]["files"] == 2


def test_each_header_goes_with_the_voxels_packed_as_it_is(tmp_path: Path) -> None:
    plain, packed = voxels(), voxels((4, 6, 7)) + 500
    nibabel.save(nibabel.Nifti1Pair(packed, np.diag([3.0, 3, 3, 1])), tmp_path / "a.img")
    for ending in ("hdr", "img"):
        (tmp_path / f"a.{ending}.gz").write_bytes(gzip.compress((tmp_path / f"a.{ending}").read_bytes()))
    nibabel.save(nibabel.Nifti1Pair(plain, AFFINE), tmp_path / "a.img")
    for ending in ("hdr", "img"):
        check_places(read(tmp_path / f"a.{ending}"), plain, AFFINE)
        check_places(read(tmp_path / f"a.{ending}.gz"), packed, np.diag([3.0, 3, 3, 1]))
    (tmp_path / "a.hdr.gz").unlink()
    for ending in ("hdr", "img", "img.gz"):
        with pytest.raises(ReadError, match=r"in a\.img or in a\.img\.gz; expected one"):
            read(tmp_path / f"a.{ending}")
