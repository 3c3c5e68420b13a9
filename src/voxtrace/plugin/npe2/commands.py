"""Commands of napari's palette and menus that are no dock of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.plugin.npe2.open_scan import open_scan as open_scan_at
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.open_scan import ask_for_scan


def open_scan() -> None:
    """Ask for a scan and open it in the current viewer, with the Segment panel beside it."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        ask_and_open(viewer)


def save_everything() -> None:
    """Save all of the current result at once: label map, trace, table and report; asks for a folder."""
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        panel = viewer_state_of(viewer).open_dock("correct")
        panel.ensureWidgetVisible(panel.keep_view.everything)
        panel.keep_view.everything.click()  # nothing happens while there is no result: the button is disabled


def ask_and_open(viewer: Any) -> None:
    """Ask for a scan and open it, whatever its name, with the Segment panel beside it."""
    path = ask_for_scan(_last_folder(viewer))
    if path is None:
        return
    open_scan_at(viewer, path)
    viewer_state_of(viewer).open_dock("segment")


def _last_folder(viewer: Any) -> Path:
    """Return the folder of the scan that was opened last, where its layer says so."""
    paths = [layer.source.path for layer in viewer.layers if layer.source.path]
    return Path(paths[-1]).parent if paths else Path.home()
