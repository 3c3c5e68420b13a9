"""Augmentation of windows: batchgeneratorsv2's transforms with the values of :class:`voxtrace.method.Augmentation`.

The defaults are nnU-Net's recipe (Isensee et al. 2021):

=====================  ===========  ================================================================
what                   probability  range
=====================  ===========  ================================================================
rotation               0.2          ±30° about each axis; in-plane ±180° for flat windows ("dummy 2D")
scale                  0.2          0.7 to 1.4, the same along each axis
Gaussian noise         0.1          variance 0 to 0.1
Gaussian blur          0.2          σ 0.5 to 1 voxel, each channel 0.5
brightness             0.15         × 0.75 to 1.25
contrast               0.15         × 0.75 to 1.25, clipped to the range
low resolution         0.25         zoom 0.5 to 1, each channel 0.5
gamma, inverted        0.1          0.7 to 1.5, mean and deviation kept
gamma                  0.3          0.7 to 1.5, mean and deviation kept
mirroring              0.5 an axis  the plan's ``mirror_axes``
=====================  ===========  ================================================================

A method may ask for other rotations and scales, elastic deformation, linear intensity changes or none. Elastic
deformation is nnU-Net v1's, in its 2D values: noise uniform in ±1, blurred with σ 9 to 13 voxels, times α 0 to 200; α
and σ are drawn for each axis. Flat windows are deformed in-plane.

``plan.augmentation`` scales every probability but those of mirroring and of linear changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform, blur_dimension
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from torch import Tensor

from voxtrace.method import Augmentation
from voxtrace.plan import Plan, Shape

FLAT = 3  # a window more than this many times wider than deep is rotated in-plane only
SIGMA, ALPHA = (9.0, 13.0), (0.0, 200.0)  # of an elastic deformation, in voxels
LONGEST_HALF_KERNEL = 3  # voxels, of σ = 1 in 6 σ; what is mirrored at a border is longer
PEAK = 2.8  # largest of its displacements, in standard deviations, in a plane of 128×192
BOX_FACTOR = 1.5  # how much larger than the window the box is that a rotated or shrunk window is taken from


class Augmenter:
    """The augmentation of one plan; call it with a box of ``box_size`` and a seed to get a window."""

    def __init__(self, plan: Plan, settings: Augmentation) -> None:
        self.window = plan.window
        self.flat = max(plan.window) / plan.window[0] > FLAT
        mirror = plan.mirror_axes if settings.mirror else ()
        intensity = {"full": _intensity(self.flat, plan.augmentation), "linear": [LinearIntensity()], "none": []}
        self._transform = ComposeTransforms(
            [*_spatial(plan, settings, self.flat), *intensity[settings.intensity], *_mirror(mirror)]
        )

    @property
    def box_size(self) -> Shape:
        """The box (Z, Y, X) to cut around a window, large enough that a rotated window needs little padding."""
        z, y, x = (math.ceil(n * BOX_FACTOR / 2) * 2 for n in self.window)
        return (self.window[0] if self.flat else z, y, x)

    def __call__(self, image: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return an augmented window: image (C, Z, Y, X) float32 and labels (Z, Y, X) int64, from boxes of one size."""
        with seeded(seed):
            window: dict[str, Any] = self._transform(image=image, segmentation=labels[None])
        return window["image"].float(), window["segmentation"][0].long()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed numpy's and torch's global generators of the CPU within the block, and restore their state after it.

    ``torch.manual_seed`` would also seed those of every kind of device, there or not, and takes longer than a window.
    """
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)


def _spatial(plan: Plan, settings: Augmentation, flat: bool) -> list[Any]:
    angle = math.radians(settings.flat_rotation_degrees if flat else settings.rotation_degrees)
    spatial = SpatialTransform(
        plan.window[1:] if flat else plan.window,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_elastic_deform=settings.elastic_p * plan.augmentation,
        elastic_deform_scale=elastic_scale,
        elastic_deform_magnitude=elastic_magnitude,
        p_rotation=settings.rotation_p * plan.augmentation,
        rotation=(-angle, angle),
        p_scaling=settings.scale_p * plan.augmentation,
        scaling=settings.scale,
        p_synchronize_scaling_across_axes=0 if settings.scale_per_axis else 1,
    )
    return [Convert3DTo2DTransform(), spatial, Convert2DTo3DTransform()] if flat else [spatial]


def elastic_scale(*, dim: int, patch_size: Sequence[int], **unused: Any) -> float:
    """Draw σ of the displacement along an axis, as a fraction of the window's length."""
    return float(np.random.uniform(*SIGMA)) / patch_size[dim]


def elastic_magnitude(*, dim: int, patch_size: Sequence[int], deformation_scale: float, **unused: Any) -> float:
    """Draw α, and return the largest displacement along an axis, in voxels, for α and the axis's σ."""
    sigma = deformation_scale * patch_size[dim]
    deviation = math.sqrt(1.0 / 3.0) / (2.0 * math.sqrt(math.pi) * sigma)  # of noise uniform in ±1, blurred in 2D
    return PEAK * deviation * float(np.random.uniform(*ALPHA))


class LinearIntensity(ImageOnlyTransform):  # type: ignore[misc]  # the library is not annotated
    """x·U(0.9, 1.1) + U(−0.1, 0.1), drawn for each channel (Med-DANet)."""

    def get_parameters(self, **data: Any) -> dict[str, Any]:
        """Draw factor and summand of each channel."""
        shape = (data["image"].shape[0], *[1] * (data["image"].ndim - 1))
        factor = torch.empty(shape).uniform_(0.9, 1.1)
        return {"factor": factor, "summand": torch.empty(shape).uniform_(-0.1, 0.1)}

    def _apply_to_image(self, image: Tensor, **drawn: Any) -> Tensor:
        changed: Tensor = image * drawn["factor"] + drawn["summand"]
        return changed


class WindowBlur(GaussianBlurTransform):  # type: ignore[misc]  # the library is not annotated
    """nnU-Net's Gaussian blur; axes of a window that are no longer than half of the kernel are not blurred."""

    def _apply_to_image(self, image: Tensor, **drawn: Any) -> Tensor:
        channels = torch.where(torch.as_tensor(drawn["apply_to_channel"]))[0]
        for channel, sigmas in zip(channels.tolist(), drawn["sigmas"], strict=True):
            part = image[channel : channel + 1]
            for axis, sigma in enumerate(sigmas):
                if image.shape[axis + 1] > LONGEST_HALF_KERNEL:
                    part = blur_dimension(part, sigma, axis)
            image[channel : channel + 1] = part
        return image


def _intensity(flat: bool, factor: float) -> list[Any]:
    strength = BGContrast((0.75, 1.25))
    low_resolution = SimulateLowResolutionTransform(
        scale=(0.5, 1),
        synchronize_channels=False,
        synchronize_axes=True,
        ignore_axes=(0,) if flat else None,
        allowed_channels=None,
        p_per_channel=0.5,
    )
    blur = WindowBlur((0.5, 1.0), synchronize_channels=False, synchronize_axes=False, p_per_channel=0.5)
    noise = GaussianNoiseTransform((0, 0.1), p_per_channel=1, synchronize_channels=True)
    brightness = MultiplicativeBrightnessTransform(strength, synchronize_channels=False, p_per_channel=1)
    contrast = ContrastTransform(strength, preserve_range=True, synchronize_channels=False, p_per_channel=1)
    return [
        RandomTransform(noise, 0.1 * factor),
        RandomTransform(blur, 0.2 * factor),
        RandomTransform(brightness, 0.15 * factor),
        RandomTransform(contrast, 0.15 * factor),
        RandomTransform(low_resolution, 0.25 * factor),
        RandomTransform(_gamma(inverted=1), 0.1 * factor),
        RandomTransform(_gamma(inverted=0), 0.3 * factor),
    ]


def _gamma(inverted: float) -> GammaTransform:
    return GammaTransform(
        BGContrast((0.7, 1.5)), p_invert_image=inverted, synchronize_channels=False, p_per_channel=1, p_retain_stats=1
    )


def _mirror(axes: tuple[int, ...]) -> list[Any]:
    return [MirrorTransform(axes)] if axes else []
