"""Notifications in the corner of napari's window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import obliquity_note
from voxtrace.plugin.layers.timepoints import TimepointsSource


def notify_notes(layers: Sequence[Any]) -> None:
    """Show what was corrected while a scan was read, and a note for an oblique scan."""
    source = layers[0][1]["metadata"][display.KEY] if layers else None
    if isinstance(source, (display.ImageSource, TimepointsSource)):
        notes = [*source.volume.notes, obliquity_note(source.volume.geometry)]
        for note in filter(None, notes):
            notify("info", note)


def notify(kind: Literal["info", "error"], text: str) -> None:
    """Show a sentence as a notification."""
    from napari.utils import notifications

    getattr(notifications, f"show_{kind}")(text)
