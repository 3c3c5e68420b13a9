"""What the Correct section shows and what it asks for, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxtrace.plugin.models.correction import TOOLS, Kind, Scope
from voxtrace.trace.edits import Edit
from voxtrace.volume import Triple

DrawTool = Literal["pan_zoom", "paint", "erase", "fill", "polygon"]
SHOWN_EDITS = 6
_NOTHING = "Select a labels layer, or segment a scan, to correct it here."


@dataclass(frozen=True)
class LabelChoice:
    """A label that can be drawn: value, name, colour."""

    value: int
    name: str
    colour: Triple


@dataclass(frozen=True)
class DrawState:
    """How napari draws on the layer now."""

    tool: str = "pan_zoom"
    label: int = 1
    brush_mm: float = 1.0
    in_3d: bool = False
    protect: bool = False


@dataclass(frozen=True)
class OperationChoice:
    """What is asked of the whole label."""

    kind: Kind
    amount: float
    scope: Scope
    in_plane: bool
    protect: bool

    @property
    def words(self) -> str:
        """What the log calls it: ``grow 2 mm``."""
        tool = TOOLS[self.kind]
        number = f" {self.amount:g} {tool.amount}" if tool.amount else ""
        plane = ", each slice by itself" if self.in_plane and self.kind != "between" else ""
        where = {"slice": " in one slice", "visible": " in the visible part", "volume": ""}[self.scope]
        return f"{tool.title.lower()}{number}{plane}{where}"


@dataclass(frozen=True)
class AddRequest:
    """A case for a training set: the dataset's folder, the case's name, and whether it may replace one."""

    folder: Path
    name: str
    replace: bool


def target_sentence(layer: str, shown: str, edits: Sequence[Edit]) -> str:
    """Return which labels are corrected.

    >>> target_sentence("scan · tiny", "cycle 3 of 7", ())
    'Drawing on “scan · tiny” begins with a copy of cycle 3 of 7. The steps stay as they were computed.'
    """
    if not layer:
        return _NOTHING
    if shown.startswith("the edited"):
        return f"On screen: {shown} of “{layer}”."
    if shown and edits:
        return f"Shows {shown} of “{layer}”. Drawing goes on in the edited labels."
    if shown:
        return f"Drawing on “{layer}” begins with a copy of {shown}. The steps stay as they were computed."
    return f"Edits “{layer}”."


def edit_lines(edits: Sequence[Edit]) -> str:
    """Return the last edits, the newest first, a line each."""
    lines = [edit.sentence for edit in reversed(edits)]
    more = len(lines) - SHOWN_EDITS
    return "\n".join([*lines[:SHOWN_EDITS], *([f"and {more} before"] if more > 0 else [])])


def changed_sentence(words: str, name: str, voxels: int, voxel_ml: float) -> str:
    """Return what an operation did."""
    what = f"{words[:1].upper()}{words[1:]}"
    if not voxels:
        return f"{what}: nothing to change in {name}."
    return f"{what}: {voxels:,} voxel{'s' * (voxels > 1)} of {name} changed ({voxels * voxel_ml:.2f} mL)."
