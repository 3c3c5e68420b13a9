"""Diffusion: a mask is denoised from pure noise in a few steps; each step is a decision about the image.

Idea: noise is added to the true mask, and a network predicts the mask from the image, the noisy mask and the time. To
segment, start from noise alone and go back step by step. Training imitates this: the noisy mask that it learns from is
made not from the truth but from the network's own prediction one step earlier (*recycling*)::

    x_0  = 2·onehot − 1                                            K labels, background included
    x̂_0  = 2·softmax(D(image, x_{t+1}, t+1)) − 1                   no gradient; x_{t+1} from x_0
    x_t  = √ᾱ_t·x̂_0 + √(1−ᾱ_t)·ε'                                  fresh noise
    loss = CE + Dice of D(image, x_t, t) against the truth

Legend: D the network, x_t mask after t noising steps (t = 1 … T), x̂_0 predicted mask, ε noise, √ᾱ_t the factor of the
mask in x_t.

References
----------
Fu et al., "Importance of Aligning Training Strategy with Evaluation for Diffusion Models in 3D Multiclass
Segmentation", MICCAI DGM4MICCAI workshop 2023, arXiv:2303.06040.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import MethodError
from voxtrace.method import Augmentation, Batch, Method, Noise, Optimiser, Parts, Phase, Step, TrainState, option
from voxtrace.nn.averages import mean_logits
from voxtrace.nn.known import cross_entropy, known, one_hot
from voxtrace.nn.noise_schedule import NoiseSchedule
from voxtrace.nn.timeunet import LEVELS, TimeUNet, level_widths
from voxtrace.plan import Plan, Topology
from voxtrace.plan.regions import refuse_regions

MOST_STEPS = 1000
LEAST_PROBABILITY = 1e-5  # of a label where noise is predicted: keeps the logarithm finite
NOISE_WEIGHT = 0.1
PUBLISHED_ITERATIONS, MOST_FACTOR = 12_500, 10.0
WARM_UP, COOLED_DOWN = 100 / PUBLISHED_ITERATIONS, 10_000 / PUBLISHED_ITERATIONS
FIRST_FRACTION, LAST_FRACTION = 0.1, 0.01
MOST_SHIFT_VOXELS, MOST_SHIFT = 10, 0.08  # of the window's length: 10 of 128, as published


@dataclass(frozen=True)
class Diffusion(Method):
    """Denoising diffusion over masks, five steps, trained on its own predictions."""

    key: ClassVar[str] = "diffusion"
    title: ClassVar[str] = "Diffusion with recycling"
    source: ClassVar[str] = "Fu et al., Aligning training with evaluation for diffusion models, arXiv:2303.06040, 2023"
    facts: ClassVar[dict[str, str]] = {"noise_level": "fraction"}
    random: ClassVar[bool] = True
    extras: ClassVar[tuple[str, ...]] = ("noisy",)
    label_maps: ClassVar[dict[str, str]] = {"noisy": ""}  # x_t: about −1 … 1, and noise

    width: int = option(
        0, "Channels of the finest resolution; 0 takes the planned U-Net's, 32 as published.", low=0, high=256
    )
    denoising_steps: int = option(5, "Steps from noise to mask in training.", low=2, high=MOST_STEPS)
    sampling_steps: int = option(
        0, "Steps in inference; 0 is as many as in training.", low=0, high=MOST_STEPS, live=True
    )
    grid: Literal["1001", "1000"] = option(
        "1001",
        "Points of the full schedule; the steps are a subset: 1001 spaces five evenly, 1000 is as printed.",
    )
    recycling: bool = option(
        True, "Noise the network's own prediction in training; false noises the true mask (ablation)."
    )
    ce_only: bool = option(False, "Learn from cross-entropy alone, without Dice (ablation).")
    time_enters: Literal["before_norm", "after_norm"] = option(
        "before_norm",
        "Where a block adds the time: before its second norm (paper and released code), which takes it away again, so "
        "that the network does not know the step; or after it (ours).",
    )
    predict: Literal["mask", "noise"] = option(
        "mask", "What the network's output is: the mask, or the noise (ablation)."
    )
    sampler: Literal["ddpm", "ddim"] = option(
        "ddpm",
        "How inference steps back: ddpm adds fresh noise after each step, ddim only as much as eta sets.",
        live=True,
    )
    variance: Literal["posterior", "large"] = option(
        "posterior",
        "Fresh noise of ddpm: that of the posterior (paper), or of the forward step (released code).",
        live=True,
        unread_where={"sampler": ("ddim",)},
    )
    eta: float = option(
        0.0,
        "Fresh noise of ddim: 0 none, 1 as much as ddpm.",
        low=0.0,
        high=1.0,
        live=True,
        unread_where={"sampler": ("ddpm",)},
    )
    ensemble: int = option(1, "Noise seeds whose probabilities are averaged at each step.", low=1, high=32, live=True)
    rate: float = option(
        1e-4,
        "Peak learning rate of 12,500 iterations or more; fewer take as many times more, at most ten.",
        low=1e-6,
        high=1e-1,
    )

    @property
    def steps(self) -> int:
        """Denoising steps in inference."""
        return self.sampling_steps or self.denoising_steps

    def with_steps(self, steps: int) -> Self:
        """Return the method that infers in another number of steps."""
        if not 1 <= steps <= MOST_STEPS:
            raise MethodError(f"diffusion was asked for {steps} steps; expected 1 to {MOST_STEPS}.")
        return replace(self, sampling_steps=steps)

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan with the published topology, and no mirroring, since training does none.

        Four halvings, whatever the window; widths w, w, 2w, 4w, 8w. The window stays as planned, although one of 2 to
        32 slices is halved to a map of two slices, whose weight gradient some processors compute wrongly in bfloat16:
        such a map is avoided from 33 slices on only, and to compute its layers in float32 costs less
        (see :mod:`voxtrace.runtime.arithmetic`).
        """
        refuse_regions(self.key, plan.regions)  # the mask that is noised has one label a voxel
        widths = level_widths(self._width(plan))
        strides = ((1, 1, 1),) + ((2, 2, 2),) * (LEVELS - 1)
        topology = Topology(widths=widths, kernels=((3, 3, 3),) * LEVELS, strides=strides)
        return plan.model_copy(update={"topology": topology, "mirror_axes": ()})

    def build(self, plan: Plan) -> nn.Module:
        """Return the network with children ``blank`` and ``denoise``."""
        return DiffusionNetwork(
            plan.n_channels, plan.n_labels, self._width(plan), late_time=self.time_enters == "after_norm"
        )

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return one phase with AdamW, a cosine from ``rate`` and a small affine augmentation."""
        rate = peak_rate(self.rate, plan.iterations)
        optimiser = Optimiser(kind="adamw", rate=rate, weight_decay=1e-8, clip_norm=1.0, schedule=warm_cosine)
        z, y, x = (min(MOST_SHIFT_VOXELS, round(MOST_SHIFT * n)) for n in plan.window)
        augmentation = Augmentation(
            rotation_p=1.0,
            rotation_degrees=5.0,
            flat_rotation_degrees=5.0,
            scale_p=1.0,
            scale=(0.85, 1.15),
            scale_per_axis=True,
            shift_voxels=(z, y, x),
            intensity="none",
            mirror=False,
        )
        return (Phase("train", plan.iterations, optimiser=optimiser, augmentation=augmentation),)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return cross-entropy and Dice of one denoising, from a step t drawn for each window."""
        net, images, rng = cast(DiffusionNetwork, network), batch.images, state.rng
        # The four lines of the module's formula, in their order.
        x_0 = as_mask(batch.labels, net.blank.n_labels)
        windows = (state.whole(len(x_0)),)
        t = state.own(torch.randint(1, self.denoising_steps + 1, windows, generator=rng, device=rng.device))
        t = t.to(x_0.device)
        schedule = self.schedule(self.denoising_steps)
        seen = self._recycled(net, images, x_0, t, state) if self.recycling else x_0
        noise = _normal(x_0, state)
        x_t = schedule.noised(seen, t, noise)
        output = net.denoise(images, x_t, t - 1).float()
        terms = segmentation_loss(self._read(schedule, output, x_t, t)[0], batch.labels)
        if self.ce_only:
            del terms["dice"]
        if self.predict == "noise":
            shown = known(batch.labels, net.blank.n_labels)
            terms["noise"] = NOISE_WEIGHT * F.mse_loss(output * shown, noise * shown)
        return terms

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the decision at each step, from noise alone to the answer; ensemble members take each step together."""
        n_labels = parts["blank"](images).shape[1]
        schedule = self.schedule(self.steps)
        # x_T is pure noise.
        masks = [rng.normal(_noise_number(m, 0), n_labels) for m in range(self.ensemble)]
        for done, k in enumerate(range(self.steps, 0, -1), start=1):
            decided = [self._decide(parts, schedule, images, x_k, k) for x_k in masks]
            level = schedule.noise_level[k].to(images).expand(len(images))
            logits, noisy = mean_logits([logits for logits, _ in decided]), {"noisy": masks[0]}
            yield Step(logits, {"noise_level": level}, noisy, label_maps=noisy)
            # At k = 1 the next mask would be x̂_0 itself.
            if k > 1:
                masks = [
                    self._step_back(schedule, x_0, x_k, k, rng, _noise_number(m, done))
                    for m, ((_, x_0), x_k) in enumerate(zip(decided, masks, strict=True))
                ]

    def schedule(self, steps: int) -> NoiseSchedule:
        """Return the noise schedule of ``steps`` steps."""
        return NoiseSchedule.resampled(steps, int(self.grid))

    def time_input(self, k: int) -> float:
        """Return the time that the network gets at inference step k, on training's scale 0 … T−1.

        Where inference takes more or fewer steps than training, its steps lie between those of training.
        """
        last = self.denoising_steps - 1
        return last * (k - 1) / (self.steps - 1) if self.steps > 1 else float(last)

    def _width(self, plan: Plan) -> int:
        return self.width or plan.topology.widths[0]

    def _recycled(self, net: DiffusionNetwork, images: Tensor, x_0: Tensor, t: Tensor, state: TrainState) -> Tensor:
        """Return x̂_0 as the network predicts it one step earlier in inference (t + 1, at most T), without gradient."""
        schedule = self.schedule(self.denoising_steps)
        # At t = T there is no earlier step: the mask is noised T times again.
        above = (t + 1).clamp(max=self.denoising_steps)
        x_above = schedule.noised(x_0, above, _normal(x_0, state))
        with torch.no_grad():
            output = net.denoise(images, x_above, above - 1).float()
            return self._read(schedule, output, x_above, above)[1]

    def _decide(
        self, parts: Parts, schedule: NoiseSchedule, images: Tensor, x_k: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """Return logits and x̂_0, each (B, K, Z, Y, X), at step k of inference."""
        t = images.new_full((len(images),), self.time_input(k))
        output = parts["denoise"](images, x_k, t).float()
        return self._read(schedule, output, x_k, torch.full((len(images),), k))

    def _read(self, schedule: NoiseSchedule, output: Tensor, x_k: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and x̂_0 of the network's output (B, K, Z, Y, X) for masks at steps k (B,)."""
        if self.predict == "mask":
            return output, 2.0 * output.softmax(1) - 1.0
        # The network predicted the noise: the mask follows from it.
        x_0 = schedule.implied(x_k, k, output)
        return ((x_0 + 1.0) / 2.0).clamp(LEAST_PROBABILITY, 1.0).log(), x_0

    def _step_back(self, schedule: NoiseSchedule, x_0: Tensor, x_k: Tensor, k: int, rng: Noise, number: int) -> Tensor:
        """Return x_{k−1}."""
        if self.sampler == "ddim":
            mean, deviation = schedule.ddim(x_0, x_k, k, self.eta)
        else:
            mean, deviation = schedule.ddpm(x_0, x_k, k, self.variance)
        return mean + deviation * rng.normal(number, x_k.shape[1]) if deviation else mean


class DiffusionNetwork(nn.Module):
    """Two children: ``denoise``, and ``blank``, from which inference takes the number of labels."""

    def __init__(self, n_channels: int, n_labels: int, width: int, late_time: bool = False) -> None:
        super().__init__()
        self.blank = Blank(n_labels)
        self.denoise = TimeUNet(n_channels, n_labels, width, late=late_time)

    def counted(self, images: Tensor) -> Tensor:
        """Return the scores of one denoising step; inference repeats it ``steps`` times."""
        scores: Tensor = self.denoise(images, self.blank(images), images.new_zeros(len(images)))
        return scores


class Blank(nn.Module):
    """An empty mask (B, K, Z, Y, X) for images (B, C, Z, Y, X)."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.n_labels = n_labels

    def forward(self, images: Tensor) -> Tensor:
        """Return zeros."""
        return images.new_zeros(len(images), self.n_labels, *images.shape[2:])


def as_mask(labels: Tensor, n_labels: int) -> Tensor:
    """Return x_0 (B, K, Z, Y, X) float32, 1 at each voxel's label and −1 elsewhere, for labels (B, Z, Y, X).

    Voxels that nobody annotated have 0, which tells nothing.
    """
    return (2.0 * one_hot(labels, n_labels).float() - 1.0) * known(labels, n_labels)


def segmentation_loss(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return cross-entropy over all labels, and 1 − Dice over the foreground, weighted 1 : 1.

    Dice is 2Σpg/(Σp + Σg) of each window and label, without smoothing, averaged over the labels that the window has;
    a window of background alone counts 0. Logits (B, K, Z, Y, X), labels (B, Z, Y, X).
    """
    shown = known(labels, logits.shape[1])
    truth = one_hot(labels, logits.shape[1])[:, 1:].flatten(2)  # (B, K − 1, voxels)
    p = (logits.softmax(1)[:, 1:] * shown).flatten(2)
    present = truth.sum(2) > 0  # (B, K − 1)
    overlap, sizes = 2.0 * (p * truth).sum(2), p.sum(2) + truth.sum(2)
    # The clamp changes nothing for a present label, whose size is at least 1; it avoids 0/0 for the others.
    missed = torch.where(present, 1.0 - overlap / sizes.clamp(min=1.0), 0.0)
    dice = (missed.sum(1) / present.sum(1).clamp(min=1)).mean()
    return {"cross_entropy": cross_entropy(logits, labels), "dice": dice}


def peak_rate(rate: float, iterations: int) -> float:
    """Return the peak learning rate of a run: ``rate`` as published, more where the run is shorter than published.

    Examples
    --------
    >>> [peak_rate(1e-4, n) for n in (100_000, 12_500, 5_000, 160)]
    [0.0001, 0.0001, 0.00025, 0.001]
    """
    return rate * min(MOST_FACTOR, max(1.0, PUBLISHED_ITERATIONS / iterations))


def warm_cosine(iteration: int, iterations: int) -> float:
    """Return the fraction of the peak rate: up from 0.1 over 0.8 % of the run, a cosine to 0.01 at 80 %, then constant.

    In a run of 12,500 that is 100 and 10,000 iterations, as published.

    Examples
    --------
    >>> [round(warm_cosine(i, 12_500), 6) for i in (0, 50, 100, 5_050, 10_000, 12_000)]
    [0.1, 0.55, 1.0, 0.505, 0.01, 0.01]
    """
    warm, cooled = WARM_UP * iterations, COOLED_DOWN * iterations
    if iteration < warm:
        return FIRST_FRACTION + (1.0 - FIRST_FRACTION) * iteration / warm
    fallen = min(1.0, (iteration - warm) / (cooled - warm))
    return LAST_FRACTION + (1.0 - LAST_FRACTION) * 0.5 * (1.0 + math.cos(math.pi * fallen))


def _noise_number(member: int, done: int) -> int:
    """Return the number of the noise of an ensemble member after ``done`` steps, unique for each pair."""
    return member * (MOST_STEPS + 1) + done


def _normal(like: Tensor, state: TrainState) -> Tensor:
    """Return N(0, 1) noise in the shape and on the device of ``like``, windows of training."""
    shape, rng = (state.whole(len(like)), *like.shape[1:]), state.rng
    return state.own(torch.randn(shape, generator=rng, device=rng.device)).to(like.device)
