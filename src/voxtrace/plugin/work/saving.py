"""Save a labels layer: find its scan, take the label maps it holds, and write them in a format."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.dicom import DicomGrid
from voxtrace.io.export import Algorithm, ExportOptions, Written, export_all
from voxtrace.plugin.layers.display import KEY, ImageSource, LabelSource, label_map_of
from voxtrace.plugin.layers.manual_labels import check_unmoved, geometry_drawn_on
from voxtrace.plugin.layers.timepoints import TimepointsLabels, TimepointsSource
from voxtrace.plugin.models.formats import DICOM_ENDINGS, ending, numbered
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.models.places import review_of
from voxtrace.plugin.models.provenance import ShownLabels, description, record, shown_labels, sidecar, write_record
from voxtrace.plugin.work.events import Cancel
from voxtrace.trace.places import spent_gflop
from voxtrace.volume import Geometry, LabelMap, Volume


@dataclass(frozen=True, eq=False)
class OpenScan:
    """An open scan: its layer's unique id and source."""

    id: str
    source: ImageSource | TimepointsSource

    @property
    def geometry(self) -> Geometry:
        """The scan's geometry."""
        return self.source.volume.geometry


@dataclass(frozen=True, eq=False)
class LabelsToSave:
    """What is saved of a labels layer: label maps by time point (None for a single one) and the id of their scan."""

    labels: Mapping[int | None, LabelMap]
    scan: str = ""
    manual: bool = False


def save(
    path: Path,
    data: Any,
    attributes: Mapping[str, Any],
    scans: Sequence[OpenScan],
    images: Path | None = None,
    shown: ShownLabels | None = None,
) -> Written:
    """Save the labels of a layer that are shown, in the format of the path's suffix.

    Beside a result, and beside what was edited, a file ``NAME.provenance.json`` tells where the labels come from.

    Parameters
    ----------
    path
        For a layer over time, one file is written for each time point that has labels, ``NAME_t003``.
    data, attributes
        The layer's voxels and attributes, as napari gives them.
    scans
        The open scans: they give manual labels their geometry, tables their intensities and DICOM exports their source
        images.
    images
        A folder with the DICOM images that were segmented, for labels without known source images.
    shown
        Which labels of a layer with steps; by default those of the last station.

    Raises
    ------
    OutputError
        The labels' position in the patient is unknown, or the path cannot be written.
    GeometryError
        The labels do not lie on the grid of the images.
    """
    source = layer_source(attributes)
    shown = shown or shown_labels(data, source)
    saved = labels_to_save(data, attributes, scans, shown)
    paths, notes = list[Path](), list[str]()
    for timepoint, labels in saved.labels.items():
        target = path if timepoint is None else numbered(path, timepoint)
        image = image_of(labels.geometry, saved.scan, timepoint, scans)
        written = export_all(labels, target, _options(shown, source, saved.manual, images, image))
        paths.extend(written.paths)
        notes.extend(note for note in written.notes if note not in notes)
    if shown.edits or (source is not None and source.trace is not None):
        name = str(attributes.get("name", "labels"))
        made = record(shown, source, name, tuple(one.name for one in paths))
        write_record(sidecar(path), made | review_of(attributes.get("metadata", {})))
    return Written(tuple(paths), tuple(notes))


def saving(
    path: Path,
    data: Any,
    attributes: Mapping[str, Any],
    scans: Sequence[OpenScan],
    images: Path | None,
    shown: ShownLabels,
    cancel: Cancel,
) -> Generator[JobStage, None, Written]:
    """Run :func:`save` as a job for a thread; it cannot be cancelled, because files are written whole."""
    yield JobStage(f"Saving {path.name} …")
    return save(path, data, attributes, scans, images, shown)


def needs_source_images(path: Path, attributes: Mapping[str, Any], scans: Sequence[OpenScan]) -> bool:
    """Tell whether the format is DICOM and neither the labels nor an open scan know the source images."""
    if ending(path) not in DICOM_ENDINGS:
        return False
    source = layer_source(attributes)
    known = [scan.geometry for scan in scans] + ([source.geometry] if source else [])
    return not any(_has_images(geometry) and (not source or geometry.is_close(source.geometry)) for geometry in known)


def saved_message(written: Written, layer: str, words: str = "") -> str:
    """Return a sentence about what was saved where; ``words`` name the labels that were shown."""
    names = ", ".join(path.name for path in written.paths[:3]) + (", …" if len(written.paths) > 3 else "")
    files = f"{len(written.paths)} files ({names})" if len(written.paths) > 1 else names
    what = f"Saved {f'{words} of ' if words else ''}{layer} as {files} in {written.paths[0].parent}."
    return " ".join((what, *(f"{note[:1].upper()}{note[1:]}" for note in written.notes)))


def _options(
    shown: ShownLabels, source: LabelSource | None, manual: bool, images: Path | None, image: Volume | None
) -> ExportOptions:
    line = description(shown, source)
    made_by = algorithm_of(source)
    return ExportOptions(images, image, manual=manual, edited=shown.is_edited, description=line, algorithm=made_by)


def algorithm_of(source: LabelSource | None) -> Algorithm:
    """Return what computed the labels of a layer, as DICOM records it; nothing known for labels without a trace."""
    trace = source.trace if source is not None else None
    if trace is None:
        return Algorithm()
    return Algorithm.of(trace.provenance, trace.n_steps, trace.step_word, spent_gflop(trace))


def labels_to_save(
    data: Any, attributes: Mapping[str, Any], scans: Sequence[OpenScan], shown: ShownLabels
) -> LabelsToSave:
    """Return the label maps of a layer that are shown, on the grid of their scan.

    Raises
    ------
    OutputError
        Their position in the patient is unknown, the layer was moved, or it has no labels.
    """
    about, name = attributes.get("metadata", {}).get(KEY), str(attributes.get("name", "labels"))
    source = layer_source(attributes)
    if source is None:
        return LabelsToSave(
            {None: label_map_of(data, LabelSource(_drawn_on(np.shape(data), attributes, scans)), name)}, "", True
        )
    try:
        check_unmoved(source.geometry, attributes)
    except GeometryError as error:
        raise OutputError(str(error)) from error
    source = replace(source, geometry=_with_images(source.geometry, scans))
    if not isinstance(about, TimepointsLabels):
        return LabelsToSave({None: label_map_of(data, source, name, shown.station)}, source.scan)
    filled = [timepoint for timepoint in range(len(data)) if timepoint in about.timepoints or np.any(data[timepoint])]
    if not filled:
        raise OutputError(
            f"{name} has no labels at any of its {len(data)} frames; nothing was saved. Draw labels at a frame first."
        )
    return LabelsToSave({timepoint: label_map_of(data[timepoint], source, name) for timepoint in filled}, source.scan)


def layer_source(attributes: Mapping[str, Any]) -> LabelSource | None:
    """Return the source of a labels layer that VoxTrace made, else None."""
    about = attributes.get("metadata", {}).get(KEY)
    if isinstance(about, TimepointsLabels):
        return about.source
    return about if isinstance(about, LabelSource) else None


def _drawn_on(shape: tuple[int, ...], attributes: Mapping[str, Any], scans: Sequence[OpenScan]) -> Geometry:
    try:
        return _with_images(geometry_drawn_on(shape, attributes, [scan.geometry for scan in scans]), scans)
    except GeometryError as error:
        raise OutputError(str(error)) from error


def _with_images(geometry: Geometry, scans: Sequence[OpenScan]) -> Geometry:
    """Return a geometry with the DICOM images of the open scan at the same position, where it has none itself."""
    if _has_images(geometry):
        return geometry
    return next((s.geometry for s in scans if _has_images(s.geometry) and s.geometry.is_close(geometry)), geometry)


def _has_images(geometry: Geometry) -> bool:
    return isinstance(geometry.stored, DicomGrid) and bool(geometry.stored.sources)


def image_of(geometry: Geometry, scan: str, timepoint: int | None, scans: Sequence[OpenScan]) -> Volume | None:
    """Return the image of the scan that labels belong to, else of the first open scan at the same position."""
    fitting = [one for one in scans if one.geometry.is_close(geometry)]
    chosen = next((one for one in fitting if one.id == scan), next(iter(fitting), None))
    if chosen is None:
        return None
    source = chosen.source
    if isinstance(source, TimepointsSource):
        return source.at(timepoint).volume if timepoint is not None else None
    channel = slice(source.channel, source.channel + 1)
    return replace(source.volume, data=source.volume.data[channel], channels=())
