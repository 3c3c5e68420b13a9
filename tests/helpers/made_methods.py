"""Made-up methods for the tests of the window: one with an option of each kind, one with two phases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from fakes import Nearest
from made_traces import BRANCH_COSTS, node_chart
from voxtrace.errors import MethodError
from voxtrace.method import Noise, Parts, Phase, Step, option
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.plan import Plan
from voxtrace.trace import NodeChart


@dataclass(frozen=True)
class Blurred(Nearest):
    """The nearest label, once more at each step; shows the image it saw with noise as an extra."""

    key: ClassVar[str] = "blurred"
    title: ClassVar[str] = "Blurred"
    extras: ClassVar[tuple[str, ...]] = ("seen_through_noise",)
    step_word: ClassVar[str] = "look"

    n_steps: int = option(2, "Steps.", low=1, high=20, live=True)
    strength: float = option(1e-4, "How much noise the extra has.", low=0.0, high=1.0, live=True)
    kernel: Literal["flat", "round"] = option("flat", "Shape of the blur.", live=True)
    sharp: bool = option(False, "Blur nothing.", live=True)
    repeats: int = option(1, "How often.", low=1, high=8, live=True)
    remark: str = option("", "Anything.", live=True)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in range(self.n_steps):
            noisy = images + self.strength * rng.normal(step, 1)
            yield Step(
                parts["score"](images),
                {"mean_intensity": images.mean((1, 2, 3, 4))},
                {"seen_through_noise": parts["score"](noisy)},
            )


@dataclass(frozen=True)
class Capped(Nearest):
    """Decides in as many steps as another option says, unless it is told; at most its cap."""

    key: ClassVar[str] = "capped"
    title: ClassVar[str] = "Capped"

    n_steps: int = option(0, "Steps; 0 is the cap.", low=0, high=100, live=True)
    cap: int = option(5, "Most steps.", low=1, high=100)

    @property
    def steps(self) -> int:
        return self.n_steps or self.cap

    def with_steps(self, steps: int) -> Self:
        if steps > self.cap:
            raise MethodError(f"{steps} steps are more than {self.cap}; ask for fewer.")
        return replace(self, n_steps=steps)


@dataclass(frozen=True)
class Schooled(RecycleNet):
    """RecycleNet in two phases."""

    key: ClassVar[str] = "schooled"
    title: ClassVar[str] = "Schooled"

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        return Phase("easy", 2), Phase("hard", 3)


@dataclass(frozen=True)
class Mapped(Nearest):
    """The nearest label with two scalar maps, the image and a map of no values, and the brightest voxel per slice."""

    key: ClassVar[str] = "mapped"
    title: ClassVar[str] = "Mapped"
    maps: ClassVar[dict[str, str]] = {"seen_image": "HU", "nothing": ""}
    slice_facts: ClassVar[dict[str, str]] = {"brightest": "HU"}

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in range(self.n_steps):
            shown = images[:, 0] + step
            yield Step(
                parts["score"](images),
                {"mean_intensity": images.mean((1, 2, 3, 4))},
                slice_facts={"brightest": images[:, 0].amax((-1, -2))},
                maps={"seen_image": shown, "nothing": torch.full_like(shown, float("nan"))},
            )


@dataclass(frozen=True)
class MadeRouting(Nearest):
    """The nearest label with everything that a method can show: rulers of time and place are filled from this alone.

    Per window: which of three branches ran, and its cost. Per slice: what was chosen there, and the brightest voxel.
    Beside the labels: a scalar map and an earlier draft of the labels.
    """

    key: ClassVar[str] = "made_routing"
    title: ClassVar[str] = "Made-up routing"
    facts: ClassVar[dict[str, str]] = {"branch": "index", "cost_gflop": "GFLOP"}
    slice_facts: ClassVar[dict[str, str]] = {"choice": "index", "brightest": "HU"}
    maps: ClassVar[dict[str, str]] = {"heat": "fraction"}
    extras: ClassVar[tuple[str, ...]] = ("draft",)
    value_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "branch": ("none", "small", "large"),
        "choice": ("leave", "look"),
    }
    step_word: ClassVar[str] = "round"

    def value_costs(self, plan: Plan) -> dict[str, tuple[float, ...]]:
        return {"branch": BRANCH_COSTS}

    def charts(self, network: nn.Module) -> tuple[NodeChart, ...]:
        return (node_chart(),)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        brightest = images[:, 0].amax((-1, -2))  # (B, Z)
        branch = (images.mean((1, 2, 3, 4)) > 0).float() + (images.mean((1, 2, 3, 4)) > 0.5).float()  # (B,)
        for step in range(self.n_steps):
            logits = parts["score"](images + self.drift * (self.n_steps - 1 - step))
            yield Step(
                logits,
                {"branch": branch, "cost_gflop": torch.tensor(BRANCH_COSTS)[branch.long()]},
                {"draft": parts["score"](0.5 * images)},
                {"choice": (brightest > 0).float(), "brightest": brightest},
                {"heat": images[:, 0] / (step + 1.0)},
            )
