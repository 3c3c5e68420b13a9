"""The colour table inside a FreeSurfer volume: names and colours of its labels.

FreeSurfer writes it after the voxels, with the tag 1 (``TAG_OLD_COLORTABLE``): version -2, then how many labels there
may be, a file name, how many there are, and for each its number, name and colour (``CTABwriteIntoBinaryV2``). Version 1
has no numbers of labels, which are then counted. All numbers are 32 bits, big-endian.
"""

from __future__ import annotations

import struct

from voxtrace.io.names import LARGEST_LABEL, LONGEST_NAME, Colours, Names
from voxtrace.safe_text import well_formed

_COLOUR_TABLE = 1
_MOST_LABELS = 1 << 20
_WITHOUT_LENGTH = (2, 20, 30)  # old tags that do not say in 64 bits how long they are
_END = (0, -1)  # what stands in place of a further tag
_LARGEST_TAG = 255
_LONGEST_TAG = 1 << 32


def colour_table(tags: bytes) -> tuple[Names, Colours]:
    """Return names and colours from the tags of a volume; empty where they hold no table that can be read."""
    try:
        position = _table_at(tags)
        return _entries(tags, position) if position else ({}, {})
    except (struct.error, ValueError):
        return {}, {}


def are_tags(data: bytes) -> bool:
    """Return whether bytes begin as tags, one after another up to an end or a cut, and are no voxels.

    What follows a colour table or another tag of unknown length is not looked at.
    """
    at = 0
    while at + 4 <= len(data):
        tag = _int(data, at)
        if tag in _END:
            return not any(data[at + 4 :])
        if not 0 < tag <= _LARGEST_TAG:
            return False
        if tag == _COLOUR_TABLE:
            return at + 8 > len(data) or _is_table_start(_int(data, at + 4))
        if tag in _WITHOUT_LENGTH or at + 12 > len(data):
            return True
        length = int(struct.unpack_from(">q", data, at + 4)[0])
        if not 0 <= length < _LONGEST_TAG:
            return False
        at += 12 + length
    return True


def _is_table_start(number: int) -> bool:
    """Return whether a colour table may begin with a number: minus its version, or how many labels it has."""
    return number == -2 or 0 < number <= _MOST_LABELS


def _int(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">i", data, at)[0])


def _table_at(tags: bytes) -> int:
    """Return the first byte after the tag of the colour table; 0 where there is none."""
    at = 0
    while at + 4 <= len(tags):
        tag = _int(tags, at)
        if tag == _COLOUR_TABLE:
            return at + 4
        if tag <= 0 or tag in _WITHOUT_LENGTH:
            return 0
        at += 12 + max(0, int(struct.unpack_from(">q", tags, at + 4)[0]))
    return 0


def _text(data: bytes, at: int) -> tuple[str, int]:
    """Return a text after its length, and the first byte after it."""
    length = _int(data, at)
    if not 0 <= length <= len(data) - at - 4:
        raise ValueError("a text longer than the table")
    found = data[at + 4 : at + 4 + length].split(b"\0")[0].decode("utf-8", "replace")
    return found, at + 4 + length


def _entries(data: bytes, at: int) -> tuple[Names, Colours]:
    numbered = _int(data, at) < 0
    count = _int(data, at + 4) if numbered else _int(data, at)
    _, at = _text(data, at + (8 if numbered else 4))
    if numbered:
        count, at = _int(data, at), at + 4
    if not 0 <= count <= _MOST_LABELS:
        raise ValueError("more labels than there can be")
    names: Names = {}
    colours: Colours = {}
    for index in range(count):
        value, at = (_int(data, at), at + 4) if numbered else (index, at)
        name, at = _text(data, at)
        red, green, blue, _ = struct.unpack_from(">4i", data, at)
        at += 16
        if 0 < value <= LARGEST_LABEL and name:
            names[value] = well_formed(name[:LONGEST_NAME])
            colours[value] = (_shade(red), _shade(green), _shade(blue))
    return names, colours


def _shade(value: int) -> float:
    return min(max(value / 255, 0.0), 1.0)
