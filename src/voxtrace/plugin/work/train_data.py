"""Look a dataset over, mend it into a copy, plan it, and read one of its cases: as ``voxtrace plan`` does."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import VoxTraceError
from voxtrace.io.child import guarded
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.torch_import import importing_torch

if TYPE_CHECKING:
    from voxtrace.training.doctor import Examination
    from voxtrace.training.plan_command import Planned
    from voxtrace.training.progress import TrainProgress
    from voxtrace.training.request import TrainRequest
    from voxtrace.training.setup import TrainSetup


@dataclass(frozen=True, eq=False)
class ShownPlan:
    """A dataset that was looked over, its plan, and what would be trained where a form says so."""

    examined: Examination
    planned: Planned
    setup: TrainSetup | None


def state_of_files(path: str) -> object:
    """Return what is another once a dataset is described otherwise, or a file of it was written anew.

    Raises
    ------
    DatasetError
        There is no dataset.
    """
    from voxtrace.training.layouts import find_dataset

    found = find_dataset(Path(path))
    files = [file for case in (*found.cases, *found.tests) for file in (*case.images, case.labels) if file is not None]
    return found, tuple(map(_written, files))


def _written(file: Path) -> tuple[int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def looking_over(path: str, cancel: Cancel) -> Generator[JobStage, None, Examination]:
    """Read every file of a dataset once; return all that is wrong with it.

    Raises
    ------
    DatasetError
        There is no dataset.
    Cancelled
        It was asked to stop.
    """
    yield JobStage("Reading the dataset …")
    from voxtrace.training.doctor import examine

    found: Examination = yield from _stages(examine(Path(path), "", cancel))
    return found


def mending(
    examined: Examination, out: Path, cancel: Cancel
) -> Generator[JobStage, None, tuple[Path, tuple[str, ...]]]:
    """Write a copy of a dataset without its faults; return its folder and the cases that were left out.

    Raises
    ------
    DatasetError
        No case would be left.
    OutputError
        There is something at ``out``, or the system refuses.
    """
    from voxtrace.training.doctor import mend

    yield JobStage(f"Writing {out.name} …")
    return out, mend(examined, out)


def planning(
    examined: Examination, choices: dict[str, Any], request: TrainRequest | None, cancel: Cancel
) -> Generator[JobStage, None, ShownPlan]:
    """Plan a dataset that was looked over, and set up what a form asks for; nothing is trained.

    Raises
    ------
    VoxTraceError
        What was asked for does not fit the dataset.
    """
    yield JobStage("Planning …")
    with importing_torch():
        from voxtrace.training.plan_command import PlanChoices, plan_examined
        from voxtrace.training.setup import set_up

    planned = plan_examined(examined, PlanChoices(**choices))
    setup = (yield from _stages(set_up(request, cancel))) if request is not None and planned.document else None
    return ShownPlan(examined, planned, setup)


def case_layers(examined: Examination, name: str) -> list[display.LayerData]:
    """Return the layers of a case, those of its files that can be read.

    Raises
    ------
    VoxTraceError
        None of them can.
    """
    found = examined.found
    case = next(one for one in (*found.cases, *found.tests) if one.name == name)
    layers: list[display.LayerData] = []
    failed: list[VoxTraceError] = []
    for path in case.images:
        try:
            channels = len(found.channels) if len(case.images) == 1 else 1
            volume = guarded.read(path, channels=channels)
            layers += display.image_layers(replace(volume, name=f"{name} · {path.name.split('.')[0]}"))
        except VoxTraceError as error:  # the list says so already; what can be read is shown
            failed.append(error)
    if case.labels is not None:
        with suppress(VoxTraceError):
            read = guarded.read_labels(case.labels)
            names = {value: word for value, word in found.labels.items() if value}
            layers.append(display.label_layer(replace(read, name=f"{name} · labels", names=names | dict(read.names))))
    if not layers:
        raise failed[0] if failed else VoxTraceError(f"{name} has no file that can be read.")
    return layers


def _stages(run: Generator[TrainProgress, None, Any]) -> Generator[JobStage, None, Any]:
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            return end.value
        yield JobStage(f"Reading cases: {progress.iteration} of {progress.total}", progress.iteration, progress.total)
