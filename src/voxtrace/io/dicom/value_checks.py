"""Checks of how stored numbers become values: what would give wrong intensities is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxtrace.io.dicom.pixels import syntax_fault
from voxtrace.io.dicom.slices import Slice
from voxtrace.passport import Finding

_WORDS = (8, 16, 32)  # bits of a stored whole number
_FLOATS = (32, 64)
_LARGEST = 1e15  # beyond, whole numbers are no longer exact


def no_values(slices: Sequence[Slice]) -> Iterator[Finding]:
    """Yield the reasons why the values of a series would be wrong, or cannot be decoded."""
    if any(s.has_lookup_table for s in slices):
        yield _refused(
            "values behind a lookup table (Modality LUT)", "export the series with rescale slope and intercept"
        )
    if any(s.storage.slope == 0 for s in slices):
        yield _refused("RescaleSlope 0, which makes all values the same", "export the series with its rescale slope")
    if any(abs(end * s.storage.slope + s.storage.intercept) > _LARGEST for s in slices for end in _ends(s)):
        yield _refused(
            f"a rescale that gives values beyond {_LARGEST:g}", "export the series with its rescale slope and intercept"
        )
    yield from _some_without_rescale(slices)
    yield from _bits(slices)
    for syntax in {s.syntax for s in slices}:
        fault, remedy = syntax_fault(syntax)
        if fault:
            yield _refused(fault, remedy)


def _ends(slice_: Slice) -> tuple[float, float]:
    """Return the lowest and highest stored number that counts, for whole numbers those that the bits hold."""
    known = 1 <= slice_.storage.bits <= slice_.storage.allocated <= _WORDS[-1] and not slice_.storage.is_float
    return slice_.storage.stored_range if known else (-1.0, 1.0)


def _some_without_rescale(slices: Sequence[Slice]) -> Iterator[Finding]:
    stated = {s.storage.stated for s in slices}
    if len(stated) == 1 or all(s.storage.is_identity for s in slices):
        return
    lacking = [s for s in slices if not all(s.storage.stated)]
    yield _refused(
        f"{len(lacking)} of {len(slices)} images have no rescale slope or intercept, the others have "
        f"({lacking[0].path.name})",
        "export the series again",
    )


def _bits(slices: Sequence[Slice]) -> Iterator[Finding]:
    for storage in {s.storage for s in slices}:
        known = _FLOATS if storage.is_float else _WORDS
        if storage.allocated not in known:
            listed = ", ".join(map(str, known))
            yield _refused(
                f"{storage.allocated} bits a pixel (BitsAllocated); expected {listed}", "export the series again"
            )
        elif not 1 <= storage.bits <= storage.high_bit + 1 <= storage.allocated:
            yield _refused(
                f"bits that contradict each other ({storage.bits} stored of {storage.allocated}, the highest "
                f"{storage.high_bit})",
                "export the series again",
            )
        elif storage.shift and storage.compressed:
            yield _refused(
                f"compressed numbers that are not right-aligned ({storage.bits} bits, the highest {storage.high_bit})",
                "export the series uncompressed",
            )


def _refused(found: str, remedy: str) -> Finding:
    return Finding("intensities", "refused", found, remedy)
