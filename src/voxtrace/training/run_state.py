"""The state of a run, from its folder, while it trains or after it stopped; torch is not loaded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxtrace.training.events import EVENTS, read_events
from voxtrace.training.run_record import RUN, load_record

KIND = "training run"


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (folder / RUN).is_file()


def run_state(folder: Path, now: datetime | None = None) -> dict[str, Any]:
    """Return how far a run is, as JSON values; what is not known yet is None.

    Times are in seconds, ``done`` and ``total`` count updates over all phases, and ``silent_s`` is how long ago the run
    last wrote something down.

    Raises
    ------
    InputError
        ``run.json`` does not describe a run.
    """
    record = load_record(folder)
    settings = record.settings if record else {}
    last: dict[str, dict[str, Any]] = {}
    for event in read_events(folder / EVENTS):
        last[event["event"]] = event
    newest = max(last.values(), key=lambda event: str(event["time"]), default={})
    update, seen = last.get("update", {}), last.get("validation", {})
    done, total = newest.get("done", 0), newest.get("total")
    pace = update.get("iterations_per_s")
    return {
        "kind": KIND,
        "method": settings.get("method", {}).get("name"),
        "dataset": settings.get("dataset"),
        "fold": settings.get("fold"),
        "prepared_cases": len(list((folder / "cases").glob("[0-9]*"))),
        "phase": newest.get("phase", "preparing cases"),
        "done": done,
        "total": total,
        "loss": update.get("loss"),
        "rate": update.get("rate"),
        "validation_dice": seen.get("dice"),
        "dice_per_label": seen.get("dice_per_label"),
        "validated_at": seen.get("done"),
        "checkpoint_at": last.get("checkpoint", {}).get("done"),
        "iterations_per_s": pace,
        "left_s": round((total - done) / pace) if pace and total else None,
        "busy": update.get("busy"),
        "memory_mb": update.get("memory_mb"),
        "method_report": update.get("method"),
        "advice": last.get("advice", {}).get("message"),
        "silent_s": _age_s(newest.get("time"), now or datetime.now(UTC)),
    }


def _age_s(time: str | None, now: datetime) -> float | None:
    if time is None:
        return None
    return round((now - datetime.fromisoformat(time)).total_seconds(), 1)
