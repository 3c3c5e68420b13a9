"""Time points: how many a file holds, and which one is read.

A fourth axis counts as time in NIfTI, NRRD and MetaImage, and so does an axis of the kind list in NRRD (as 3D Slicer
stores sequences). Callers choose a time point with ``frame``, counted from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.passport import Finding

_OVER_TIME = "list"


def count_timepoints(sizes: Sequence[int], components: int, pixel_kind: str, path: Path) -> int:
    """Return how many time points a file holds, given its voxels along each axis and its values a voxel.

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
        return max(1, sizes[3]) if len(sizes) > 3 else 1
    if pixel_kind == _OVER_TIME and len(sizes) == 3:
        return components
    raise ReadError(
        f"{path} has {components} values in each voxel (colour, vectors or complex numbers); "
        "expected one. Export each as a file of its own."
    )


def check_timepoint(count: int, frame: int | None, path: Path) -> tuple[Finding, ...]:
    """Return what to say of the time point that is read; nothing for a file with one.

    Raises
    ------
    ReadError
        When there are several and none is chosen, or the chosen one does not exist.
    """
    if frame is None and count > 1:
        raise ReadError(
            f"{path} holds {count} frames (its fourth dimension); expected one volume. Choose one with frame=N, "
            f"counted from 0 to {count - 1}, or `--frame N` or `--frame all` on the command line."
        )
    if frame is not None and not 0 <= frame < count:
        known = f"frames 0 to {count - 1}" if count > 1 else "one frame, 0"
        raise ReadError(f"{path} has no frame {frame}; it holds {known}. Choose one of these.")
    return (Finding("frames", "fine", f"frame {frame} of 0 to {count - 1}"),) if count > 1 else ()
