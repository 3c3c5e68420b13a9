"""Frames over time: how many a file holds, and reading one without the others.

A fourth axis counts as time in NIfTI, NRRD and MetaImage, and so does an axis of the kind list in NRRD (as 3D Slicer
stores sequences).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.errors import ReadError
from voxtrace.passport import Finding

_OVER_TIME = "list"
_PIXEL_KIND = "NRRD_kinds[pixel]"


def count(sizes: tuple[int, ...], components: int, pixel_kind: str, path: Path) -> int:
    """Return how many frames a file holds, given its voxels along each axis and its values a voxel.

    Raises
    ------
    ReadError
        When it has fewer than three axes, more than four, or values of another kind in each voxel.
    """
    shown = "×".join(str(n) for n in sizes)
    if len(sizes) < 3:
        raise ReadError(f"{path} is a two-dimensional image ({shown}); expected a volume with three dimensions.")
    if any(n > 1 for n in sizes[4:]):
        axes = "×".join("XYZTUVW"[: len(sizes)])
        raise ReadError(
            f"{path} has {len(sizes)} dimensions ({axes} = {shown}); expected three, or four with time. "
            "Split it, and give each part as a channel or a case of its own."
        )
    if components == 1:
        return sizes[3] if len(sizes) > 3 else 1
    if pixel_kind == _OVER_TIME and len(sizes) == 3:
        return components
    raise ReadError(
        f"{path} has {components} values in each voxel (colour, vectors or complex numbers); "
        "expected one. Export each as a file of its own."
    )


def check(frames: int, frame: int | None, path: Path) -> tuple[Finding, ...]:
    """Return what to say of the frame that is read; nothing for a file with one.

    Raises
    ------
    ReadError
        When there are several and none is chosen, or the chosen one does not exist.
    """
    if frame is None and frames > 1:
        raise ReadError(
            f"{path} holds {frames} frames (its fourth dimension); expected one volume. Choose one with frame=N, "
            f"counted from 0 to {frames - 1}, or `--frame N` or `--frame all` on the command line."
        )
    if frame is not None and not 0 <= frame < frames:
        known = f"frames 0 to {frames - 1}" if frames > 1 else "one frame, 0"
        raise ReadError(f"{path} has no frame {frame}; it holds {known}. Choose one of these.")
    return (Finding("frames", "fine", f"frame {frame} of 0 to {frames - 1}"),) if frames > 1 else ()


def picked(reader: Any, frame: int) -> Any:
    """Return one frame as a three-dimensional image from a SimpleITK reader that has read its header.

    The reader is told to extract that frame alone, so that formats which allow it never hold the others in memory.
    """
    size = list(reader.GetSize())
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *([0] * (len(size) - 3))])
        reader.SetExtractIndex([0, 0, 0, frame, *([0] * (len(size) - 4))])
    image = reader.Execute()
    if image.GetNumberOfComponentsPerPixel() > 1:
        from voxtrace.io.itk import simpleitk

        image = simpleitk().VectorIndexSelectionCast(image, frame)
    return image


def pixel_kind(reader: Any) -> str:
    """Return what the values in each voxel are, as an NRRD header tells; ``""`` where it does not."""
    return reader.GetMetaData(_PIXEL_KIND) if reader.HasMetaDataKey(_PIXEL_KIND) else ""
