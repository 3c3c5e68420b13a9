"""Seeded damage to the bytes of a file, in the ways in which files of its form are damaged or made hostile."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from typing import Any

Chance = random.Random

NUMBERS = (
    *("0", "-1", "1", "2", "3", "4", "7", "17", "255", "65535", "65536", "2147483647", "-2147483648", "4294967296"),
    *("1000000000", "9223372036854775807", "9" * 30, "1" * 5000, "1e-9", "1e-6", "1e9", "1e308", "1e400", "-1e400"),
    *("nan", "NaN", "inf", "-Infinity", "0.0", "-0.0", "1,5", "0x10", "1_000", "٣", "", " ", "true", "null"),
)
WORDS = (
    *(
        "LOCAL",
        "LIST",
        "none",
        "../outside.raw",
        "../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "%s%n",
        "a" * 300,
    ),
    *("x" * 70_000, "\x1b[2J", "\u202egnp", "\ud800", "caf\xe9", "\x00", "(1,0,0)", "short", "MET_LONG", "gzip", "raw"),
    *("1 0 0 0 1 0 0 0 1", "0 0 0", "block", "MET_OTHER", "hex", "bzip2", "liver", "CT", "-", "/", ".", "..", "a\\b"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 256, 65536, 10**6, 10**9, 2**31, 2**63, 10**40, 0.0, -0.5, 1e-6, 1e-300),
    *(1e300, float("nan"), float("inf"), "", "a", "../../outside", "/etc/passwd", "a" * 100_000, "\ud800", "\x1b[2J"),
    *(
        [],
        {},
        [[]],
        [None],
        [1, 2, 3],
        [0, 0, 0],
        [10**9] * 3,
        [1e-6] * 3,
        [0] * 100_000,
        {"a": 1},
        {"": {}},
        [{}],
        "1",
    ),
)
_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV ZZ".split()
_LENGTHS = (
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    10**6,
    10**9,
    2**31 - 1,
    2**31,
    2**32 - 2,
    2**32 - 1,
)
_FLOATS = (0.0, -0.0, 1e-30, 1e-9, -1.0, 1e9, 1e38, float("nan"), float("inf"), -float("inf"))


def damaged(content: bytes, name: str, chance: Chance) -> bytes:
    """Return a file's bytes after one to four damages that fit the end of its name and its first bytes."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        content = _damage(content, name.lower(), chance)
    return content


def _damage(content: bytes, name: str, chance: Chance) -> bytes:
    if content[:2] == b"\x1f\x8b" and chance.random() < 0.7:
        return _packed(content, name, chance)
    if chance.random() < 0.2:
        return binary(content, chance)
    form = next((one for ends, one in _FORMS if name.endswith(ends)), binary)
    try:
        return form(content, chance)
    except _NO_FORM:
        return binary(content, chance)  # an earlier damage was so great that it has no form any more


_NO_FORM = (
    *(ValueError, LookupError, struct.error, RecursionError, UnicodeError, EOFError, OSError, zlib.error),
    *(zipfile.BadZipFile, NotImplementedError, RuntimeError, AttributeError, TypeError),
)


def _packed(content: bytes, name: str, chance: Chance) -> bytes:
    try:
        plain = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return binary(content, chance)
    return gzip.compress(_damage(plain, name.removesuffix(".gz").replace(".mgz", ".mgh"), chance), mtime=0)


def binary(content: bytes, chance: Chance) -> bytes:
    """Change, remove, repeat or insert bytes; put numbers of extreme size where some may be."""
    if not content:
        return bytes(chance.randrange(256) for _ in range(8))
    # headers lie at the start
    most = min(len(content), chance.choice((16, 64, 400, 2000, len(content))))
    at, length = chance.randrange(most), chance.choice((1, 2, 4, 8, 32, 300))
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :],
        lambda: content[:at] + bytes([chance.choice((0, 1, 127, 128, 254, 255))]) + content[at + 1 :],
        lambda: content[:at] + chance.choice((b"\0", b"\xff", b" ", b"A")) * length + content[at + length :],
        lambda: content[:at] + content[at + length :],
        lambda: content[:at] + content[at : at + length] * chance.choice((2, 3, 100)) + content[at + length :],
        lambda: content[:at] + chance.randbytes(length) + content[at:],
        lambda: content[:at],
        lambda: content[: chance.randrange(len(content))],
        lambda: content + chance.randbytes(length),
        lambda: _number(content, at, chance),
        lambda: _number(content, at - at % 4, chance),
        lambda: _number(content, at - at % 2, chance),
    )
    return chance.choice(kinds)()


def _number(content: bytes, at: int, chance: Chance) -> bytes:
    order = chance.choice("<>")
    form = chance.choice("hHiIqQfd")
    limits = {"h": 2**15, "i": 2**31, "q": 2**63, "H": 2**16, "I": 2**32, "Q": 2**64}
    if form in "fd":
        stored = struct.pack(order + form, chance.choice(_FLOATS))
    else:
        low = -limits[form] if form.islower() else 0
        high = limits[form] - 1
        stored = struct.pack(order + form, max(low, min(high, chance.choice((0, 1, -1, 7, 2**16, 10**9, low, high)))))
    return content[:at] + stored + content[at + len(stored) :]


def header(content: bytes, chance: Chance) -> bytes:
    """Damage the lines of a text header (NRRD, MetaImage); the voxels behind it stay."""
    end = content.find(b"\n\n")
    end = content.find(b"ElementDataFile") + 40 if end < 0 or b"ElementDataFile" in content[:4000] else end
    lines = content[:end].split(b"\n")
    at = chance.randrange(len(lines))
    line = lines[at]
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: lines.__setitem__(at, _other_token(line, chance)),
        lambda: lines.__setitem__(at, _other_token(line, chance)),
        lambda: lines.__setitem__(at, _other_value(line, chance)),
        lambda: lines.pop(at),
        lambda: lines.insert(at, line),
        lambda: lines.insert(at, chance.choice(lines)),
        lambda: lines.insert(at, chance.choice((b"#", b"", b"\r", b"a:=b", b"a = b", b"x" * 1100, b"\xff\xfe = \xe9"))),
        lambda: lines.__setitem__(at, line + b" " + _text(chance.choice(NUMBERS))),
        lambda: chance.shuffle(lines),
    )
    chance.choice(kinds)()
    return b"\n".join(lines) + content[end:]


def _other_token(line: bytes, chance: Chance) -> bytes:
    found = list(re.finditer(rb"[-+.\w]+", line))
    one = chance.choice(found)
    return line[: one.start()] + _text(chance.choice((*NUMBERS, *WORDS))) + line[one.end() :]


def _other_value(line: bytes, chance: Chance) -> bytes:
    sign = b"=" if b"=" in line else b":"
    return line.partition(sign)[0] + sign + b" " + _text(chance.choice((*NUMBERS, *WORDS)))


def _text(word: str) -> bytes:
    return word.encode("latin-1" if word == "caf\xe9" else "utf-8", "surrogatepass")


def document(content: bytes, chance: Chance) -> bytes:
    """Damage a JSON document: another value, a key less or more, another order; sometimes its letters."""
    if chance.random() < 0.15:
        token = _text(chance.choice((*NUMBERS, "[" * 5000, '{"a":' * 2000, "\\ud800", "]", "}", ",", '"', "\\")))
        at = chance.randrange(len(content))
        return content[:at] + token + content[at + chance.choice((0, 1, 4)) :]
    root = json.loads(content)
    places = list(_places(root))
    if not places:
        return _dumped(chance.choice(VALUES))
    holder, key = chance.choice(places)
    kind = chance.randrange(10)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice(("a", "format", "", "x" * 1000, "../b"))] = chance.choice(VALUES)
    elif kind == 2 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * chance.choice((-1, 0, 2, 0.5, 1000, 10**9, 1e-9))
    elif kind == 4:
        holder[key] = holder[chance.choice(_keys(holder))]
    else:
        holder[key] = chance.choice(VALUES)
    return _dumped(root)


def lines(content: bytes, chance: Chance) -> bytes:
    """Damage one line of JSON Lines, or their order."""
    every = content.split(b"\n")
    at = chance.randrange(len(every))
    every[at] = document(every[at], chance) if every[at] and chance.random() < 0.8 else binary(every[at], chance)
    return b"\n".join(every)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, MutableMapping | MutableSequence):
        for key in _keys(value):
            yield value, key
            yield from _places(value[key])


def _keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, MutableMapping) else list(range(min(len(value), 50)))


def dicom(content: bytes, chance: Chance) -> bytes:
    """Damage one element of a DICOM file: its value, its length, its type; or repeat or remove it."""
    elements = list(_elements(content))
    start, value, length, end = chance.choice(elements)
    short = value - start == 8
    kind = chance.randrange(9)
    if kind == 0:
        return content[:start] + content[end:]
    if kind == 1:
        return content[:end] + content[start:end] + content[end:]
    if kind == 2:
        return content[: start + 4] + chance.choice(_VRS) + content[start + 6 :]
    if kind == 3:
        wrong = chance.choice(_LENGTHS)
        field = struct.pack("<H", wrong & 0xFFFF) if short else struct.pack("<I", wrong)
        return content[: value - len(field)] + field + content[value:]
    if kind == 4:
        other = chance.choice(elements)
        return content[:start] + content[other[0] : other[3]] + content[end:]
    fresh = _element_value(content[value : value + length], chance)
    fresh = fresh[:65_000] if short else fresh
    field = struct.pack("<H" if short else "<I", len(fresh))
    return content[: value - len(field)] + field + fresh + content[end:]


def _element_value(old: bytes, chance: Chance) -> bytes:
    choices = (
        lambda: _text(chance.choice(NUMBERS)),
        lambda: "\\".join(chance.choices(NUMBERS, k=chance.choice((1, 2, 3, 6)))).encode(),
        lambda: _text(chance.choice(WORDS)),
        lambda: b"",
        lambda: old * 2,
        lambda: binary(old, chance) if old else b"\xff\xfe",
        lambda: struct.pack("<d", chance.choice(_FLOATS)),
        lambda: struct.pack("<I", chance.choice(_LENGTHS)),
        lambda: struct.pack("<H", chance.choice(_LENGTHS) & 0xFFFF),
    )
    fresh = chance.choice(choices)()
    return fresh + b" " * (len(fresh) % 2) if chance.random() < 0.9 else fresh


def _elements(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield start, start of the value, its length and end of every element with explicit VR, nested ones, too."""
    at = 132
    while at + 8 <= len(content):
        kind, group = content[at + 4 : at + 6], content[at : at + 2]
        if group == b"\xfe\xff":  # an item or the end of one: its elements follow
            at += 8
            continue
        long = kind in (b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"OV", b"SV", b"UV")
        value = at + (12 if long else 8)
        length = int.from_bytes(content[value - 4 : value] if long else content[value - 2 : value], "little")
        nested = kind == b"SQ" or length == 0xFFFFFFFF
        end = value if nested else min(value + length, len(content))
        yield at, value, 0 if nested else length, end
        at = end


def nifti(content: bytes, chance: Chance) -> bytes:
    """Put an extreme number into a field of a NIfTI header, or damage its extension."""
    if chance.random() < 0.2:
        return binary(content[:348], chance)[:348].ljust(348, b"\0") + binary(content[348:], chance)
    second = content[:1] == b"\x1c" and content[1:2] == b"\x02"
    fields = (
        ((4, "i", 1), (16, "q", 8), (104, "d", 8), (168, "q", 1), (400, "d", 12), (12, "h", 2)) if second else _NIFTI
    )
    at, form, many = chance.choice(fields)
    size = struct.calcsize(form)
    at += size * chance.randrange(many)
    return content[:at] + _number_of(form, chance) + content[at + size :]


_NIFTI = (
    (0, "i", 1),
    (40, "h", 8),
    (70, "h", 2),
    (76, "f", 8),
    (108, "f", 3),
    (252, "h", 2),
    (256, "f", 6),
    (280, "f", 12),
)


def _number_of(form: str, chance: Chance) -> bytes:
    if form in "fd":
        return struct.pack("<" + form, chance.choice(_FLOATS))
    most = 1 << 8 * struct.calcsize(form) - 1
    return struct.pack("<" + form, max(-most, min(most - 1, chance.choice((*_LENGTHS, -1, -2, 16, 64, 2304, 4)))))


def safetensors(content: bytes, chance: Chance) -> bytes:
    """Damage the JSON header of weights, or their numbers."""
    length = int.from_bytes(content[:8], "little")
    if chance.random() < 0.4:
        at = 8 + length + 2 * chance.randrange(max(1, (len(content) - 8 - length) // 2))
        return content[:at] + chance.choice((b"\0\x7e", b"\0\x7c", b"\xff\x7b", b"\0\0")) + content[at + 2 :]
    record = json.loads(content[8 : 8 + length])
    name = chance.choice(list(record))
    tensor = record[name]
    kind = chance.randrange(6)
    if kind == 0:
        del record[name]
    elif kind == 1:
        tensor["dtype"] = chance.choice(("I16", "U16", "BF16", "BOOL", "F8_E4M3", "F16", "I8", "F64", "C64", "X"))
    elif kind == 2:
        tensor["shape"] = chance.choice(([], [0], [1], [10**9], tensor["shape"][::-1], [-1], [*tensor["shape"], 1]))
    elif kind == 3:
        tensor["data_offsets"] = chance.choice(([0, 0], [0, 2], [0, 10**12], [5, 1], [-1, 3]))
    elif kind == 4:
        record["a" * chance.choice((1, 100_000))] = tensor
    else:
        record[name] = record[chance.choice(list(record))]
    text = _dumped(record)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def archive(content: bytes, chance: Chance) -> bytes:
    """Damage a file in a zip archive (a checkpoint of torch), its name or its size."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    name = chance.choice(list(files))
    kind = chance.randrange(6)
    if kind == 0:
        del files[name]
    elif kind == 1:
        files[chance.choice(("../outside", "/etc/x", "a" * 500))] = files.pop(name)
    elif kind == 2:
        files[name] = bytes(chance.choice((10**6, 3 * 10**7)))
    else:
        name = next((one for one in files if one.endswith("data.pkl")), name) if kind < 5 else name
        files[name] = binary(files[name], chance)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as fresh:
        for one, stored in files.items():
            fresh.writestr(zipfile.ZipInfo(one), stored)
    return written.getvalue()


_FORMS: tuple[tuple[tuple[str, ...], Callable[[bytes, Chance], bytes]], ...] = (
    ((".nrrd", ".nhdr", ".mha", ".mhd"), header),
    ((".jsonl",), lines),
    ((".json", "lock"), document),
    ((".dcm", "0000", "0001", "0002"), dicom),
    ((".nii", ".nii.gz", ".hdr", ".img"), nifti),
    ((".safetensors",), safetensors),
    ((".pt", ".pth", ".zip"), archive),
)
