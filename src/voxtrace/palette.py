"""Label colours: the same organ has the same colour in every picture, and eight can be told apart by everyone.

The first eight were chosen so that any two differ by at least 30 in CIELAB as seen with normal colour vision, with
protanopia and with deuteranopia (simulated after Machado et al. 2009), and all are bright enough to lie on a scan.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable, Mapping

from voxtrace.volume import Triple

SAFE = 8  # the first colours, for every reader
_FIRST: tuple[Triple, ...] = (
    (0.90, 0.30, 0.00),  # vermilion
    (0.50, 0.70, 1.00),  # sky
    (1.00, 0.90, 0.00),  # yellow
    (0.45, 0.20, 1.00),  # violet
    (0.60, 1.00, 0.60),  # mint
    (0.62, 0.20, 0.50),  # plum
    (0.00, 1.00, 0.90),  # cyan
    (0.70, 0.32, 0.30),  # brick
    (0.90, 0.62, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.20, 0.45, 0.95),
    (0.95, 0.25, 0.35),
    (0.75, 0.55, 0.35),
    (0.95, 0.65, 0.75),
    (0.34, 0.71, 0.91),
)
# Places in the palette of what is often segmented together; other names get a place from their letters.
_KNOWN: dict[str, int] = {
    "liver": 0,
    "spleen": 3,
    "kidney": 2,
    "kidneys": 2,
    "right kidney": 2,
    "left kidney": 8,
    "gallbladder": 9,
    "esophagus": 10,
    "oesophagus": 10,
    "stomach": 7,
    "aorta": 5,
    "inferior vena cava": 11,
    "portal vein and splenic vein": 15,
    "pancreas": 4,
    "right adrenal gland": 13,
    "left adrenal gland": 14,
    "spine": 6,
    "bladder": 12,
    "anterior": 0,
    "posterior": 1,
    "hippocampus": 2,
    "whole tumour": 4,
    "oedema": 4,
    "edema": 4,
    "enhancing tumour": 0,
    "enhancing tumor": 0,
    "enhancing": 0,
    "non enhancing tumour": 1,
    "non enhancing tumor": 1,
    "necrosis": 1,
    "tumour": 0,
    "tumor": 0,
    "left ventricle": 0,
    "right ventricle": 1,
    "myocardium": 2,
    "lung": 1,
    "right lung": 1,
    "left lung": 6,
}
_GOLDEN = 0.618_034
_RAMP_START, _RAMP_END = (0.25, 0.20, 0.65), (1.00, 0.90, 0.20)


def colour(value: int) -> Triple:
    """Return the colour at a place ≥ 1 of the palette, (red, green, blue) each 0..1."""
    if value <= len(_FIRST):
        return _FIRST[value - 1]
    hue = (value * _GOLDEN) % 1.0
    return colorsys.hsv_to_rgb(hue, 0.55 + 0.4 * (value % 2), 0.95 - 0.25 * (value % 3) / 2)


def colours(
    values: Iterable[int], given: Mapping[int, Triple] | None = None, names: Mapping[int, str] | None = None
) -> dict[int, Triple]:
    """Return a colour for each label value except 0; colours from the file take precedence.

    With names, a label gets the colour of its name, whatever its value; where two names of one label map share a place,
    the one that is less well known moves to the next free place. Without names, and for ``label 3``, the value decides.
    """
    given, names = given or {}, names or {}
    places = _places({value: names.get(value, "") for value in values if value})
    return {value: given.get(value, colour(place + 1)) for value, place in places.items()}


def _places(names: Mapping[int, str]) -> dict[int, int]:
    """Return label value -> place in the palette, from 0, each place once; in the order of ``names``."""
    known = {value: " ".join(name.lower().replace("_", " ").replace("-", " ").split()) for value, name in names.items()}
    order = sorted(names, key=lambda value: (_rank(known[value]), known[value], value))
    taken: dict[int, int] = {}
    used: set[int] = set()
    for value in order:
        place = _wanted(known[value], value)
        if place in used:
            place = next(free for free in range(len(names) + len(_FIRST)) if free not in used)
        taken[value] = place
        used.add(place)
    return {value: taken[value] for value in names}


def _rank(name: str) -> int:
    return 0 if name in _KNOWN else 2 if _is_plain(name) else 1


def _is_plain(name: str) -> bool:
    return not name or name.startswith("label ")


def _wanted(name: str, value: int) -> int:
    if name in _KNOWN:
        return _KNOWN[name]
    return value - 1 if _is_plain(name) else zlib.crc32(name.encode()) % SAFE


def ramp(steps: int) -> dict[int, Triple]:
    """Return colours 1..steps from dark violet (settled early) to yellow (settled late)."""
    mix = [k / max(1, steps - 1) for k in range(steps)]
    return {
        k + 1: tuple(a + (b - a) * t for a, b in zip(_RAMP_START, _RAMP_END, strict=True))  # type: ignore[misc]
        for k, t in enumerate(mix)
    }


def napari_colours(
    colours: Mapping[int, Triple], hidden: Iterable[int] = ()
) -> dict[int | None, tuple[float, ...] | str]:
    """Return a Labels colormap for napari as a dictionary: background transparent, unknown values magenta.

    Labels in ``hidden`` are transparent.
    """
    known: dict[int | None, tuple[float, ...] | str] = {0: "transparent", None: "magenta"}
    out = set(hidden)
    return known | {value: (*rgb, 0.0 if value in out else 1.0) for value, rgb in colours.items()}
