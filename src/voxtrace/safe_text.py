"""Text from files and file names that anyone may have made: JSON, read strictly, and words fit to be shown.

Names of files are bytes on most systems. Bytes that are no UTF-8 arrive as lone surrogates, which no JSON, no terminal
and no C++ library takes; everywhere in VoxTrace such a byte is shown as % and two hexadecimal digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 1 << 28
_MOST_DIGITS = 19
_LARGEST = 1 << 63
_MOST_DEPTH = 64
_LARGEST_COST = 400 << 20  # bytes of memory
_BRIEF = 300  # letters
_WIDEST = 120  # letters of a line of JSON
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def well_formed(text: str) -> str:
    """Return a text without lone surrogates: a byte that is no UTF-8 becomes ``%`` and two hexadecimal digits.

    Examples
    --------
    >>> well_formed("caf" + chr(0xDCE9))
    'caf%E9'
    """
    return _SURROGATE.sub(_visible_byte, text)


def printable(text: str) -> str:
    r"""Return a text that a terminal shows and does not obey: control letters are written as ``\x1b``.

    Line breaks and tabs stay. Letters that turn the direction of writing are control letters, too.

    Examples
    --------
    >>> printable("a" + chr(27) + "[2J")
    'a\\x1b[2J'
    """
    return _CONTROL.sub(_visible, well_formed(text))


def parse_json(text: str | bytes, *, allow_nan: bool = False, keep_bytes: bool = False) -> Any:
    """Return what a JSON document says.

    ``allow_nan`` takes NaN and infinity, which other programs write though JSON has none. ``keep_bytes`` leaves lone
    surrogates as they are, which stand for bytes of a file's name; without it they become ``%`` and hexadecimal digits.

    Raises
    ------
    ValueError
        When it is no JSON in UTF-8, is longer than 256 MiB or would take more than about 400 MiB of memory, is nested
        deeper than 64 levels, or holds NaN, infinity or a whole number of more than 64 bits.
    """
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text)} bytes; expected at most {MOST_BYTES}")
    if (cost := _cost(text)) > _LARGEST_COST:
        raise ValueError(f"it would take {cost >> 20} MiB of memory; expected at most {_LARGEST_COST >> 20}")
    decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        found = json.loads(
            decoded,
            parse_int=_whole,
            parse_float=float if allow_nan else _finite,
            parse_constant=float if allow_nan else _refuse_constant,
        )
        return _checked(found, _MOST_DEPTH, (lambda text: text) if keep_bytes else well_formed)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {_MOST_DEPTH} levels") from error


def read_json(path: Path, *, allow_nan: bool = False) -> Any:
    """Return what a JSON file says, see :func:`parse_json`.

    Raises
    ------
    ValueError
        When it is not such a document.
    OSError
        When the file cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes; expected at most {MOST_BYTES}")
    return parse_json(path.read_bytes(), allow_nan=allow_nan)


def json_text(value: Any, ascii_only: bool = True, widest: int = _WIDEST, depth: int = 0) -> str:
    """Return a value as JSON for readers: what fits on a line of ``widest`` letters is on one, and nothing is after it.

    Examples
    --------
    >>> print(json_text({"dice": [0.8, 0.9], "n": 2}, widest=20))
    {
     "dice": [0.8, 0.9],
     "n": 2
    }

    Raises
    ------
    ValueError
        It holds NaN or infinity.
    """
    line = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    if depth + len(line) <= widest or not value or not isinstance(value, (dict, list, tuple)):
        return line
    if isinstance(value, dict):
        # a name takes its place on the line of the value
        names = [json.dumps({name: 0}, ensure_ascii=ascii_only)[1:-2] for name in value]
        values = [
            name + json_text(one, ascii_only, widest - len(name), depth + 1)
            for name, one in zip(names, value.values(), strict=True)
        ]
    else:
        values = [json_text(one, ascii_only, widest, depth + 1) for one in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    inner = f",\n{' ' * (depth + 1)}".join(values)
    return f"{first}\n{' ' * (depth + 1)}{inner}\n{' ' * depth}{last}"


def brief(error: object) -> str:
    r"""Return what an error says, or a name, on one line of at most 300 letters that a terminal shows.

    Examples
    --------
    >>> brief(ValueError("one\n  two"))
    'one two'
    """
    text = " ".join(printable(str(error)[: 2 * _BRIEF]).split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def _cost(text: str | bytes) -> int:
    """Return about how many bytes the values of a document take while they are read, by its brackets and commas."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    lists, names, commas = (content.count(one) for one in (b"[", b"{", b","))
    return 2 * len(text) + 128 * lists + 464 * names + 60 * commas


def _checked(value: Any, depth: int, text: Callable[[str], str]) -> Any:
    """Return a value with each of its texts changed; refuse one that is nested too deeply."""
    if isinstance(value, str):
        return text(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError(f"it is nested deeper than {_MOST_DEPTH} levels")
    if isinstance(value, list):
        # long lists of numbers need no copy
        plain = not any(isinstance(one, (str, list, dict)) for one in value)
        return value if plain else [_checked(one, depth - 1, text) for one in value]
    return {text(key): _checked(one, depth - 1, text) for key, one in value.items()}


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits; expected at most {_MOST_DIGITS}")
    if not -_LARGEST <= int(text) < _LARGEST:
        raise ValueError(f"it holds the number {text}, which takes more than 64 bits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"it holds the number {text[:40]}, which is too large")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"it holds {text}, which JSON does not have; expected a number")


def _visible_byte(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else "\ufffd"


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
