"""What the panels ask of the engine, and what it reports back: frozen data, no toolkit, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.plugin import display


@dataclass(frozen=True)
class Stage:
    """How far a piece of work is: ``done`` of ``total``; a total of 0 means nobody knows."""

    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """What to segment, with what, how.

    Attributes
    ----------
    bundle
        Folder of the bundle.
    channels
        The volume and channel for each channel the bundle wants, in its order.
    scan
        Unique id of the image layer the result belongs to.
    name
        What to call the result.
    steps
        How many steps, or None for the bundle's own number.
    keep_all
        Whether every step is kept, or only the answer.
    mirror
        Whether each window is also seen mirrored, and the answers averaged.
    """

    bundle: Path
    channels: tuple[display.ImageSource, ...]
    scan: str
    name: str
    steps: int | None = None
    keep_all: bool = True
    mirror: bool = False


@dataclass(frozen=True, eq=False)
class Segmented:
    """A prediction ready to be shown: layer data, made in the thread because it touches every voxel."""

    steps: display.LayerData
    settled: display.LayerData
    summary: tuple[dict[str, Any], ...]
    seconds: float


@dataclass(frozen=True)
class FineTuneRequest:
    """What to train: a dataset's fold, starting from a bundle or from a method's random weights.

    Exactly one of ``bundle`` and ``method`` is given. ``out`` is the folder of the new bundle.
    """

    dataset: Path
    fold: int
    out: Path
    iterations: int
    bundle: Path | None = None
    method: str = ""
    resume: bool = False


@dataclass(frozen=True)
class Learned:
    """One report from training; those with a validation score always reach the window."""

    iteration: int
    total: int
    loss: float
    dice: float | None = None

    @property
    def keep(self) -> bool:
        """Whether this report must not be thinned out."""
        return self.dice is not None
