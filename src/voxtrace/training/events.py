"""Events of a training as JSON lines: one stream, from which curves, TensorBoard and ``voxtrace inspect`` are made.

Each line of ``events.jsonl`` is an object with ``event``, ``time`` (UTC), ``done`` and ``total`` (updates over all
phases), and:

============  =======================================================================================
event         what else
============  =======================================================================================
begin         ``method``, ``phases`` (name -> updates), ``device``, ``precision``, ``processes``
phase         ``phase``, ``cases`` (how likely each is drawn at its start, by name)
update        ``phase``, ``iteration``, ``loss`` (terms, means since the last line), ``rate``,
              ``iterations_per_s``, ``busy`` (fraction of the time not spent waiting for windows),
              ``memory_mb``, ``method`` (what the method reports of itself)
validation    ``phase``, ``iteration``, ``dice``, ``dice_per_label``, ``cases`` (Dice of each by name)
examined      ``phase``, ``found`` (what the method found on held-back windows after the phase, or before training
              where the start's weights stand for the phase)
charts        ``phase``, ``iteration``, ``charts``: numbers of the network's nodes, where they changed since the
              last line; each as in a trace's record
checkpoint    ``phase``, ``iteration``
advice        ``message``, ``expected_gain``
============  =======================================================================================

Keys are only ever added. A run that is resumed drops the lines after its checkpoint and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_file, output_error
from voxtrace.safe_text import parse_json

EVENTS = "events.jsonl"
_WITH_NUMBERS = ("update", "validation")
_GROUPS = ("loss", "method", "dice_per_label")
MOST_LINES = 2000  # about as many updates are written down, however long a run is


class EventLog:
    """Appends events to the file of a run, and to TensorBoard where asked for.

    Parameters
    ----------
    file
        ``events.jsonl`` of a run; None keeps nothing, for processes that do not write.
    tensorboard
        Folder for TensorBoard's files, or None.
    """

    def __init__(self, file: Path | None, tensorboard: Path | None = None) -> None:
        self._file = file
        self._board = None
        if file is not None and tensorboard is not None:
            from voxtrace.training.tensorboard import ScalarFile

            self._board = ScalarFile(tensorboard)

    def write(self, event: str, done: int, total: int, **facts: Any) -> None:
        """Append one event.

        Raises
        ------
        OutputError
            The system refuses to write.
        """
        if self._file is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"event": event, "time": time, "done": done, "total": total, **facts}
        try:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(line), ensure_ascii=False, allow_nan=False) + "\n")
            if self._board is not None:
                self._board.add(done, dict(scalars(line)))
        except OSError as error:
            raise output_error(self._file, error) from error

    def rewind(self, done: int) -> None:
        """Drop what was written after ``done`` updates, which are done again, and a line that is not whole."""
        if self._file is None or not self._file.is_file():
            return
        kept = [event for event in read_events(self._file) if event["done"] <= done]
        with atomic_file(self._file) as file:
            file.write_text("".join(json.dumps(e, ensure_ascii=False) + "\n" for e in kept), encoding="utf-8")


def read_events(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file that are whole; none where there is no file."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = parse_json(line)
            except ValueError:
                continue
            if _is_event(event):
                yield event


def _is_event(value: Any) -> bool:
    """Return whether a line is an event whose numbers are numbers."""
    if not isinstance(value, dict) or not isinstance(value.get("done"), int) or not isinstance(value.get("event"), str):
        return False
    groups = [value.get(name, {}) for name in _GROUPS] if value["event"] in _WITH_NUMBERS else []
    return all(isinstance(group, dict) for group in groups) and all(
        number is None or isinstance(number, (int, float)) for group in groups for number in group.values()
    )


def scalars(event: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield name and value of the numbers of an update or a validation, as TensorBoard shows them."""
    if event["event"] not in _WITH_NUMBERS:
        return
    for name in ("rate", "iterations_per_s", "busy", "memory_mb", "dice"):
        if isinstance(event.get(name), (int, float)):
            yield name, float(event[name])
    for group in _GROUPS:
        for name, value in event.get(group, {}).items():
            if value is not None:
                yield f"{group}/{name}", float(value)


def _finite(value: Any) -> Any:
    """Return JSON values with null for numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
