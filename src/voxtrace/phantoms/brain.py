"""A made-up brain with a tumour, in the four MR sequences of a glioma protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from voxtrace.passport import MADE_UP, Passport
from voxtrace.phantoms.drawing import Space, common, union, without
from voxtrace.volume import Array, Case, Geometry, LabelMap, Shape, Triple, Volume

NAMES = {1: "core", 2: "edema", 3: "enhancing"}
COLOURS = {1: (0.85, 0.2, 0.2), 2: (0.25, 0.75, 0.35), 3: (0.95, 0.85, 0.25)}
CHANNELS = ("flair", "t1ce", "t1", "t2")

Signals = tuple[float, float, float, float]

# Signal of each tissue, in arbitrary units, along CHANNELS.
TISSUES: dict[str, Signals] = {
    "csf": (70.0, 110.0, 105.0, 820.0),
    "grey": (355.0, 280.0, 265.0, 420.0),
    "white": (275.0, 415.0, 400.0, 280.0),
    "edema": (560.0, 315.0, 300.0, 600.0),
    "core": (230.0, 190.0, 185.0, 680.0),
    "enhancing": (460.0, 720.0, 310.0, 440.0),
}


def brain_tumour_mr(seed: int, shape: Shape = (48, 80, 80), spacing_mm: Triple = (2.0, 2.0, 2.0)) -> Case:
    """Return a made-up, skull-stripped brain MR with a tumour and its truth; the same seed gives the same voxels.

    The anatomy is a little smaller than life and centred. The tumour is edema around an enhancing rim around a
    necrotic core, in either hemisphere; most planes along Z do not contain it.

    Parameters
    ----------
    seed
        Any whole number from 0.
    shape, spacing_mm
        The grid, along (Z, Y, X).

    Returns
    -------
    Case
        int16 intensities (4, Z, Y, X) of flair, t1ce, t1, t2, exactly 0 outside the brain; labels 1 core (necrotic),
        2 edema, 3 enhancing.
    """
    rng = np.random.default_rng([seed, 2])
    space = Space.centred(shape, spacing_mm)
    brain, depths = healthy_brain(space, rng)
    depths |= _tumour(space, brain, depths["csf"], rng)
    painted = [(depths[name], TISSUES[name]) for name in ("white", "csf", "edema", "enhancing", "core")]
    volume = scanned_brain(space, brain, painted, f"brain-{seed:04d}", rng)
    labels = LabelMap(_labels(depths, brain), volume.geometry, NAMES, COLOURS, volume.name)
    return Case(volume.name, volume, labels)


def healthy_brain(space: Space, rng: np.random.Generator) -> tuple[Array, dict[str, Array]]:
    """Return the depth in a brain, and in its ``white`` matter and fluid (``csf``); the rest of it is grey matter."""
    brain = _hull(space.bent(rng, 2.0, 30.0), rng)
    return brain, _tissues(space.bent(rng, 2.0, 18.0), brain, rng)


def scanned_brain(
    space: Space, brain: Array, painted: Sequence[tuple[Array, Signals]], name: str, rng: np.random.Generator
) -> Volume:
    """Return a scan (4, Z, Y, X) int16 along ``CHANNELS`` of a brain, grey matter but for what is painted into it.

    ``painted`` has the depth in each solid and its signals; each covers those before. Outside the brain it is 0.
    """
    channels = [_sequence(space, painted, brain, index, rng) for index in range(len(CHANNELS))]
    origin_mm = (float(space.z.min()), float(space.y.min()), float(space.x.min()))
    z, y, x = brain.shape
    geometry = Geometry.from_spacing((z, y, x), space.spacing_mm, origin_mm)
    passport = Passport((MADE_UP,))
    return Volume(np.stack(channels), geometry, modality="MR", channels=CHANNELS, name=name, passport=passport)


def _hull(space: Space, rng: np.random.Generator) -> Array:
    """Return the depth in two hemispheres with a flattened base and a cleft between them."""
    size = rng.uniform(0.94, 1.04)
    centre, radii = (-6.0, 0.0, 0.0), (50.0 * size, 75.0 * size, 61.0 * size)
    whole = space.ellipsoid(centre, radii)
    whole = common(whole, 0.9 * (space.z + 38.0 + 0.08 * np.abs(space.y)))
    cleft = common(1.6 - np.abs(space.x) + 0.5 * np.clip(8.0 - whole, 0.0, None), 16.0 - whole)
    return without(whole, common(cleft, 7.0 - whole))


def _tissues(space: Space, brain: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Return depths of white matter and fluid; the rest of the brain is grey matter.

    Sulci lie where a random field is 0, and the cortex around them where it is small.
    """
    folds = np.abs(space.field(rng, 4.3))
    outer = np.clip(1.0 - brain / 20.0, 0.0, 1.0)
    sulci = common(14.0 * (0.16 * outer - folds), brain + 1.0, 15.0 - brain)
    white = common(brain - 3.8, 9.0 * (folds - 0.75 * np.sqrt(outer)))
    nuclei = union(*(_nuclei(space, side) for side in (-1, 1)))
    middle = common(2.2 - np.abs(space.x), 24.0 - brain, space.z - 14.0)
    ventricles = union(*(_ventricle(space, side, rng.uniform(0.8, 1.25)) for side in (-1, 1)))
    third = space.ellipsoid((-4.0, 4.0, 0.0), (9.0, 14.0, 2.0))
    fluid = union(sulci, ventricles, third, middle)
    return {"white": without(white, nuclei), "csf": fluid}


def _ventricle(space: Space, side: int, size: float) -> Array:
    """Return the depth in one lateral ventricle: anterior horn, body, and a posterior horn that spreads outwards."""
    front = space.ellipsoid((10.0, -20.0, side * 9.0), (8.0 * size, 14.0, 5.0 * size), side * 20.0)
    body = space.ellipsoid((16.0, 4.0, side * 9.0), (6.0 * size, 24.0, 5.0 * size))
    back = space.ellipsoid((8.0, 28.0, side * 17.0), (7.0 * size, 15.0, 5.0 * size), side * -25.0)
    return union(front, body, back)


def _nuclei(space: Space, side: int) -> Array:
    """Return the depth in the grey nuclei of one side: thalamus, lentiform and caudate nucleus."""
    thalamus = space.ellipsoid((2.0, 10.0, side * 11.0), (9.0, 13.0, 8.0), side * -20.0)
    lentiform = space.ellipsoid((0.0, -8.0, side * 24.0), (9.0, 16.0, 6.0), side * 12.0)
    caudate = space.ellipsoid((8.0, -20.0, side * 15.0), (9.0, 9.0, 4.5))
    return union(thalamus, lentiform, caudate)


def _tumour(space: Space, brain: Array, fluid: Array, rng: np.random.Generator) -> dict[str, Array]:
    """Return depths of edema, enhancing rim and core, each inside the previous one."""
    side = rng.choice((-1.0, 1.0))
    centre = (rng.uniform(-14.0, 20.0), rng.uniform(-34.0, 34.0), side * rng.uniform(22.0, 36.0))
    height, width = rng.uniform(8.5, 12.0), rng.uniform(11.0, 18.0)
    lumpy = space.bent(rng, 2.0, 7.0)
    solid = lumpy.ellipsoid(centre, (height, width * rng.uniform(0.8, 1.25), width), rng.uniform(-60.0, 60.0))
    solid = common(solid, brain - 2.0)
    rim_mm = rng.uniform(2.6, 4.2)
    fingers = space.bent(rng, 3.5, 9.0)
    spread = rng.uniform(8.0, 15.0)
    around = (height + 0.35 * spread, width + 0.9 * spread, width + 0.6 * spread)
    edema = fingers.ellipsoid(centre, around, rng.uniform(-60.0, 60.0))
    # Edema spreads in tissue, not into fluid, and surrounds the solid part everywhere.
    edema = union(solid + 1.5, without(common(edema, brain - 3.0), fluid + 0.5))
    core = solid - rim_mm + 0.8 * space.field(rng, 4.0)
    return {"edema": edema, "enhancing": solid, "core": core}


def _labels(depths: dict[str, Array], brain: Array) -> Array:
    labels = np.zeros(brain.shape, dtype=np.uint8)
    # In this order: each part overwrites the one that contains it.
    for name, value in (("edema", 2), ("enhancing", 3), ("core", 1)):
        labels[(depths[name] > 0) & (brain > 0)] = value
    return labels


def _sequence(
    space: Space, painted: Sequence[tuple[Array, Signals]], brain: Array, channel: int, rng: np.random.Generator
) -> Array:
    """Return one sequence (Z, Y, X) int16: tissues, texture, noise, a coil's bias field, and 0 outside the brain."""
    image = np.full(brain.shape, TISSUES["grey"][channel], dtype=np.float32)
    for depth, signals in painted:
        space.paint(image, depth, signals[channel])
    image *= 1.0 + 0.03 * space.field(rng, 3.0)
    image = space.scanned(image, rng, noise=rng.uniform(7.0, 12.0), blur=(0.45, 0.45, 0.45))
    image *= np.exp(0.07 * space.field(rng, 60.0)) * rng.uniform(0.85, 1.2)
    # Opening removes single voxels, which skull stripping would not leave either.
    inside = ndimage.binary_opening(brain > 0) if min(brain.shape) > 2 else brain > 0
    return np.where(inside, np.clip(np.rint(image), 1, 32767), 0).astype(np.int16)
