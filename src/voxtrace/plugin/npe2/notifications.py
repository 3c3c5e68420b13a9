"""What napari's corner says when a scan is opened or cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import obliquity_note


def tell_notes(layers: Sequence[Any]) -> None:
    """Tell what was corrected while a scan was read, and that an oblique one is drawn along its own axes."""
    for source in [about["metadata"][display.KEY] for _, about, kind in layers[:1] if kind == "image"]:
        notes = [*source.volume.notes, obliquity_note(source.volume.geometry)]
        for note in filter(None, notes):
            tell("info", note)


def tell(kind: Literal["info", "error"], text: str) -> None:
    """Show a sentence in napari's corner."""
    from napari.utils import notifications

    getattr(notifications, f"show_{kind}")(text)
