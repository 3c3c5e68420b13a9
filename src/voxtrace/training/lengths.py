"""The phases with which a run goes on from a checkpoint: as long as they were, or a longer last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxtrace.errors import InputError
from voxtrace.method import Phase
from voxtrace.training.checkpoint import TrainingCheckpoint
from voxtrace.training.schedule import RateSchedule


def continued(
    phases: Sequence[Phase], checkpoint: TrainingCheckpoint, rate_schedule: RateSchedule
) -> tuple[Phase, ...]:
    """Return the phases with which a run goes on: those that are done as long as they were, the last with what is left.

    Raises
    ------
    InputError
        The run is to be of another length, or with another schedule, than its checkpoint allows.
    """
    if checkpoint.rate_schedule and checkpoint.rate_schedule != rate_schedule:
        raise InputError(
            f"this run was begun with --rate-schedule {checkpoint.rate_schedule}; resume with the same, or choose "
            "another output."
        )
    if rate_schedule == "constant":
        phases = _at_peak(phases, checkpoint)
    lengths, total = checkpoint.lengths, sum(phase.iterations for phase in phases)
    if not lengths or lengths == [phase.iterations for phase in phases]:
        return tuple(phases)
    done = sum(lengths[: checkpoint.phase]) + checkpoint.iteration
    if rate_schedule != "constant" or checkpoint.phase < len(phases) - 1 or total <= done:
        raise InputError(
            f"this run is of {sum(lengths)} iterations, and {total} were asked for; a run can be made longer in its "
            "last phase and with --rate-schedule constant only: resume with the same --iterations."
        )
    before = [replace(phase, iterations=n) for phase, n in zip(phases, lengths[: checkpoint.phase], strict=False)]
    return (*before, replace(phases[-1], iterations=total - sum(lengths[: checkpoint.phase])))


def _at_peak(phases: Sequence[Phase], checkpoint: TrainingCheckpoint) -> tuple[Phase, ...]:
    """Return the phases, that of the checkpoint with the rate it was begun with: it may depend on the length."""
    here, peak = checkpoint.phase, checkpoint.peak
    return tuple(
        replace(phase, optimiser=replace(phase.optimiser, rate=peak)) if peak and number == here else phase
        for number, phase in enumerate(phases)
    )
