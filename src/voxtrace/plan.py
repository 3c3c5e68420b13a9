"""Plan: what must be fixed before a network can be built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxtrace.errors import PlanError

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]

SMALLEST_MAP = 4  # voxels along an axis of the coarsest feature map, as nnU-Net plans it
ANISOTROPY = 2.0  # from this factor of the finest spacing on an axis is neither pooled nor convolved


class Normalisation(BaseModel):
    """How the intensities of one channel are normalised.

    ``ct`` clips to [lower, upper] HU, subtracts ``mean`` and divides by ``std`` (all from the training
    foreground); ``zscore`` uses the image's own mean and standard deviation; ``zscore_nonzero`` the same over
    voxels that are not 0; the others stay 0 (skull-stripped MR). ``zscore_inside`` is the same over the region where
    any channel is not 0, holes filled; ``range`` maps the image's minimum and maximum to 0 and 1; ``none`` leaves
    values as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scheme: Literal["ct", "zscore", "zscore_nonzero", "zscore_inside", "range", "none"] = "zscore"
    lower: float = 0.0
    upper: float = 0.0
    mean: float = 0.0
    std: float = 1.0


class Topology(BaseModel):
    """Stages of a U-Net: width, kernel and stride of each, finest first (the first stride is 1).

    Attributes
    ----------
    encoder
        ``plain`` convolutions, or ``residual`` blocks after a stem of one convolution.
    stem
        Width of that stem; 0 takes that of the first stage.
    blocks
        Convolutions, or residual blocks, of each encoder stage; empty means two each.
    merges
        Convolutions of each decoder stage, finest first, one entry fewer than ``widths``; empty means two each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, ...]
    kernels: tuple[Shape, ...]
    strides: tuple[Shape, ...]
    encoder: Literal["plain", "residual"] = "plain"
    stem: Annotated[int, Field(ge=0)] = 0
    blocks: tuple[Annotated[int, Field(ge=1)], ...] = ()
    merges: tuple[Annotated[int, Field(ge=1)], ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Topology:
        n = len(self.widths)
        # Optional lists count as complete when they are empty.
        given = {"kernels": len(self.kernels), "strides": len(self.strides)}
        given |= {"blocks": len(self.blocks) or n, "merges": len(self.merges) + 1 if self.merges else n}
        if wrong := [name for name, length in given.items() if length != n]:
            raise PlanError(f"a topology of {n} widths does not fit its {', '.join(wrong)}; give one for each stage.")
        return self

    @property
    def encoder_blocks(self) -> tuple[int, ...]:
        """Convolutions, or residual blocks, of each encoder stage."""
        return self.blocks or (2,) * len(self.widths)

    @property
    def decoder_convolutions(self) -> tuple[int, ...]:
        """Convolutions of each decoder stage, finest first."""
        return self.merges or (2,) * (len(self.widths) - 1)

    @property
    def divisor(self) -> Shape:
        """Product of the strides along (Z, Y, X), by which the window must be divisible."""
        z, y, x = (math.prod(s[axis] for s in self.strides) for axis in range(3))
        return z, y, x


class View(BaseModel):
    """Array on which a network was trained, where it is not the whole canonical one (models of nnU-Net).

    Attributes
    ----------
    orientation
        ``stored``: array axes run as in the file; ``ras``: towards S, A, R, whichever way the file has them.
    axes
        These array axes (Z, Y, X) in the order of the network's input.
    crop
        Crop to the box where any channel is not 0; outside is background.
    resampled
        Axes that are resampled to the plan's spacing; the others keep the input's.
    coarse
        Where one axis is coarser than another by more than this factor, on the input's or the network's grid, the
        nearest value is taken along the coarsest axis; None interpolates along every axis.
    average
        What is averaged over overlapping windows, mirror images and several networks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    orientation: Literal["stored", "ras"] = "stored"
    axes: tuple[int, int, int] = (0, 1, 2)
    crop: bool = True
    resampled: tuple[int, ...] = (0, 1, 2)
    coarse: Annotated[float, Field(gt=1.0)] | None = None
    average: Literal["logits", "probabilities"] = "logits"


class Plan(BaseModel):
    """What must be fixed before a network can be built. Frozen; JSON by ``model_dump_json``.

    Attributes
    ----------
    spacing_mm
        Network grid along (Z, Y, X).
    window
        Input size of the network, voxels along (Z, Y, X).
    overlap
        Fraction of a window shared with its neighbour in inference, 0 ≤ overlap < 1.
    channels
        Name of each input channel.
    labels
        Label value -> name, 0 is the background; values are consecutive.
    normalisation
        One entry for each channel.
    interpolation
        Resampling of intensities to the network grid; ``cubic`` is Keys' kernel, ``spline`` the interpolating cubic
        B-spline, clipped to the range of the input.
    topology
        Stages of the planned U-Net; methods with a published shape of their own replace it in ``adapt``.
    view
        Input array of the network; None for the whole canonical one. Every (Z, Y, X) of the plan refers to this array.
    mirror_axes
        Array axes that are mirrored in training, and in inference when mirroring is on.
    augmentation
        Factor 0 to 1 on the probability of every augmentation except mirroring; 1 is nnU-Net's recipe.
    batch_dice
        Whether the Dice loss of nnU-Net's recipe sums over the windows of an update before the ratio. With windows that
        are small compared with the volume, labels missing from a window would otherwise dominate the loss.
    batch_size, iterations
        Windows in one optimiser update; number of updates.
    ignore
        Whether the label value after the last one marks voxels of the training set that are neither learned nor scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing_mm: Triple
    window: Shape
    overlap: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    channels: tuple[str, ...]
    labels: dict[int, str]
    normalisation: tuple[Normalisation, ...]
    interpolation: Literal["linear", "cubic", "spline"] = "cubic"
    topology: Topology
    view: View | None = None
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    augmentation: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    batch_dice: bool = False
    batch_size: Annotated[int, Field(ge=1)] = 2
    iterations: Annotated[int, Field(ge=1)] = 250_000
    modality: str = ""
    ignore: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Plan:
        # Label values are the channels of the logits.
        if sorted(self.labels) != list(range(len(self.labels))):
            raise PlanError(f"label values {sorted(self.labels)} are not consecutive from 0; renumber the labels.")
        if len(self.normalisation) != len(self.channels):
            raise PlanError(
                f"{len(self.normalisation)} normalisations for {len(self.channels)} channels; give one for each."
            )
        if min(self.window) < 1 or min(self.spacing_mm) <= 0:
            raise PlanError(f"window {self.window} and spacing {self.spacing_mm} mm must be positive.")
        return self

    @property
    def n_channels(self) -> int:
        """Number of input channels."""
        return len(self.channels)

    @property
    def n_labels(self) -> int:
        """Number of labels K, the background included."""
        return len(self.labels)

    @property
    def ignored(self) -> int | None:
        """The label value of voxels that are neither learned nor scored, the one after the last label; or None."""
        return self.n_labels if self.ignore else None

    def with_window(self, window: Shape) -> Plan:
        """Return the plan for another window; refuse one that the topology cannot halve evenly."""
        check_divisible(window, self.topology)
        return self.model_copy(update={"window": window})

    @staticmethod
    def example(
        channels: int = 1,
        labels: int = 2,
        window: Shape = (128, 128, 128),
        spacing_mm: Triple = (1.0, 1.0, 1.0),
        base_width: int = 32,
    ) -> Plan:
        """Return a plan with made-up names, for counting parameters and for tests; labels count the background."""
        return Plan(
            spacing_mm=spacing_mm,
            window=window,
            channels=tuple(f"channel {c}" for c in range(channels)),
            labels={0: "background"} | {k: f"label {k}" for k in range(1, labels)},
            normalisation=(Normalisation(),) * channels,
            topology=plan_topology(window, spacing_mm, base_width=base_width),
        )


def check_divisible(window: Shape, topology: Topology) -> None:
    """Refuse a window that is not divisible by the product of the strides."""
    for axis, size, divisor in zip("ZYX", window, topology.divisor, strict=True):
        if size % divisor:
            raise PlanError(
                f"window {window} has {size} voxels along {axis}, which {divisor} does not divide; "
                f"use {size // divisor * divisor or divisor} or {(size // divisor + 1) * divisor}."
            )


def plan_topology(
    window: Sequence[int], spacing_mm: Sequence[float], base_width: int = 32, widest: int = 320, most_stages: int = 6
) -> Topology:
    """Return the stages nnU-Net's rule gives for a window at a spacing (nnU-Net, Isensee et al. 2021).

    An axis is pooled while its map has at least 8 voxels and its spacing is below twice the finest among such axes;
    its kernel is 3 once its spacing is below twice the finest of all. Pooling a single axis needs 12 voxels.
    """
    size, spacing = list(window), list(spacing_mm)
    kernel, kernels, strides = [1, 1, 1], [], [(1, 1, 1)]
    # A stage for each pooling that fits; the kernel of a stage depends on the spacing before it is pooled.
    while len(strides) < most_stages:
        large = [a for a in range(3) if size[a] >= 2 * SMALLEST_MAP]
        finest = min((spacing[a] for a in large), default=0.0)
        # Axes that are already coarse wait until the others have caught up.
        pooled = [a for a in large if spacing[a] < ANISOTROPY * finest]
        if not pooled or (len(pooled) == 1 and size[pooled[0]] < 3 * SMALLEST_MAP):
            break
        kernel = _grown_kernel(kernel, spacing)
        kernels.append(tuple(kernel))
        stride = [2 if a in pooled else 1 for a in range(3)]
        strides.append((stride[0], stride[1], stride[2]))
        size = [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]
        spacing = [mm * s for mm, s in zip(spacing, stride, strict=True)]
    # The coarsest stage always has 3×3×3.
    kernels.append((3, 3, 3))
    widths = tuple(min(base_width * 2**stage, widest) for stage in range(len(strides)))
    return Topology(widths=widths, kernels=tuple((k[0], k[1], k[2]) for k in kernels), strides=tuple(strides))


def _grown_kernel(kernel: list[int], spacing: list[float]) -> list[int]:
    """Return the kernel with 3 along axes whose spacing is close to the finest; a 3 stays from stage to stage."""
    return [3 if k == 3 or mm < ANISOTROPY * min(spacing) else 1 for k, mm in zip(kernel, spacing, strict=True)]
