"""StepRunner: run a method on a batch of windows, mirrored or not, and return the result of each step.

Facts that hold for every method are computed here: ``changed_fraction``, the fraction of a window's voxels whose label
differs from the step before (the first step is compared with background), and ``entropy``, the mean over voxels of
−Σ p·log p in nats; of regions, the sum over them of the entropy of each answer. Where the network has a temperature,
``entropy`` is that of softmax(logits / temperature), at every step, and ``raw_entropy`` that of the logits as they are.
Labels never depend on it.

With early stopping a window *converges* at the first step, from the second on, that changes no more than a given
fraction of its labels; it computes no further steps and its last result is carried forward. A third fact then says
which steps ran: ``computed`` is 1 where the window ran the step and 0 where the result was carried forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from torch import Tensor

from voxtrace.errors import EngineError
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.inference.step_check import check_step
from voxtrace.inference.timing import StageTimer
from voxtrace.inference.voxel_ops import VoxelOps
from voxtrace.method import Method, Noise, Parts, Step
from voxtrace.runtime.interrupt import interrupts

UNITS = {"changed_fraction": "fraction", "entropy": "nat"}
CALIBRATED_UNITS = {"raw_entropy": "nat"}
EARLY_STOP_UNITS = {"computed": "fraction"}

Flip = tuple[int, ...]


@dataclass(frozen=True)
class Logits:
    """Logits (B, K, Z, Y, X) float32 and their log Σ exp (B, Z, Y, X): p = exp(values − normaliser).

    Of regions p = sigmoid(values), and the normaliser is 0.
    """

    values: Tensor
    normaliser: Tensor

    def where(self, keep: Tensor, before: Logits) -> Logits:
        """Return these logits for the windows that ``keep`` (B,) bool names, those of ``before`` for the others."""
        return Logits(_where(keep, self.values, before.values), _where(keep, self.normaliser, before.normaliser))


@dataclass(frozen=True)
class StepResult:
    """The result of one step for B windows, mirrored back.

    Attributes
    ----------
    step
        Number of the step, from 0.
    logits
        Logits of the step.
    labels
        (B, Z, Y, X), the label with the largest logit; of regions, the painted label.
    facts
        Numbers per window, each (B,).
    extras
        Further logits of the step by name, as far as they are kept.
    slice_facts, maps
        Numbers per slice (B, F, Z) and scalar maps (B, M, Z, Y, X) in the order in which the method declares them, maps
        of labels last; None where there are none.
    """

    step: int
    logits: Logits
    labels: Tensor
    facts: Mapping[str, Tensor]
    extras: Mapping[str, Logits] = field(default_factory=dict)
    slice_facts: Tensor | None = None
    maps: Tensor | None = None

    def carried(self, step: int) -> StepResult:
        """Carry this result forward to a step that was not computed."""
        entropy = self.facts["entropy"]
        zero = torch.zeros_like(entropy)
        facts = {"changed_fraction": zero, "entropy": entropy}
        facts |= {name: self.facts[name] for name in CALIBRATED_UNITS if name in self.facts}
        return replace(self, step=step, facts=facts | ({"computed": zero} if "computed" in self.facts else {}))


def flips(axes: Sequence[int], window: Sequence[int]) -> tuple[Flip, ...]:
    """Return every set of axes to mirror, the empty one first; axes one voxel long are left out.

    Examples
    --------
    >>> flips((0, 2), (8, 8, 8))
    ((), (0,), (2,), (0, 2))
    """
    longer = [axis for axis in axes if window[axis] > 1]
    return tuple(chosen for n in range(len(longer) + 1) for chosen in combinations(longer, n))


@dataclass(frozen=True)
class StepRunner:
    """Runs a method on batches of windows.

    Attributes
    ----------
    method, ops
        The algorithm, and the loops over voxels for the device.
    timer
        Counts the time of the stages "network" and "assess".
    extras, label_maps
        Names of the extras and of the maps with a number per label to keep.
    early_stop
        Fraction of changed labels up to which a window has converged; None computes every step.
    check
        Looks whether to stop, between the layers of the network.
    """

    method: Method
    ops: VoxelOps
    timer: StageTimer
    extras: Sequence[str] = ()
    early_stop: float | None = None
    label_maps: Sequence[str] = ()
    check: CancelCheck = field(default_factory=CancelCheck)

    def results(
        self, parts: Parts, images: Tensor, noise: Noise, flip: Flip, temperature: float | None = None
    ) -> Iterator[StepResult]:
        """Yield the result of every step for images (B, C, Z, Y, X), mirrored for the method and mirrored back.

        With a ``temperature`` there are both entropies.

        Yields exactly ``method.steps`` results. When the method stops early, or all windows have converged, the last
        result is carried forward.

        Raises
        ------
        EngineError
            The method yields more steps than it announced, or none, or its logits are not finite.
        MethodError
            A step carries other facts or maps than the method declares.
        """
        dims = [axis + 2 for axis in flip]
        steps, result, running = self.method.steps, None, None
        decisions = self.method.infer(parts, images.flip(dims) if dims else images, noise)
        for step, decided in enumerate(self.timer.each("network", self._interruptible(decisions))):
            if step >= steps:
                raise EngineError(f"{self.method.key} decided more often than the {steps} steps it announced.")
            with self.timer("assess"):
                result = self._result(step, decided, dims, (result, running), temperature)
            yield result
            running = self._running(result, running)
            if running is not None and not bool(running.any()):
                break
        if result is None:
            raise EngineError(f"{self.method.key} made no decision at all; a method must yield at least one step.")
        # The method stopped early, or every window has converged.
        for step in range(result.step + 1, steps):
            yield result.carried(step)

    def _interruptible(self, decisions: Iterator[Step]) -> Iterator[Step]:
        """Yield the decisions; while one is computed, look between layers whether to stop."""
        while True:
            with interrupts.between_layers(self.check):
                decided = next(decisions, None)
            if decided is None:
                return
            yield decided

    def _result(
        self,
        step: int,
        decided: Step,
        dims: list[int],
        known: tuple[StepResult | None, Tensor | None],
        temperature: float | None,
    ) -> StepResult:
        """Return the result of a step; windows that have converged keep the one before.

        ``known`` holds the result of the step before, and which windows have not converged.
        """
        check_step(self.method, step, decided)
        before, running = known
        values = _mirrored_back(decided.logits, dims)
        last_labels = None if before is None else before.labels
        labels, normaliser, changed, entropy = self.ops.argmax_entropy(values, last_labels)
        # One logit that is not finite makes the entropy of its window not finite.
        if not bool(torch.isfinite(entropy).all()):
            raise EngineError(
                f"step {step + 1} of {self.method.key} gave logits that are not numbers. Try precision='float32'."
            )
        computed = {} if self.early_stop is None else {"computed": torch.ones_like(entropy)}
        result = StepResult(
            step,
            Logits(values, normaliser),
            labels,
            {"changed_fraction": changed, **self._entropies(values, entropy, temperature), **computed, **decided.facts},
            {name: self._logits(_mirrored_back(decided.extras[name], dims)) for name in self.extras},
            _stacked(decided.slice_facts, self.method.slice_facts, [dim for dim in dims if dim == 2]),
            self._maps(decided, dims),
        )
        return result if running is None or before is None else _carried_where_converged(result, before, running)

    def _entropies(self, values: Tensor, raw: Tensor, temperature: float | None) -> dict[str, Tensor]:
        if temperature is None:
            return {"entropy": raw}
        calibrated = raw if temperature == 1.0 else self.ops.argmax_entropy(values / temperature, None)[3]
        return {"entropy": calibrated, "raw_entropy": raw}

    def _maps(self, decided: Step, dims: list[int]) -> Tensor | None:
        """Return scalar maps (B, M, Z, Y, X), and after them those of each label but the background."""
        scalars = _stacked(decided.maps, self.method.maps, dims)
        by_label = [_mirrored_back(decided.label_maps[name][:, 1:], dims) for name in self.label_maps]
        found = [*([] if scalars is None else [scalars]), *by_label]
        return torch.cat(found, 1) if found else None

    def _logits(self, values: Tensor) -> Logits:
        return Logits(values, self.ops.argmax_entropy(values, None)[1])

    def _running(self, result: StepResult, running: Tensor | None) -> Tensor | None:
        """Return which windows (B,) bool have not converged yet, or None without early stopping."""
        if self.early_stop is None or result.step == 0:
            return running
        moving = result.facts["changed_fraction"] > self.early_stop
        return moving if running is None else moving & running


def _mirrored_back(values: Tensor, dims: list[int]) -> Tensor:
    """Return values as float32, mirrored back along ``dims``."""
    return values.float().flip(dims) if dims else values.float()


def _stacked(values: Mapping[str, Tensor], declared: Iterable[str], dims: list[int]) -> Tensor | None:
    """Return values (B, …) by name as one tensor (B, n, …), mirrored back; None where none are declared."""
    names = list(declared)
    return _mirrored_back(torch.stack([values[name] for name in names], 1), dims) if names else None


def _carried_where_converged(result: StepResult, before: StepResult, running: Tensor) -> StepResult:
    """Return the result with everything of converged windows taken from the step before.

    Facts of the method, which has not computed the step for these windows, are NaN.
    """
    carried = before.carried(result.step).facts
    facts = {
        name: torch.where(running.to(values.device), values, carried.get(name, torch.full_like(values, torch.nan)))
        for name, values in result.facts.items()
    }
    return StepResult(
        result.step,
        result.logits.where(running, before.logits),
        _where(running, result.labels, before.labels),
        facts,
        {name: logits.where(running, before.extras[name]) for name, logits in result.extras.items()},
        _where_declared(running, result.slice_facts, before.slice_facts),
        _where_declared(running, result.maps, before.maps),
    )


def _where_declared(keep: Tensor, new: Tensor | None, old: Tensor | None) -> Tensor | None:
    return None if new is None or old is None else _where(keep, new, old)


def _where(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return ``new`` with the windows that ``keep`` (B,) does not name taken from ``old``."""
    if bool(keep.all()):
        return new
    return torch.stack([new[b] if bool(keep[b]) else old[b] for b in range(len(keep))])
