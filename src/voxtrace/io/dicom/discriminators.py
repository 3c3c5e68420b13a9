"""Attributes that distinguish images at the same position, and the division of a group of slices by them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from voxtrace.io.dicom.positions import positions_of
from voxtrace.io.dicom.slices import Slice

# name in words -> its attributes; the first that is present counts
_DISCRIMINATORS: dict[str, tuple[str, ...]] = {
    "time": ("TemporalPositionIndex", "TemporalPositionIdentifier"),
    "time offset": ("TemporalPositionTimeOffset",),
    "acquisition": ("AcquisitionNumber", "FrameAcquisitionNumber"),
    "echo": ("EchoNumbers",),
    "echo time": ("EffectiveEchoTime", "EchoTime"),
    "b-value": ("DiffusionBValue",),
    "inversion time": ("InversionTime", "InversionTimes"),
    "image type": ("FrameType", "ImageType"),
    "trigger time": ("TriggerTime", "NominalCardiacTriggerDelayTime"),
    "acquisition time": ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    "content time": ("FrameReferenceDateTime", "ContentTime"),
    "direction": ("DiffusionGradientOrientation",),
    "stack": ("StackID",),
    "kernel": ("ConvolutionKernel",),
    "sequence": ("SequenceName",),
    "description": ("SeriesDescription",),
}
_CLOCKS = ("time offset", "trigger time", "acquisition time", "content time")  # may differ between slices of one volume
DISCRIMINATOR_TAGS: tuple[str, ...] = tuple(tag for tags in _DISCRIMINATORS.values() for tag in tags)
_MOST_TOGETHER = 3  # discriminators that are tried together
_MOST_PRESENT = 8  # of which

Part = tuple[str, list[Slice]]


def discriminators_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the value of each discriminator that an image has, as text."""
    present = {tag: values[tag] for tag in DISCRIMINATOR_TAGS if values.get(tag) is not None}
    found = {name: next((present[tag] for tag in tags if tag in present), "") for name, tags in _DISCRIMINATORS.items()}
    return {name: _text(v) for name, v in found.items() if v != ""}


def divide(slices: Sequence[Slice]) -> list[Part]:
    """Return the slices in parts in which every position occurs once, each with the words that name it.

    The first discriminator that separates them is taken, then two or three together, then the order in time or by
    instance number. Where nothing does, all slices stay together, unnamed.
    """
    places = dict(zip(map(id, slices), positions_of(slices), strict=True))
    most = max(Counter(places.values()).values())
    if most == 1:
        return [("", list(slices))]
    present = [name for name in _DISCRIMINATORS if len({s.discriminators.get(name) for s in slices}) > 1]
    # several attributes may vary within one series, such as echo and b-value
    for names in (c for n in range(1, _MOST_TOGETHER + 1) for c in combinations(present[:_MOST_PRESENT], n)):
        parts = _by(slices, [tuple(s.discriminators.get(name, "") for name in names) for s in slices])
        if _is_division(parts, places, most):
            return _named(names, parts)
    at: dict[int, list[Slice]] = defaultdict(list)
    for slice_ in slices:
        at[places[id(slice_)]].append(slice_)
    if len(at) < 2 or any(len(images) != most for images in at.values()):
        return [("", list(slices))]
    return _by_clock(at, present, most) or _by_instance(at, most) or [("", list(slices))]


def _text(value: Any) -> str:
    return "\\".join(str(v) for v in value) if hasattr(value, "__iter__") and not isinstance(value, str) else str(value)


def _by(slices: Sequence[Slice], keys: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], list[Slice]]:
    parts: dict[tuple[str, ...], list[Slice]] = defaultdict(list)
    for slice_, key in zip(slices, keys, strict=True):
        parts[key].append(slice_)
    return parts


def _is_division(parts: dict[tuple[str, ...], list[Slice]], places: Mapping[int, int], most: int) -> bool:
    """Return whether each position occurs once in each part, and parts are more than single images."""
    if any(len({places[id(s)] for s in part}) < len(part) for part in parts.values()):
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


def _by_clock(at: Mapping[int, list[Slice]], present: Sequence[str], most: int) -> list[Part]:
    """Return parts by the order in time at each position; every position has equally many images."""
    for name in (clock for clock in _CLOCKS if clock in present):
        if all(len({s.discriminators.get(name) for s in images}) == most for images in at.values()):
            ranked = [sorted(images, key=lambda s: _order(s.discriminators.get(name, ""))) for images in at.values()]
            return [(f"time {i + 1} of {most}", [images[i] for images in ranked]) for i in range(most)]
    return []


def _by_instance(at: Mapping[int, list[Slice]], most: int) -> list[Part]:
    """Return parts by instance number, where images are numbered volume by volume or position by position."""
    ranked = [sorted(images, key=lambda s: s.order) for images in at.values()]
    if any(len({s.order for s in images}) < most for images in ranked) or any(i[0].order[0] < 0 for i in ranked):
        return []
    volumes = [[images[i] for images in ranked] for i in range(most)]
    if not _follow_each_other(volumes) and not _follow_each_other(ranked):
        return []
    return [(f"volume {i} of {most}", volume) for i, volume in enumerate(volumes, start=1)]


def _follow_each_other(groups: Sequence[Sequence[Slice]]) -> bool:
    """Return whether the numbers of each group of images all lie before those of the next."""
    ends = sorted((min(s.order for s in group), max(s.order for s in group)) for group in groups)
    return all(one[1] < other[0] for one, other in pairwise(ends))
