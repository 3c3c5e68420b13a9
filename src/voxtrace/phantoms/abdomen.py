"""A made-up contrast-enhanced CT of the upper abdomen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.passport import MADE_UP, Passport
from voxtrace.phantoms.drawing import Space, common, union, without
from voxtrace.volume import Array, Case, Geometry, LabelMap, Shape, Triple, Volume

NAMES = {1: "liver", 2: "spleen", 3: "kidneys", 4: "aorta", 5: "spine"}
COLOURS = {
    1: (0.72, 0.36, 0.28),
    2: (0.55, 0.25, 0.55),
    3: (0.85, 0.65, 0.2),
    4: (0.9, 0.15, 0.15),
    5: (0.93, 0.9, 0.8),
}

_AIR, _LUNG, _FAT, _MUSCLE, _WATER = -1000.0, -840.0, -100.0, 52.0, 12.0
_VERTEBRA_MM = 34.0  # from one disc to the next
_RIB_MM = 30.0  # from one rib to the next


@dataclass(frozen=True)
class _Contrast:
    """HU of tissues that take up contrast medium, from the arterial (0) to the portal venous phase (1)."""

    aorta: float
    veins: float
    liver: float
    spleen: float
    cortex: float
    medulla: float

    @staticmethod
    def at(phase: float) -> _Contrast:
        early = np.array([300.0, 70.0, 78.0, 135.0, 215.0, 100.0])
        late = np.array([160.0, 155.0, 115.0, 122.0, 190.0, 175.0])
        return _Contrast(*(float(v) for v in early + phase * (late - early)))


def abdomen_ct(seed: int, shape: Shape = (48, 96, 96), spacing_mm: Triple = (5.0, 3.0, 3.0)) -> Case:
    """Return a made-up abdominal CT with its truth; the same seed gives the same voxels.

    The anatomy is life-size and centred, so a small grid shows a part of it. Organs vary in position, size
    and shape, and the contrast phase from arterial to portal venous.

    Parameters
    ----------
    seed
        Any whole number from 0.
    shape, spacing_mm
        The grid, along (Z, Y, X).

    Returns
    -------
    Case
        int16 HU (1, Z, Y, X), and labels 1 liver, 2 spleen, 3 kidneys, 4 aorta, 5 spine.
    """
    # The second number separates this phantom's random numbers from those of others with the same seed.
    rng = np.random.default_rng([seed, 1])
    space = Space.centred(shape, spacing_mm)
    # A larger patient: the same anatomy over more millimetres.
    size = rng.uniform(0.92, 1.06)
    bodily = Space(space.z / size, space.y / size, space.x / size, spacing_mm)
    bodily = bodily.bent(rng, 2.5, 35.0)
    image = np.full(shape, _AIR, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    contrast = _Contrast.at(rng.uniform())
    # From the outside in: later solids overwrite earlier ones.
    _draw_table(space, image, 112.0 * size)
    cavity = _draw_wall(bodily, image, rng)
    _draw_bowel(bodily, image, cavity, rng)
    diaphragm = _draw_chest(bodily, image, cavity, contrast, rng)
    _draw_vessels(bodily, image, labels, contrast, rng)
    _draw_organs(bodily, image, labels, cavity, diaphragm, contrast, rng)
    _draw_ribs(bodily, image, cavity, rng)
    _draw_spine(bodily, image, labels, rng)
    scanned = space.scanned(image, rng, noise=rng.uniform(11.0, 17.0), blur=(0.35, 0.6, 0.6))
    hu = np.clip(np.rint(scanned), -1024, 3071).astype(np.int16)[np.newaxis]
    geometry = Geometry.from_spacing(
        shape, spacing_mm, (float(space.z.min()), float(space.y.min()), float(space.x.min()))
    )
    name = f"abdomen-{seed:04d}"
    volume = Volume(hu, geometry, modality="CT", channels=("CT",), name=name, passport=Passport((MADE_UP,)))
    return Case(name, volume, LabelMap(labels, geometry, NAMES, COLOURS, name))


def _draw_table(space: Space, image: Array, y_mm: float) -> None:
    """Draw the shell of a scanner's table, curved like its cushion."""
    curve = y_mm + 6.0 - 0.0011 * space.x**2
    shell = 2.0 - np.abs(space.y - curve - 4.0)
    space.paint(image, common(shell, 150.0 - np.abs(space.x)), -180.0)


def _draw_wall(space: Space, image: Array, rng: np.random.Generator) -> Array:
    """Draw skin, fat and muscle, and return the depth in the cavity that they enclose."""
    rim, front = rng.uniform(9.0, 20.0), rng.uniform(4.0, 14.0)
    half = (rng.uniform(96.0, 104.0), rng.uniform(126.0, 136.0))
    reach = (np.abs(space.y / half[0]) ** 2.4 + np.abs(space.x / half[1]) ** 2.4) ** (1 / 2.4)
    body = (1.0 - reach) * half[0]
    fat = rim + front * np.clip(-space.y / half[0], 0.0, 1.0)
    # Layers from the skin inwards.
    space.paint(image, body, _MUSCLE)  # the skin
    space.paint(image, body - 2.0, _FAT + 6.0 * space.field(rng, 6.0))
    muscle = body - fat
    space.paint(image, muscle, _MUSCLE + 5.0 * space.field(rng, 5.0))
    planes = 0.8 - np.abs(np.abs(muscle - 6.0) - 2.0)  # fat between the layers of the wall
    space.paint(image, common(planes, muscle, 30.0 - space.y), _FAT / 3)
    back = union(*(space.tube(76.0, side * 30.0, (19.0, 25.0)) for side in (-1, 1)))
    cavity = without(muscle - 12.0, back, space.tube(64.0, 0.0, (22.0, 26.0)))
    space.paint(image, cavity, _FAT + 5.0 * space.field(rng, 8.0))
    psoas = union(*(space.tube(52.0, side * (24.0 - 0.12 * space.z), (14.0, 13.0)) for side in (-1, 1)))
    space.paint(image, common(psoas, 0.5 * (10.0 - space.z)), _MUSCLE + 4.0)
    return cavity


def _draw_bowel(space: Space, image: Array, cavity: Array, rng: np.random.Generator) -> None:
    """Draw loops of bowel in front, below the liver, some with gas that rises towards the front."""
    loops = 7.0 * (space.field(rng, 9.0) + 0.2)
    front = common(cavity - 6.0, 18.0 - space.y, 0.6 * (30.0 - space.z))
    loops = common(loops, front)
    space.paint(image, loops, 34.0 + 14.0 * space.field(rng, 6.0))
    gas = common(loops - 3.0, 6.0 * (space.field(rng, 14.0) - 0.9))
    space.paint(image, gas, -820.0)


def _draw_chest(space: Space, image: Array, cavity: Array, contrast: _Contrast, rng: np.random.Generator) -> Array:
    """Draw lungs, heart and what lies between them, and return the depth below the two domes of the diaphragm."""
    dome = rng.uniform(92.0, 108.0) - space.z - np.where(space.x > 0, 8.0, 0.0) * np.clip(space.x / 30.0, 0.0, 1.0)
    dome = dome - 0.009 * (np.abs(space.x) - 55.0) ** 2 - 0.006 * (space.y + 15.0) ** 2
    heart = space.ellipsoid((122.0, -38.0, 14.0), (36.0, 36.0, 48.0))
    between = union(heart + 3.0, space.tube(28.0, 3.0, (42.0, 22.0)))
    lungs = without(common(cavity + 4.0, -dome), between)
    space.paint(image, lungs, _LUNG + 20.0 * space.field(rng, 4.0))
    space.paint(
        image, common(0.9 - 9.0 * np.abs(space.field(rng, 9.0)), lungs - 4.0, 4.0 * space.field(rng, 6.0)), -300.0
    )
    space.paint(image, heart, 0.5 * (contrast.aorta + contrast.veins))
    return np.asarray(dome)


def _draw_vessels(space: Space, image: Array, labels: Array, contrast: _Contrast, rng: np.random.Generator) -> None:
    """Draw the aorta in front of the spine, a little to the left, and the inferior vena cava on its right."""
    bend = 3.0 * np.sin(space.z / rng.uniform(45.0, 80.0) + rng.uniform(0.0, 6.0))
    radius = rng.uniform(9.5, 12.5) - 0.012 * space.z
    aorta = radius - np.hypot(space.y - 33.0 - 0.06 * space.z, space.x - 9.0 - bend)
    cava = space.tube(24.0 - 0.1 * space.z, -20.0 + 0.5 * bend, (9.0, 12.0))
    space.paint(image, cava, contrast.veins)
    space.paint(image, aorta, contrast.aorta)
    calcified = common(1.2 - np.abs(aorta - 0.6), 5.0 * (space.field(rng, 4.0) - 1.9))
    space.paint(image, calcified, 650.0)
    labels[aorta > 0] = 4


def _draw_organs(
    space: Space,
    image: Array,
    labels: Array,
    cavity: Array,
    diaphragm: Array,
    contrast: _Contrast,
    rng: np.random.Generator,
) -> None:
    """Draw stomach, kidneys, spleen and liver, each in the space that is left below the diaphragm."""
    below = common(cavity, diaphragm - 3.0)
    stomach = common(space.ellipsoid((48.0, -30.0, 58.0), (42.0, 34.0, 34.0), rng.uniform(-25.0, 25.0)), below)
    space.paint(image, stomach, 60.0)
    space.paint(image, stomach - 4.0, _WATER + 12.0 * space.field(rng, 6.0))
    space.paint(image, common(stomach - 4.0, -(space.y + rng.uniform(36.0, 50.0))), -950.0)
    kidneys = _draw_kidneys(space, image, labels, contrast, rng)
    spleen = space.ellipsoid((rng.uniform(38.0, 54.0), 30.0, 84.0), (rng.uniform(46.0, 60.0), 29.0, 56.0), 60.0)
    hollow = union(space.ellipsoid((45.0, -12.0, 46.0), (80.0, 36.0, 28.0), 20.0), stomach + 1.0, kidneys + 3.0)
    spleen = common(without(spleen, hollow), below)
    space.paint(image, spleen, contrast.spleen + 3.0 * space.field(rng, 5.0))
    labels[spleen > 0] = 2
    _draw_liver(space, image, labels, without(below, stomach + 2.0, kidneys + 3.0, spleen + 2.0), contrast, rng)


def _draw_kidneys(space: Space, image: Array, labels: Array, contrast: _Contrast, rng: np.random.Generator) -> Array:
    """Draw two beans: bright cortex, medulla in pyramids, fat in the hilum that faces the spine."""
    both = np.full(image.shape, -1e3, dtype=np.float32)
    for side, z_mm in ((-1, rng.uniform(-35.0, -18.0)), (1, rng.uniform(-22.0, -5.0))):
        centre = (z_mm, 38.0, side * (62.0 - 0.12 * (space.z - z_mm)).mean())
        bean = space.ellipsoid(centre, (rng.uniform(48.0, 58.0), 27.0, 29.0), side * 35.0)
        hilum = space.ellipsoid((z_mm, 26.0, side * 38.0), (24.0, 11.0, 17.0), side * 35.0)
        kidney = without(bean, hilum)
        both = union(both, kidney)
        space.paint(image, kidney, contrast.cortex)
        pyramids = common(kidney - 6.0, 6.0 * (space.field(rng, 5.0) + 0.5))
        space.paint(image, pyramids, contrast.medulla)
        space.paint(image, space.ellipsoid((z_mm, 32.0, side * 50.0), (26.0, 7.0, 10.0), side * 35.0), _FAT / 2)
    labels[both > 0] = 3
    return both


def _draw_liver(
    space: Space, image: Array, labels: Array, free: Array, contrast: _Contrast, rng: np.random.Generator
) -> None:
    """Draw a large right lobe and a left lobe that tapers across the midline, within the space that is left."""
    grown = space.bent(rng, 4.0, 22.0)
    right = grown.ellipsoid((rng.uniform(30.0, 42.0), -6.0, -66.0), (rng.uniform(74.0, 92.0), 84.0, 66.0))
    left = grown.ellipsoid((58.0, -46.0, rng.uniform(-12.0, 6.0)), (rng.uniform(30.0, 42.0), 30.0, 66.0), 12.0)
    porta = grown.ellipsoid((22.0, 6.0, -8.0), (34.0, 34.0, 26.0))
    behind = union(space.tube(33.0, 4.0, (22.0, 30.0)), space.tube(24.0, -20.0, (9.0, 12.0)))
    liver = common(without(union(right, left), porta, behind), free - 1.5)
    space.paint(image, liver, contrast.liver + 3.0 * space.field(rng, 6.0))
    # Two random fields are both 0 along lines, which look like vessel branches.
    branches = 1.3 - 11.0 * np.hypot(space.field(rng, 13.0), space.field(rng, 13.0))
    space.paint(image, common(2.0 * branches, liver - 5.0), contrast.veins + 15.0)
    labels[liver > 0] = 1
    bladder = space.ellipsoid((4.0, -44.0, -38.0), (22.0, 13.0, 12.0))
    space.paint(image, bladder, _WATER)
    labels[(bladder > 0) & (labels == 1)] = 0


def _draw_ribs(space: Space, image: Array, cavity: Array, rng: np.random.Generator) -> None:
    """Draw ribs that slope from the spine down to the front, in the wall above the lower edge of the cage."""
    angle = np.arctan2(np.abs(space.x), space.y)  # 0 at the back, pi in front
    turn = (space.z + 26.0 * angle + rng.uniform(0.0, _RIB_MM)) / _RIB_MM
    height = np.abs(turn - np.rint(turn)) * _RIB_MM
    rib = 5.5 - np.hypot(height * 0.75, (cavity + 5.0) * 1.25)
    cage = common(0.4 * (space.z + 55.0 - 30.0 * angle), 60.0 * (2.3 - angle), 60.0 * (angle - 0.4))
    rib = common(rib, cage)
    space.paint(image, rib, 480.0)
    space.paint(image, rib - 2.0, 210.0)


def _draw_spine(space: Space, image: Array, labels: Array, rng: np.random.Generator) -> None:
    """Draw vertebrae and discs around a canal: cortical shell, spongy inside, arches and processes behind."""
    height = (space.z + rng.uniform(0.0, _VERTEBRA_MM)) / _VERTEBRA_MM
    from_disc = np.abs(height - np.rint(height)) * _VERTEBRA_MM
    waist = 1.0 - 0.06 * np.sin(np.pi * from_disc / _VERTEBRA_MM)
    body = space.tube(60.0, 0.0, (16.5, 21.0)) * waist
    canal = space.tube(83.0, 0.0, (8.0, 10.0))
    ring = without(space.tube(83.0, 0.0, (13.0, 15.5)), canal)
    level = from_disc - 6.0
    spinous = common(4.0 - np.abs(space.x), 102.0 - space.y, space.y - 88.0, level)
    transverse = common(4.5 - np.abs(space.y - 80.0), 38.0 - np.abs(space.x), np.abs(space.x) - 10.0, level - 3.0)
    arch = without(union(common(ring, level + 3.0), spinous, transverse), canal)
    disc = common(body, 3.5 - from_disc)
    vertebra = union(common(body, from_disc - 3.5), arch)
    space.paint(image, body, 85.0)
    space.paint(image, canal, 25.0)
    space.paint(image, vertebra, rng.uniform(420.0, 560.0))
    space.paint(image, vertebra - 2.5, rng.uniform(170.0, 260.0) + 45.0 * space.field(rng, 2.5))
    labels[union(vertebra, disc) > 0] = 5
