"""Set-up of a training: from what was asked for to method, plan, cases, starting weights and provenance.

The command line and the window both train through :func:`set_up`, so that the same request gives the same bundle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import Cancelled
from voxtrace.fit import Fit, fit_to_start
from voxtrace.training.begun import BegunRun, begun_run, work_folder
from voxtrace.training.dataset import Dataset, fold, open_dataset
from voxtrace.training.fork import fork_run
from voxtrace.training.planning import Fingerprint, plan_dataset, scan_cases
from voxtrace.training.progress import TrainProgress
from voxtrace.training.request import TrainRequest
from voxtrace.volume import Case

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle
    from voxtrace.method import Method, Phase
    from voxtrace.plan import Plan


# fields of a request that are TrainConfig's
CONFIG = (
    *("seed", "device", "precision", "rate", "minutes", "workers", "anonymous_names"),
    *("rate_schedule", "average", "weights", "accumulate", "devices", "nodes"),
    *("checkpoint_minutes", "keep_every", "preview", "tensorboard"),
)


@dataclass(frozen=True, eq=False)
class TrainSetup:
    """A training that can start.

    Attributes
    ----------
    request
        What was asked for.
    method, plan
        What is trained; the plan is adapted to the method.
    cases, validate
        Training cases and those held back, unread.
    initial
        The bundle to start from, or None.
    out
        Bundle folder to write.
    about
        What the card says of name, licence and provenance.
    """

    request: TrainRequest
    method: Method
    plan: Plan
    cases: Sequence[Case]
    validate: Sequence[Case]
    initial: Bundle | None
    out: Path
    about: Mapping[str, Any]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that will be trained, in order."""
        return self.method.phases(self.plan)

    def fit_of_start(self) -> Fit | None:
        """Return whether the initial bundle is a start for this dataset, by its first case; None without one."""
        if self.initial is None or not self.cases:
            return None
        return fit_to_start(self.initial.record, self.cases[0].volume)

    def train(self, cancel: Callable[[], bool]) -> Generator[TrainProgress, None, Bundle]:
        """Train; see :func:`voxtrace.training.train`."""
        from voxtrace.training.trainer import train

        asked = self.request
        config = {name: getattr(asked, name) for name in CONFIG}
        return train(
            self.method,
            self.plan,
            self.cases,
            out=self.out,
            validate=self.validate,
            initial=self.initial,
            resume=asked.resume or asked.fork is not None,
            about=self.about,
            cancel=cancel,
            **config,
        )


def set_up(request: TrainRequest, cancel: Callable[[], bool]) -> Generator[TrainProgress, None, TrainSetup]:
    """Yield progress in phase ``"plan"`` while cases are read to plan for them; return the training that was asked for.

    Nothing is written, unless a run is forked: its copy is.

    Raises
    ------
    DatasetError
        The dataset cannot be used, or has no such fold.
    BundleError
        The initial bundle cannot be loaded.
    UsageError
        There is no such method or option, or the plan does not fit the dataset.
    """
    from voxtrace.bundle import load

    dataset = open_dataset(request.dataset, request.labels)
    everything = dataset.cases([files.name for files in dataset.files])
    cases, validate = (everything, ()) if request.fold is None else fold(dataset, request.fold)
    initial = load(request.initial) if request.initial else None
    out = request.out or Path(f"{file_name(dataset.name)}-{method_key(request.method, request.initial)}")
    if request.fork is not None:
        fork_run(request.fork, work_folder(out))
    goes_on = request.resume or request.fork is not None
    begun = begun_run(out, dataset) if goes_on else None
    method = _method(request, initial, begun)
    plan = yield from _plan(request, dataset, cases, initial, begun, cancel)
    return TrainSetup(request, method, method.adapt(plan), cases, validate, initial, out, _about(request, dataset))


def plan_cases(
    dataset: Dataset,
    cases: Sequence[Case],
    *,
    device: str = "auto",
    memory_gb: float | None = None,
    iterations: int | None = None,
    cancel: Callable[[], bool] = lambda: False,
) -> Generator[TrainProgress, None, tuple[Fingerprint, Plan]]:
    """Yield progress while every case is read once; return what they look like and the plan for a device."""
    from voxtrace.training.device import training_device

    kind, memory = training_device(device, memory_gb)
    scan = scan_cases(cases)
    while True:
        try:
            read = next(scan)
        except StopIteration as end:
            found: Fingerprint = end.value
            return found, plan_dataset(dataset, found, device=kind, memory_gb=memory, iterations=iterations)
        yield TrainProgress("plan", read, len(cases))
        if cancel():
            raise Cancelled("stopped while planning; nothing was written.")


def method_key(method: str | None, initial: str | Path | None) -> str:
    """Return the key of the method that a request asks for: its own, its initial bundle's, or the default."""
    from voxtrace.bundle import card
    from voxtrace.methods import DEFAULT_METHOD

    if method:
        return method
    return str(card(initial)["method"]["name"]) if initial else DEFAULT_METHOD


def file_name(name: str) -> str:
    """Return a dataset's name with nothing in it that a file name must not have.

    Examples
    --------
    >>> file_name("a/b: c")
    'a_b_c'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "dataset"


def _method(request: TrainRequest, initial: Bundle | None, begun: BegunRun | None) -> Method:
    from voxtrace.method import changed
    from voxtrace.methods import DEFAULT_METHOD, method

    if begun is not None and request.method in (None, "", begun.method.key):
        return changed(begun.method, **request.options)
    if initial is not None and request.method in (None, "", initial.method.key):
        return changed(initial.method.fine_tuned(), **request.options)
    return method(request.method or DEFAULT_METHOD, **request.options)  # takes over the initial weights that fit


def _plan(
    request: TrainRequest,
    dataset: Dataset,
    cases: Sequence[Case],
    initial: Bundle | None,
    begun: BegunRun | None,
    cancel: Callable[[], bool],
) -> Generator[TrainProgress, None, Plan]:
    """Return the plan of the run that goes on, the initial bundle's for this dataset, or a new one; with changes."""
    from voxtrace.training.finetune import finetune_plan, needs_planning

    planned = None
    if begun is None and (initial is None or needs_planning(initial, dataset)):
        _, planned = yield from plan_cases(
            dataset, cases, device=request.device, iterations=request.iterations, cancel=cancel
        )
    if begun is not None:
        plan = begun.plan.model_copy(update={"iterations": request.iterations} if request.iterations else {})
    elif initial is not None:
        plan = finetune_plan(initial, dataset, iterations=request.iterations, planned=planned)
    else:
        assert planned is not None
        plan = planned
    return plan.model_copy(update={"batch_size": request.batch_size}) if request.batch_size else plan


def _about(request: TrainRequest, dataset: Dataset) -> dict[str, Any]:
    about: dict[str, Any] = {
        "provenance": {"dataset": dataset.name, "fold": request.fold, "dataset_licence": dataset.licence}
    }
    if request.labels:
        about["provenance"]["label_folder"] = request.labels
    if request.name:
        about["name"] = request.name
    if dataset.licence:
        about["licence"] = f"{dataset.licence} (the training data's)"
    return about
