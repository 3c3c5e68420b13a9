"""Attributes that distinguish images at the same position, and the division of a group of slices by them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from voxtrace.io.dicom.slices import Slice

# name in words -> its attributes; the first that is present counts
_DISCRIMINATORS: dict[str, tuple[str, ...]] = {
    "time": ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    "acquisition": ("AcquisitionNumber", "FrameAcquisitionNumber"),
    "echo": ("EchoNumbers", "EffectiveEchoTime", "EchoTime"),
    "b-value": ("DiffusionBValue",),
    "image type": ("FrameType", "ImageType"),
    "trigger time": ("TriggerTime", "NominalCardiacTriggerDelayTime"),
    "acquisition time": ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    "content time": ("FrameReferenceDateTime", "ContentTime"),
}
_CLOCKS = ("trigger time", "acquisition time", "content time")  # may differ between slices of one volume
DISCRIMINATOR_TAGS: tuple[str, ...] = tuple(tag for tags in _DISCRIMINATORS.values() for tag in tags)
_SAME_MM = 1e-2

Part = tuple[str, list[Slice]]


def discriminators_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of each discriminator that an image has, as text."""
    present = {tag: values[tag] for tag in DISCRIMINATOR_TAGS if values.get(tag) is not None}
    found = {name: next((present[tag] for tag in tags if tag in present), "") for name, tags in _DISCRIMINATORS.items()}
    return {name: _text(v) for name, v in found.items() if v != ""}


def divide(slices: Sequence[Slice]) -> list[Part]:
    """Return the slices in parts in which every position occurs once, each with the words that name it.

    The first discriminator that separates them is taken, then pairs of discriminators. Where none does, all slices
    stay together, unnamed.
    """
    places = _places(slices)
    most = max(Counter(places).values())
    if most == 1:
        return [("", list(slices))]
    present = [name for name in _DISCRIMINATORS if len({s.discriminators.get(name) for s in slices}) > 1]
    # two attributes may vary within one series, such as echo and b-value
    for names in (*((name,) for name in present), *combinations(present, 2)):
        parts = _by(slices, [tuple(s.discriminators.get(name, "") for name in names) for s in slices])
        if _is_division(parts, most):
            return _named(names, parts)
    return _by_clock(slices, places, present, most) or [("", list(slices))]


def _text(value: Any) -> str:
    return "\\".join(str(v) for v in value) if hasattr(value, "__iter__") and not isinstance(value, str) else str(value)


def _places(slices: Sequence[Slice]) -> list[tuple[int, ...]]:
    """Return a key for the position of each slice; equal keys are the same position."""
    return [tuple(round(v / _SAME_MM) for v in s.position_mm) for s in slices]


def _by(slices: Sequence[Slice], keys: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], list[Slice]]:
    parts: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for slice_, key in zip(slices, keys, strict=True):
        parts[key].append(slice_)
    return parts


def _is_division(parts: dict[tuple[str, ...], list[Slice]], most: int) -> bool:
    """Return whether each position occurs once in each part, and parts are more than single images."""
    if any(len(set(_places(part))) < len(part) for part in parts.values()):
        return False
    return len(parts) == most or min(map(len, parts.values())) > 1


def _named(names: Sequence[str], parts: dict[tuple[str, ...], list[Slice]]) -> list[Part]:
    ordered = sorted(parts, key=lambda key: [_order(v) for v in key])
    ranks = {key: f" {i} of {len(ordered)}" for i, key in enumerate(ordered, start=1)}
    return [(_words(names, key, ranks[key]), parts[key]) for key in ordered]


def _words(names: Sequence[str], key: tuple[str, ...], rank: str) -> str:
    """Return ``acquisition 2``, ``time 3 of 5``, ``echo 1, b-value 800``."""
    if len(names) == 1 and (names[0] == "time" or names[0] in _CLOCKS):
        return f"time{rank}"
    return ", ".join(f"{name} {value or 'not stated'}" for name, value in zip(names, key, strict=True))


def _order(value: str) -> tuple[float, str]:
    try:
        return float(value), ""
    except ValueError:
        return float("inf"), value


def _by_clock(
    slices: Sequence[Slice], places: Sequence[tuple[int, ...]], present: Sequence[str], most: int
) -> list[Part]:
    """Return parts by the order in time at each position, where every position has equally many images."""
    if set(Counter(places).values()) != {most}:
        return []
    at: dict[tuple[int, ...], list[Slice]] = defaultdict(list)
    for slice_, place in zip(slices, places, strict=True):
        at[place].append(slice_)
    for name in (clock for clock in _CLOCKS if clock in present):
        if all(len({s.discriminators.get(name) for s in images}) == most for images in at.values()):
            ranked = [sorted(images, key=lambda s: _order(s.discriminators.get(name, ""))) for images in at.values()]
            return [(f"time {i + 1} of {most}", [images[i] for images in ranked]) for i in range(most)]
    return []
