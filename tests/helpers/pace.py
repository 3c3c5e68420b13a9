"""LoopProbe: how long the Qt event loop was blocked, where, and how much memory the process holds."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from qtpy.QtCore import Qt, QTimer

EVERY_MS = 5
STACK_FROM_S = 0.080  # a gap this long gets a stack of what blocks the loop
LOOK_EVERY_S = 0.010
DEEPEST, DEEPEST_OF_OTHERS = 14, 5  # calls of a stack that are kept


@dataclass
class Gap:
    """A time in which the event loop did not come round.

    ``busy_s`` is what the watched thread computed in it: where it is much less than the length, the thread waited for a
    lock, or for a processor that others used. ``stacks`` were taken within the gap.
    """

    start_s: float
    length_s: float
    stage: str
    busy_s: float = 0.0
    stacks: list[str] = field(default_factory=list)


class LoopProbe:
    """A context that measures gaps of the event loop of the thread it is entered in.

    A timer of 5 ms should fire every 5 ms; a longer time between two beats, less the 5 ms, is a gap. A thread takes
    stacks of the Qt thread while a gap lasts.

    Examples
    --------
    ::

        with LoopProbe() as probe:
            probe.stage = "open"
            viewer.open(path, plugin="voxtrace")
            wait_until(...)          # let the loop run
        assert probe.worst_s < 0.1, probe.report()
    """

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.stage = ""
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self._beat)
        self._last, self._last_busy = 0.0, 0.0
        self._stacks: list[str] = []
        self._stop = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="loop-probe", daemon=True)

    def __enter__(self) -> LoopProbe:
        self._last, self._last_busy = time.perf_counter(), time.thread_time()
        self._timer.start()
        self._thread.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._beat()
        self._timer.stop()
        self._stop.set()
        self._thread.join()

    @property
    def worst_s(self) -> float:
        """The longest gap."""
        return max((gap.length_s for gap in self.gaps), default=0.0)

    @property
    def worst_busy_s(self) -> float:
        """The longest time that the watched thread computed within one gap."""
        return max((gap.busy_s for gap in self.gaps), default=0.0)

    def worst_of(self, stage: str) -> float:
        """Return the longest gap of a stage."""
        return max((gap.length_s for gap in self.gaps if gap.stage == stage), default=0.0)

    def report(self, from_s: float = STACK_FROM_S, stacks: bool = True) -> str:
        """Return a line for each gap of at least ``from_s``, longest first, with the stacks taken within it."""
        long = sorted((gap for gap in self.gaps if gap.length_s >= from_s), key=lambda gap: -gap.length_s)
        lines = [f"{1000 * gap.length_s:6.0f} ms, {1000 * gap.busy_s:.0f} busy  {gap.stage}" for gap in long]
        if stacks:
            lines = [line + "\n" + "\n---\n".join(gap.stacks) for line, gap in zip(lines, long, strict=True)]
        return "\n".join(lines) or f"no gap of {1000 * from_s:.0f} ms or more"

    def _beat(self) -> None:
        now, busy = time.perf_counter(), time.thread_time()
        length_s = now - self._last - EVERY_MS / 1000
        stacks, self._stacks = self._stacks, []
        if length_s > EVERY_MS / 1000:
            self.gaps.append(Gap(self._last, length_s, self.stage, busy - self._last_busy, stacks))
        self._last, self._last_busy = now, busy

    def _watch(self) -> None:
        seen, due = 0.0, STACK_FROM_S
        while not self._stop.wait(LOOK_EVERY_S):
            last = self._last
            if last != seen:
                seen, due = last, STACK_FROM_S
            if time.perf_counter() - last > due:
                due *= 2
                self._stacks.append(_stack_of(self._watched))


def _stack_of(watched: int) -> str:
    """Return the innermost calls of the watched thread, and of every other thread that runs code of a package.

    Where the watched thread only waits, another one held the interpreter lock.
    """
    parts = []
    for thread, frame in sys._current_frames().items():
        if thread == watched:
            parts.insert(0, "".join(traceback.format_stack(frame)[-DEEPEST:]))
        elif thread != threading.get_ident():
            parts.append("  other thread:\n" + "".join(traceback.format_stack(frame)[-DEEPEST_OF_OTHERS:]))
    return "".join(parts)


def resident_mib() -> float:
    """Return the memory that the process holds, in MiB (Linux; elsewhere 0)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0.0
    lines: dict[str, Any] = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) / 1024
