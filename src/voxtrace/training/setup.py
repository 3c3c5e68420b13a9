"""Set-up of a training: from what was asked for to method, plan, cases, starting weights and provenance.

The command line and the window both train through :func:`set_up`, so that the same request gives the same bundle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import Cancelled, OutputError, UsageError
from voxtrace.fit import Fit, fit_to_start, read_about
from voxtrace.plan.regions import refuse_regions
from voxtrace.training.begun import BegunRun, begun_run, work_folder
from voxtrace.training.curriculum import cases_by_phase
from voxtrace.training.dataset import Dataset, fold, open_dataset
from voxtrace.training.dataset_plan import DatasetPlan, matching_plan, plan_file, stored_plan, with_folds
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
    *("seed", "device", "precision", "rate", "minutes", "workers", "anonymous_names", "prepared"),
    *("rate_schedule", "average", "weights", "accumulate", "devices", "nodes"),
    *("checkpoint_minutes", "keep_every", "preview", "tensorboard", "picture_failures", "keep_steps", "match_volumes"),
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
        What the card says of name, licence and provenance, and in its maker's words.
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

    @property
    def cases_per_phase(self) -> dict[str, int]:
        """How many cases each phase learns, by their scores."""
        return {name: len(names) for name, names in self._names_per_phase().items()}

    @property
    def cases_left_out(self) -> int:
        """How many cases no phase learns."""
        return len(self.cases) - len({name for names in self._names_per_phase().values() for name in names})

    def _names_per_phase(self) -> dict[str, list[str]]:
        scores = {files.name: files.scores for files in getattr(self.cases, "files", ())}
        return cases_by_phase(self.phases, scores)

    def fit_of_start(self) -> Fit | None:
        """Return whether the initial bundle is a start for this dataset, by its first case; None without one."""
        if self.initial is None or not self.cases:
            return None
        record = self.initial.record
        # its channels are matched by name, so that another order is none to warn of
        reordered = {**record["plan"], "channels": list(self.plan.channels)}
        return fit_to_start({**record, "plan": reordered}, self.cases[0].volume)

    def train(self, cancel: Callable[[], bool]) -> Generator[TrainProgress, None, Bundle]:
        """Train; see :func:`voxtrace.training.train`."""
        from voxtrace.training.trainer import train

        asked = self.request
        config = {name: getattr(asked, name) for name in CONFIG}
        config["keep_steps"] = asked.keep_steps or self.asks_for_steps
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

    @property
    def asks_for_steps(self) -> bool:
        """Whether another number of steps is asked for than the method, or the initial bundle, has: it is kept then.

        The window's form names every option, so that naming one says nothing; nor is it named where a run goes on.
        """
        from voxtrace.training.coverage import as_asked

        usual = {type(self.method)().steps}
        if self.initial is not None:
            usual |= {self.initial.method.steps, as_asked(self.initial).steps}
        return self.method.stops_anywhere and self.method.steps not in usual


def set_up(request: TrainRequest, cancel: Callable[[], bool]) -> Generator[TrainProgress, None, TrainSetup]:
    """Yield progress in phase ``"plan"`` while cases are read to plan for them; return the training that was asked for.

    Every case is read for the plan, those held back too, so that every fold has the same one; it is kept in the
    dataset's cache (:mod:`voxtrace.training.dataset_plan`). Nothing else is written,
    unless a run is forked: its copy is.

    Raises
    ------
    DatasetError
        The dataset cannot be used, or has no such fold.
    MethodError
        The dataset has regions and the method cannot learn them, or it does not train from such a start.
    BundleError
        The initial bundle cannot be loaded.
    UsageError
        There is no such method or option, the plan does not fit the dataset, or volumes cannot be matched.
    """
    from voxtrace.bundle import load
    from voxtrace.training.match_volumes import check_matchable

    dataset = open_dataset(request.dataset, request.labels)
    about = _about(request, dataset)
    check_regions(request, dataset)
    given = given_plan(request, dataset)
    dataset = with_folds(dataset, given) if given else dataset
    everything = dataset.cases([files.name for files in dataset.files])
    cases, validate = (everything, ()) if request.fold is None else fold(dataset, request.fold)
    initial = load(request.initial) if request.initial else None
    out = request.out or Path(f"{file_name(dataset.name)}-{method_key(request.method, request.initial)}")
    if request.fork is not None:
        fork_run(request.fork, work_folder(out))
    goes_on = request.resume or request.fork is not None
    begun = begun_run(out, dataset) if goes_on else None
    method = _method(request, initial, begun)
    if begun is None:
        method.check_start(initial.method if initial else None)
    if request.match_volumes:
        check_matchable(method, dataset.regions, validate)
    plan = yield from _plan(request, dataset, given, initial, begun, cancel)
    setup = TrainSetup(request, method, method.adapt(plan), cases, validate, initial, out, about)
    cases_by_phase(setup.phases, {files.name: files.scores for files in cases.files})  # refuses a phase without a case
    return setup


def stored_or_planned(
    dataset: Dataset, device: str, labels: str, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, DatasetPlan]:
    """Yield progress while every case is read, unless the dataset's plan for a device is stored; return that plan."""
    from voxtrace.training.device import training_device

    kind, memory = training_device(device)
    file = plan_file(dataset, kind, memory, labels)
    stored = stored_plan(file, dataset)
    if stored is None:
        cases = dataset.cases([files.name for files in dataset.files])
        found = yield from _scanned(cases, dataset, cancel)
        stored = DatasetPlan.of(dataset, kind, found, plan_dataset(dataset, found, device=kind, memory_gb=memory))
        with suppress(OutputError):  # a cache that cannot be written costs the next run a reading, and no more
            stored.write(file)
    return stored


def _scanned(
    cases: Sequence[Case], dataset: Dataset, cancel: Callable[[], bool]
) -> Generator[TrainProgress, None, Fingerprint]:
    scan = scan_cases(cases, ignored=dataset.ignored)
    while True:
        try:
            read = next(scan)
        except StopIteration as end:
            found: Fingerprint = end.value
            return found
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


def check_regions(request: TrainRequest, dataset: Dataset) -> None:
    """Refuse a dataset with regions for a method that cannot learn them, before anything is read for it.

    Raises
    ------
    MethodError
        It is such a method, or there is none of that name.
    """
    from voxtrace.methods import method_class

    if dataset.regions:
        kind = method_class(method_key(request.method, request.initial))
        if not kind.overlapping:
            refuse_regions(kind.key, dataset.regions)


def file_name(name: str) -> str:
    """Return a dataset's name with nothing in it that a file name must not have.

    Examples
    --------
    >>> file_name("a/b: c")
    'a_b_c'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "dataset"


def _method(request: TrainRequest, initial: Bundle | None, begun: BegunRun | None) -> Method:
    from voxtrace.method import chosen
    from voxtrace.methods import DEFAULT_METHOD, method
    from voxtrace.training.coverage import as_asked

    if begun is not None and request.method in (None, "", begun.method.key):
        return chosen(begun.method, **request.options)
    if initial is not None and request.method in (None, "", initial.method.key):
        return chosen(as_asked(initial).fine_tuned(), **request.options)
    made = method(request.method or DEFAULT_METHOD)
    if initial is not None:
        made = made.fine_tuned(initial.method)  # takes over the initial weights that fit
    return chosen(made, **request.options)


def given_plan(request: TrainRequest, dataset: Dataset) -> DatasetPlan | None:
    """Return the plan of the file that a request names; None where it names none."""
    asked = [name for name in ("plan", "window", "spacing_mm") if getattr(request, name) is not None]
    if request.initial and asked:
        raise UsageError(
            f"--{asked[0].removesuffix('_mm')} does not go with --from: a bundle is fine-tuned with its own plan. "
            "Leave one of them out."
        )
    if request.plan and len(asked) > 1:
        raise UsageError(
            f"--{asked[1].removesuffix('_mm')} does not go with --plan, whose plan is taken as it is. Write another "
            "with `voxtrace plan DATASET --window … --spacing … --out FILE`."
        )
    return matching_plan(request.plan, dataset) if request.plan else None


def _plan(
    request: TrainRequest,
    dataset: Dataset,
    given: DatasetPlan | None,
    initial: Bundle | None,
    begun: BegunRun | None,
    cancel: Callable[[], bool],
) -> Generator[TrainProgress, None, Plan]:
    """Return the plan of the run that goes on, the initial bundle's for this dataset, or the dataset's own."""
    from voxtrace.training.finetune import finetune_plan, needs_planning

    planned = None
    asked = bool(given or request.window or request.spacing_mm)
    if asked or (begun is None and (initial is None or needs_planning(initial, dataset))):
        stored = given or (yield from stored_or_planned(dataset, request.device, request.labels, cancel))
        planned = stored.plan if given else changed_plan(stored, request, dataset)
    if begun is not None:
        plan = begun.plan
        _check_begun(begun, planned)
    elif initial is not None:
        plan = finetune_plan(initial, dataset, iterations=request.iterations, planned=planned)
    else:
        assert planned is not None
        plan = planned
    changes = {"batch_size": request.batch_size, "iterations": request.iterations}
    return plan.model_copy(update={name: value for name, value in changes.items() if value is not None})


def _check_begun(begun: BegunRun, asked: Plan | None) -> None:
    """Refuse to go on with a run by another window or spacing than it began with."""
    wanted = begun.method.adapt(asked) if asked else begun.plan
    if (wanted.window, wanted.spacing_mm) != (begun.plan.window, begun.plan.spacing_mm):
        raise UsageError(
            f"the run was begun with the window {begun.plan.window} at {begun.plan.spacing_mm} mm, not "
            f"{wanted.window} at {wanted.spacing_mm} mm; leave out --plan, --window and --spacing, or begin another "
            "with --out."
        )


def changed_plan(stored: DatasetPlan, request: TrainRequest, dataset: Dataset) -> Plan:
    """Return the dataset's plan, made again where a request asks for a window or spacing."""
    from voxtrace.training.device import training_device

    if request.window is None and request.spacing_mm is None:
        return stored.plan
    kind, memory = training_device(request.device)
    return plan_dataset(
        dataset, stored.found, device=kind, memory_gb=memory, window=request.window, spacing_mm=request.spacing_mm
    )


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
    if request.about:
        about["about"] = read_about(request.about)
    return about
