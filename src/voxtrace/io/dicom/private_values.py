"""Private elements of makers that say what no public one does: b-values, and whether an image is a mosaic."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from voxtrace.io.dicom.header_values import Values, several

if TYPE_CHECKING:
    from pydicom import Dataset

# maker's name of the block, group, element within the block
_B_VALUES = (
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("Philips Imaging DD 001", 0x2001, 0x03),
    ("Image Private Header", 0x0065, 0x09),
)
_MOSAIC = ("SIEMENS MR HEADER", 0x0019, 0x0A)
_BLOCKS = range(0x10, 0x14)
_GE_OFFSET = 100_000  # GE adds 1,000,000,000 to the b-value of some sequences
PRIVATE_TAGS: tuple[int, ...] = tuple(
    dict.fromkeys(
        tag
        for _, group, element in (*_B_VALUES, _MOSAIC)
        for block in _BLOCKS
        for tag in (group << 16 | block, group << 16 | block << 8 | element)
    )
)


def private_values(header: Dataset) -> Values:
    """Return a b-value that only a private element states, and whether the image is a mosaic of a whole volume."""
    found: Values = {}
    if str(header.get("Modality", "MR")) != "MR":
        return found
    for wanted in _B_VALUES:
        value = _private(header, *wanted)
        if value is not None and header.get("DiffusionBValue") is None:
            found["DiffusionBValue"] = value % _GE_OFFSET
    if (_private(header, *_MOSAIC) or 0) > 1:
        found["is mosaic"] = True
    return found


def _private(header: Dataset, creator: str, group: int, element: int) -> float | None:
    """Return the number in a private element of a maker; None where there is none."""
    for block in _BLOCKS:
        tag = group << 16 | block
        if tag in header and _text(header, tag) == creator:
            with suppress(Exception):  # a private element that cannot be understood is as if there was none
                return _number(header[group << 16 | block << 8 | element].value)
    return None


def _text(header: Dataset, tag: int) -> str:
    with suppress(Exception):
        value = header[tag].value
        return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")
    return ""


def _number(value: Any) -> float | None:
    if isinstance(value, bytes):  # of unknown type: text, or a little-endian number
        text = value.decode("latin-1").strip(" \0").split("\\")[0]
        return float(text) if text and text.lstrip("+-").replace(".", "").isdigit() else None
    found = several(value)
    return float(found[0]) if found else None
