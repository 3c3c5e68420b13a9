"""The one interface: a method is a published algorithm and its hyper-parameters; weights live in the network.

A method answers six questions and nothing else. The engine owns windows, blending, mirroring, seeds and precision
(:mod:`voxtrace.inference`); the trainer owns optimiser, schedule, sampling and checkpoints
(:mod:`voxtrace.training`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol, Self, get_args, get_type_hints

import torch
from torch import Tensor, nn

from voxtrace.errors import MethodError
from voxtrace.plan import Plan

Parts = Mapping[str, Callable[..., Tensor]]


@dataclass(frozen=True)
class Step:
    """One decision about B windows: the answer, had inference stopped here.

    Attributes
    ----------
    logits
        (B, K, Z, Y, X), before softmax.
    facts
        A number per window, each (B,); names and units are declared in ``Method.facts``.
    """

    logits: Tensor
    facts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Windows for one optimiser update.

    ``images`` (B, C, Z, Y, X) float32, normalised; ``labels`` (B, Z, Y, X) int64, in the label values of the plan.
    """

    images: Tensor
    labels: Tensor


def equally(scores: Mapping[str, float], progress: float) -> float:
    """Weigh every case the same."""
    return 1.0


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one objective, e.g. "bank", then "router".

    Attributes
    ----------
    name
        What the phase is called in records.
    iterations
        Optimiser updates in it.
    trains
        Prefix of the parameters that get gradients; ``""`` is all.
    case_weight
        How likely a case is drawn, given its scores and the progress 0..1 through the phase. (Scores, not voxels:
        a curriculum must be able to weigh thousands of cases without reading one.)
    """

    name: str
    iterations: int
    trains: str = ""
    case_weight: Callable[[Mapping[str, float], float], float] = equally


@dataclass(frozen=True)
class Moment:
    """When in training a loss is asked for: phase, iteration in it, and random numbers of this iteration alone."""

    phase: Phase
    iteration: int
    rng: torch.Generator

    @property
    def progress(self) -> float:
        """Fraction of the phase that is over, 0 ≤ progress < 1."""
        return self.iteration / self.phase.iterations


class Noise(Protocol):
    """Gaussian noise that is a function of (seed, step, voxel position), not of the order of calls."""

    def normal(self, step: int, channels: int) -> Tensor:
        """Return N(0, 1) noise (B, channels, Z, Y, X) for the windows at hand."""
        ...


def option(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    """Declare a method's hyper-parameter: its default, a sentence that describes it, and its range.

    The declaration makes the flag of the command line and the field in the window.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class OptionInfo:
    """An option as a front end needs it."""

    name: str
    kind: type
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Method(ABC):
    """A published algorithm and its hyper-parameters. Frozen; subclasses are dataclasses of ``option`` fields."""

    key: ClassVar[str] = ""
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""  # citation
    facts: ClassVar[Mapping[str, str]] = {}  # name -> unit of every fact in a Step
    step_word: ClassVar[str] = "step"  # the paper's word for one decision, e.g. "cycle"

    def __post_init__(self) -> None:
        for info in self.options():
            _check_option(self.key, info, getattr(self, info.name))

    @classmethod
    def options(cls) -> tuple[OptionInfo, ...]:
        """Return every option with its type, range and sentence, in the order of declaration."""
        hints = get_type_hints(cls)
        return tuple(_option_info(f, hints[f.name]) for f in fields(cls))

    def to_json(self) -> dict[str, Any]:
        """Return ``{"name": ..., "options": {...}}``; ``voxtrace.method(name, **options)`` gives the method back."""
        return {"name": self.key, "options": asdict(self)}

    @property
    def steps(self) -> int:
        """How many steps ``infer`` yields."""
        return 1

    def with_steps(self, steps: int) -> Self:
        """Return the same method that infers in ``steps`` steps, or refuse."""
        if steps != self.steps:
            raise MethodError(f"{self.key} decides in {self.steps} {self.step_word}, not {steps}; leave steps unset.")
        return self

    @abstractmethod
    def build(self, plan: Plan) -> nn.Module:
        """Return one module that owns all weights; networks are children, masks are buffers."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        """Return named scalar terms whose sum is minimised at this moment."""

    @abstractmethod
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield successive decisions about ``images`` (B, C, Z, Y, X); the last is the answer.

        ``parts`` are the network's direct children by name, each a callable from tensors to tensors.
        """

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan with this method's needs, or refuse a plan that it cannot meet."""
        return plan

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return the stretches of training, in order."""
        return (Phase("train", plan.iterations),)

    def after_update(self, network: nn.Module, optimizer: torch.optim.Optimizer, moment: Moment) -> None:
        """Act after an optimiser update, e.g. prune and regrow connections."""
        return


def changed(method: Method, **options: Any) -> Method:
    """Return the method with other options, refusing names it does not have."""
    known = {info.name for info in method.options()}
    for name in options:
        if name not in known:
            raise MethodError(
                f"{method.key} has no option {name!r}; it has {', '.join(sorted(known)) or 'no options'}."
            )
    return replace(method, **options)


def _option_info(declared: Any, hint: Any) -> OptionInfo:
    choices = tuple(str(a) for a in get_args(hint))
    kind = str if choices else hint
    default = None if declared.default is MISSING else declared.default
    meta = declared.metadata
    return OptionInfo(declared.name, kind, default, meta.get("help", ""), meta.get("low"), meta.get("high"), choices)


def _check_option(key: str, info: OptionInfo, value: Any) -> None:
    if info.choices and value not in info.choices:
        raise MethodError(f"{key}: {info.name} is {value!r}; choose one of {', '.join(info.choices)}.")
    if info.kind is bool and not isinstance(value, bool):
        raise MethodError(f"{key}: {info.name} is {value!r}; expected true or false.")
    if info.kind in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise MethodError(f"{key}: {info.name} is {value!r}; expected a number.")
    if info.kind is int and not isinstance(value, int):
        raise MethodError(f"{key}: {info.name} is {value!r}; expected a whole number.")
    if (info.low is not None and value < info.low) or (info.high is not None and value > info.high):
        raise MethodError(f"{key}: {info.name} is {value}; expected {info.low} to {info.high}.")
