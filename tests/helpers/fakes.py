"""A method whose answer can be read off the image, and the bundle around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.bundle import Bundle
from voxtrace.method import Batch, Method, Noise, Parts, Step, TrainState, option
from voxtrace.plan import Normalisation, Plan
from voxtrace.volume import Geometry, Shape, Triple, Volume

GAIN = 20.0


class Score(nn.Module):
    """Logits (B, K, Z, Y, X): label k has the score GAIN·(1 − |x − k|), x the first channel."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.arange(n_labels, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        distance = (images[:, :1] - self.values.view(1, -1, 1, 1, 1)).abs()
        return GAIN * (1.0 - distance)


class FakeNetwork(nn.Module):
    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.score = Score(n_labels)


@dataclass(frozen=True)
class Nearest(Method):
    """Gives each voxel the label nearest to its intensity; step s first adds ``drift``·(steps − 1 − s)."""

    key: ClassVar[str] = "nearest"
    title: ClassVar[str] = "Nearest label"
    facts: ClassVar[dict[str, str]] = {"mean_intensity": "HU"}

    n_steps: int = option(1, "Steps.", low=1, high=100)
    drift: float = option(0.0, "What each earlier step adds to the intensity.")
    noise: float = option(0.0, "Deviation of noise added to the intensity.")
    stops_after: int = option(100, "Steps after which it stops early.", low=1, high=100)

    @property
    def steps(self) -> int:
        return self.n_steps

    def with_steps(self, steps: int) -> Self:
        return replace(self, n_steps=steps)

    def build(self, plan: Plan) -> nn.Module:
        return FakeNetwork(plan.n_labels)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        return {}

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in range(min(self.n_steps, self.stops_after)):
            seen = images + self.drift * (self.n_steps - 1 - step)
            if self.noise:
                seen = seen + self.noise * rng.normal(step, 1)
            yield Step(parts["score"](seen), {"mean_intensity": images.mean((1, 2, 3, 4))})


@dataclass(frozen=True)
class Noisy(Nearest):
    """The nearest label to the intensity plus noise, so that seeds give different answers."""

    key: ClassVar[str] = "noisy_nearest"
    random: ClassVar[bool] = True

    noise: float = option(0.4, "Deviation of noise added to the intensity.")


@dataclass(frozen=True)
class Showing(Nearest):
    """Shows the image that it sees as a scalar map."""

    key: ClassVar[str] = "showing"
    maps: ClassVar[dict[str, str]] = {"seen": "HU"}

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            yield replace(step, maps={"seen": images[:, 0]})


def plan(window: Shape = (8, 16, 16), spacing_mm: Triple = (1.0, 1.0, 1.0), labels: int = 2, **changes: Any) -> Plan:
    """A plan that leaves intensities as they are."""
    example = Plan.example(labels=labels, window=window, spacing_mm=spacing_mm)
    return example.model_copy(
        update={"normalisation": (Normalisation(scheme="none"),), "interpolation": "linear"} | changes
    )


def bundle(method: Method | None = None, network: nn.Module | None = None, **options: Any) -> Bundle:
    """A bundle of the fake method; options are those of :func:`plan`."""
    chosen, made = method or Nearest(), plan(**options)
    return Bundle(chosen, made, (network or chosen.build(made)).eval(), {"name": "fake"})


def ball(shape: Shape, spacing_mm: Triple = (1.0, 1.0, 1.0), radius_mm: float = 10.0, value: float = 1.0) -> Volume:
    """A volume of 0 with a ball of ``value`` in its middle."""
    geometry = Geometry.from_spacing(shape, spacing_mm)
    centre = geometry.world_mm([(n - 1) / 2 for n in shape])
    world = geometry.world_mm(np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1))
    inside = np.linalg.norm(world - centre, axis=-1) <= radius_mm
    return Volume((inside * value).astype(np.float32)[None], geometry, name="ball")
