"""All steps of a prediction as DICOM: a label map segmentation for each, and parametric maps beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from voxtrace.atomic import atomic_folder
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.export import dicomseg, parametric_map
from voxtrace.io.export.find_source_series import onto
from voxtrace.io.export.on_grid import ScalarMap
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.sources import match
from voxtrace.volume import LabelMap


def export_steps(
    steps: Sequence[LabelMap] | Iterable[LabelMap],
    values: Sequence[int],
    folder: str | Path,
    options: ExportOptions,
    maps: Iterable[ScalarMap] = (),
) -> Written:
    """Write label maps of successive steps into a new folder as DICOM, and return the files with notes.

    ``step_01.seg.dcm`` … are label map segmentations (DICOM 2024) of one series, in which a label has the same number,
    colour and tracking UID at each step; ``<name>.map.dcm`` are parametric maps. The folder appears whole or not at
    all.

    Parameters
    ----------
    steps
        Label maps on one grid, the first step first.
    values
        The labels that occur at any step, without the background.
    folder
        A folder that does not exist, or is empty.
    options
        Source images and algorithm; ``algorithm.steps`` is how many steps there are.
    maps
        Numbers for each voxel, on the grid of the label maps.

    Raises
    ------
    OutputError
        When the folder holds something, no label occurs, the source images are not known, or a file read back differs.
    GeometryError
        When the label maps are not on the grid of their source images.
    """
    from highdicom import UID

    folder = Path(folder)
    _check_free(folder)
    if not values:
        raise OutputError(f"{folder}: no step holds a label, so there is nothing to write.")
    tracking = {value: str(UID()) for value in values}
    options = replace(options, seg="labelmap", tracking=tracking, series_uid=str(UID()))
    names: list[str] = []
    notes: dict[str, None] = {}
    with atomic_folder(folder) as temporary:
        for written in _written(steps, temporary, options, maps):
            names += [path.name for path in written.paths]
            notes |= dict.fromkeys(written.notes)
    return Written(tuple(folder / name for name in names), tuple(notes))


def _written(
    steps: Iterable[LabelMap], folder: Path, options: ExportOptions, maps: Iterable[ScalarMap]
) -> Iterable[Written]:
    iterator = iter(steps)
    first = next(iterator, None)
    if first is None:
        raise OutputError(f"{folder.name}: there is no step to write; expected at least one label map.")
    array, sources = match(first, options.source)
    digits = max(2, len(str(options.algorithm.steps or 0)))
    for number, labels in enumerate(_chain(first, iterator), 1):
        found = array if number == 1 else onto(labels, sources.grid)
        if found is None:
            raise GeometryError(f"step {number} lies on another grid than step 1; expected one grid for all steps.")
        algorithm = replace(options.algorithm, step=number)
        path = folder / f"step_{number:0{digits}d}.seg.dcm"
        yield dicomseg.write_matched(labels, found, sources, path, replace(options, algorithm=algorithm))
    for item in maps:
        found = onto(item, sources.grid)
        if found is None:
            raise GeometryError(f"the map {item.name} lies on another grid than the steps; expected the same.")
        path = folder / f"{_file_name(item.name)}.map.dcm"
        stored = replace(item, data=parametric_map.stored(found, path))
        yield parametric_map.write_matched(stored, sources, path, replace(options, series_uid=""))


def _chain(first: LabelMap, others: Iterable[LabelMap]) -> Iterable[LabelMap]:
    yield first
    yield from others


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:100] or "map"


def _check_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists already; name a new folder for the steps.")
