"""Which open scan a run takes, and which of its images stands for each channel that a model needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voxtrace.plugin.models.bundles import match_channels_how

Guess = Literal["picked", "name", "number", "order", "missing"]


@dataclass(frozen=True)
class ScanRow:
    """An open image layer as the panel offers it.

    Attributes
    ----------
    key
        Unique id of the layer.
    name
        Its name.
    grid
        Layers with the same number lie on the same grid.
    active, visible
        Whether it, or a result of it, is the selected layer; whether it is shown.
    about
        Size and spacing.
    """

    key: str
    name: str
    grid: int = 0
    active: bool = False
    visible: bool = True
    about: str = ""


@dataclass(frozen=True)
class ChannelChoice:
    """The image that stands for a channel: its index among the rows, and why it was taken."""

    name: str
    index: int | None
    guess: Guess


def chosen_scan(rows: Sequence[ScanRow], picked: str = "") -> int | None:
    """Return the index of the scan to segment: the picked one, else the active one, else the topmost visible one.

    Rows run from the top of the layer list to its bottom. Of hidden scans the topmost is taken; None without any.

    >>> chosen_scan([ScanRow("b", "on top", visible=False), ScanRow("a", "below")])
    1
    """
    ranks = [(row.key == picked, row.active, row.visible) for row in rows]
    return ranks.index(max(ranks)) if ranks else None


def choose_channels(
    wanted: Sequence[str], rows: Sequence[ScanRow], scan: int | None, picked: Sequence[str | None] = ()
) -> tuple[ChannelChoice, ...]:
    """Return the image for each channel: what was picked, then what the names say, among images on the scan's grid.

    A model of one channel takes the chosen scan. Images on another grid are taken only when they are picked.
    """
    keys = [row.key for row in rows]
    fixed = {c: keys.index(key) for c, key in enumerate(picked) if key in keys}
    if scan is None:
        return tuple(ChannelChoice(name, None, "missing") for name in wanted)
    if len(wanted) == 1:
        return (ChannelChoice(wanted[0], fixed.get(0, scan), "picked" if 0 in fixed else "name"),)
    on_grid = [i for i, row in enumerate(rows) if row.grid == rows[scan].grid and i not in fixed.values()]
    open_channels = [c for c in range(len(wanted)) if c not in fixed]
    found = match_channels_how([(c, wanted[c]) for c in open_channels], [rows[i].name for i in on_grid])
    guesses: dict[int, tuple[int | None, Guess]] = {c: (index, "picked") for c, index in fixed.items()}
    for c, (index, how) in zip(open_channels, found, strict=True):
        guesses[c] = (on_grid[index] if index is not None else None, how)
    return tuple(ChannelChoice(name, *guesses[c]) for c, name in enumerate(wanted))


def channels_sentence(choices: Sequence[ChannelChoice], rows: Sequence[ScanRow]) -> str:
    """Return which images were taken without a name that says so, and what to do; ``""`` where names decided.

    >>> channels_sentence([ChannelChoice("flair", 0, "order")], [ScanRow("a", "scan 1")])
    'Taken in the order of opening, not by name: flair = scan 1. Check them.'
    """
    by_order = [f"{c.name} = {rows[c.index].name}" for c in choices if c.guess == "order" and c.index is not None]
    return f"Taken in the order of opening, not by name: {', '.join(by_order)}. Check them." if by_order else ""
