"""What a training was asked for, and what to say of a bundle that is finished already."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxtrace.bundle import Bundle, load
from voxtrace.errors import Cancelled, InputError
from voxtrace.training.card import ANONYMOUS, CASE_LISTS
from voxtrace.training.coverage import as_asked
from voxtrace.training.identity import CaseIdentity, case_names, change_words, changed_cases, identify, unread
from voxtrace.training.progress import TrainProgress
from voxtrace.training.run_record import CONFIGURED, differences, in_words
from voxtrace.training.training_run import TrainingRun
from voxtrace.volume import Case

_STATED = ("dataset", "fold", "label_folder")  # in the provenance that a caller gives


def settings(
    run: TrainingRun, cases: Sequence[Case], validate: Sequence[Case], initial: Bundle | None, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a run is asked for, as ``run.json`` keeps it; nothing is read."""
    provenance = about.get("provenance", {})
    return {
        "method": run.method.to_json(),
        "plan": run.plan.model_dump(mode="json"),
        **{name: getattr(run.config, name) for name in CONFIGURED},
        "cases": len(cases),
        "initial": initial.digest if initial else "",
        "training": list(case_names(cases)),
        "held_back": list(case_names(validate)),
        **{name: provenance.get(name) for name in _STATED},
    }


def finished(
    run: TrainingRun, asked: Mapping[str, Any], cases: Sequence[Case], validate: Sequence[Case]
) -> Generator[TrainProgress, None, Bundle]:
    """Yield progress and the sentence that nothing is to do; return the bundle at ``run.out``, see :func:`compared`."""
    bundle = yield from compared(run, asked, cases, validate)
    done = bundle.card.get("provenance", {}).get("iterations", bundle.plan.iterations)
    sentence = f"{run.out} is finished with {done} iterations; nothing done"
    yield TrainProgress("compare", len(cases), len(cases), seconds=run.seconds, message=sentence)
    return bundle


def compared(
    run: TrainingRun, asked: Mapping[str, Any], cases: Sequence[Case], validate: Sequence[Case]
) -> Generator[TrainProgress, None, Bundle]:
    """Yield progress while the cases are compared with those of the bundle at ``run.out``; return it unchanged.

    Raises
    ------
    InputError
        It was trained with other settings or cases, or is asked to be trained for longer.
    """
    bundle = load(run.out)
    provenance = bundle.card.get("provenance", {})
    done = provenance.get("iterations", bundle.plan.iterations)
    differing = differences(_made_with(bundle), asked)
    more = run.plan.iterations - bundle.plan.iterations
    if len(differing) == 1 and differing[0].startswith("iterations") and more > 0:
        raise InputError(
            f"{run.out} is finished with {done} iterations, and {run.plan.iterations} were asked for; train on with "
            f"--from {run.out} --iterations {more} and another --out."
        )
    if differing:
        raise InputError(f"{run.out} is finished, and had {in_words(differing)}; choose another --out.")
    yield from _compare(run, provenance, (*_each(cases), *_each(validate)), len(cases) + len(validate))
    return bundle


def _each(cases: Sequence[Case]) -> list[Any]:
    return [(cases, number) for number in range(len(cases))]


def _compare(
    run: TrainingRun, provenance: Mapping[str, Any], places: Sequence[Any], total: int
) -> Generator[TrainProgress, None, None]:
    """Refuse cases that are others than those that a bundle was trained on or validated with."""
    listed = [*provenance.get("training", ()), *provenance.get("held_back", ())]
    if len(listed) != total:  # an earlier version did not write them down
        return
    before, now = [CaseIdentity.from_json(row) for row in listed], []
    for number, (cases, index) in enumerate(places, start=1):
        now.append(identify(unread(cases, index)))
        yield TrainProgress("compare", number, total, seconds=run.seconds)
        if run.cancel():
            raise Cancelled("stopped while comparing cases; nothing was changed.")
    if provenance.get(ANONYMOUS):  # they are in the same order
        before = [replace(old, name=new.name) for old, new in zip(before, now, strict=True)]
    if changed := changed_cases(before, now):
        raise InputError(
            f"{run.out} is finished, and these changed since: {change_words(changed)}; train again with another --out, "
            f"e.g. --from {run.out}."
        )


def _made_with(bundle: Bundle) -> dict[str, Any]:
    """Return what a bundle was made with, as :func:`settings`; what its card does not say is left out."""
    provenance = bundle.card.get("provenance", {})
    known = {name: provenance[name] for name in ("seed", "cases", *_STATED) if name in provenance}
    if "held_back" in provenance:
        known["average"] = provenance.get("average", 0.0)
        known |= {name: provenance.get(name) for name in _STATED}
        known["initial"] = provenance.get("initial", {}).get("digest", "")
        if not provenance.get(ANONYMOUS):
            known |= {part: [case["name"] for case in provenance[part]] for part in CASE_LISTS}
    plan = bundle.plan.model_dump(mode="json")
    return {**known, "method": as_asked(bundle).to_json(), "plan": plan}
