"""The window of ``voxtrace demo``: ``python -m voxtrace.plugin.npe2.demo_window SCAN TRACE BUNDLE``.

It shows the scan at the slice with most labels, the first step of the trace over it, the rulers to step on, and the
Segment panel with the bundle that made it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxtrace import bundle
from voxtrace.errors import VoxTraceError


def main(arguments: Sequence[str]) -> None:
    """Open the window and stay until it is closed."""
    import napari

    scan, trace, used = arguments
    viewer = napari.Viewer(title="VoxTrace demo")
    show(viewer, Path(scan), Path(trace), bundle.find(used))
    napari.run()


def show(viewer: Any, scan: Path, trace: Path, used: Path) -> None:
    """Show a scan and the first step of its trace in a viewer, and choose the bundle that made it."""
    from qtpy.QtCore import QTimer

    from voxtrace.film.planes import chosen_slice
    from voxtrace.plugin.npe2.samples import choose_bundle
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    choose_bundle(viewer, used)
    for path in (scan, trace):
        viewer.open(str(path), plugin="voxtrace")
    state = viewer_state_of(viewer)
    state.open_dock("rulers")
    shown = state.current.trace
    if shown is None:
        raise VoxTraceError(f"{trace} did not open")
    state.current.go_slice(chosen_slice(shown, 0, None))
    state.current.go(0)
    QTimer.singleShot(0, viewer.reset_view)  # once the docks have taken their room from the canvas


if __name__ == "__main__":
    main(sys.argv[1:])
