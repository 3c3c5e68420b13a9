"""NIfTI in two files: a header ``.hdr`` with its voxels in ``.img`` beside it, each plain or packed with gzip.

An Analyze 7.5 file has the same names and no letters ``ni1`` in its header. It does not say which way the patient lies:
ITK takes its y axis to the back, nibabel to the front, so one is the mirror image of the other. It is refused.
"""

from __future__ import annotations

from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage, stored_numbers
from voxtrace.io.foreign.first_bytes import bytes_at, packing_of
from voxtrace.io.foreign.partner_files import partner_of
from voxtrace.io.integrity import check_regular
from voxtrace.io.names import from_xml
from voxtrace.io.nifti import NiftiHeader, affine_of, parse_header
from voxtrace.io.nifti.header import HEADER_BYTES, NIFTI1_BYTES, extension_texts
from voxtrace.io.nifti.voxels import rescaled
from voxtrace.io.timepoints import count_timepoints
from voxtrace.io.voxel_files import VoxelFile
from voxtrace.volume import Array

_MOST_EXTENSIONS = 1 << 24
_ANALYZE = tuple(NIFTI1_BYTES.to_bytes(4, order) for order in ("little", "big"))


def open_nifti_pair(path: Path) -> DescribedImage:
    """Return what the header of a pair says.

    Raises
    ------
    ReadError
        When it is no NIfTI header, or lacks its voxels.
    """
    packing = packing_of(path)
    start = bytes_at(path, packing, 0, HEADER_BYTES)
    if start[:4] in _ANALYZE and start[344:347] not in (b"ni1", b"n+1"):
        raise ReadError(
            f"{path} is Analyze 7.5, whose header does not say which way the patient lies: ITK and nibabel read it "
            "mirrored to each other. Expected NIfTI; convert it with the program that wrote it, or with "
            "`fslchfiletype NIFTI_GZ IN`, and check its sides against another image."
        )
    header = parse_header(start, path, pair=True)
    voxels = partner_of(path)
    if voxels is None:
        raise ReadError(f"{path} lacks its voxels: no {path.stem}.img lies beside it; copy both files together.")
    check_regular(voxels)
    count = count_timepoints(header.sizes, header.components, "", path)
    if not header.number_type or min(header.sizes[:3]) < 1:
        raise ReadError(
            f"{path} has {'×'.join(map(str, header.sizes[:3]))} voxels of NIfTI datatype {header.datatype}; expected "
            "at least one along each axis, of one real number each. Convert it, for example to float32."
        )
    affine, found = affine_of(header, path)
    file = VoxelFile(voxels, packing_of(voxels), 0, skip=header.offset)
    read = stored_numbers((file,), header.number_type, header.sizes[:3], count, path)
    begin = header.extensions_start
    rest = bytes_at(path, packing, begin - 4, _MOST_EXTENSIONS)
    texts = extension_texts(rest[4:], header.byte_order) if rest[:1] not in (b"", b"\0") else ()

    def values(timepoint: int) -> Array:
        return rescaled(read(timepoint), header)

    return DescribedImage(affine.grid(), count, values, _scaled(header), found, *from_xml(texts), header.description)


def _scaled(header: NiftiHeader) -> str:
    if header.rescale is None:
        return ""
    slope, intercept = header.rescale
    return f"scaled by {slope:g} with intercept {intercept:g}"
