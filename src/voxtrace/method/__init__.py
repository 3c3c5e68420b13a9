"""The interface of a method: a published algorithm and its hyper-parameters; weights live in the network.

A method implements a few functions and nothing else. :mod:`voxtrace.inference` owns windows, blending, mirroring, seeds
and precision; :mod:`voxtrace.training` owns optimiser, schedule, sampling and checkpoints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from voxtrace.declaration import Alike as Alike
from voxtrace.declaration import OptionInfo as OptionInfo
from voxtrace.declaration import checked, options_of, setting
from voxtrace.declaration import option as option
from voxtrace.errors import MethodError, VoxTraceError
from voxtrace.method.recipe import NO_AUGMENTATION as NO_AUGMENTATION
from voxtrace.method.recipe import Augmentation as Augmentation
from voxtrace.method.recipe import Optimiser as Optimiser
from voxtrace.method.recipe import Phase as Phase
from voxtrace.method.recipe import equally as equally
from voxtrace.method.recipe import poly as poly
from voxtrace.plan import Plan
from voxtrace.safe_text import brief
from voxtrace.trace import INDEX, NodeChart
from voxtrace.windows import Windowing, endless_gaussian

Parts = Mapping[str, Callable[..., Tensor]]


@dataclass(frozen=True)
class Step:
    """One decision about B windows: the answer, had inference stopped here.

    Attributes
    ----------
    logits
        (B, K, Z, Y, X), before softmax; of regions, K independent answers before a sigmoid.
    facts
        One number for each window, each (B,); names and units are declared in ``Method.facts``.
    extras
        More scores over labels, each (B, K, Z, Y, X), named in ``Method.extras``; blended, kept where asked for.
    slice_facts, maps, label_maps
        A number per window and slice, each (B, Z); per voxel, each (B, Z, Y, X), e.g. an attention map; per voxel and
        label, each (B, K, Z, Y, X), e.g. the mask that was denoised. NaN where there is none. Maps are blended with the
        weights of the logits; those of labels are kept like the extras when a user asks for it, without the background.
        Names and units are declared in ``Method.slice_facts`` and so on, and every step carries all of them.
    """

    logits: Tensor
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    slice_facts: Mapping[str, Tensor] = field(default_factory=dict)
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    label_maps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Windows for one optimiser update.

    ``images`` (B, C, Z, Y, X) float32, normalised; ``labels`` (B, Z, Y, X) int64, in the label values of the plan.
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrainState:
    """State of training at one iteration: phase, iteration in it, and random numbers of this iteration alone.

    The windows at hand are ``part`` of ``parts`` equal parts of the mini-batch, in order; other processes, or passes of
    this one, have the others, with the same random numbers. ``spent`` (at the update before: ``spent_before``) is the
    fraction of a limited time that is over.
    """

    phase: Phase
    iteration: int
    rng: torch.Generator
    part: int = 0
    parts: int = 1
    spent: float = 0.0
    spent_before: float = 0.0

    @property
    def progress(self) -> float:
        """Fraction of the phase that is done, 0 ≤ progress < 1: of its updates, or of its time where that ends it."""
        return max(self.iteration, min(self.spent, 1.0) * (self.phase.iterations - 1)) / self.phase.iterations

    def whole(self, windows: int) -> int:
        """Return how many windows the whole mini-batch has, of which ``windows`` are at hand: draw for all of them."""
        return windows * self.parts

    def own(self, drawn: Tensor) -> Tensor:
        """Return what belongs to the windows at hand, of what was drawn for the whole mini-batch (its first axis)."""
        return drawn if self.parts == 1 else drawn.chunk(self.parts)[self.part]


class Noise(Protocol):
    """Gaussian noise that is a function of (seed, step, voxel position), not of the order of calls."""

    def normal(self, step: int, channels: int) -> Tensor:
        """Return N(0, 1) noise (B, channels, Z, Y, X) for the windows at hand."""


@dataclass(frozen=True)
class Figure:
    """A published number, and the function that counts ours.

    Attributes
    ----------
    what, value, unit, tolerance
        E.g. ``"cost of M1, 4×128×128"``; as printed, 0.605 ``"GMAC"``; how far ours may differ, in the same unit.
    convention
        How cost is counted, see :func:`voxtrace.nn.flops.flops`; else empty.
    source
        Where it is printed, e.g. ``"Table 1"``.
    ours
        Counts the number; may take seconds.
    differs
        Where ours is known to differ by more than the tolerance: the likely reason.
    """

    what: str
    value: float
    unit: str
    tolerance: float
    source: str
    ours: Callable[[], float]
    convention: str = ""
    differs: str = ""


@dataclass(frozen=True)
class Method(ABC):
    """A published algorithm and its hyper-parameters. Frozen; subclasses are dataclasses of ``option`` fields."""

    key: ClassVar[str] = ""
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""  # citation
    facts: ClassVar[Mapping[str, str]] = {}  # name -> unit of every fact in a Step; "index" where it names something
    extras: ClassVar[tuple[str, ...]] = ()  # names of the extra scores in a Step
    slice_facts: ClassVar[Mapping[str, str]] = {}  # name -> unit of every number per slice; "index" as in facts
    maps: ClassVar[Mapping[str, str]] = {}  # name -> unit of every scalar map in a Step
    label_maps: ClassVar[Mapping[str, str]] = {}  # name -> unit of every map with a number per label in a Step
    value_names: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # name of an "index" fact -> what 0 … n stand for
    random: ClassVar[bool] = False  # whether ``infer`` draws from its noise, so that another seed gives another answer
    step_word: ClassVar[str] = "step"  # the paper's word for one decision, e.g. "cycle"
    stops_anywhere: ClassVar[bool] = False  # whether step k is the answer of ``with_steps(k)``, so that fewer can do
    overlapping: ClassVar[bool] = False  # whether it learns and decides regions that overlap (plan.regions)
    begins_from: ClassVar[tuple[str, ...]] = ()  # keys of other methods with the same network, whose weights it takes
    training_facts: ClassVar[Mapping[str, str]] = {}  # name -> unit of every number in ``training_report``
    last_bias: ClassVar[str] = ""  # name of the weight (K,) that is added, last, to every step's logits; "" for none

    def __post_init__(self) -> None:
        _check_declared(type(self))
        for info in self.options():
            checked(info, getattr(self, info.name), error=MethodError, of=self.key)

    @classmethod
    def options(cls) -> tuple[OptionInfo, ...]:
        """Return every option with its type, range and sentence, in the order of declaration."""
        return options_of(cls)

    def to_json(self) -> dict[str, Any]:
        """Return ``{"name": ..., "options": {...}}``; :func:`voxtrace.methods.recorded` gives the method back."""
        return {"name": self.key, "options": asdict(self)}

    @property
    def steps(self) -> int:
        """Number of steps that ``infer`` yields."""
        return 1

    def with_steps(self, steps: int) -> Self:
        """Return the same method that infers in ``steps`` steps, or refuse."""
        if steps != self.steps:
            raise MethodError(f"{self.key} decides in {self.steps} {self.step_word}, not {steps}; leave steps unset.")
        return self

    @abstractmethod
    def build(self, plan: Plan) -> nn.Module:
        """Return one module that owns all weights; networks are children, masks are buffers.

        Its logits have ``plan.n_outputs`` channels. Along an axis of a weight that counts channels and labels, the
        image's channels come first, then the labels. A method that is ``overlapping`` gives its network the child
        ``regions`` where the plan has any (:func:`voxtrace.nn.regions.targets_for`).
        """

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return named scalar terms; training minimises their sum."""

    @abstractmethod
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield successive decisions about ``images`` (B, C, Z, Y, X); the last is the answer.

        ``parts`` are the network's direct children by name, each a callable from tensors to tensors.
        """

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan changed to this method's needs, or refuse a plan that it cannot use."""
        return plan

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return the phases of training, in order."""
        return (Phase("train", plan.iterations),)

    def kept_phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return phases that are not run, as the start's weights stay: what they gave is examined before training."""
        return ()

    def after_update(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
        """Act after an optimiser update, e.g. prune and regrow connections."""
        return

    def trained_so_far(self, state: TrainState) -> Method:
        """Return the method as it can be judged at this time of training, e.g. with the steps trained until now."""
        return self

    def training_report(self, network: nn.Module, state: TrainState) -> Mapping[str, float]:
        """Return what the last update was like, by the names in ``training_facts``; ``state`` as the loss got it."""
        return {}

    def examine(self, network: nn.Module, phase: Phase, windows: Callable[[], Iterator[Batch]]) -> Mapping[str, Any]:
        """Return JSON values of what held-back windows show after a phase, with a ``sentence``; {} for nothing.

        Of ``kept_phases`` before training.
        """
        return {}

    @property
    def begins_anew(self) -> tuple[str, ...]:
        """How the names of weights begin that no bundle gives, and that learn at their phases' own rates."""
        return ()

    def check_start(self, other: Method | None) -> None:
        """Refuse with a MethodError to be trained from the weights of a bundle's method, or, None, from scratch."""
        return

    def fine_tuned(self, other: Method | None = None) -> Self:
        """Return the method as it trains on from weights of its own, or of another method, that it must not ruin."""
        return self

    def may_reorder_channels(self, plan: Plan, order: tuple[int, ...]) -> bool:
        """Return whether the answer stays if channel c becomes ``order[c]`` of before, and its weights with it."""
        return True

    def windowing(self, plan: Plan) -> Windowing:
        """Return where windows lie, in which order they run and how they are blended."""
        return Windowing() if plan.view is None else Windowing(blend=endless_gaussian)  # imported: nnU-Net's weights

    def covering(self, least: float) -> Self:
        """Return the method as it is used after training, where its windows reach ``least`` (0 to 1) of the labels."""
        return self

    def value_costs(self, plan: Plan) -> Mapping[str, tuple[float, ...]]:
        """Return the GFLOP of one window for each value of ``value_names``, by fact; {} where costs do not differ."""
        return {}

    def charts(self, network: nn.Module) -> tuple[NodeChart, ...]:
        """Return numbers of the network's nodes for a trace, e.g. from where each takes its features; () if none."""
        return ()

    def describe(self, network: nn.Module) -> dict[str, Any]:
        """Return properties of the trained weights as JSON, for the bundle's card; {} if there are none."""
        return {}

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return the paper's figures that can be counted without training, each with a function that counts ours."""
        return ()


def changed(method: Method, **options: Any) -> Method:
    """Return the method with other options, or refuse unknown names and values that the method does not take."""
    known = {info.name for info in method.options()}
    for name in options:  # the dataclass would raise a TypeError without the list of names
        if name not in known:
            raise MethodError(
                f"{method.key} has no option {name!r}; it has {', '.join(sorted(known)) or 'no options'}."
            )
    try:
        return replace(method, **options)
    except VoxTraceError:
        raise
    except Exception as error:  # a stranger's method refuses a value in any way
        told = ", ".join(f"{name}={value}" for name, value in options.items())
        raise MethodError(f"{method.key} refuses {brief(told)} ({brief(error)}); choose other values.") from error


def chosen(method: Method, **options: Any) -> Method:
    """Return the method as a person asks for it: :func:`changed`, and no new value that the other options leave unread.

    A recorded method may have such values: fine-tuning, for one, switches options off that others belong to.
    """
    made = changed(method, **options)
    values = {info.name: getattr(made, info.name) for info in method.options()}
    for info in method.options():
        name, value, before = info.name, values[info.name], getattr(method, info.name)
        why = info.idle_with(values, before) if name in options and value != before else ""
        if why:
            raise MethodError(
                f"{method.key}: {setting(name, value)} does nothing, as {why}; leave {name} out, "
                f"or change {why.partition('=')[0]}."
            )
    return made


def changed_after_training(method: Method, **options: Any) -> Method:
    """Return the method with other options for a prediction, or refuse those on which the weights depend."""
    live = {info.name for info in method.options() if info.live}
    for name, value in options.items():
        if name not in live and hasattr(method, name) and getattr(method, name) != value:
            raise MethodError(
                f"{name} of {method.key} was fixed in training; "
                f"{'a prediction may change ' + ', '.join(sorted(live)) if live else 'it has no option to change'}."
            )
    return chosen(method, **options)


def _check_declared(kind: type[Method]) -> None:
    """Refuse names that cannot be files or options, and one name with two units: a trace lists units by name."""
    units: dict[str, str] = {}
    for declared in (kind.facts, kind.slice_facts, kind.maps, kind.label_maps, kind.training_facts):
        for name, unit in declared.items():
            if not name.isidentifier():
                raise MethodError(f"{kind.__name__} declares {name!r}; use letters, digits and underscores only.")
            if units.setdefault(name, unit) != unit:
                raise MethodError(
                    f"{kind.__name__} declares {name!r} in {units[name]} and in {unit}; "
                    "use one unit for a name in facts, slice_facts and all maps, or two names."
                )
    for name in kind.value_names:
        if {**kind.facts, **kind.slice_facts}.get(name) != INDEX:
            raise MethodError(
                f"{kind.__name__} names the values of {name!r}, which is no fact or slice fact with the unit "
                f"{INDEX!r}; declare it as one."
            )
