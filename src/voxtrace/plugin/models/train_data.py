"""What the window shows of a dataset that was looked over, and of the plan that follows: rows and facts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtrace.training.doctor import Examination, Fault, Needs
    from voxtrace.training.plan_command import Planned
    from voxtrace.training.setup import TrainSetup

Fact = tuple[str, str]


@dataclass(frozen=True)
class FaultRow:
    """A line of the list: how severe, which case, what is wrong, what to do, and whether a copy can mend it."""

    level: str
    kind: str
    case: str
    what: str
    remedy: str
    mending: str
    has_case: bool

    @property
    def detail(self) -> str:
        """All of it, as shown below the list."""
        mending = f" In a mended copy: {self.mending}." if self.mending else ""
        return f"{self.what} → {self.remedy}{mending}"


def fault_rows(examined: Examination, more: Sequence[Fault] = ()) -> tuple[FaultRow, ...]:
    """Return a row for each fault, the faults before the notes; paths are told from the dataset's folder."""
    inside = f"{examined.found.folder}{os.sep}"
    cases = {case.name for case in (*examined.found.cases, *examined.found.tests)}
    return tuple(
        FaultRow(
            one.level, one.kind, one.case, one.what.replace(inside, ""), one.remedy, one.mending, one.case in cases
        )
        for one in (*examined.faults, *more)
    )


def examined_sentence(examined: Examination, more: Sequence[Fault] = ()) -> str:
    """Return what was found, in a line.

    The words are those of ``voxtrace plan``.
    """
    faults = (*examined.faults, *more)
    bad = sum(one.level == "fault" for one in faults)
    found = f"{examined.found.name}: {len(examined.cases)} cases, {len(examined.usable)} of them usable"
    return f"{found}; {_counted(bad, 'fault')}, {_counted(len(faults) - bad, 'note')}."


def can_mend(examined: Examination) -> bool:
    """Tell whether a copy would have fewer faults."""
    return any(one.mending for one in examined.bad)


def plan_facts(planned: Planned, setup: TrainSetup | None) -> tuple[Fact, ...]:
    """Return what is planned: the dataset's plan and needs, or what is trained where that is known."""
    document = planned.document
    if document is None and setup is None:
        return (("No plan", planned.why_not),)
    plan = setup.plan if setup is not None else document.plan if document is not None else None
    assert plan is not None
    facts = [
        ("Window", f"{_times(plan.window)} voxels"),
        ("Spacing", f"{_times(round(mm, 3) for mm in plan.spacing_mm)} mm"),
        ("Batch", f"{plan.batch_size} windows"),
        ("Iterations", f"{plan.iterations:,}"),
        ("Normalisation", ", ".join(rule.scheme for rule in plan.normalisation)),
        ("Labels", ", ".join(name for value, name in plan.labels.items() if value)),
    ]
    return (*facts, *(_of_setup(setup) if setup is not None else ()), *(_needs(planned.needs)))


def _of_setup(setup: TrainSetup) -> tuple[Fact, ...]:
    phases = ", ".join(f"{phase.name} {phase.iterations:,}" for phase in setup.phases)
    return (
        ("Method", setup.method.title),
        ("Phases", phases),
        ("Cases", f"{len(setup.cases)} trained on, {len(setup.validate)} held back"),
    )


def _needs(needs: Needs | None) -> tuple[Fact, ...]:
    if needs is None:
        return ()
    return (
        ("Disk", f"{_gb(needs.disk_gb)} for prepared cases; {_gb(needs.free_disk_gb)} are free"),
        ("Memory", f"{_gb(needs.memory_gb)} to prepare the largest cases; {_gb(needs.free_memory_gb)} are free"),
        ("Time", "told once it trains; Minutes limits it"),
    )


def _gb(amount: float) -> str:
    return f"{amount:g} GB" if amount >= 0.01 else "less than 0.01 GB"


def _times(numbers: Iterable[float]) -> str:
    return " × ".join(f"{number:g}" for number in numbers)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
