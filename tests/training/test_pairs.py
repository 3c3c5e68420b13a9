from __future__ import annotations

from pathlib import Path

import pytest

from voxtrace.errors import DatasetError
from voxtrace.training.layouts.pairs import pair_files


@pytest.fixture
def put(tmp_path: Path):  # type: ignore[no-untyped-def]
    def files(folder: str, *names: str) -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in names:
            (tmp_path / folder / name).write_bytes(b"")
        return tmp_path / folder

    return files


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.nii.gz", "a.nii.gz"),
        ("a_0000.nii.gz", "a.nii.gz"),
        ("a.nii.gz", "a_seg.nii.gz"),
        ("a_image.nrrd", "a-label.nii"),
        ("a_ct.nii.gz", "a_mask.mha"),
        ("a_CT_0000.nii.gz", "a_Segmentation.nii.gz"),
    ],
)
def test_files_are_paired_by_name(put, image: str, label: str) -> None:  # type: ignore[no-untyped-def]
    pairs = pair_files(put("i", image), put("l", label))
    assert {case: [p.name for p in paths] for case, paths in pairs.images.items()} == {"a": [image]}
    assert pairs.labels["a"].name == label
    assert pairs.alone == ()


def test_channels_are_columns_and_paths_are_relative(put, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    images = put("i", "b_0001.nii.gz", "b_0000.nii.gz", "a, 1_0000.nii.gz", "a, 1_0001.nii.gz")
    labels = put("l", "a, 1.nii.gz", "b.nii.gz")
    assert pair_files(images, labels).as_csv(tmp_path).splitlines() == [
        "case,image,image2,label",
        '"a, 1","i/a, 1_0000.nii.gz","i/a, 1_0001.nii.gz","l/a, 1.nii.gz"',
        "b,i/b_0000.nii.gz,i/b_0001.nii.gz,l/b.nii.gz",
    ]


def test_one_folder_may_hold_both(put) -> None:  # type: ignore[no-untyped-def]
    folder = put("f", "a_ct.nii.gz", "a_seg.nii.gz", "b.nii.gz", "b_label.nii.gz")
    pairs = pair_files(folder, folder)
    assert {case: paths[0].name for case, paths in pairs.images.items()} == {"a": "a_ct.nii.gz", "b": "b.nii.gz"}


def test_files_without_a_partner_are_told(put) -> None:  # type: ignore[no-untyped-def]
    pairs = pair_files(put("i", "a.nii.gz", "b.nii.gz", ".c.nii.gz", "readme.txt"), put("l", "a.nii.gz", "d.nii.gz"))
    assert [path.name for path in pairs.alone] == ["b.nii.gz", "d.nii.gz"]


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (["a.nii.gz"], ["b.nii.gz"], "no image in .* has a label map"),
        (["a.nii.gz", "a.nrrd"], ["a.nii.gz"], "both are case a; rename or remove one"),
        (["a.nii.gz"], ["a.nii.gz", "a_seg.nii.gz"], "both are case a"),
        (["a_0000.nii.gz", "a_0002.nii.gz"], ["a.nii.gz"], r"channels \[0, 2\]; expected 0 to 1"),
        (["a_0000.nii.gz", "b_0000.nii.gz", "b_0001.nii.gz"], ["a.nii.gz", "b.nii.gz"], "b has 2 channels, a has 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(put, images, labels, told: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DatasetError, match=told):
        pair_files(put("i", *images), put("l", *labels))


def test_links_keep_their_own_names(put, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    blobs = put("blobs", "5f3a", "77bc")
    images, labels = put("i"), put("l")
    (images / "a.nii.gz").symlink_to(blobs / "5f3a")  # as DataLad and caches store files
    (labels / "a.nii.gz").symlink_to(blobs / "77bc")
    assert pair_files(images, labels).as_csv(tmp_path).splitlines()[1] == "a,i/a.nii.gz,l/a.nii.gz"


@pytest.mark.parametrize("name", ["a\nb", " a", "a\u2028b", "a\udcff"])
def test_names_that_a_csv_does_not_give_back_are_refused(put, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    try:
        pairs = pair_files(put("i", f"{name}.nii.gz"), put("l", f"{name}.nii.gz"))
    except (OSError, UnicodeError):  # macOS and Windows have no such names
        pytest.skip("this disk has no such names")
    with pytest.raises(DatasetError, match=r"cannot stand in a CSV: .* rename it"):
        pairs.as_csv(tmp_path)
