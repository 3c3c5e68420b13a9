"""What the outputs of a batch do not tell: names of files that may name a patient, and words of other series."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from voxtrace.atomic import atomic_file
from voxtrace.batch.cases import CaseInput, stem
from voxtrace.errors import ReadError, VoxTraceError
from voxtrace.io.suffixes import TEXT, is_archive, stem_of, suffix_of
from voxtrace.passport import Passport
from voxtrace.safe_text import well_formed
from voxtrace.volume import Volume

_COLUMNS = ("case", "name", "input")
_SHORTEST = 3  # letters of a name that are replaced wherever they occur
_SHORTEST_NUMBER = 5  # digits of one
_CUT = (80,)  # letters of a name that messages quote at most


def names_file(out: Path) -> Path:
    """Return the table that says which anonymous case is which; it lies beside the output folder, not in it."""
    return out.absolute().with_name(f"{out.absolute().name}.names.csv")


def with_anonymous_names(cases: Sequence[CaseInput], out: Path) -> tuple[CaseInput, ...]:
    """Return the cases called ``case_0001`` and up, and write which is which into :func:`names_file`.

    A case that has a name there keeps it, so that ``--resume`` finds it again.

    Raises
    ------
    ReadError
        The table cannot be read.
    OutputError
        It cannot be written.
    """
    table = names_file(out)
    known = _read(table)
    numbers = iter(range(1, len(known) + len(cases) + 1))
    taken = set(known.values())
    for case in cases:
        if _key(case) not in known:
            known[_key(case)] = next(name for n in numbers if (name := f"case_{n:04d}") not in taken)
    _write(table, known)
    return tuple(replace(case, name=known[_key(case)], anonymous=True) for case in cases)


def renamed(volume: Volume, case: CaseInput) -> Volume:
    """Return a volume that is called as its anonymous case, also in what was found while it was read."""
    names = _names(case)
    findings = tuple(
        replace(one, found=_without(one.found, names, case), remedy=_without(one.remedy, names, case))
        for one in volume.passport.findings
    )
    return replace(volume, name=case.name, passport=Passport(findings))


def hide_names(text: str, case: CaseInput) -> str:
    """Return a text in which the paths and names of an anonymous case's files are the name of the case.

    These are also the names of files in its folder or archive, and of those that its header names.
    """
    return _without(text, _names(case), case) if text and case.anonymous else text


def _without(text: str, names: Sequence[str], case: CaseInput) -> str:
    for path in case.paths:
        whole = path.absolute()
        own = (whole.name, stem(path), path.resolve().name)
        for known in (str(whole), str(path), str(whole.parent), str(path.parent), *own):
            if len(known) >= _SHORTEST:
                text = text.replace(known, case.name)
    for name in names:
        if name in text:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", case.name, text)
    return text


def _names(case: CaseInput) -> list[str]:
    """Return the names of files and folders of a case, the longest first: a short one may be a part of it."""
    found = {name for path in case.paths for written in _written_names(path) for name in _spellings(written)}
    return sorted(
        (name for name in found if len(name) >= (_SHORTEST_NUMBER if name.isdecimal() else _SHORTEST)),
        key=lambda name: (-len(name), name),
    )


def _written_names(path: Path) -> Iterator[str]:
    """Yield the names in a folder, in an archive, beside an image of a DICOM series, and those in a header."""
    from voxtrace.io.child.guarded import inner_names

    if path.is_dir():
        for _, folders, files in os.walk(path):
            yield from (*folders, *files)
        return
    if is_archive(path):
        yield path.name.split(".")[0]  # what is unpacked is called so
    if is_archive(path) or suffix_of(path) in TEXT:
        with suppress(OSError, VoxTraceError):  # without a list of names, no message has one
            yield from inner_names(path)
    elif not suffix_of(path):
        with suppress(OSError):
            yield from (entry.name for entry in os.scandir(path.absolute().parent))


def _spellings(name: str) -> Iterator[str]:
    """Yield a name as messages may spell it: whole, its parts, without its ending, escaped, and cut short."""
    for part in {name, *re.split(r"[/\\]", name)}:
        yield from (part, stem_of(Path(part)))
    shown = well_formed(name)
    for length in (len(shown), *_CUT):
        yield from (shown[:length], repr(shown[:length])[1:-1])


def for_record(text: str, case: CaseInput) -> str:
    """Return an error as the ledger may keep it: without the descriptions of DICOM series, and without hidden names."""
    if not text:  # most cases; looking through a folder of images takes time
        return text
    for path in case.paths:
        # what cannot be listed has no series whose words could be in the text
        with suppress(OSError, VoxTraceError):
            text = _without_descriptions(text, path)
    return hide_names(text, case)


def _without_descriptions(text: str, path: Path) -> str:
    from voxtrace.io.child.guarded import series_titles

    for title, kind in series_titles(path):
        text = text.replace(title, kind)
    return text


def _key(case: CaseInput) -> tuple[str, str]:
    return case.name, str(case.paths[0].absolute())


def _read(table: Path) -> dict[tuple[str, str], str]:
    try:
        with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
        return {(row["name"], row["input"]): row["case"] for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, KeyError, csv.Error) as error:
        raise ReadError(
            f"{table} is not the table of case names that it was; restore it, or choose another output folder."
        ) from error


def _write(table: Path, known: Mapping[tuple[str, str], str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows((case, *key) for key, case in known.items())
    with atomic_file(table) as file:
        file.touch(mode=0o600)  # for the user alone
        file.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
