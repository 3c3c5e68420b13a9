"""A labels layer -> files: whose scan it belongs to, which label maps it holds, in which format they go."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import io
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.dicom import DicomGrid
from voxtrace.io.export import Options, Written, export_all, is_export
from voxtrace.plugin.layers.display import KEY, ImageSource, LabelSource, label_map_of
from voxtrace.plugin.layers.manual_labels import check_unmoved, drawn_on
from voxtrace.plugin.layers.timepoints import FramesLabels, FramesSource
from voxtrace.plugin.models.formats import DICOM_ENDINGS, ending, numbered
from voxtrace.plugin.models.messages import Stage
from voxtrace.plugin.work.events import Cancel
from voxtrace.volume import Geometry, LabelMap, Volume


@dataclass(frozen=True, eq=False)
class OpenScan:
    """A scan that is open: its layer's unique id, and what the layer shows."""

    id: str
    source: ImageSource | FramesSource

    @property
    def geometry(self) -> Geometry:
        """Where it lies."""
        return self.source.volume.geometry


@dataclass(frozen=True, eq=False)
class Saved:
    """What a labels layer is when it is saved: label maps by frame (None for a single one), and whose they are."""

    labels: Mapping[int | None, LabelMap]
    scan: str = ""
    manual: bool = False


def save(
    path: Path, data: Any, attributes: Mapping[str, Any], scans: Sequence[OpenScan], images: Path | None = None
) -> Written:
    """Save a labels layer in the format that the name ends in: of a stepped prediction the last step, its answer.

    Parameters
    ----------
    path
        Of a layer with frames, one file is written for each frame that has labels, ``NAME_t003``.
    data, attributes
        The layer's voxels and attributes, as napari gives them.
    scans
        The open scans: labels that were drawn by hand get their place from one, tables their intensities, and DICOM
        exports their source images.
    images
        A folder with the DICOM images that were segmented, for labels that do not know them.

    Raises
    ------
    OutputError
        The labels' place in the patient is unknown, or nothing can be written there.
    GeometryError
        The labels do not lie on the grid of the images.
    """
    saved = _saved(data, attributes, scans)
    paths, notes = list[Path](), list[str]()
    for frame, labels in saved.labels.items():
        target = path if frame is None else numbered(path, frame)
        image = _image(labels.geometry, saved.scan, frame, scans)
        written = _write(labels, target, Options(source=images, image=image, manual=saved.manual))
        paths.extend(written.paths)
        notes.extend(note for note in written.notes if note not in notes)
    return Written(tuple(paths), tuple(notes))


def saving(
    path: Path,
    data: Any,
    attributes: Mapping[str, Any],
    scans: Sequence[OpenScan],
    images: Path | None,
    cancel: Cancel,
) -> Generator[Stage, None, Written]:
    """Save as :func:`save` does, as work for a thread; one file is written whole, so it cannot be cancelled."""
    yield Stage(f"Saving {path.name} …")
    return save(path, data, attributes, scans, images)


def lacks_images(path: Path, attributes: Mapping[str, Any], scans: Sequence[OpenScan]) -> bool:
    """Tell whether a DICOM format was asked for, and neither the labels nor an open scan know the source images."""
    if ending(path) not in DICOM_ENDINGS:
        return False
    source = _source(attributes)
    known = [scan.geometry for scan in scans] + ([source.geometry] if source else [])
    return not any(_has_images(geometry) and (not source or geometry.is_close(source.geometry)) for geometry in known)


def sentence(written: Written, layer: str, step: str = "") -> str:
    """Return what was saved where, in words; ``step`` tells which step of a prediction."""
    names = ", ".join(path.name for path in written.paths[:3]) + (", …" if len(written.paths) > 3 else "")
    files = f"{len(written.paths)} files ({names})" if len(written.paths) > 1 else names
    what = f"Saved {step or layer} as {files} in {written.paths[0].parent}."
    return " ".join((what, *(f"{note[:1].upper()}{note[1:]}" for note in written.notes)))


def _saved(data: Any, attributes: Mapping[str, Any], scans: Sequence[OpenScan]) -> Saved:
    about, name = attributes.get("metadata", {}).get(KEY), str(attributes.get("name", "labels"))
    source = _source(attributes)
    if source is None:
        return Saved(
            {None: label_map_of(data, LabelSource(_drawn_on(np.shape(data), attributes, scans)), name)}, "", True
        )
    try:
        check_unmoved(source.geometry, attributes)
    except GeometryError as error:
        raise OutputError(str(error)) from error
    source = replace(source, geometry=_with_images(source.geometry, scans))
    if not isinstance(about, FramesLabels):
        return Saved({None: label_map_of(data, source, name)}, source.scan)
    drawn = [frame for frame in range(len(data)) if frame in about.frames or np.any(data[frame])]
    if not drawn:
        raise OutputError(f"{name} has no labels at any of its {len(data)} frames; nothing was saved.")
    return Saved({frame: label_map_of(data[frame], source, name) for frame in drawn}, source.scan)


def _source(attributes: Mapping[str, Any]) -> LabelSource | None:
    about = attributes.get("metadata", {}).get(KEY)
    if isinstance(about, FramesLabels):
        return about.source
    return about if isinstance(about, LabelSource) else None


def _drawn_on(shape: tuple[int, ...], attributes: Mapping[str, Any], scans: Sequence[OpenScan]) -> Geometry:
    try:
        return _with_images(drawn_on(shape, attributes, [scan.geometry for scan in scans]), scans)
    except GeometryError as error:
        raise OutputError(str(error)) from error


def _with_images(geometry: Geometry, scans: Sequence[OpenScan]) -> Geometry:
    """Return the same place with the DICOM images of the open scan that lies there, where it knows none itself."""
    if _has_images(geometry):
        return geometry
    return next((s.geometry for s in scans if _has_images(s.geometry) and s.geometry.is_close(geometry)), geometry)


def _has_images(geometry: Geometry) -> bool:
    return isinstance(geometry.stored, DicomGrid) and bool(geometry.stored.sources)


def _image(geometry: Geometry, scan: str, frame: int | None, scans: Sequence[OpenScan]) -> Volume | None:
    """Return the channel that labels describe: of the scan they belong to, else of the first that lies there."""
    there = [one for one in scans if one.geometry.is_close(geometry)]
    chosen = next((one for one in there if one.id == scan), next(iter(there), None))
    if chosen is None:
        return None
    source = chosen.source
    if isinstance(source, FramesSource):
        return source.at(frame).volume if frame is not None else None
    channel = slice(source.channel, source.channel + 1)
    return replace(source.volume, data=source.volume.data[channel], channels=())


def _write(labels: LabelMap, path: Path, options: Options) -> Written:
    if is_export(path):
        return export_all(labels, path, options)
    return Written((io.write(labels, path),))
