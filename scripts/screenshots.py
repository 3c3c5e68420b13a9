"""Take the pictures in docs/images from a real window: an MR of the hippocampus, segmented, at cycles 1, 3 and 7.

Run it where there is a display, or under a made-up one, from the project's root::

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/screenshots.py

It opens a hippocampus MR of ``$VOXTRACE_REAL_DATA`` or ``../shared/data`` (``--data`` names another folder), presses
Segment in the panel as a user would, and saves ``mr-cycle-1.png``, ``mr-cycle-3.png`` and ``mr-cycle-7.png``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from journeys import save_small
from qtpy.QtWidgets import QApplication

from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1500, 980)
PATIENCE_S = 600
SCAN = "Dataset004_Hippocampus/imagesTr/hippocampus_033_0000.nii.gz"
REAL = Path(os.environ.get("VOXTRACE_REAL_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Take every picture."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    take(arguments.data / SCAN, arguments.bundle, arguments.cycles, arguments.out)


def take(scan: Path, bundle: str, cycles: list[int], out: Path) -> None:
    """Open a scan, segment it through the panel, and save one picture a cycle."""
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and step through (VoxTrace)", area="right")
    viewer.open(scan, plugin="voxtrace")
    widget.controller.browse(bundle)
    viewer.reset_view()
    widget.view.state.start.click()
    wait_until(lambda: not widget.runner.busy)
    _go_to_fullest_slice(viewer)
    for cycle in cycles:
        viewer_state_of(viewer).current.go(cycle - 1)
        save(viewer, out / f"mr-cycle-{cycle}.png")
    viewer.close()


def save(viewer: Any, path: Path) -> None:
    """Save a picture of the whole window, once it is painted."""
    for _ in range(20):
        QApplication.processEvents()
    save_small(viewer.window._qt_window, path)


def wait_until(condition: Callable[[], bool]) -> None:
    """Let the window live until a condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        QApplication.processEvents()
        time.sleep(0.02)
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came of it in {PATIENCE_S} s")


def _go_to_fullest_slice(viewer: Any) -> None:
    labels = viewer.layers.selection.active.data[-1]
    viewer.dims.set_current_step(1, int(np.argmax(np.count_nonzero(labels, axis=(1, 2)))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REAL, help="folder of real scans")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="where the pictures go")
    parser.add_argument("--bundle", default="hippocampus-recyclenet")
    parser.add_argument("--cycles", type=int, nargs="+", default=[1, 3, 7])
    return parser.parse_args()


if __name__ == "__main__":
    main()
