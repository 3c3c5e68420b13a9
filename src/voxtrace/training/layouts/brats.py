"""BraTS: a folder for each case with ``<case>-t1n``, ``-t1c``, ``-t2w``, ``-t2f`` and ``-seg`` (since 2023).

Or, before, ``<case>_t1``, ``_t1ce``, ``_t2``, ``_flair`` and ``_seg``, where the enhancing tumour has the value 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxtrace.errors import DatasetError
from voxtrace.io.suffixes import folder_name, stem_of, suffix_of
from voxtrace.training.layouts.found import FoundCase, FoundDataset
from voxtrace.training.layouts.raw import hidden_files

_NEW, _OLD = ("t1n", "t1c", "t2w", "t2f"), ("t1", "t1ce", "t2", "flair")
_CHANNELS = ("T1", "T1ce", "T2", "FLAIR")
_SEG = "seg"
_NAMES = (("background", 0), ("necrotic core", 1), ("edema", 2))


def is_brats(folder: Path) -> bool:
    """Tell whether some folder in this one, or in one of its folders (HGG, LGG), holds files with BraTS names."""
    return next(_cases(folder), None) is not None


def read_brats(folder: Path) -> FoundDataset:
    """Return the cases of a folder with BraTS names; a case may lack files.

    Raises
    ------
    DatasetError
        Cases have names of both generations, whose labels differ.
    """
    found = dict(_cases(folder))
    kinds = {separator for _, separator, _ in found.values()}
    if len(kinds) > 1:
        raise DatasetError(
            f"{folder} mixes file names such as -t1n and _t1; the enhancing tumour is 3 in one and 4 in the other. "
            "Keep the two in folders of their own."
        )
    enhancing = 3 if kinds == {"-"} else 4
    endings = [ending for _, _, ending in found.values()]
    cases = [_case(inner, *where) for inner, where in found.items()]
    return FoundDataset(
        "brats",
        folder,
        folder,
        folder_name(folder),
        _CHANNELS,
        (*_NAMES, ("enhancing tumour", enhancing)),
        tuple(cases),
        ending=max(set(endings), key=endings.count),
        hidden=tuple(file for inner in found for file in hidden_files(inner)),
    )


def _cases(folder: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the folder of each case, and its files' beginning, separator and ending."""
    for inner in sorted((*folder.glob("*/"), *folder.glob("*/*/"))):
        if not inner.name.startswith("."):
            begun = next((found for file in sorted(inner.iterdir()) if (found := _begun(file))), None)
            if begun:
                yield inner, begun


def _begun(file: Path) -> tuple[str, str, str] | None:
    """Return what a file's name has before its modality, and the separator and ending; None for other names."""
    stem = stem_of(file)
    for separator, names in (("-", _NEW), ("_", _OLD)):
        begin, _, last = stem.rpartition(separator)
        if begin and last.lower() in names and suffix_of(file) and not stem.startswith("."):
            return begin, separator, suffix_of(file)
    return None


def _case(inner: Path, begin: str, separator: str, ending: str) -> FoundCase:
    names = _NEW if separator == "-" else _OLD
    files = {name: inner / f"{begin}{separator}{name}{ending}" for name in (*names, _SEG)}
    return FoundCase(begin, tuple(files[name] for name in names), files[_SEG])
