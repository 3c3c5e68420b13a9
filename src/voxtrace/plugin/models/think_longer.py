"""Compute one part of a result again with more steps, more seeds, or the largest network that a method may route to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from voxtrace.declaration import OptionInfo, without_unread
from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.region import Box, clipped_box
from voxtrace.trace import Trace
from voxtrace.volume import Array, Shape

MARGIN_MM = 10.0  # around the part, so that its border is seen with what lies beside it
MORE_STEPS = 2  # times as many steps as were taken
MORE_SEEDS = 5


@dataclass(frozen=True)
class LargestNetwork:
    """The option of a routing method that makes it use its largest network, and what that is called."""

    option: str
    value: str
    title: str


@dataclass(frozen=True)
class ThinkOffer:
    """What can be asked of a method beyond what was run.

    Attributes
    ----------
    step_word, steps, most_steps
        Name of a step, how many were taken, and the largest number; 0 where the number is fixed.
    random
        Whether more seeds give more answers.
    largest
        The largest network of a routing method; None where there is none.
    every_window
        Options with which no window is skipped; empty where none is skipped anyway.
    options
        What a prediction may change.
    """

    step_word: str = "step"
    steps: int = 1
    most_steps: int = 0
    random: bool = False
    largest: LargestNetwork | None = None
    every_window: Mapping[str, Any] = field(default_factory=dict)
    options: Sequence[OptionInfo] = ()

    @property
    def possible(self) -> bool:
        """Whether anything can be asked for."""
        return self.most_steps > self.steps or self.random or self.largest is not None or bool(self.every_window)


@dataclass(frozen=True)
class ThinkChoice:
    """What is asked for: steps, seeds, and whether to use the largest network."""

    steps: int = 1
    seeds: int = 1
    largest: bool = False


def offer(able: Capabilities | None, steps: int) -> ThinkOffer:
    """Return what can be asked of a method that took ``steps`` steps; None is a method that is not known."""
    if able is None:
        return ThinkOffer(steps=steps)
    largest = largest_network(able.options, able.value_names)
    return ThinkOffer(able.step_word, steps, able.max_steps, able.random, largest, able.every_window, able.options)


def largest_network(options: Sequence[OptionInfo], value_names: Mapping[str, tuple[str, ...]]) -> LargestNetwork | None:
    """Return how the largest network is asked for, or None.

    It is a text option whose choices after the first (the method decides) stand for the last values of a fact that
    names something, in the same order: the last choice is the largest network.

    >>> force = OptionInfo("force", str, "router", "", choices=("router", "small", "large"), live=True)
    >>> largest_network([force], {"network": ("skip", "S", "L")})
    LargestNetwork(option='force', value='large', title='L')
    >>> largest_network([force], {}) is None
    True
    """
    for info in options:
        forced = info.choices[1:]
        for names in value_names.values():
            if info.live and 1 < len(forced) <= len(names) and info.default == info.choices[0]:
                return LargestNetwork(info.name, forced[-1], names[-1])
    return None


def longer(options: PredictOptions, asked: ThinkOffer, choice: ThinkChoice) -> PredictOptions:
    """Return the options of a run with what was asked for; every step is kept, no window is skipped."""
    changes: dict[str, Any] = {"keep": "labels", "settle": None}
    if asked.most_steps:
        changes["steps"] = choice.steps
    if asked.random:
        changes["seeds"] = choice.seeds
    own = {**options.method_options, **asked.every_window}
    if choice.largest and asked.largest is not None:
        own[asked.largest.option] = asked.largest.value
    changes["method_options"] = without_unread(asked.options, own)
    return replace(options, **changes)


def window_at(trace: Trace, voxel: Shape) -> Box | None:
    """Return the window whose centre lies nearest to a voxel (z, y, x), in voxels of the trace's grid.

    A window that was skipped is one, too. Of windows that do not hold the voxel none is taken; None where the trace
    knows no windows there.
    """
    known = [trace.boxes(), *(trace.boxes(found) for name, found in trace.window_sets.items() if name == "skipped")]
    boxes = np.concatenate(known) + 0.5
    if not len(boxes):
        return None
    at = np.asarray(voxel) + 0.5
    inside = np.all((boxes[:, :3] <= at) & (at <= boxes[:, 3:]), axis=1)
    if not inside.any():
        return None
    distance = np.abs((boxes[:, :3] + boxes[:, 3:]) / 2 - at).sum(1)
    nearest = boxes[int(np.argmin(np.where(inside, distance, np.inf)))]
    return clipped_box(nearest[:3], nearest[3:], trace.geometry.shape)


def difference_words(changed: int, voxels: int, voxel_ml: float) -> str:
    """Return how a second answer differs from the first, in words.

    >>> difference_words(250, 10_000, 0.001)
    '250 of 10,000 voxels differ (2.50 %, 0.25 mL).'
    >>> difference_words(0, 10_000, 0.001)
    'The answer is the same.'
    """
    if not changed:
        return "The answer is the same."
    return f"{changed:,} of {voxels:,} voxels differ ({changed / voxels:.2%}".replace("%", " %") + (
        f", {changed * voxel_ml:.2f} mL)."
    )


def display_slices(box: Box, shape: Shape) -> tuple[slice, slice, slice]:
    """Return a box of canonical voxels as an index of an array (I, P, L) of a grid; I runs against z."""
    z, y, x = box.slices
    return slice(shape[0] - z.stop, shape[0] - z.start), y, x


def changes_inside(before: Array, after: Array, box: Box, shape: Shape) -> tuple[Array, Array]:
    """Return what a second answer changes: flat indices into the grid's (I, P, L), ascending, and the new labels.

    Parameters
    ----------
    before, after
        Labels (I, P, L) inside the box.
    box, shape
        Where they lie in canonical voxels, and the voxels of the grid along (Z, Y, X).
    """
    inside = np.nonzero(before != after)
    places = tuple(index + part.start for index, part in zip(inside, display_slices(box, shape), strict=True))
    return np.ravel_multi_index(places, shape), after[inside]
