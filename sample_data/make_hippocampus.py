"""Cuts the real hippocampus samples again, byte for byte: ``python sample_data/make_hippocampus.py ch2.nii.gz``.

``ch2.nii.gz`` is Colin27, 181×217×181 voxels of 1 mm in 8 bits, as MRIcron ships it. On Debian::

    apt-get download mricron-data
    dpkg-deb --extract mricron-data_*.deb .
    python sample_data/make_hippocampus.py usr/share/mricron/templates/ch2.nii.gz

The crops are written twice: here, and where the package keeps them, ``src/voxtrace/samples``.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

SOURCE_SHA256 = "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309"
# Box of each side in mm from left to right, back to front, feet to head: what is labelled, and at least 5 mm around it.
BOXES_MM = {
    "hippocampus_left": ((-42, -8), (-46, 3), (-33, 13)),
    "hippocampus_right": ((10, 45), (-45, 3), (-32, 11)),
}
HERE = Path(__file__).resolve().parent
FOLDERS = (HERE, HERE.parent / "src" / "voxtrace" / "samples")


def main(source: Path, folders: tuple[Path, ...] = FOLDERS) -> None:
    """Write each crop into each folder.

    Raises
    ------
    SystemExit
        The file is not the one that the samples were cut from.
    """
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        sys.exit(
            f"{source} has SHA-256 {found}; the samples were cut from {SOURCE_SHA256} (mricron-data 1.2.20211006)."
        )
    head = nib.load(source)
    for name, box_mm in BOXES_MM.items():
        for folder in folders:
            nib.save(crop(head, box_mm, name), folder / f"{name}.nii")  # uncompressed: the same bytes everywhere


def crop(head: nib.Nifti1Image, box_mm: tuple[tuple[int, int], ...], name: str) -> nib.Nifti1Image:
    """Return the voxels (X, Y, Z) whose centres lie in a box."""
    corners = nib.affines.apply_affine(np.linalg.inv(head.affine), np.transpose(box_mm))
    low, high = np.rint(corners.min(axis=0)).astype(int), np.rint(corners.max(axis=0)).astype(int)
    voxels = np.asarray(head.dataobj)[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]
    affine = head.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(head.affine, low)
    image = nib.Nifti1Image(voxels.astype(np.uint8), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"Colin27 (c) Collins, MNI, McGill; T1, one person, {name}"[:79]
    for set_transform in (image.set_sform, image.set_qform):
        set_transform(affine, code=4)  # a standard space, of the MNI
    return image


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
