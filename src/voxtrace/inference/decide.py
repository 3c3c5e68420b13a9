"""Decide: run a method on a batch of windows, mirrored or not, and say what each step answered.

Facts that hold for every method are worked out here: ``changed_fraction``, the share of a window's voxels whose label
differs from the step before (the first step is compared with background), and ``entropy``, the mean over voxels of
−Σ p·log p in nats.

A window *settles* at the first step, from the second on, that changes no more than a given share of its labels. Where
windows may settle there is a third fact, ``computed``: 1 where the window ran this step, 0 where its last answer was
carried forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import torch
from torch import Tensor

from voxtrace.errors import EngineError
from voxtrace.inference.arithmetic import Arithmetic
from voxtrace.inference.step_check import check_step
from voxtrace.inference.watch import Watch
from voxtrace.method import Method, Noise, Parts, Step

UNITS = {"changed_fraction": "fraction", "entropy": "nat"}
SETTLING_UNITS = {"computed": "fraction"}

Flip = tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """Logits (B, K, Z, Y, X) float32 and their log Σ exp (B, Z, Y, X): p = exp(logits − normaliser)."""

    logits: Tensor
    normaliser: Tensor

    def where(self, keep: Tensor, before: Scores) -> Scores:
        """Return these scores for the windows that ``keep`` (B,) bool names, those of ``before`` for the others."""
        return Scores(_where(keep, self.logits, before.logits), _where(keep, self.normaliser, before.normaliser))


@dataclass(frozen=True)
class Answer:
    """What a step says about B windows.

    Scores, the strongest labels (B, Z, Y, X), facts, each (B,), and by name what else the step shows; slice facts
    (B, F, Z) and scalar maps (B, M, Z, Y, X) in the order in which the method declares them.
    """

    step: int
    scores: Scores
    labels: Tensor
    facts: Mapping[str, Tensor]
    extras: Mapping[str, Scores] = field(default_factory=dict)
    slice_facts: Tensor | None = None
    maps: Tensor | None = None

    def carried(self, step: int) -> Answer:
        """Return this answer as that of a later step, which nobody computed."""
        still = self.facts["entropy"]
        none = torch.zeros_like(still)
        facts = {"changed_fraction": none, "entropy": still, **({"computed": none} if "computed" in self.facts else {})}
        return replace(self, step=step, facts=facts)


def flips(axes: Sequence[int], window: Sequence[int]) -> tuple[Flip, ...]:
    """Return every set of axes to mirror, the empty one first; an axis one voxel long is not worth mirroring.

    Examples
    --------
    >>> flips((0, 2), (8, 8, 8))
    ((), (0,), (2,), (0, 2))
    """
    worth = [axis for axis in axes if window[axis] > 1]
    return tuple(chosen for n in range(len(worth) + 1) for chosen in combinations(worth, n))


@dataclass(frozen=True)
class Decider:
    """Runs a method on batches of windows.

    ``watch`` is told what the network takes; ``shown`` names the extras to keep; ``settle`` is the share of changed
    labels up to which a window has settled, None for never.
    """

    method: Method
    arithmetic: Arithmetic
    watch: Watch
    shown: Sequence[str] = ()
    settle: float | None = None

    def answers(self, parts: Parts, images: Tensor, noise: Noise, flip: Flip) -> Iterator[Answer]:
        """Yield the answer of every step for images (B, C, Z, Y, X), mirrored for the method and mirrored back.

        Yields exactly ``method.steps`` answers. When the method stops early, or all windows have settled, the last
        answer is carried forward.

        Raises
        ------
        EngineError
            The method decides more often than it said, or not at all, or its logits are not numbers.
        """
        dims = [axis + 2 for axis in flip]
        steps, answer, running = self.method.steps, None, None
        decisions = self.method.infer(parts, images.flip(dims) if dims else images, noise)
        for step, decided in enumerate(self.watch.each("network", decisions)):
            if step >= steps:
                raise EngineError(f"{self.method.key} decided more often than the {steps} steps it announced.")
            with self.watch("assess"):
                answer = self._answer(step, decided, dims, answer, running)
            yield answer
            running = self._running(answer, running)
            if running is not None and not bool(running.any()):
                break
        if answer is None:
            raise EngineError(f"{self.method.key} made no decision at all; a method must yield at least one step.")
        for step in range(answer.step + 1, steps):
            yield answer.carried(step)

    def _answer(
        self, step: int, decided: Step, dims: list[int], before: Answer | None, running: Tensor | None
    ) -> Answer:
        """Return the answer of a step; windows that run no longer keep the one before."""
        check_step(self.method, step, decided)
        logits = _back(decided.logits, dims)
        labels, normaliser, changed, entropy = self.arithmetic.assess(logits, None if before is None else before.labels)
        if not bool(torch.isfinite(entropy).all()):
            raise EngineError(
                f"step {step + 1} of {self.method.key} gave logits that are not numbers. Try precision='float32'."
            )
        facts = {"changed_fraction": changed, "entropy": entropy}
        if self.settle is not None:
            facts["computed"] = torch.ones_like(entropy)
        extras = {name: self._scores(_back(decided.extras[name], dims)) for name in self.shown}
        facts = {**facts, **decided.facts}
        slice_facts = _stacked(decided.slice_facts, self.method.slice_facts, [d for d in dims if d == 2])
        maps = _stacked(decided.maps, self.method.maps, dims)
        answer = Answer(step, Scores(logits, normaliser), labels, facts, extras, slice_facts, maps)
        return answer if running is None or before is None else _frozen(answer, before, running)

    def _scores(self, logits: Tensor) -> Scores:
        return Scores(logits, self.arithmetic.assess(logits, None)[1])

    def _running(self, answer: Answer, running: Tensor | None) -> Tensor | None:
        """Return which windows (B,) bool have not settled yet, or None where windows never settle."""
        if self.settle is None or answer.step == 0:
            return running
        moving = answer.facts["changed_fraction"] > self.settle
        return moving if running is None else moving & running


def _back(logits: Tensor, dims: list[int]) -> Tensor:
    """Return logits as float32, mirrored back."""
    return logits.float().flip(dims) if dims else logits.float()


def _stacked(values: Mapping[str, Tensor], declared: Iterable[str], dims: list[int]) -> Tensor | None:
    """Return values (B, …) by name as one tensor (B, n, …), mirrored back; None where none are declared."""
    names = list(declared)
    return _back(torch.stack([values[name] for name in names], 1), dims) if names else None


def _frozen(answer: Answer, before: Answer, running: Tensor) -> Answer:
    """Return the answer with everything of settled windows taken from the one before; facts nobody has are NaN."""
    carried = before.carried(answer.step).facts
    facts = {
        name: torch.where(running.to(values.device), values, carried.get(name, torch.full_like(values, torch.nan)))
        for name, values in answer.facts.items()
    }
    extras = {name: scores.where(running, before.extras[name]) for name, scores in answer.extras.items()}
    labels = _where(running, answer.labels, before.labels)
    beside = (
        None if new is None or old is None else _where(running, new, old)
        for new, old in ((answer.slice_facts, before.slice_facts), (answer.maps, before.maps))
    )
    return Answer(answer.step, answer.scores.where(running, before.scores), labels, facts, extras, *beside)


def _where(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Return ``new`` with the windows that ``keep`` (B,) does not name taken from ``old``."""
    if bool(keep.all()):
        return new
    return torch.stack([new[b] if bool(keep[b]) else old[b] for b in range(len(keep))])
