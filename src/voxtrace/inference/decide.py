"""Decide: run a method on a batch of windows, mirrored or not, and say what each step answered.

Facts that hold for every method are worked out here: ``changed_fraction``, the share of a window's voxels whose label
differs from the step before (the first step is compared with background), and ``entropy``, the mean over voxels of
−Σ p·log p in nats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import torch
from torch import Tensor

from voxtrace.errors import EngineError
from voxtrace.method import Method, Noise, Parts

UNITS = {"changed_fraction": "fraction", "entropy": "nat"}

Flip = tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """What a step says about B windows.

    Probabilities (B, K, Z, Y, X) float32, facts, each (B,), and by name what else the step shows, each like
    ``probabilities``.
    """

    step: int
    probabilities: Tensor
    facts: Mapping[str, Tensor]
    extras: Mapping[str, Tensor] = field(default_factory=dict)


def flips(axes: Sequence[int], window: Sequence[int]) -> tuple[Flip, ...]:
    """Return every set of axes to mirror, the empty one first; an axis one voxel long is not worth mirroring.

    Examples
    --------
    >>> flips((0, 2), (8, 8, 8))
    ((), (0,), (2,), (0, 2))
    """
    worth = [axis for axis in axes if window[axis] > 1]
    return tuple(chosen for n in range(len(worth) + 1) for chosen in combinations(worth, n))


def answers(method: Method, parts: Parts, images: Tensor, noise: Noise, flip: Flip) -> Iterator[Answer]:
    """Yield the answer of every step for images (B, C, Z, Y, X), mirrored for the method and mirrored back.

    Yields exactly ``method.steps`` answers; when the method stops early its last answer is carried forward.

    Raises
    ------
    EngineError
        The method decides more often than it said, or not at all.
    """
    dims = [axis + 2 for axis in flip]
    labels: Tensor | None = None
    answer: Answer | None = None
    for step, decided in enumerate(method.infer(parts, images.flip(dims) if dims else images, noise)):
        if step >= method.steps:
            raise EngineError(f"{method.key} decided more often than the {method.steps} steps it announced.")
        logits = decided.logits.float()
        probabilities = logits.softmax(1)
        labels, facts = _universal(logits, probabilities, labels)
        shown = {name: scores.float().softmax(1).flip(dims) for name, scores in decided.extras.items()}
        answer = Answer(step, probabilities.flip(dims) if dims else probabilities, {**facts, **decided.facts}, shown)
        yield answer
    if answer is None:
        raise EngineError(f"{method.key} made no decision at all; a method must yield at least one step.")
    still = answer.facts["entropy"]
    for step in range(answer.step + 1, method.steps):
        facts = {"changed_fraction": torch.zeros_like(still), "entropy": still}
        yield Answer(step, answer.probabilities, facts, answer.extras)


def _universal(logits: Tensor, probabilities: Tensor, before: Tensor | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Return labels (B, Z, Y, X) and the facts of every method, for logits and probabilities (B, K, Z, Y, X).

    Entropy is log Σ exp l − Σ p·l. The first term is l − log p of any label; that of the strongest one is at hand.
    """
    top = logits.max(1)
    differs = top.indices != (0 if before is None else before)
    normaliser = top.values - probabilities.gather(1, top.indices[:, None])[:, 0].log()
    pairs = zip(probabilities, logits, strict=True)
    expected = torch.stack([torch.dot(p.flatten(), logit.flatten()) for p, logit in pairs])
    entropy = normaliser.flatten(1).mean(1) - expected / normaliser[0].numel()
    facts = {"changed_fraction": differs.flatten(1).float().mean(1), "entropy": entropy.clamp_min(0.0)}
    return top.indices, facts
