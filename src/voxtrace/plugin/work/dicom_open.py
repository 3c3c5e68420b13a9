"""Find the DICOM series at a path, and open them as layers; no window, no engine."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtrace.errors import Cancelled, ReadError
from voxtrace.io.child.guarded import find_series, stack_series, thumbnail
from voxtrace.io.dicom import Series
from voxtrace.io.suffixes import folder_name, is_dicom, is_dicomdir, is_zarr, suffix_of
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.models.series_rows import channel_names
from voxtrace.plugin.work.events import Cancel
from voxtrace.volume import Volume


@dataclass(frozen=True)
class Study:
    """The series that a user selected; ``name`` is that of their folder."""

    name: str
    series: tuple[Series, ...]

    @property
    def only(self) -> Series | None:
        """The only series, where there is nothing to choose; else None."""
        return self.series[0] if len(self.series) == 1 and self.series[0].usable else None


@dataclass(frozen=True, eq=False)
class SeriesThumbnail:
    """The thumbnail (rows, columns) of the series ``index``; None where its pixels cannot be decoded."""

    index: int
    grey: npt.NDArray[np.uint8] | None
    keep: bool = True


@dataclass(frozen=True, eq=False)
class OpenedLayers:
    """The layers of one scan, ready to be added to a viewer."""

    layers: tuple[display.LayerData, ...]
    keep: bool = True


def study_at(paths: Sequence[Path]) -> Study | None:
    """Return the series of a DICOM folder, or those that DICOM files belong to; None where the paths are not DICOM.

    Files stand for the series they belong to; where it cannot be opened, or there are several, all series of the folder
    are returned.

    Raises
    ------
    ReadError
        When a DICOM header cannot be read.
    """
    if len(paths) == 1 and paths[0].is_dir() and not is_zarr(paths[0]):
        found = find_series(paths[0])
        return Study(folder_name(paths[0]), found) if found else None
    if not all(path.is_file() and not suffix_of(path) and is_dicom(path) for path in paths):
        return None
    folder, pointed = paths[0].parent, set(paths)
    found = find_series(folder)
    meant = tuple(one for one in found if any(slice_.path in pointed for slice_ in one.slices))
    if not meant and not any(is_dicomdir(path) for path in paths):
        return None
    return Study(folder_name(folder), meant if len(meant) == 1 and meant[0].usable else found)


def thumbnails(
    series: Sequence[Series], indices: Sequence[int], cancel: Cancel
) -> Generator[SeriesThumbnail, None, None]:
    """Yield the thumbnails of the series with these indices."""
    for index in indices:
        if cancel():
            raise Cancelled("stopped.")
        try:
            yield SeriesThumbnail(index, thumbnail(series[index]))
        except ReadError:  # the thumbnail is optional; opening the series reports the error
            yield SeriesThumbnail(index, None)


def open_each(study: Study, chosen: Sequence[Series], cancel: Cancel) -> Generator[JobStage | OpenedLayers, None, int]:
    """Yield the layers of each chosen series as a scan of its own; return how many there are."""
    for done, one in enumerate(chosen):
        yield JobStage(f"Reading {one.title} …", done, len(chosen))
        if cancel():
            raise Cancelled("stopped.")
        yield OpenedLayers(series_layers(one, several=len(study.series) > 1))
    return len(chosen)


def open_stacked(
    study: Study, chosen: Sequence[Series], cancel: Cancel
) -> Generator[JobStage | OpenedLayers, None, int]:
    """Yield the chosen series as the channels of one scan, on the grid of the first; return how many channels."""
    yield JobStage(f"Reading {len(chosen)} series onto one grid …")
    volume = stack_series(chosen, channel_names(chosen))
    if cancel():
        raise Cancelled("stopped.")
    yield OpenedLayers(tuple(display.image_layers(replace(volume, name=study.name))))
    return len(chosen)


def series_layers(one: Series, several: bool = False) -> tuple[display.LayerData, ...]:
    """Return the layers of one series; of several in a folder, its description goes into the layer's name.

    Raises
    ------
    ReadError
        When it cannot be opened.
    """
    volume: Volume = stack_series([one])
    [(data, about, kind)] = display.image_layers(volume)
    described = " · ".join(filter(None, (volume.name, one.description if several else "")))
    return ((data, about | {"name": described}, kind),)
