"""The method and plan of a training that was begun, or finished, at an output: what ``--resume`` goes on with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.bundle import JSON, card
from voxtrace.errors import InputError, VoxTraceError
from voxtrace.plan import Plan
from voxtrace.training.dataset import Dataset
from voxtrace.training.run_record import RUN, load_record

if TYPE_CHECKING:
    from voxtrace.method import Method


@dataclass(frozen=True)
class BegunRun:
    """Method and plan of a run, the plan with the channels and labels that the dataset has now."""

    method: Method
    plan: Plan


def work_folder(out: Path) -> Path:
    """Return the folder of the run's own files, beside the bundle that it makes."""
    return out.with_name(f"{out.name}.work")


def preview_folder(out: Path) -> Path:
    """Return the folder of the trace of a case as it is learned, beside the bundle."""
    return out.with_name(f"{out.name}.preview")


def begun_run(out: Path, dataset: Dataset) -> BegunRun | None:
    """Return what is trained at an output; None where nothing was begun there.

    Raises
    ------
    InputError
        What lies there does not describe a run.
    """
    from voxtrace.methods import recorded
    from voxtrace.training.coverage import before_choice

    folder = work_folder(out)
    finished = (out / JSON).is_file()
    record = None if finished else load_record(folder)
    settings = card(out) if finished else record.settings if record else {}
    if "method" not in settings or "plan" not in settings:
        return None
    try:
        made = before_choice(recorded(settings["method"]), settings)
        plan = Plan.model_validate(settings["plan"])
    except (VoxTraceError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder / RUN} describes no run that this version can go on with ({error}); train again with another "
            "--out."
        ) from error
    return BegunRun(made, _with_names(plan, dataset))


def _with_names(plan: Plan, dataset: Dataset) -> Plan:
    labels = {"labels": dataset.labels, "ignore": dataset.ignore, "regions": dataset.regions}
    return plan.model_copy(update={"channels": dataset.channels, **labels})
