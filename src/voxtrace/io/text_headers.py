"""The lines of text headers, as NRRD and MetaImage have them: fields, free entries, and names of other files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtrace.errors import ReadError

_HEADER_BYTES = 1 << 24
_MOST_LINES = 1 << 16
_NAME_FIELDS = ("elementdatafile", "datafile")


@dataclass(frozen=True)
class TextHeader:
    """What the lines of a text header say.

    Attributes
    ----------
    fields
        Values by field, the field in lower case without blanks: ``spacedirections``, ``dimsize``.
    entries
        Values by key as written: what is no field of the format, e.g. ``Segment0_Name``.
    byte_count
        Bytes the header takes.
    file_names
        The value of the field that says where the voxels lie, and the lines after it, as names for the system.
    """

    fields: dict[str, str]
    entries: dict[str, str]
    byte_count: int
    file_names: tuple[str, ...] = ()


def read_meta_header(path: Path) -> TextHeader:
    """Return the ``key = value`` lines of MetaImage up to ElementDataFile, and the file names after ``LIST``.

    Raises
    ------
    ReadError
        When there is no such field.
    """
    fields: dict[str, str] = {}
    entries: dict[str, str] = {}
    end = 0
    lines = _lines(path)
    for line in lines:
        end += len(line)
        key, equals, value = line.partition(b"=")
        name = _text(key).strip()
        if not equals:
            continue
        fields[_plain(name)] = entries[name] = _text(value).strip()
        if _plain(name) == "elementdatafile":
            further = _names(lines) if value.strip().upper().startswith(b"LIST") else ()
            return TextHeader(fields, entries, end, (_file_name(value), *further))
    raise ReadError(f"{path} is not a MetaImage file, though its name says so; expected a text header with DimSize.")


def read_nrrd_header(path: Path) -> TextHeader:
    """Return the ``field: value`` and ``key:=value`` lines of NRRD; the blank line after them is part of the header.

    Raises
    ------
    ReadError
        When the file does not begin as NRRD does, or gives a field twice.
    """
    fields: dict[str, str] = {}
    entries: dict[str, str] = {}
    lines = _lines(path)
    first = next(lines, b"")
    if not first.startswith(b"NRRD000"):
        raise ReadError(f"{path} is not an NRRD file, though its name says so; expected a first line such as NRRD0005.")
    end = len(first)
    names: tuple[str, ...] = ()
    for line in lines:
        end += len(line)
        if not line.strip():
            break
        name, colon, value = line.partition(b":")
        if line.startswith(b"#") or not colon:
            continue
        if value.startswith(b"="):
            entries[_text(name).strip()] = _unescaped(_text(value[1:]).strip())
            continue
        field = _plain(_text(name))
        if field in fields:
            raise ReadError(f"{path} gives the field {_text(name).strip()!r} twice; expected once. Correct its header.")
        fields[field] = _text(value).strip()
        if field == "datafile":
            names = (_file_name(value), *(_names(lines) if value.strip().upper().startswith(b"LIST") else ()))
    return TextHeader(fields, entries, end, names)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines at the start of a file, of at most 16 MiB together."""
    with path.open("rb") as file:
        left = _HEADER_BYTES
        count = 0
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            count += 1
            if count > _MOST_LINES:
                raise ReadError(f"{path} has a header of more than {_MOST_LINES} lines; correct or convert the file.")
            yield line


def _text(line: bytes) -> str:
    """Return a line as text: UTF-8, or Latin-1 where it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _file_name(value: bytes) -> str:
    return os.fsdecode(value.strip())


def _names(lines: Iterator[bytes]) -> tuple[str, ...]:
    return tuple(_file_name(line) for line in lines if line.strip())


def _unescaped(value: str) -> str:
    r"""Return the value of an NRRD entry, in which ``\n`` stands for a line break and ``\\`` for a backslash."""
    return "\\".join(part.replace("\\n", "\n") for part in value.split("\\\\"))
