"""Solids as depth fields, smooth random fields, and painting a solid into an image.

Every function works on arrays (Z, Y, X). A *depth* is positive inside a solid and measures, roughly, the distance to
its surface in mm; union, intersection and difference are maximum, minimum and minimum with the negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxtrace.volume import Array, Shape, Triple


@dataclass(frozen=True)
class Space:
    """Position of every voxel: z towards the head, y towards the back, x towards the patient's left, in mm.

    The origin is the middle of the grid; each coordinate is an array (Z, Y, X).
    """

    z: Array
    y: Array
    x: Array
    spacing_mm: Triple

    @staticmethod
    def centred(shape: Shape, spacing_mm: Triple) -> Space:
        """Return the positions of a grid's voxels around its middle."""
        axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True)]
        z, y, x = (a.astype(np.float32) for a in np.meshgrid(*axes, indexing="ij"))
        return Space(z, y, x, spacing_mm)

    def bent(self, rng: np.random.Generator, amount_mm: float, scale_mm: float) -> Space:
        """Return the positions displaced by a smooth random field: solids drawn there are deformed."""
        z, y, x = (c + amount_mm * self.field(rng, scale_mm) for c in (self.z, self.y, self.x))
        return Space(z, y, x, self.spacing_mm)

    def field(self, rng: np.random.Generator, scale_mm: float) -> Array:
        """Return random numbers of mean 0 and standard deviation 1 that vary over ``scale_mm``."""
        sigma = [scale_mm / mm for mm in self.spacing_mm]
        # A smooth field loses nothing by being drawn on a coarse grid and interpolated, which is much faster.
        stride = [max(1, int(s / 2)) for s in sigma]
        size = [-(-(n - 1) // k) + 1 for n, k in zip(self.z.shape, stride, strict=True)]
        pad = [int(2 * s / k) + 1 for s, k in zip(sigma, stride, strict=True)]
        # Drawn beyond the grid, so that the filter does not flatten the field at its border.
        noise = rng.standard_normal([n + 2 * p for n, p in zip(size, pad, strict=True)], dtype=np.float32)
        smooth = ndimage.gaussian_filter(noise, [s / k for s, k in zip(sigma, stride, strict=True)], truncate=3.0)
        smooth = (smooth - smooth.mean()) / (smooth.std() + 1e-12)
        inner = smooth[tuple(slice(p, p + n) for n, p in zip(size, pad, strict=True))]
        fine = ndimage.zoom(inner, [((n - 1) * k + 1) / n for n, k in zip(size, stride, strict=True)], order=1)
        return np.asarray(fine[tuple(slice(n) for n in self.z.shape)])

    def ellipsoid(self, centre_mm: Triple, radii_mm: Triple, roll_deg: float = 0.0) -> Array:
        """Return the depth in an ellipsoid, (z, y, x), rolled about z from x towards y."""
        z, y, x = self.z - centre_mm[0], self.y - centre_mm[1], self.x - centre_mm[2]
        # Depth in mm is exact along the shortest radius and approximate elsewhere.
        cosine, sine = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
        across, along = cosine * y - sine * x, cosine * x + sine * y
        radius = np.sqrt((z / radii_mm[0]) ** 2 + (across / radii_mm[1]) ** 2 + (along / radii_mm[2]) ** 2)
        return np.asarray((1.0 - radius) * min(radii_mm))

    def tube(self, y_mm: float | Array, x_mm: float | Array, radii_mm: tuple[float, float]) -> Array:
        """Return the depth in a tube along z; centre and radii along (y, x)."""
        radius = np.hypot((self.y - y_mm) / radii_mm[0], (self.x - x_mm) / radii_mm[1])
        return np.asarray((1.0 - radius) * min(radii_mm))

    def paint(self, image: Array, depth: Array, value: float | Array) -> None:
        """Paint a solid into an image in place; voxels on its surface mix both values (partial volume)."""
        half_mm = 0.5 * min(self.spacing_mm)
        fraction = np.clip(0.5 + 0.5 * depth / half_mm, 0.0, 1.0)
        image += fraction * (value - image)

    def scanned(self, image: Array, rng: np.random.Generator, noise: float, blur: Triple) -> Array:
        """Return the image blurred by ``blur`` voxels (σ), with correlated noise of standard deviation ``noise``."""
        grain = ndimage.gaussian_filter(rng.standard_normal(image.shape, dtype=np.float32), blur)
        return np.asarray(ndimage.gaussian_filter(image, blur) + noise * grain / grain.std())


def union(*depths: Array) -> Array:
    """Return the depth in any of the solids."""
    return np.asarray(np.maximum.reduce(depths))


def common(*depths: Array) -> Array:
    """Return the depth in all of the solids."""
    return np.asarray(np.minimum.reduce(depths))


def without(depth: Array, *others: Array) -> Array:
    """Return the depth in a solid from which others were cut."""
    return np.asarray(np.minimum.reduce([depth, *(-other for other in others)]))
