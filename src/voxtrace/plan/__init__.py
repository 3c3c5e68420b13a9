"""Plan: what must be fixed before a network can be built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from voxtrace.errors import PlanError
from voxtrace.plan.regions import LONGEST_NAME, LabelRegion
from voxtrace.safe_text import brief

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]

# What a plan may ask for. A plan may come from a stranger, and its numbers decide how much memory is taken.
MOST_VOXELS = 1 << 24  # of a window; nnU-Net's largest has 12.6 million
MOST_LABELS = 1 << 10
MOST_CHANNELS = 1 << 8
MOST_STAGES = 12
_FINITE = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
_Axis = Annotated[int, Field(ge=0, le=2)]
_Name = Annotated[str, Field(max_length=LONGEST_NAME)]
_Intensity = Annotated[float, Field(ge=-1e30, le=1e30)]
_Width = Annotated[int, Field(ge=1, le=4096)]
_Millimetres = Annotated[float, Field(ge=1e-3, le=1e3)]
_Voxels = Annotated[int, Field(ge=1, le=1 << 13)]
_Blocks = Annotated[int, Field(ge=1, le=64)]
_Kernel = Annotated[int, Field(ge=1, le=15)]
_Stride = Annotated[int, Field(ge=1, le=16)]

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

    model_config = _FINITE

    scheme: Literal["ct", "zscore", "zscore_nonzero", "zscore_inside", "range", "none"] = "zscore"
    lower: _Intensity = 0.0
    upper: _Intensity = 0.0
    mean: _Intensity = 0.0
    std: Annotated[float, Field(ge=1e-12, le=1e30)] = 1.0


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

    model_config = _FINITE

    widths: Annotated[tuple[_Width, ...], Field(min_length=1, max_length=MOST_STAGES)]
    kernels: Annotated[tuple[tuple[_Kernel, _Kernel, _Kernel], ...], Field(max_length=MOST_STAGES)]
    strides: Annotated[tuple[tuple[_Stride, _Stride, _Stride], ...], Field(max_length=MOST_STAGES)]
    encoder: Literal["plain", "residual"] = "plain"
    stem: Annotated[int, Field(ge=0, le=4096)] = 0
    blocks: Annotated[tuple[_Blocks, ...], Field(max_length=MOST_STAGES)] = ()
    merges: Annotated[tuple[_Blocks, ...], Field(max_length=MOST_STAGES)] = ()

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

    model_config = _FINITE

    orientation: Literal["stored", "ras"] = "stored"
    axes: tuple[_Axis, _Axis, _Axis] = (0, 1, 2)
    crop: bool = True
    resampled: Annotated[tuple[_Axis, ...], Field(max_length=3)] = (0, 1, 2)
    coarse: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    average: Literal["logits", "probabilities"] = "logits"

    @model_validator(mode="after")
    def _fits_together(self) -> View:
        if len(set(self.axes)) != 3 or len(set(self.resampled)) != len(self.resampled):
            raise PlanError(f"axes {self.axes} and {self.resampled} name an axis twice; name each once.")
        return self


class Plan(BaseModel):
    """What must be fixed before a network can be built. Frozen; JSON by ``model_dump_json``.

    Every field has bounds, because a plan may come from a stranger; one outside of them raises
    :class:`~voxtrace.errors.PlanError`.

    Attributes
    ----------
    spacing_mm
        Network grid along (Z, Y, X).
    window
        Input size of the network, voxels along (Z, Y, X).
    overlap
        Fraction of a window shared with its neighbour in inference, 0 to 0.95.
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
    regions
        What the network answers for where labels overlap, in the order in which they are painted into the label map
        (:mod:`voxtrace.plan.regions`); empty where every voxel has one of ``labels``. Only stored where there are any.
    """

    model_config = _FINITE

    spacing_mm: tuple[_Millimetres, _Millimetres, _Millimetres]
    window: tuple[_Voxels, _Voxels, _Voxels]
    overlap: Annotated[float, Field(ge=0.0, le=0.95)] = 0.5
    channels: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=MOST_CHANNELS)]
    labels: Annotated[dict[int, _Name], Field(min_length=1, max_length=MOST_LABELS)]
    normalisation: Annotated[tuple[Normalisation, ...], Field(max_length=MOST_CHANNELS)]
    interpolation: Literal["linear", "cubic", "spline"] = "cubic"
    topology: Topology
    view: View | None = None
    mirror_axes: Annotated[tuple[_Axis, ...], Field(max_length=3)] = (0, 1, 2)
    augmentation: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    batch_dice: bool = False
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 2
    iterations: Annotated[int, Field(ge=1, le=10**9)] = 250_000
    modality: _Name = ""
    ignore: bool = False
    regions: Annotated[tuple[LabelRegion, ...], Field(max_length=MOST_LABELS)] = ()

    @model_serializer(mode="wrap")
    def _without_empty_regions(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # plans without regions are stored as before there were any, so that earlier versions read them
        stored: dict[str, Any] = serialise(self)
        return stored if self.regions else {name: value for name, value in stored.items() if name != "regions"}

    @model_validator(mode="wrap")
    @classmethod
    def _in_our_words(cls, given: Any, validate: ModelWrapValidatorHandler[Plan]) -> Plan:
        try:
            return validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise PlanError(
                f"a plan's {brief(where)} is {brief(repr(first['input']))}: {brief(first['msg'])}; correct the plan."
            ) from error

    @model_validator(mode="after")
    def _fits_together(self) -> Plan:
        # Label values are the channels of the logits.
        if sorted(self.labels) != list(range(len(self.labels))):
            raise PlanError(
                f"label values {brief(sorted(self.labels))} are not consecutive from 0; renumber the labels."
            )
        if len(self.normalisation) != len(self.channels):
            raise PlanError(
                f"{len(self.normalisation)} normalisations for {len(self.channels)} channels; give one for each."
            )
        if math.prod(self.window) > MOST_VOXELS:
            raise PlanError(f"window {self.window} has more than {MOST_VOXELS:,} voxels; plan a smaller one.")
        if len(set(self.mirror_axes)) != len(self.mirror_axes):
            raise PlanError(f"mirror axes {self.mirror_axes} name an axis twice; name each once.")
        if self.regions:
            _check_regions(self)
        return self

    @property
    def n_channels(self) -> int:
        """Number of input channels."""
        return len(self.channels)

    @property
    def n_labels(self) -> int:
        """Number of label values, the background included."""
        return len(self.labels)

    @property
    def outputs(self) -> dict[int, str]:
        """Names of the network's scores, by place: those of the labels, background included, or of the regions."""
        return {k: region.name for k, region in enumerate(self.regions)} if self.regions else self.labels

    @property
    def n_outputs(self) -> int:
        """Number of scores K that the network gives a voxel: one a label, the background included, or one a region."""
        return len(self.regions) or len(self.labels)

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


def _check_regions(plan: Plan) -> None:
    """Refuse regions that do not fit the labels: names that come twice, values without a label, labels in no region."""
    names = [region.name.casefold() for region in plan.regions]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PlanError(f"the region {brief(repr(twice[0]))} occurs twice; give each region a name of its own.")
    same = {(region.name.casefold(), region.values) for region in plan.regions}
    for value, name in plan.labels.items():  # volumes and intervals are told by name
        if name.casefold() in names and (name.casefold(), (value,)) not in same:
            raise PlanError(
                f"label {value} and a region of other values are both called {brief(repr(name))}; give the label a "
                "name of its own."
            )
    values, labels = {value for region in plan.regions for value in region.values}, set(plan.labels) - {0}
    if values != labels:
        raise PlanError(
            f"regions have the label values {brief(sorted(values))}, the labels {brief(sorted(labels))}; expected the "
            "same: each value in a region."
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
    its kernel is 3 once its spacing is below twice the finest of all. Pooling a single axis needs 12 voxels. Where the
    window is a slice, one voxel thick, kernels are, too, as in nnU-Net's 2d configuration.
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
    flat = [(_flat(k[0], window[0]), _flat(k[1], window[1]), _flat(k[2], window[2])) for k in kernels]
    return Topology(widths=widths, kernels=tuple(flat), strides=tuple(strides))


def _flat(kernel: int, voxels: int) -> int:
    return 1 if voxels == 1 else kernel


def _grown_kernel(kernel: list[int], spacing: list[float]) -> list[int]:
    """Return the kernel with 3 along axes whose spacing is close to the finest; a 3 stays from stage to stage."""
    return [3 if k == 3 or mm < ANISOTROPY * min(spacing) else 1 for k, mm in zip(kernel, spacing, strict=True)]
