"""Files that a stranger would make on purpose: small on disk, large or endless when they are believed."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import fuzz_bases
import pydicom

import awkward_dicom

MB, GB = 1 << 20, 1 << 30
_PREAMBLE = bytes(128) + b"DICM"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_EXPLICIT = "1.2.840.10008.1.2.1"


def _zeros(count: int, wbits: int = 15, level: int = 1) -> bytes:
    """Return ``count`` zero bytes, deflated."""
    packer = zlib.compressobj(level, zlib.DEFLATED, wbits)
    return b"".join(packer.compress(bytes(MB)) for _ in range(count // MB)) + packer.flush()


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    length = struct.pack("<HI", 0, len(value)) if vr in (b"OB", b"OW", b"SQ", b"UN") else struct.pack("<H", len(value))
    return start + length + value


def _meta(syntax: str) -> bytes:
    uids = [(0x00020002, pydicom.uid.CTImageStorage), (0x00020003, "2.25.1"), (0x00020010, syntax)]
    body = b"".join(_element(tag, b"UI", uid.encode() + b"\0" * (len(uid) % 2)) for tag, uid in uids)
    return _PREAMBLE + _element(0x00020000, b"UL", struct.pack("<I", len(body))) + body


def _nested(folder: Path) -> None:
    """Write 20,000 sequences, each in the one before."""
    begin = b"\x40\x00\x50\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (folder / "IM0000").write_bytes(_meta(_EXPLICIT) + begin * 20_000)


def _deflated(folder: Path) -> None:
    """Write a deflated file with one element of 1 GB."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    start = _element(0x00080060, b"CS", b"CT") + struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, GB)
    parts = [packer.compress(start)] + [packer.compress(bytes(MB)) for _ in range(GB // MB)]
    (folder / "IM0000").write_bytes(_meta(_DEFLATED) + b"".join(parts) + packer.flush())


def _many_frames(folder: Path) -> None:
    image = awkward_dicom.enhanced(awkward_dicom.images(awkward_dicom.place(), range(3)))
    image.NumberOfFrames, image.Rows, image.Columns = 2**31 - 1, 65_535, 65_535
    awkward_dicom.save(folder, [image])


def _segments(**changes: int) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        fuzz_bases.BINARY_SEG(folder)
        path = next((folder / "derived").iterdir())
        seg = pydicom.dcmread(path)
        for name, value in changes.items():
            setattr(seg, name, value)
        seg.save_as(path)

    return maker


def _nifti(shape: tuple[int, int, int], packed: bytes, name: str) -> Callable[[Path], None]:
    """Write a NIfTI header that promises int16 of a shape, and behind it what ``packed`` unpacks to."""

    def maker(folder: Path) -> None:
        header = bytearray(352)
        struct.pack_into("<i", header, 0, 348)
        struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
        struct.pack_into("<2h", header, 70, 4, 16)
        struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into("<f", header, 108, 352)
        struct.pack_into("<2h", header, 252, 1, 1)
        header[344:348] = b"n+1\0"
        if not name.endswith(".gz"):
            (folder / name).write_bytes(bytes(header) + packed)
            return
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        parts = [packer.compress(bytes(header))] + [packer.compress(bytes(MB)) for _ in range(GB // MB)]
        (folder / name).write_bytes(b"".join(parts) + packer.flush())

    return maker


def _nrrd(folder: Path) -> None:
    text = "NRRD0005\ntype: short\ndimension: 3\nsizes: 1024 1024 512\nencoding: gzip\nendian: little\n\n"
    (folder / "a.nrrd").write_bytes(text.encode() + _zeros(GB, 31))


def _meta_image(folder: Path) -> None:
    packed = _zeros(GB)
    fields = f"CompressedData = True\nCompressedDataSize = {len(packed)}\nElementType = MET_SHORT\n"
    text = f"ObjectType = Image\nNDims = 3\nDimSize = 1024 1024 512\n{fields}ElementDataFile = LOCAL\n"
    (folder / "a.mha").write_bytes(text.encode() + packed)


def _text(name: str, text: str) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        (folder / name).write_text(text)

    return maker


def _beside(name: str, target: str) -> Callable[[Path], None]:
    """Write a header whose voxels lie in a file elsewhere."""
    mhd = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = {}\n"
    nhdr = "NRRD0005\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {}\n"
    return _text(name, (mhd if name.endswith(".mhd") else nhdr).format(target))


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.nii")


def _checkpoint(folder: Path) -> None:
    """Write a checkpoint whose archive holds 2 GB of zeros in 9 MB."""
    import torch

    plain = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, plain)
    packing = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(folder / "checkpoint.pt", "w", packing) as fresh:
        fresh.compresslevel = 1
        for name in archive.namelist():
            if "/data/" not in name:
                fresh.writestr(name, archive.read(name))
        with fresh.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(2 * GB // MB):
                stream.write(bytes(MB))


def _trace(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        fuzz_bases.TRACE(folder)
        change(folder / "a.trace")

    return maker


def _large_chunk(folder: Path) -> None:
    file = folder / "labels.zarr" / "c" / "0" / "0" / "0" / "0"
    content = file.read_bytes()
    file.write_bytes(content[:4] + struct.pack("<I", 2**32 - 1) + content[8:])


def _many_labels(folder: Path) -> None:
    record = json.loads((folder / "trace.json").read_text())
    record["names"] = {"0": "background", str(10**9): "liver"}
    (folder / "trace.json").write_text(json.dumps(record))


def _long_json(folder: Path) -> None:
    (folder / "trace.json").write_text("[" + "[]," * (80 * MB) + "[]]")


def _wide(folder: Path) -> None:
    """Write a bundle of 60 kB that asks for a network of many gigabytes."""
    from fuzz_inputs import Base, sealed

    fuzz_bases.UNET(folder)
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    record = json.loads(files["bundle/bundle.json"])
    record["plan"]["topology"]["widths"] = [4096] * len(record["plan"]["topology"]["widths"])
    changed = sealed(Base("bundle", "", files), {"bundle/bundle.json": json.dumps(record).encode()})
    (folder / "bundle" / "bundle.json").write_bytes(changed["bundle/bundle.json"])  # type: ignore[arg-type]


HOSTILE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "DICOM, 20,000 nested sequences": ("dicom", _nested),
    "deflated DICOM, an element of 1 GB": ("dicom", _deflated),
    "DICOM, 2 billion frames of 65,535²": ("dicom", _many_frames),
    "SEG, 2 billion frames": ("derived", _segments(NumberOfFrames=2**31 - 1)),
    "SEG, 65,535 rows and columns": ("derived", _segments(Rows=65_535, Columns=65_535)),
    "NIfTI, 32,767³ voxels in 352 bytes": ("nifti", _nifti((32_767, 32_767, 32_767), b"", "a.nii")),
    "NIfTI, 1 GB packed": ("nifti", _nifti((1024, 1024, 512), b"", "a.nii.gz")),
    "NIfTI, 8 voxels and 1 GB behind them, packed": ("nifti", _nifti((2, 2, 2), b"", "a.nii.gz")),
    "NRRD, 1 GB packed": ("nrrd", _nrrd),
    "MetaImage, 1 GB packed": ("metaimage", _meta_image),
    "NRRD, a line of 10 MB": ("nrrd", _text("a.nrrd", "NRRD0005\ncontent: " + "x" * 10 * MB + "\n\n")),
    "NRRD, a million lines": ("nrrd", _text("a.nrrd", "NRRD0005\n" + "".join(f"k{n}:=v\n" for n in range(10**6)))),
    "MetaImage, voxels in /etc/passwd": ("metaimage", _beside("a.mhd", "/etc/passwd")),
    "MetaImage, voxels three folders up": ("metaimage", _beside("a.mhd", "../../../outside.raw")),
    "NRRD, voxels in /etc/passwd": ("nrrd", _beside("a.nhdr", "/etc/passwd")),
    "NRRD, voxels three folders up": ("nrrd", _beside("a.nhdr", "../../../outside.raw")),
    "a pipe called a.nii": ("nifti", _pipe),
    "checkpoint, 2 GB in 9 MB": ("run", _checkpoint),
    "trace, a chunk of 4 GB": ("trace", _trace(_large_chunk)),
    "trace, a label 1,000,000,000": ("trace", _trace(_many_labels)),
    "trace, 84 million lists in 252 MB of JSON": ("trace", _trace(_long_json)),
    "bundle of 60 kB, a network of 30 GB": ("bundle", _wide),
}
