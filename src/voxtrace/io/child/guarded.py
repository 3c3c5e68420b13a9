"""The reading functions by name, each run in a reader process; arguments, results and errors are the originals'.

Commands, batches and the window read through these; :func:`voxtrace.read` and :mod:`voxtrace.io` read in the process at
hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.io.child.readers import call
from voxtrace.io.suffixes import is_dicom

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxtrace.io.dicom import Series
    from voxtrace.volume import LabelMap, Volume

# what runs in the reader process under each name
FUNCTIONS = {
    "count_timepoints": "voxtrace.io.reading:count_timepoints",
    "find_series": "voxtrace.io.dicom:find_series",
    "inner_names": "voxtrace.io.inner_names:inner_names",
    "is_rtstruct": "voxtrace.io.export.read_rtstruct:is_rtstruct",
    "is_seg": "voxtrace.io.export.readseg:is_seg",
    "label_names": "voxtrace.io.reading:label_names",
    "read": "voxtrace.io.reading:read",
    "read_labels": "voxtrace.io.reading:read_labels",
    "read_rtstruct": "voxtrace.io.export.read_rtstruct:read_rtstruct",
    "read_seg": "voxtrace.io.export.readseg:read_seg",
    "read_study": "voxtrace.io.reading:read_study",
    "series_titles": "voxtrace.io.inner_names:series_titles",
    "stack_series": "voxtrace.io.dicom:stack_series",
    "thumbnail": "voxtrace.io.dicom:thumbnail",
}


def read(path: str | Path | Sequence[str | Path], frame: int | None = None, channels: int = 1) -> Volume:
    """Return the volume in a file or DICOM folder; see :func:`voxtrace.io.read`."""
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]
    given = paths[0] if isinstance(path, (str, Path)) else paths
    found: Volume = _run("read", paths, given, frame, channels)
    return found


def count_timepoints(path: str | Path) -> int:
    """Return how many time points a file holds; see :func:`voxtrace.io.count_timepoints`."""
    return int(_run("count_timepoints", [Path(path)], Path(path)))


def read_labels(path: str | Path, frame: int | None = None) -> LabelMap:
    """Return the label map in a file; see :func:`voxtrace.io.read_labels`."""
    found: LabelMap = _run("read_labels", [Path(path)], Path(path), frame)
    return found


def label_names(path: str | Path) -> dict[int, str]:
    """Return the names of labels in a file's header; see :func:`voxtrace.io.label_names`."""
    return dict(_run("label_names", [Path(path)], Path(path)))


def read_study(folder: str | Path, channels: Sequence[str], series: Sequence[str] = ()) -> Volume:
    """Return DICOM series of one study as channels; see :func:`voxtrace.io.read_study`."""
    found: Volume = _run("read_study", [Path(folder)], Path(folder), tuple(channels), tuple(series))
    return found


def find_series(folder: Path) -> tuple[Series, ...]:
    """Return the DICOM series of a folder; see :func:`voxtrace.io.dicom.find_series`."""
    return tuple(_run("find_series", [folder], folder))


def stack_series(series: Sequence[Series], names: Sequence[str] = (), onto: int = 0) -> Volume:
    """Return DICOM series as the channels of a volume; see :func:`voxtrace.io.dicom.stack_series`."""
    found: Volume = _run("stack_series", _files(series), tuple(series), tuple(names), onto)
    return found


def inner_names(path: Path) -> tuple[str, ...]:
    """Return the names of files in an archive, or that a header names; see :mod:`voxtrace.io.inner_names`."""
    return tuple(_run("inner_names", [path], path))


def series_titles(path: Path) -> tuple[tuple[str, str], ...]:
    """Return title and kind of the DICOM series in a folder or an archive; see :mod:`voxtrace.io.inner_names`."""
    return tuple((title, kind) for title, kind in _run("series_titles", [path], path))


def thumbnail(series: Series, edge: int = 96) -> npt.NDArray[np.uint8]:
    """Return a small picture of a DICOM series; see :func:`voxtrace.io.dicom.thumbnail`."""
    found: npt.NDArray[np.uint8] = _run("thumbnail", _files([series]), series, edge)
    return found


def is_seg(path: str | Path) -> bool:
    """Return whether a file is a DICOM-SEG; see :func:`voxtrace.io.export.is_seg`."""
    return _is_dicom_file(Path(path)) and bool(_run("is_seg", [Path(path)], Path(path)))


def read_seg(path: str | Path) -> LabelMap:
    """Return the label map in a DICOM-SEG; see :func:`voxtrace.io.export.read_seg`."""
    found: LabelMap = _run("read_seg", [Path(path)], Path(path))
    return found


def is_rtstruct(path: str | Path) -> bool:
    """Return whether a file is an RTSTRUCT; see :func:`voxtrace.io.export.is_rtstruct`."""
    return _is_dicom_file(Path(path)) and bool(_run("is_rtstruct", [Path(path)], Path(path)))


def read_rtstruct(path: str | Path, source: str | Path | None = None, only: Sequence[str] = ()) -> LabelMap:
    """Return the contours of an RTSTRUCT as a label map; see :func:`voxtrace.io.export.read_rtstruct`."""
    images = None if source is None else Path(source)
    found: LabelMap = _run(
        "read_rtstruct", [Path(path), *([] if images is None else [images])], Path(path), images, tuple(only)
    )
    return found


def _is_dicom_file(path: Path) -> bool:
    """Return whether a file begins as DICOM: its first bytes are compared, nothing is parsed."""
    return path.is_file() and is_dicom(path)


def _run(name: str, paths: Sequence[Path], *arguments: Any) -> Any:
    return call(FUNCTIONS[name], arguments, paths)


def _files(series: Sequence[Series]) -> list[Path]:
    return list(dict.fromkeys(slice_.path for one in series for slice_ in one.slices))
