"""Find cases among files and folders, and name them.

What counts as one case::

    scan.nii.gz                    a file, or an OME-Zarr folder
    scan_0000.nii.gz … _0003       files of one stem, numbered by channel (nnU-Net's names)
    study/*.dcm                    a folder with DICOM files in it or in its subfolders: one series, or, for a model of
                                   several channels, a series for each channel
    cohort/                        a folder of any of these
    study.zip                      an archive with one of these in it
    film.nii.gz                    a file with several time points: the chosen one, or a case for each
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from voxtrace.batch.ledger import NAME as LEDGER
from voxtrace.errors import ReadError, UsageError, VoxTraceError
from voxtrace.io.foreign.partner_files import header_or_same
from voxtrace.io.suffixes import folder_name, is_archive, is_dicom, is_named_dicom, is_zarr, listed, stem_of, suffix_of
from voxtrace.safe_text import well_formed
from voxtrace.volume import Volume

_RESULT_SUFFIXES = (".trace", ".work")
_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<channel>\d{4})")


@dataclass(frozen=True)
class CaseInput:
    """One case as it lies on disk.

    Attributes
    ----------
    name
        What its outputs are called.
    paths
        A file for each channel in order, one file with all channels, or one DICOM folder.
    timepoint
        Which time point of each file, from 0; None where it has only one.
    channels
        Names of the channels, where each is a series of a DICOM folder.
    series
        The series for each channel, by name, number or description, where the user chose them.
    wanted
        How many channels a single file is to have.
    anonymous
        Whether ``name`` was made up, and no name of a file or folder may come into outputs and messages.
    """

    name: str
    paths: tuple[Path, ...]
    timepoint: int | None = None
    channels: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    wanted: int = 1
    anonymous: bool = False

    def read(self) -> Volume:
        """Return the volume, channels stacked in order.

        Raises
        ------
        ReadError
            A numbered channel file is missing, a file is not a volume or has no such time point, or no series fits a
            channel.
        """
        from voxtrace.io.child.guarded import read, read_study

        self._check_numbers()
        if self.channels:
            return read_study(self.paths[0], self.channels, self.series)
        return read(self.paths[0] if len(self.paths) == 1 else self.paths, self.timepoint, self.wanted)

    def choice(self) -> dict[str, Any]:
        """Return what was chosen of the files, as JSON values."""
        return {"timepoint": self.timepoint, "series": list(self.series)}

    def _check_numbers(self) -> None:
        found = [int(m["channel"]) for path in self.paths if (m := _NUMBERED.fullmatch(stem(path)))]
        if len(self.paths) > 1 and found != list(range(len(self.paths))):
            listed = ", ".join(f"{n:04d}" for n in found)
            raise ReadError(f"case {self.name} has channel files {listed}; expected numbers from 0000 without gaps.")


def find_cases(
    inputs: Sequence[Path],
    channels: Sequence[str] = ("image",),
    timepoint: int | Literal["all"] | None = None,
    series: Sequence[str] = (),
) -> tuple[CaseInput, ...]:
    """Return the cases among ``inputs`` (files and folders), in the order given and by name inside a folder.

    A file given twice counts once. Files numbered ``_0000`` and up are grouped when there are several ``channels``
    (their names); with one channel only the number ``_0000`` is dropped from the name. ``timepoint`` chooses one of
    files whose fourth dimension is time, counted from 0; ``"all"`` makes a case of each, called ``film_t003``.
    ``series`` names the DICOM series for each channel; without it, they are found by their headers.

    Raises
    ------
    UsageError
        An input does not exist, or two cases have the same name.
    ReadError
        A folder holds no volume.
    """
    files = [path for given in inputs for path in _volumes_in(given, len(channels))]
    # a file given by two spellings of its path is one case
    cases = _grouped({_place(path): path for path in files}.values(), len(channels))
    if len(channels) > 1 or series:
        cases = tuple(_with_series(case, channels, series) for case in cases)
    cases = tuple(replace(case, wanted=len(channels)) for case in cases)
    if timepoint is not None:
        cases = tuple(one for case in cases for one in _at_timepoints(case, timepoint))
    _refuse_same_names(cases)
    return cases


def stem(path: Path) -> str:
    """Return the name of a file or an OME-Zarr folder without the suffix of its format, or the name of a folder."""
    return well_formed(folder_name(path)) if path.is_dir() and not is_zarr(path) else stem_of(path)


def holds_dicom(folder: Path, *, below: bool = False) -> bool:
    """Return whether a file directly in ``folder`` is DICOM, or also one in folders ``below`` it, except results.

    One that is only named like DICOM counts, too: damaged images are a case that fails, not none.
    """
    inside = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    if any(_is_readable_dicom(path) for path in inside):
        return True
    # links are not followed, as when the study is read: they may lead upwards
    folders = (p for p in inside if not p.is_symlink() and p.is_dir() and _is_searched(p)) if below else ()
    return any(holds_dicom(p, below=True) for p in folders)


def holds_results(folder: Path) -> bool:
    """Return whether VoxTrace writes into a folder, which is then no input: a trace, or the results of a batch."""
    try:
        return folder.suffix in _RESULT_SUFFIXES or (folder / LEDGER).is_file()
    except OSError:  # a folder that cannot be opened, as its case will tell
        return False


def _is_searched(folder: Path) -> bool:
    return not holds_results(folder) and not is_zarr(folder)


def _is_readable_dicom(path: Path) -> bool:
    try:
        return path.is_file() and not suffix_of(path) and (is_dicom(path) or is_named_dicom(path))
    except OSError:  # one file that cannot be read does not hide the others
        return False


def _volumes_in(given: Path, channels: int) -> list[Path]:
    if not given.exists():
        raise UsageError(f"input {given} does not exist; give a file, a DICOM folder or a folder of these.")
    if not given.is_dir() or is_zarr(given):
        return [header_or_same(given)]
    # hidden files are temporary files of this and other programs
    inside = [p for p in sorted(given.iterdir()) if not p.name.startswith(".")]
    volumes = [p for p in inside if is_zarr(p) or _is_volume_file(p)]
    # files beside DICOM images are cases of their own, never instead of the series
    if volumes and holds_dicom(given):
        return [*volumes, given]
    if not volumes and holds_dicom(given):
        return [given]
    # folders are searched for DICOM in depth, but only the folder itself for other volumes
    studies = [p for p in inside if _is_searched(p) and _is_study(p)]
    if not volumes and not studies:
        raise ReadError(f"folder {given} holds no volume; expected {listed()} or DICOM files in it.")
    return [given] if not volumes and _are_parts(studies, channels) else volumes + studies


def _is_volume_file(path: Path) -> bool:
    """Return whether a path is a volume or an archive by name, or one that cannot be looked at, as its case says."""
    try:
        if not suffix_of(path):
            return is_archive(path)
        return path.is_file() or (path.is_symlink() and not path.exists())
    except OSError:
        return True


def _is_study(path: Path) -> bool:
    """Return whether a path is a folder with DICOM in it, or one that cannot be opened: a case to say so."""
    try:
        return path.is_dir() and holds_dicom(path, below=True)
    except OSError:
        return not suffix_of(path)


def _are_parts(folders: Sequence[Path], channels: int) -> bool:
    """Return whether no folder has a series for each channel: together they are one case."""
    if channels == 1:
        return False
    return all(_usable_series(folder) < channels for folder in folders)


def _usable_series(folder: Path) -> int:
    """Return how many series of a folder can be opened; 0 where it cannot be read, which its case will say."""
    from voxtrace.io.child.guarded import find_series

    try:
        return sum(series.usable for series in find_series(folder))
    except (OSError, VoxTraceError):
        return 0


def _with_series(case: CaseInput, channels: Sequence[str], series: Sequence[str]) -> CaseInput:
    """Return the case of a DICOM folder with its channels and their series; others unchanged."""
    if len(case.paths) > 1 or not case.paths[0].is_dir() or is_zarr(case.paths[0]):
        return case
    return replace(case, channels=tuple(channels), series=tuple(series))


def _place(path: Path) -> Path:
    """Return where a path lies, however it is spelled; a link has a place of its own, whatever it leads to."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def _grouped(files: Iterable[Path], channels: int) -> tuple[CaseInput, ...]:
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        name, number = _name_and_number(path, channels)
        # only numbered files of one folder and stem share a key
        key = (path.parent.resolve(), name if number else str(path))
        groups.setdefault(key, []).append(path)
    return tuple(CaseInput(_name_and_number(g[0], channels)[0], tuple(sorted(g))) for g in groups.values())


def _name_and_number(path: Path, channels: int) -> tuple[str, str]:
    """Return the case name and the channel number; ``""`` where the name has no channel number."""
    match = None if path.is_dir() and not is_zarr(path) else _NUMBERED.fullmatch(stem(path))
    if match and channels > 1:
        return match["stem"], match["channel"]
    # nnU-Net numbers the only channel of a case, too
    if match and match["channel"] == "0000":
        return match["stem"], ""
    return stem(path), ""


def _at_timepoints(case: CaseInput, timepoint: int | Literal["all"]) -> list[CaseInput]:
    """Return a case for each time point that is wanted; a file with one time point stays as it is."""
    from voxtrace.io.child.guarded import count_timepoints

    try:
        many = count_timepoints(case.paths[0])
    except ReadError:  # one file that cannot be read does not end the others; its case will say why
        return [case]
    wanted = range(many) if timepoint == "all" else (timepoint,)
    if many == 1 and 0 in wanted:
        return [case]
    return [replace(case, name=f"{case.name}_t{one:03d}", timepoint=one) for one in wanted]


def _refuse_same_names(cases: Iterable[CaseInput]) -> None:
    # some file systems do not distinguish upper and lower case
    first: dict[str, CaseInput] = {}
    for case in cases:
        other = first.setdefault(case.name.casefold(), case)
        if other is not case:
            raise UsageError(
                f"{other.paths[0]} and {case.paths[0]} would both be called {case.name!r}; "
                "rename one, or predict them into different folders."
            )
