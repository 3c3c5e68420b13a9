"""Small made-up cases on which any method can be trained in seconds."""

from __future__ import annotations

import numpy as np

from voxtrace.volume import Case, Geometry, LabelMap, Volume


def ball(seed: int, size: int = 16) -> Case:
    """Return a bright ball of radius 5 mm in noise, somewhere near the middle of a cube at 1 mm.

    The image is (1, ``size``, ``size``, ``size``), its label map has the ball as 1.
    """
    rng = np.random.default_rng(seed)
    centre = size / 2 + rng.uniform(-2, 2, 3)
    z, y, x = np.indices((size, size, size)) - centre.reshape(3, 1, 1, 1)
    inside = z**2 + y**2 + x**2 < 25
    geometry = Geometry.from_spacing((size, size, size), (1.0, 1.0, 1.0))
    image = (2.0 * inside + rng.normal(0, 0.5, inside.shape)).astype(np.float32)[None]
    return Case(f"ball_{seed:03d}", Volume(image, geometry), LabelMap(inside, geometry))
