"""A made-up brain with lesions of varied difficulty: several or one, clear or faint, smooth or ragged, or symmetric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.phantoms.brain import TISSUES, Signals, healthy_brain, scanned_brain
from voxtrace.phantoms.drawing import Space, common, without
from voxtrace.volume import Array, Case, LabelMap, Shape, Triple

NAMES = {1: "lesion"}
COLOURS = {1: (0.9, 0.45, 0.2)}
MOST = 4
FAINTEST = 0.2  # of the contrast of a clear lesion with grey matter
SIDE_MM = (16.0, 40.0)  # from the middle plane
ASIDE = 0.25  # fraction of the lesions that only the other side shows


@dataclass(frozen=True)
class Lesion:
    """One lesion: its depth (Z, Y, X) in mm, its signal in each sequence, and what makes it hard.

    ``contrast`` is that with grey matter, 1 for a clear one and 0 where it looks like grey matter: in white matter then
    a nucleus that the other side lacks. ``ragged_mm`` is by how much its edge is displaced.
    """

    depth: Array
    signals: Signals
    contrast: float
    ragged_mm: float


def varied_lesions_mr(seed: int, shape: Shape = (48, 80, 80), spacing_mm: Triple = (2.0, 2.0, 2.0)) -> Case:
    """Return a made-up, skull-stripped brain MR with one to four lesions; the same seed gives the same voxels.

    Lesions are 4 to 15 mm in radius. Some are as bright as oedema, some faint down to a fifth of its contrast; edges
    are smooth or ragged by up to 5 mm; a quarter look like grey matter and lie in white matter, so that only the other
    side shows that they do not belong there. Slices therefore differ in how large a network they need.

    Parameters
    ----------
    seed
        Any whole number from 0.
    shape, spacing_mm
        The grid, along (Z, Y, X).

    Returns
    -------
    Case
        int16 intensities (4, Z, Y, X) of flair, t1ce, t1, t2, exactly 0 outside the brain; label 1 is lesion.
    """
    rng = np.random.default_rng([seed, 3])
    space = Space.centred(shape, spacing_mm)
    brain, depths = healthy_brain(space, rng)
    lesions = draw_lesions(space, brain, depths, rng)
    painted = [(depths[name], TISSUES[name]) for name in ("white", "csf")]
    painted += [(lesion.depth, lesion.signals) for lesion in lesions]
    volume = scanned_brain(space, brain, painted, f"lesions-{seed:04d}", rng)
    shown = np.maximum.reduce([lesion.depth for lesion in lesions]) > 0
    labels = LabelMap((shown & (brain > 0)).astype(np.uint8), volume.geometry, NAMES, COLOURS, volume.name)
    return Case(volume.name, volume, labels)


def draw_lesions(space: Space, brain: Array, depths: dict[str, Array], rng: np.random.Generator) -> list[Lesion]:
    """Return one to four lesions inside a brain, outside its fluid."""
    return [_lesion(space, brain, depths, rng) for _ in range(int(rng.integers(1, MOST + 1)))]


def _lesion(space: Space, brain: Array, depths: dict[str, Array], rng: np.random.Generator) -> Lesion:
    aside = rng.random() < ASIDE
    contrast = 0.0 if aside else float(rng.uniform(FAINTEST, 1.0))
    ragged_mm = float(rng.choice((0.5, rng.uniform(2.0, 5.0))))
    side = rng.choice((-1.0, 1.0))
    centre = (rng.uniform(-14.0, 20.0), rng.uniform(-36.0, 36.0), side * rng.uniform(*SIDE_MM))
    radius = rng.uniform(4.0, 15.0)
    radii = (radius, radius * rng.uniform(0.7, 1.3), radius * rng.uniform(0.7, 1.3))
    solid = space.bent(rng, ragged_mm, 7.0).ellipsoid(centre, radii, rng.uniform(-60.0, 60.0))
    inside = without(common(solid, brain - 2.0), depths["csf"] + 0.5)
    if aside:
        inside = common(inside, depths["white"])
    grey, clear = TISSUES["grey"], TISSUES["edema"]
    mixed = [g + contrast * (c - g) for g, c in zip(grey, clear, strict=True)]
    return Lesion(inside, (mixed[0], mixed[1], mixed[2], mixed[3]), contrast, ragged_mm)
