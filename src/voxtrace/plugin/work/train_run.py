"""What lies at the output of a training, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.bundle import JSON, card
from voxtrace.errors import VoxTraceError
from voxtrace.inference.fold_folder import asked_method, finished_folds, is_fold_folder
from voxtrace.plugin.models.train_more import recorded_more
from voxtrace.plugin.models.train_run import FoundRun
from voxtrace.safe_text import brief, read_json
from voxtrace.trace.files import RECORD
from voxtrace.training.begun import preview_folder, work_folder
from voxtrace.training.run_record import load_record
from voxtrace.training.run_state import run_state

CONTINUE = "continue.pt"  # of a finished bundle that can be made longer


def found_run(out: str) -> FoundRun:
    """Return what lies at an output folder; nothing for "" and where there is nothing to go on with."""
    folder = Path(out)
    try:
        return _found_at(folder) if out else FoundRun()
    except VoxTraceError as error:
        return FoundRun("unfinished" if work_folder(folder).is_dir() else "finished", problem=str(error))
    except OSError as error:
        return FoundRun(problem=f"{folder} cannot be read: {error.strerror or error}.")
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # of JSON with other values than ours
        return FoundRun(problem=f"{folder} holds no run that can be gone on with ({brief(error)}); choose another.")


def _found_at(folder: Path) -> FoundRun:
    if work_folder(folder).is_dir():
        return _unfinished(folder)
    if (folder / JSON).is_file():
        return _finished(folder)
    if is_fold_folder(folder):
        return FoundRun("folds", kept=tuple(path.name for path in finished_folds(folder)))
    return FoundRun()


def _unfinished(folder: Path) -> FoundRun:
    work = work_folder(folder)
    record = load_record(work)
    kept = tuple(sorted(file.name for file in work.glob("*.pt")))
    settings: Mapping[str, Any] = record.settings if record else {}
    how: Mapping[str, Any] = record.stretches[-1] if record and record.stretches else {}
    found = _found("unfinished", settings, settings.get("initial") or "", run_state(work), kept)
    return replace(
        found,
        constant=how["rate_schedule"] == "constant" if "rate_schedule" in how else None,
        minutes=None if how.get("minutes") is None else float(how["minutes"]),
        preview=_preview(folder),
        more=recorded_more({**how, **settings}),
    )


def _finished(folder: Path) -> FoundRun:
    record = card(folder)
    made: Mapping[str, Any] = record.get("provenance", {})
    settings = {"method": asked_method(record), "plan": record["plan"], "fold": made.get("fold")}
    initial = made.get("initial", {}).get("digest", "")
    kept = tuple(sorted(file.name for file in folder.glob("*.pt")))
    constant = made.get("rate_schedule") == "constant"
    found = _found("finished", settings, initial, {}, kept)
    # the rate stands in the bundle where it was not the same throughout
    how = (made.get("stretches") or [{}])[-1]
    return replace(found, constant=constant, preview=_preview(folder), more=recorded_more({**how, **made}))


def _preview(folder: Path) -> str:
    """Return the case that is shown as it is learned, by the trace beside an output; "" where there is none."""
    file = preview_folder(folder) / RECORD
    if not file.is_file():
        return ""
    return str(read_json(file).get("provenance", {}).get("scan", ""))


def _found(
    kind: Any, settings: Mapping[str, Any], initial: str, state: Mapping[str, Any], kept: tuple[str, ...]
) -> FoundRun:
    method, plan = settings.get("method", {}), settings.get("plan", {})
    return FoundRun(
        kind,
        method=str(method.get("name", "")),
        options=dict(method.get("options", {})),
        fold=settings.get("fold"),
        iterations=int(plan.get("iterations", 0)),
        initial=initial,
        state=state,
        kept=kept,
        extensible=kind == "finished" and CONTINUE in kept,
    )
