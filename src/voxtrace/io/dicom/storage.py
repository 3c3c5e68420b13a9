"""How the numbers of an image are stored, from its header."""

from __future__ import annotations

from voxtrace.io.dicom.header_values import HeaderValueError, Values, number_of, several, whole_of
from voxtrace.io.dicom.slices import Storage

STORAGE_TAGS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "RealWorldValueMappingSequence",
)
_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def storage_of(values: Values) -> Storage:
    """Return how an image's numbers are stored, and how they become values.

    A parametric map states its scale as a real world value mapping, other images as slope and intercept.

    Raises
    ------
    HeaderValueError
        When a value is no finite number.
    """
    mapped = _mapped(values)
    slope = _first(values, "RealWorldValueSlope" if mapped else "RescaleSlope")
    intercept = _first(values, "RealWorldValueIntercept" if mapped else "RescaleIntercept")
    allocated = whole_of(values, "BitsAllocated", 16) or 16
    bits = whole_of(values, "BitsStored", allocated) or allocated
    return Storage(
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        bits=bits,
        signed=_is_signed(values),
        padding=_padding(values, allocated),
        dark_is_high=str(values.get("PhotometricInterpretation")).strip() == "MONOCHROME1",
        allocated=allocated,
        high_bit=whole_of(values, "HighBit", bits - 1),
        is_float=bool(values.get("is float")),
        stated=(slope is not None, intercept is not None),
        compressed=bool(values.get("is compressed")),
    )


def has_lookup_table(values: Values) -> bool:
    """Return whether numbers become values by a table."""
    if values.get("ModalityLUTSequence"):
        return True
    return _is_map(values) and bool(values.get("RealWorldValueLUTData")) and not _mapped(values)


def _is_map(values: Values) -> bool:
    return str(values.get("SOPClassUID")) == _PARAMETRIC_MAP


def _mapped(values: Values) -> bool:
    return _is_map(values) and values.get("RealWorldValueSlope") is not None


def _is_signed(values: Values) -> bool:
    stated = whole_of(values, "PixelRepresentation", 0)
    if stated not in (0, 1):
        raise HeaderValueError(f"PixelRepresentation is {stated}; expected 0 or 1")
    return stated == 1


def _first(values: Values, name: str) -> float | None:
    found = several(values.get(name))
    return number_of(found[0], name) if found else None


def _padding(values: Values, bits: int) -> tuple[int, int] | None:
    """Return the lowest and highest padding value as the pixels have it: some files write it with the other sign."""
    first, last = several(values.get("PixelPaddingValue")), several(values.get("PixelPaddingRangeLimit"))
    if not first:
        return None
    signed = _is_signed(values)
    ends = [_wrapped(whole_of(values, name, 0), bits, signed=signed) for name in _padding_names(bool(last))]
    return min(ends), max(ends)


def _padding_names(has_limit: bool) -> tuple[str, str]:
    return "PixelPaddingValue", "PixelPaddingRangeLimit" if has_limit else "PixelPaddingValue"


def _wrapped(value: int, bits: int, *, signed: bool) -> int:
    word = value % (1 << bits)
    return word - (1 << bits) if signed and word >= 1 << (bits - 1) else word
