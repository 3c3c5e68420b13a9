"""Find cases among files and folders, and name them.

What counts as one case::

    scan.nii.gz                    a file
    scan_0000.nii.gz … _0003       files of one stem, numbered by channel (nnU-Net's names)
    study/*.dcm                    a folder of DICOM files
    cohort/                        a folder of any of these; folders inside it are looked into when they hold DICOM
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtrace.errors import ReadError, UsageError
from voxtrace.io.suffixes import SUFFIXES, is_dicom, stem_of, suffix_of
from voxtrace.volume import Volume

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
    """

    name: str
    paths: tuple[Path, ...]

    def read(self) -> Volume:
        """Return the volume, channels stacked in order.

        Raises
        ------
        ReadError
            When a numbered channel file is missing, or a file is not a volume.
        """
        from voxtrace.io import read

        self._check_numbers()
        return read(self.paths[0] if len(self.paths) == 1 else self.paths)

    def _check_numbers(self) -> None:
        found = [int(m["channel"]) for path in self.paths if (m := _NUMBERED.fullmatch(stem(path)))]
        if len(self.paths) > 1 and found != list(range(len(self.paths))):
            listed = ", ".join(f"{n:04d}" for n in found)
            raise ReadError(f"case {self.name} has channel files {listed}; expected numbers from 0000 without gaps.")


def find_cases(inputs: Sequence[Path], channels: int = 1) -> tuple[CaseInput, ...]:
    """Return the cases among ``inputs`` (files and folders), in the order given and by name inside a folder.

    A file given twice counts once. Files numbered ``_0000`` and up are grouped when ``channels`` is more than 1; with
    one channel only the number ``_0000`` is dropped from the name.

    Raises
    ------
    UsageError
        When an input does not exist, or two cases have the same name.
    ReadError
        When a folder holds no volume.
    """
    files = [path for given in inputs for path in _volumes_in(given)]
    cases = _grouped({path.resolve(): path for path in files}.values(), channels)
    _refuse_same_names(cases)
    return cases


def stem(path: Path) -> str:
    """Return the name of a file without the suffix of its format, or the name of a folder."""
    return path.resolve().name if path.is_dir() else stem_of(path)


def holds_dicom(folder: Path) -> bool:
    """Tell whether any file directly in ``folder`` is DICOM."""
    return any(is_dicom(path) for path in sorted(folder.iterdir()) if path.is_file())


def _volumes_in(given: Path) -> list[Path]:
    if not given.exists():
        raise UsageError(f"input {given} does not exist; give a file, a DICOM folder or a folder of these.")
    if not given.is_dir():
        return [given]
    inside = [p for p in sorted(given.iterdir()) if not p.name.startswith(".")]
    volumes = [p for p in inside if p.is_file() and suffix_of(p)]
    if not volumes and holds_dicom(given):
        volumes = [given]
    studies = [p for p in inside if p.is_dir() and holds_dicom(p)]
    if not volumes and not studies:
        raise ReadError(f"folder {given} holds no volume; expected {', '.join(SUFFIXES)} or DICOM files in it.")
    return volumes + studies


def _grouped(files: Iterable[Path], channels: int) -> tuple[CaseInput, ...]:
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        name, number = _name_and_number(path, channels)
        key = (path.parent.resolve(), name if number else str(path))
        groups.setdefault(key, []).append(path)
    return tuple(CaseInput(_name_and_number(g[0], channels)[0], tuple(sorted(g))) for g in groups.values())


def _name_and_number(path: Path, channels: int) -> tuple[str, str]:
    """Return the case name and the channel number, ``""`` where the name has none that counts."""
    match = None if path.is_dir() else _NUMBERED.fullmatch(stem(path))
    if match and channels > 1:
        return match["stem"], match["channel"]
    if match and match["channel"] == "0000":
        return match["stem"], ""
    return stem(path), ""


def _refuse_same_names(cases: Iterable[CaseInput]) -> None:
    first: dict[str, CaseInput] = {}
    for case in cases:
        other = first.setdefault(case.name.casefold(), case)
        if other is not case:
            raise UsageError(
                f"{other.paths[0]} and {case.paths[0]} would both be called {case.name!r}; "
                "rename one, or predict them into different folders."
            )
