"""The Dice of each step of a trace with a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.metrics import check_in_regions, dice, finite_mean, region_maps, without_ignored
from voxtrace.plan.regions import LabelRegion
from voxtrace.trace import Trace
from voxtrace.volume import LabelMap


@dataclass(frozen=True)
class StepDice:
    """Dice at one step, counted from 1: of each foreground label by value, and their mean; NaN where there is none."""

    step: int
    labels: Mapping[int, float]

    @property
    def mean(self) -> float:
        """The mean over the labels, as that of a case in ``voxtrace evaluate``."""
        return finite_mean(self.labels.values())


def step_dice(
    trace: Trace,
    reference: LabelMap,
    ignored: int | None = None,
    absent: float = float("nan"),
    regions: Sequence[LabelRegion] = (),
) -> Iterator[StepDice]:
    """Yield the Dice of every step that the trace has kept.

    Labels are those that the reference or any kept step has or names; at a step where neither side has one its Dice is
    ``absent``. Voxels where the reference has the value ``ignored`` are left out. With ``regions`` these are scored in
    place of labels, numbered from 1.

    Raises
    ------
    GeometryError
        The reference does not lie on the trace's grid.
    InputError
        A label value is in no region.
    """
    values = sorted({*trace.names, *reference.values, *reference.names} - {0, ignored})
    kept = trace.labels.shape[0]
    for number in range(kept):
        labels = LabelMap(np.asarray(trace.labels[number]), trace.geometry, name=f"step {number + 1}")
        made, true = without_ignored(labels, reference, ignored)
        check_in_regions((made, true), regions)
        if regions:
            pairs = zip(region_maps(made, regions), region_maps(true, regions), strict=True)
            found = {value: dice(*pair, 1, absent) for value, pair in enumerate(pairs, 1)}
        else:
            found = {value: dice(made, true, value, absent) for value in values}
        yield StepDice(trace.n_steps - kept + number + 1, found)
