"""RecycleNet: a U-Net that reads its own last features and decides again.

Idea: a U-Net is split, without new weights, into input projection I, recycled body R and output projection O. The image
is projected once; the body runs several times on the sum of the projection and its own normalised features of the
cycle before; each cycle ends in a decision::

    z   = I(x)
    r_i = R(z + norm(r_{i-1})),   r_0 = 0            (Algorithm 1)
    y_i = O(r_i)                                     every y_i is a full segmentation

Legend: x image, z projected image, r recycled features, N cycles, N_max the most cycles at this time of training.

Training draws N ~ Uniform{1, …, N_max} for each mini-batch, runs cycles 1…N−1 without a graph and learns from the
last cycle alone; N_max rises by one with every fifth of the run, up to 3 by default: 20 %, 20 % and 60 % of it.

References
----------
Koehler et al., "RecycleNet: Latent Feature Recycling Leads to Iterative Decision Refinement", arXiv:2309.07513.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import MethodError
from voxtrace.method import Batch, Figure, Method, Noise, Parts, Step, TrainState, option
from voxtrace.nn.averages import running_mean_logits, running_mean_of_regions
from voxtrace.nn.flops import parameters
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.unet import FINEST_BIAS, UNetNetwork, check_plan
from voxtrace.plan import Plan

EPS = 1e-5
MOST_CYCLES = 64
FIRST_FEEDBACK = 0.125  # with it, a plain U-Net's weights decide after seven cycles as after one, to 0.6 points of Dice


@dataclass(frozen=True)
class RecycleNet(Method):
    """Latent feature recycling over the planned U-Net."""

    key: ClassVar[str] = "recyclenet"
    title: ClassVar[str] = "RecycleNet"
    source: ClassVar[str] = "Koehler et al., RecycleNet, arXiv:2309.07513, 2023"
    step_word: ClassVar[str] = "cycle"
    stops_anywhere: ClassVar[bool] = True
    overlapping: ClassVar[bool] = True
    begins_from: ClassVar[tuple[str, ...]] = ("unet",)
    training_facts: ClassVar[Mapping[str, str]] = {"cycles_drawn": "cycle", "most_cycles": "cycle"}
    last_bias: ClassVar[str] = FINEST_BIAS

    cycles: int = option(
        7, "Cycles in inference; more than in training is allowed.", low=1, high=MOST_CYCLES, live=True
    )
    train_cycles: int = option(
        3, "Most cycles in training (N_max at the end).", low=1, high=16, unread_where={"schedule": ("static",)}
    )
    schedule: Literal["sampled", "increasing", "static"] = option(
        "sampled", "Cycles of a mini-batch: drawn from 1 to N_max, N_max itself, or always two."
    )
    norm: Literal["instance", "layer", "window"] = option(
        "window",
        "Normalisation of recycled features, without weights: each channel over the window, each voxel over the "
        "channels, or all of a window at once, which keeps the ratio of channels.",
    )

    feedback: float = option(
        1.0,
        "Factor of the normalised features that a cycle reads of the one before; 1 as published. Weights that have not "
        "recycled yet, a plain U-Net's, begin with 0.125 where it is not told otherwise.",
        low=0.0,
        high=1.0,
        live=True,
    )
    average: bool = option(
        False,
        "Decide after each cycle by the mean probability of all cycles so far (paper, section 3) instead of its own.",
        live=True,
    )
    warm_up: bool = option(
        True,
        "Let N_max rise over the first two fifths of training; false begins with the most, as fine-tuning does where "
        "it is not told otherwise.",
        unread_where={"schedule": ("static",)},
    )

    @property
    def steps(self) -> int:
        """Cycles in inference."""
        return self.cycles

    def with_steps(self, steps: int) -> Self:
        """Return the method with another number of inference cycles."""
        if not 1 <= steps <= MOST_CYCLES:
            raise MethodError(f"recyclenet was asked for {steps} cycles; expected 1 to {MOST_CYCLES}.")
        return replace(self, cycles=steps)

    def fine_tuned(self, other: Method | None = None) -> Self:
        """Return the method without a second warm-up, or, with weights that never recycled, with little feedback.

        To a body that never read it, more is noise that ruins the answer.
        """
        if other is None or isinstance(other, RecycleNet):
            return replace(self, warm_up=False)
        return replace(self, feedback=FIRST_FEEDBACK)

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan unchanged, or refuse a window that the topology cannot halve, or halves nowhere."""
        check_plan(plan)
        return plan

    def build(self, plan: Plan) -> nn.Module:
        """Return the planned U-Net: children ``project`` (I), ``recycle`` (R) and ``decide`` (O)."""
        return UNetNetwork(plan)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return Dice and cross-entropy of the last cycle; earlier cycles leave no graph."""
        unet = cast(UNetNetwork, network)
        cycles = self.draw_cycles(state)
        z = unet.project(batch.images)  # (B, w0, Z, Y, X), with gradient: the last cycle reads it
        r = torch.zeros_like(z)  # r_0
        # Algorithm 1: the gradient flows through the last cycle alone.
        with torch.no_grad():
            for _ in range(cycles - 1):
                r = unet.recycle(z + self.normalised(r))
        heads = unet.supervised(z + self.normalised(r))
        return supervised_loss(heads, batch.labels, over_batch=unet.batch_dice, regions=unet.regions)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the decision after each cycle; recycling restarts at 0 for each window."""
        z = parts["project"](images)
        r = torch.zeros_like(z)  # r_0, (B, w0, Z, Y, X)
        mean, averaged = None, running_mean_of_regions if "regions" in parts else running_mean_logits
        for cycle in range(1, self.cycles + 1):
            r = parts["recycle"](z + self.normalised(r))  # r_i, (B, w0, Z, Y, X)
            decided = parts["decide"](r)  # y_i, (B, K, Z, Y, X)
            if self.average:
                decided = mean = decided if mean is None else averaged(mean, decided, cycle)
            yield Step(decided)

    def normalised(self, r: Tensor) -> Tensor:
        """Return norm(r) of recycled features (B, w0, Z, Y, X); norm(0) = 0, so one cycle is the plain U-Net."""
        if self.norm == "instance":
            normed = F.instance_norm(r, eps=EPS)
        elif self.norm == "window":
            normed = F.group_norm(r, 1, eps=EPS)  # one group: mean and deviation over channels and voxels
        else:
            normed = F.layer_norm(r.movedim(1, -1), r.shape[1:2], eps=EPS).movedim(-1, 1)
        return normed if self.feedback == 1.0 else self.feedback * normed

    def draw_cycles(self, state: TrainState) -> int:
        """Return the number of cycles N of this mini-batch, the same for all its windows."""
        most = self.most_now(state)
        if self.schedule != "sampled":
            return most
        # N ~ Uniform{1, …, N_max}.
        return int(torch.randint(1, most + 1, (), generator=state.rng, device=state.rng.device))

    def most_now(self, state: TrainState) -> int:
        """Return the most cycles at this time of training: N_max, or two in the static schedule."""
        if self.schedule == "static":
            return 2
        return most_cycles(state.progress, self.train_cycles) if self.warm_up else self.train_cycles

    def trained_so_far(self, state: TrainState) -> Method:
        """Return the method with as many cycles as training has reached; cycles beyond were never trained."""
        return replace(self, cycles=min(self.cycles, self.most_now(state)))

    def training_report(self, network: nn.Module, state: TrainState) -> Mapping[str, float]:
        """Return N of the last mini-batch, and N_max."""
        return {"cycles_drawn": self.draw_cycles(state), "most_cycles": self.most_now(state)}

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return what recycling adds to the plain U-Net: no parameters."""
        source = "in words; table not known here"
        return (Figure("parameters beyond the plain U-Net's", 0, "parameters", 0, source, _extra_parameters),)


def most_cycles(progress: float, train_cycles: int = 3) -> int:
    """Return N_max at a fraction of the run: 1 in the first fifth, and one more with every further fifth.

    With the paper's 1000 epochs and 3 cycles this is ``min(3, 1 + ⌊epoch / 200⌋)``. More than five cycles rise evenly
    over the fifths, so that the last one trains with all of them.
    """
    fifth = min(4, int(progress * 5 + 1e-9))  # 200/1000 · 5 may come out just below 1
    if train_cycles > 5:
        return 1 + (train_cycles - 1) * fifth // 4
    return min(train_cycles, 1 + fifth)


def _extra_parameters() -> float:
    """Return how many parameters recycling adds to a planned U-Net."""
    plan = Plan.example(labels=14)
    with torch.device("meta"):  # shapes without memory
        return parameters(RecycleNet().build(plan)) - parameters(UNetNetwork(plan))
