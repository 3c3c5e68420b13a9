"""Files -> Volume and LabelMap in canonical orientation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.described import open_described, opened
from voxtrace.io.dicom import channels_of, find_series, in_words, kind_of, named, stack_series
from voxtrace.io.dicom import load as load_dicom
from voxtrace.io.integrity import check_finite, check_regular, count_bad
from voxtrace.io.itk import grid_of, simpleitk
from voxtrace.io.names import from_xml
from voxtrace.io.nifti import read_header
from voxtrace.io.segment_layers import read_label_image
from voxtrace.io.stored_image import read_stored_image
from voxtrace.io.suffixes import (
    NIFTI,
    ZARR,
    folder_name,
    foreign_format,
    is_archive,
    is_dicom,
    is_voxels_beside,
    is_zarr,
    listed,
    stem_of,
    suffix_of,
)
from voxtrace.io.timepoints import count_timepoints as count_volumes
from voxtrace.io.turning import turned
from voxtrace.io.whole_labels import whole_labels
from voxtrace.passport import Finding, Passport
from voxtrace.safe_text import well_formed
from voxtrace.volume import DEMONSTRATION, Array, Geometry, Grid, LabelMap, Volume

_NNUNET_CHANNEL = re.compile(r"_\d{4}$")


def read(path: str | Path | Sequence[str | Path], frame: int | None = None, channels: int = 1) -> Volume:
    """Return the volume in a file or DICOM folder, in canonical orientation.

    Parameters
    ----------
    path
        A file in a format of :mod:`voxtrace.io.formats`; a folder with one DICOM series; one file of a series; an
        OME-Zarr folder; a zip archive with one of these; or several paths, whose volumes become the channels (C) of
        one.
    frame
        Which frame of a file with time as its fourth dimension, from 0; see :func:`count_timepoints`.
    channels
        How many channels are wanted: where one file holds as many volumes and no frame is chosen, these are the
        channels.

    Returns
    -------
    Volume
        ``data`` (C, Z, Y, X) in the file's own number type, float64 as float32. The name is that of the file or
        folder, for several files without nnU-Net's ``_0000``, with ``_t003`` for frame 3 of several. ``passport``
        lists what was checked and corrected.

    Raises
    ------
    ReadError
        When there is no such file or frame, or it holds no complete, finite, scalar volume that its header places
        somewhere; and when it has several frames and none was chosen.
    GeometryError
        When several files lie on different grids.
    """
    if isinstance(path, (str, Path)):
        return _read_channels(Path(path), channels) if frame is None else _read_one(Path(path), frame)
    volumes = [_read_one(Path(p), frame) for p in path]
    if not volumes:
        raise ReadError("an empty list of files was given; expected at least one, a file for each channel.")
    if len(volumes) == 1:
        return volumes[0]
    stacked = Volume.stack(volumes)
    passport = Passport(tuple(dict.fromkeys(finding for v in volumes for finding in v.passport.findings)))
    return replace(stacked, name=_NNUNET_CHANNEL.sub("", stacked.name), passport=passport)


def count_timepoints(path: str | Path) -> int:
    """Return how many time points a file holds, from its header; 1 for DICOM, whose time points are series.

    Raises
    ------
    ReadError
        When there is no such file, or it is no scalar volume of three or four dimensions.
    """
    path = Path(path)
    with _readable(path), opened(path) as meant:
        return _timepoints_in(meant)


def read_labels(path: str | Path, frame: int | None = None) -> LabelMap:
    """Return the label map in a file, in canonical orientation, with the names and colours the file carries.

    Names come from the label table in a NIfTI header (as VoxTrace, TotalSegmentator and Connectome Workbench write
    it), from 3D Slicer's segment keys in NRRD and MetaImage files, from the segments of a DICOM-SEG, from the colour
    table in a FreeSurfer volume, or from the properties of OME-Zarr labels. ``frame`` picks one of several over time.

    Raises
    ------
    ReadError
        When the file cannot be read, or holds anything but whole numbers from 0 to 65535.
    """
    from voxtrace.io.export.read_rtstruct import is_rtstruct, read_rtstruct
    from voxtrace.io.export.readseg import is_seg, read_seg

    path = Path(path)
    if not suffix_of(path) and path.is_file() and is_seg(path):
        return read_seg(path)
    if not suffix_of(path) and is_rtstruct(path):
        return read_rtstruct(path)
    with _readable(path), opened(path) as meant:
        _check_volume_file(meant)
        stored = read_label_image(meant, frame)
    canonical = np.ascontiguousarray(stored.grid.layout.to_canonical(whole_labels(stored.array, path)))
    try:
        note = DEMONSTRATION if stored.description == DEMONSTRATION else ""
        geometry = Geometry.from_grid(stored.grid)
        return LabelMap(canonical, geometry, stored.names, stored.colours, stem_of(path), note)
    except GeometryError as error:
        raise ReadError(f"{path} is not a label map: {error}") from error


def label_names(path: str | Path) -> dict[int, str]:
    """Return the names of labels that a file carries in its header; the voxels are left alone.

    Empty when it names none.
    """
    path = Path(path)
    with _readable(path), opened(path) as meant:
        if _is_series(meant):
            return {}
        _check_volume_file(meant)
        if suffix_of(meant) in NIFTI:
            return from_xml(read_header(meant).extensions)[0]
        return dict(open_described(meant).names)


def read_study(folder: str | Path, channels: Sequence[str], series: Sequence[str] = ()) -> Volume:
    """Return DICOM series of one study as the channels (C) of a volume, on the grid of the first.

    Parameters
    ----------
    folder
        A folder with DICOM series, in it or in folders below.
    channels
        A name for each channel, in order. What each is, e.g. ``flair`` or ``t1ce``, is identified by modality,
        description and contrast agent.
    series
        By hand: name, number or description of the series for each channel, as ``voxtrace inspect`` lists them.

    Raises
    ------
    ReadError
        When a channel fits no series or several, or one cannot be opened.
    GeometryError
        When the series lie in different frames of reference.
    """
    folder = Path(folder)
    with _readable(folder):
        found = find_series(folder)
        if series and len(series) != len(channels):
            raise ReadError(
                f"{len(series)} series were named for {len(channels)} channels; name one for each, in order."
            )
        chosen = tuple(named(found, one, folder) for one in series) or channels_of(found, channels)
        if isinstance(chosen, str):
            raise ReadError(f"{folder}: {chosen}")
        return replace(stack_series(chosen, channels), name=well_formed(folder_name(folder)))


def from_sitk(image: Any, name: str = "volume") -> Volume:
    """Return a three-dimensional scalar SimpleITK image as a volume in canonical orientation.

    Raises
    ------
    ReadError
        When the image has another number of dimensions, several numbers a voxel, or NaN or infinite voxels.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ReadError(
            f"the image {name} has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} "
            "number(s) a voxel; expected 3 and 1. Extract one volume first."
        )
    array = simpleitk().GetArrayFromImage(image)
    _check_finite(array, Path(name))
    return _canonical(array, grid_of(image), name)


def _timepoints_in(meant: Path) -> int:
    if _is_series(meant):
        return 1
    _check_volume_file(meant)
    if suffix_of(meant) in NIFTI:
        header = read_header(meant).header
        return count_volumes(header.sizes, header.components, "", meant)
    return open_described(meant).timepoints


def _read_channels(path: Path, channels: int) -> Volume:
    """Return the volumes of a file as channels where there are as many; else the only volume of a file."""
    if channels == 1 or (path.is_dir() and not is_zarr(path)):
        return _read_one(path, None)
    with _readable(path), opened(path) as meant:  # an archive is unpacked once
        count = _timepoints_in(meant)
        if count == 1:
            return _read_opened(meant, path, None)
        if count != channels:
            raise ReadError(
                f"{path} holds {count} volumes (its fourth dimension) where {channels} channels are expected. Give a "
                "file with one volume for each channel, a file for each channel, or choose a time point by `--frame N`."
            )
        volumes = [_read_opened(meant, path, number) for number in range(count)]
    found = Finding("channels", "fine", f"the {count} volumes of the file, in order")
    findings = [one for volume in volumes for one in volume.passport.findings if one.what != "frames"]
    passport = Passport((*dict.fromkeys(findings), found))
    return replace(Volume.stack(volumes), name=stem_of(path), passport=passport)


def _read_one(path: Path, frame: int | None) -> Volume:
    with _readable(path), opened(path) as meant:
        return _read_opened(meant, path, frame)


def _read_opened(meant: Path, path: Path, frame: int | None) -> Volume:
    """Return the volume in what :func:`voxtrace.io.described.opened` found for a path."""
    if _is_series(meant):
        volume = _read_dicom(meant, frame)
        return _without_files(volume, stem_of(path)) if is_archive(path) else volume
    _check_volume_file(meant)
    stored = read_stored_image(meant, frame)
    name = stem_of(path) if stored.timepoints == 1 else f"{stem_of(path)}_t{frame or 0:03d}"
    return _canonical(stored.array, stored.grid, name, stored.passport)


def _read_dicom(path: Path, frame: int | None) -> Volume:
    if frame:
        raise ReadError(
            f"{path} is DICOM, whose time points are read as series of their own, so it has no frame {frame}. "
            "Point at one file of the time point that is wanted."
        )
    series = load_dicom(path)
    _check_finite(series.array, path)
    volume = _canonical(series.array, series.grid, series.name, series.passport)
    return replace(volume, modality=series.modality)


def _without_files(volume: Volume, name: str) -> Volume:
    """Return a volume that remembers no source images, whose files were unpacked and are gone."""
    grid = volume.geometry.grid
    plain = Grid(grid.size, grid.spacing_mm, grid.origin_mm, grid.direction)
    return replace(volume, geometry=Geometry.from_grid(plain), name=name)


def _canonical(array: Array, grid: Grid, name: str, passport: Passport | None = None) -> Volume:
    return Volume(
        turned(array, grid.layout)[np.newaxis], Geometry.from_grid(grid), name=name, passport=passport or Passport()
    )


def _is_series(path: Path) -> bool:
    if path.is_dir():
        return not is_zarr(path)
    return path.is_file() and not suffix_of(path) and is_dicom(path)


def _check_volume_file(path: Path) -> None:
    if is_zarr(path):
        return
    if path.is_dir():
        raise ReadError(f"{path} is a folder; expected a file ending in {listed()}.")
    if not path.exists():
        raise ReadError(f"{path} does not exist; check the path.")
    check_regular(path)
    if suffix_of(path) in ZARR:
        raise ReadError(f"{path} is a file, though its name says OME-Zarr, which is a folder; check the file.")
    if not suffix_of(path):
        kind = kind_of(path) if is_dicom(path) else ""
        if kind:
            raise ReadError(f"{path} is {in_words(kind)}; expected a file ending in {listed()}, or a DICOM series.")
        if is_voxels_beside(path):
            raise ReadError(
                f"{path} holds the voxels of a scan in two files, and no header of its name lies beside it; copy both "
                "files together."
            )
        foreign, remedy = foreign_format(path)
        if foreign:
            raise ReadError(f"{path} is {foreign}, which is not read; expected {listed()}. Convert it with {remedy}.")
        raise ReadError(f"{path} is not a volume; expected a file ending in {listed()}, or a DICOM series.")


def _check_finite(array: Array, path: Path) -> None:
    if np.issubdtype(array.dtype, np.floating):
        check_finite(count_bad(array), array.size, path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the system's error into one sentence."""
    try:
        yield
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror or error}; check the path and permissions.") from error
