"""Elements of a header -> plain values: what cannot be understood is told by name, one element at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

Values = dict[str, Any]  # attribute name -> value
Numbers = tuple[float, ...]
_NEEDED = frozenset(
    (
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PixelSpacing",
        "Rows",
        "Columns",
        "NumberOfFrames",
        "SamplesPerPixel",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "RescaleSlope",
        "RescaleIntercept",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    )
)
_PLAIN = frozenset(("CS", "DA", "DS", "FD", "IS", "TM", "UI", "US"))  # the same in every character set
_SHORT = 256  # bytes of a value that is worth keeping
_LARGEST = 1e30
_SHOWN = 40  # letters of a value in a sentence


class HeaderValueError(ValueError):
    """An attribute whose value cannot be used; the text names both."""


def values_of(header: Dataset, names: Mapping[int, str]) -> Values:
    """Return the wanted attributes of a header.

    One that only describes the image, such as a date, is left out when it cannot be understood.

    Raises
    ------
    HeaderValueError
        When it says where the pixels lie or what they mean.
    """
    found: Values = {}
    for tag in list(header.keys()):
        name = names.get(int(tag))
        if name is None:
            continue
        try:
            found[name] = _value_of(header, tag)
        except Exception as error:
            if name in _NEEDED:
                raise HeaderValueError(_told(name, _raw(header, tag))) from error
    return found


def known_values(header: Dataset, names: Mapping[int, str]) -> Values:
    """Return the wanted attributes of a header that can be understood."""
    found: Values = {}
    for tag in [tag for tag in header.keys() if tag in names]:  # noqa: SIM118 (a data set iterates over elements)
        try:
            found[names[tag]] = header[tag].value
        except Exception:  # pydicom has errors of many classes; what cannot be understood is not known
            continue
    return found


def _value_of(header: Dataset, tag: Any) -> Any:
    raw = header.get_item(tag)
    if raw.is_raw and raw.VR in _PLAIN and raw.value and len(raw.value) <= _SHORT:
        return _converted(int(tag), raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
    return header[tag].value


@lru_cache(maxsize=4096)  # most values are the same in all slices of a series
def _converted(tag: int, vr: str, value: bytes, implicit: bool, little: bool) -> Any:
    from pydicom.dataelem import RawDataElement, convert_raw_data_element
    from pydicom.tag import BaseTag

    raw = RawDataElement(BaseTag(tag), vr, len(value), value, 0, implicit, little)
    return convert_raw_data_element(raw).value


def numbers_of(values: Values, name: str, count: int) -> Numbers:
    """Return the numbers of an attribute; empty where the header does not have it.

    Raises
    ------
    HeaderValueError
        When there is another count of them, or they are not finite numbers.
    """
    found = several(values.get(name))
    if not found:
        return ()
    if len(found) != count:
        raise HeaderValueError(f"{name} has {len(found)} value{'s' if len(found) != 1 else ''}; expected {count}")
    return tuple(number_of(one, name) for one in found)


def number_of(value: Any, name: str) -> float:
    """Return the number in a value of an attribute, which names it in an error.

    Raises
    ------
    HeaderValueError
        When it is no finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise HeaderValueError(_told(name, str(value))) from error
    if not math.isfinite(number) or abs(number) > _LARGEST:
        raise HeaderValueError(_told(name, str(value)))
    return number


def whole_of(values: Values, name: str, usual: int) -> int:
    """Return the whole number of an attribute; ``usual`` where the header does not have it.

    Raises
    ------
    HeaderValueError
        When it is no whole number.
    """
    found = several(values.get(name))
    if not found:
        return usual
    number = number_of(found[0], name)
    if not number.is_integer():
        raise HeaderValueError(_told(name, str(found[0])))
    return int(number)


def several(value: Any) -> tuple[Any, ...]:
    """Return the values of an attribute; none for an empty one, one for one."""
    if value is None or value == "":
        return ()
    if isinstance(value, (str, bytes, int, float)) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)


def _raw(header: Dataset, tag: Any) -> str:
    value = getattr(header.get_item(tag), "value", "")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _told(name: str, value: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in value.strip(" \0"))[:_SHOWN]
    comma = " (a decimal comma; DICOM has a point)" if "," in value else ""
    return f"{name} is {shown!r}, which is no number{comma}"
