"""A case as it is learned: segmented after each validation, as a trace whose step axis is the time of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxtrace.atomic import atomic_file, atomic_folder
from voxtrace.bundle import Bundle
from voxtrace.errors import UsageError, VoxTraceError
from voxtrace.inference import predict
from voxtrace.metrics import finite_mean, without_ignored
from voxtrace.trace import Provenance, Trace
from voxtrace.training.dataset import CaseFolder
from voxtrace.training.events import EVENTS, read_events
from voxtrace.training.finish import exchange
from voxtrace.training.validation import foreground_dice
from voxtrace.volume import Array, Case, LabelMap

FOLDER = "preview"  # of a run: one file of labels for each time
EVENT = "preview"  # written when a step was added
_SHOWN = (EVENT, "validation")  # earlier versions wrote the latter alone
SHOWN_CASE = "case.txt"  # in that folder: whose labels these are
MADE, PREVIOUS = "trace", "previous"  # in that folder, so that a run that is killed leaves nothing beside it


class PreviewTrace:
    """Keeps the labels of one case over training, and writes them as a trace.

    Parameters
    ----------
    case
        Scan and labels.
    work, out
        Folder of the run, and of the trace.
    """

    def __init__(self, case: Case, work: Path, out: Path) -> None:
        self._case, self._work, self._out = case, work / FOLDER, out

    def take_up(self) -> bool:
        """Take up the trace that lies there, so that a run that is made longer adds to it; return whether it did.

        It does where that trace is of this case, and of times at which this run was validated.
        """
        try:
            trace = Trace.load(self._out)
            at = [int(value) for value in trace.facts["iteration"][:, 0]]
        except (VoxTraceError, LookupError):
            return False
        shown = {event["done"] for event in read_events(self._work.parent / EVENTS) if event["event"] in _SHOWN}
        ours = trace.provenance.scan == self._case.name and trace.geometry.is_close(self._case.volume.geometry)
        if not ours or not shown >= set(at) or len(at) != int(trace.labels.shape[0]):
            return False
        with atomic_folder(self._work) as folder:
            (folder / SHOWN_CASE).write_text(self._case.name, encoding="utf-8")
            for done, labels in zip(at, np.asarray(trace.labels[:]), strict=True):
                np.save(folder / _name(done), labels)
        return True

    def is_of_another_case(self) -> bool:
        """Return whether the labels that the run has kept so far are of another case."""
        if not self._files():
            return False
        try:
            told = self._work / SHOWN_CASE
            shown = told.read_text(encoding="utf-8") if told.is_file() else Trace.load(self._out).provenance.scan
        except VoxTraceError:  # of an earlier version, and its trace is gone
            return False
        return shown not in (self._case.name, self._case.volume.name)

    def rewind(self, done: int) -> None:
        """Drop what was kept after ``done`` updates, which are done again."""
        for file in self._files():
            if int(file.stem) > done:
                file.unlink()

    def add(self, bundle: Bundle, device: str, done: int) -> None:
        """Segment the case with the network as it is, and write the trace anew."""
        labels = np.asarray(predict(bundle, self._case.volume, keep="last", device=device, mirror=False).trace.labels)
        with atomic_file(self._work / _name(done)) as file:
            np.save(file, labels[-1])
        (self._work / SHOWN_CASE).write_text(self._case.name, encoding="utf-8")
        self._trace(bundle).save(self._work / MADE)
        exchange(self._work / MADE, self._out, self._work / PREVIOUS)

    def _files(self) -> list[Path]:
        return sorted(self._work.glob("[0-9]*.npy"))

    def _trace(self, bundle: Bundle) -> Trace:
        files, geometry = self._files(), self._case.volume.geometry
        labels = np.stack([np.load(file) for file in files])
        at = np.asarray([[float(file.stem)] for file in files], np.float32)
        scores = np.asarray([[self._mean_dice(step, bundle)] for step in labels], np.float32)
        return Trace(
            labels=labels,
            facts={"iteration": at, "dice": scores},
            windows=np.asarray([[0, 0, 0, *geometry.shape]], np.int64),
            units={"iteration": "iteration", "dice": "fraction"},
            geometry=geometry,
            names={0: "background", **bundle.plan.labels},
            step_word="validation",
            network_shape=geometry.shape,
            provenance=Provenance(method=bundle.method.key, method_title=bundle.method.title, scan=self._case.name),
        )

    def _mean_dice(self, labels: Array, bundle: Bundle) -> float:
        made = LabelMap(labels, self._case.labels.geometry)
        found, true = without_ignored(made, self._case.labels, bundle.plan.ignored)
        return finite_mean(foreground_dice(found, true, bundle.plan))


def _name(done: int) -> str:
    return f"{done:09d}.npy"


def find_case(name: str, *groups: Sequence[Case]) -> Case:
    """Return the case of a name among those held back and those trained on.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    known = [names_of(group) for group in groups]
    for group, names in zip(groups, known, strict=True):
        if name in names:
            return group[names.index(name)]
    given = [each for names in known for each in names]
    raise UsageError(f"--preview {name} names no case; give one of {', '.join(given[:8])}{' …' if given[8:] else ''}.")


def names_of(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the names of cases without reading them from disk."""
    listed = cases.files if isinstance(cases, CaseFolder) else cases
    return tuple(case.name for case in listed)
