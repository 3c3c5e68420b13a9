"""What other settings would have cost and changed: the rows of a table, and the options that run one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voxtrace.declaration import OptionInfo, without_unread
from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.models.methods import Capabilities
from voxtrace.plugin.models.model_cards import time_words
from voxtrace.trace import WhatIf
from voxtrace.trace.alternatives import NOTHING_SKIPPED

COLUMNS = ("Setting", "Time, changed", "")
_FEWER = re.compile(r"stop after (\d+) ")
_EARLY = re.compile(r"stop early below ([\d.e+-]+) %")
_EVERYWHERE = re.compile(r"every window by (.+)")


@dataclass(frozen=True)
class MeasuredSetting:
    """What a run with a row's setting gave."""

    seconds: float
    changed_voxels: int


@dataclass(frozen=True)
class WhatIfRow:
    """A row of the table.

    Attributes
    ----------
    name, time, work, changed
        The setting; expected seconds; work of the network as a share of what was run; voxels with another label.
    how
        ``measured``, ``from the trace``, ``estimated``, or ``""`` for the run itself.
    options
        The options that run it; None where they cannot be set.
    """

    name: str
    time: str
    work: str
    changed: str
    how: str
    options: PredictOptions | None = None


def rows(
    found: Sequence[WhatIf],
    options: PredictOptions,
    able: Capabilities | None,
    measured: Mapping[str, MeasuredSetting] | None = None,
) -> tuple[WhatIfRow, ...]:
    """Return the rows of a table, the run itself first; ``measured`` holds by name what was run meanwhile."""
    known = measured or {}
    return tuple(_row(one, number, options, able, known.get(one.name)) for number, one in enumerate(found))


def _row(
    one: WhatIf, number: int, options: PredictOptions, able: Capabilities | None, run: MeasuredSetting | None
) -> WhatIfRow:
    seconds = run.seconds if run else one.seconds
    changed = run.changed_voxels if run else one.changed_voxels
    how = "measured" if run else "" if number == 0 else "from the trace" if one.measured else "estimated"
    return WhatIfRow(
        name=f"{one.name[:1].upper()}{one.name[1:]}",
        time=_time(seconds, exact=run is not None or number == 0),
        work=f"{one.window_steps_fraction:.0%}",
        changed="–" if changed is None else f"{changed:,}",
        how=how,
        options=None if number == 0 else options_for(one.name, options, able),
    )


def _time(seconds: float | None, *, exact: bool) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if exact else f"about {time_words(seconds)}"


def options_for(name: str, options: PredictOptions, able: Capabilities | None) -> PredictOptions | None:
    """Return the options that run a setting by its name; None where the method cannot be told to.

    >>> options_for("stop early below 0.1 %", PredictOptions(), Capabilities("m", steps=3, max_steps=9)).settle
    0.001
    >>> options_for("stop after 2 cycles", PredictOptions(), Capabilities("m", steps=3, max_steps=9)).steps
    2
    >>> options_for("stop after 2 cycles", PredictOptions(), None) is None
    True
    """
    if able is None:
        return None
    if (fewer := _FEWER.match(name)) and able.max_steps:
        return replace(options, steps=int(fewer[1]))
    if name == NOTHING_SKIPPED and able.every_window:
        own = {**options.method_options, **able.every_window}
        return replace(options, method_options=without_unread(able.options, own))
    if early := _EARLY.match(name):
        return replace(options, settle=float(f"{float(early[1]) / 100:.6g}"))
    if everywhere := _EVERYWHERE.match(name):
        forced = _forced(everywhere[1], able.options, able.value_names)
        own = without_unread(able.options, {**options.method_options, **forced})
        return replace(options, method_options=own) if forced else None
    return None


def _forced(title: str, options: Sequence[OptionInfo], value_names: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the option that makes a routing method take one choice everywhere; see ``think_longer``."""
    for info in options:
        choices = info.choices[1:]
        for names in value_names.values():
            tail = names[-len(choices) :] if choices else ()
            if info.live and 1 < len(choices) <= len(names) and info.default == info.choices[0] and title in tail:
                return {info.name: choices[tail.index(title)]}
    return {}
