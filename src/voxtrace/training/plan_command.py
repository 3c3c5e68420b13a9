"""From an examined dataset to its plan: the stored one where it still holds, else a new one from the usable cases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voxtrace.errors import DatasetError, OutputError
from voxtrace.plan import Shape, Triple
from voxtrace.training.dataset_plan import DatasetPlan, plan_file, stored_plan
from voxtrace.training.device import training_device
from voxtrace.training.doctor import Examination, Fault, Needs, check_needs, needs_of
from voxtrace.training.planning import combine, plan_dataset

# faults of names and values with which no plan can be made
LABELS_WRONG = ("no background", "two names", "one name", "numbering")


@dataclass(frozen=True)
class PlanChoices:
    """What a user asks of a plan; None and "" stand for "not said". See ``voxtrace plan --help``."""

    device: str = "auto"
    memory_gb: float | None = None
    window: Shape | None = None
    spacing_mm: Triple | None = None
    batch_size: int | None = None
    labels: str = ""

    @property
    def changes(self) -> bool:
        """Whether the plan differs from the one that training makes by itself."""
        return any(one is not None for one in (self.memory_gb, self.window, self.spacing_mm, self.batch_size))


@dataclass(frozen=True)
class Planned:
    """A plan with what it needs, or the reason why there is none.

    Attributes
    ----------
    document
        Plan and folds, or None.
    why_not
        Why there is none.
    needs, faults
        Disk and memory, and a fault where they do not suffice.
    kept
        Where the plan lies in the dataset's cache; None where it was not kept.
    """

    document: DatasetPlan | None
    why_not: str = ""
    needs: Needs | None = None
    faults: tuple[Fault, ...] = ()
    kept: Path | None = None


def plan_examined(examined: Examination, choices: PlanChoices) -> Planned:
    """Return the plan of the cases that nothing is wrong with.

    The plan that the dataset's cache has is kept, so that later folds have that of earlier ones, unless ``choices``
    asks for another. A plan is stored there only for a dataset without faults.
    """
    if wrong := [fault for fault in examined.bad if fault.kind in LABELS_WRONG]:
        return Planned(None, f"{wrong[0].what} {wrong[0].remedy}")
    try:
        found = combine(examined.measures)
    except DatasetError as error:
        return Planned(None, str(error))
    dataset = examined.dataset()
    kind, memory = training_device(choices.device, choices.memory_gb)
    file = plan_file(dataset, kind, memory, choices.labels)
    stored = None if choices.changes else stored_plan(file, dataset)
    document = stored or DatasetPlan.of(
        dataset,
        kind,
        found,
        plan_dataset(
            dataset,
            found,
            device=kind,
            memory_gb=memory,
            window=choices.window,
            spacing_mm=choices.spacing_mm,
            batch_size=choices.batch_size,
        ),
    )
    kept = _store(document, file) if not (choices.changes or stored or examined.bad) else None
    needs = needs_of(examined.usable, document.plan, Path.cwd())
    return Planned(document, "", needs, tuple(check_needs(needs)), file if stored else kept)


def _store(document: DatasetPlan, file: Path) -> Path | None:
    with suppress(OutputError):  # a cache that cannot be written costs the next run a reading, and no more
        document.write(file)
        return file
    return None
