"""Six ways through the window, each driven as a user would and pictured in docs/images/journeys.

Run it where there is a display, or under a made-up one, from the project's root::

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/journeys.py

======== ==============================================================================================================
``ct``    DICOM CT of a phantom: presets, segment, rulers, look here next, measure, DICOM-SEG
``mr``    hippocampus MR: every cycle of a real model in the film strip, settled, think longer, volumes with intervals
``slices`` brain tumour phantom of four channels: which network each slice took, as strip and as layer; a skipped slice
``seeds`` diffusion on the CT phantom with five seeds: agreement, and a film
``edit``  correct a label, add the case to a training set, fine-tune for two minutes, read the receipt
``batch`` a folder of twelve scans: predict, worst first, open a case
======== ==============================================================================================================

``--data`` names the folder of real data, by default ``$VOXTRACE_REAL_DATA`` or ``../shared/data``; ``mr``, ``edit`` and
``batch`` need it. Each journey checks what it saw, so that it fails where the window no longer leads there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtWidgets import QApplication

from voxtrace.plugin.npe2.viewer_state import viewer_state_of

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 900


class Window:
    """A napari window with VoxTrace, and a folder for its pictures."""

    def __init__(self, name: str, out: Path, size: tuple[int, int]) -> None:
        self.name, self.out = name, out
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*size)
        self.state = viewer_state_of(self.viewer)
        self.panel = self.state.open_dock("segment")
        self.wait(0.5)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.viewer.close()

    @property
    def current(self) -> Any:
        """The result that the window shows."""
        return self.state.current

    def wait(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def until(self, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        """Let the window work until something holds."""
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: waited {patience_s:.0f} s in vain; see {self.picture('stuck')}")
            self.wait(0.02)

    def picture(self, title: str) -> Path:
        """Save a picture of the whole window, once it is painted."""
        self.wait(1.0)
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{self.name}-{title}.png"
        self.viewer.window._qt_window.grab().save(str(path))
        return path

    def open(self, path: Path) -> None:
        """Open a scan."""
        self.viewer.open(str(path), plugin="voxtrace")
        self.wait(1.5)

    def use(self, bundle: str | Path) -> None:
        """Choose a model."""
        self.panel.controller.browse(bundle)
        self.wait(0.5)

    def segment(self) -> float:
        """Press Segment and wait for the result; return the seconds."""
        began, before = time.monotonic(), self.current.layer
        self.panel.view.state.start.click()
        self.until(lambda: self.current.layer is not None and self.current.layer is not before)
        self.until(lambda: not self.panel.runner.busy)
        self.wait(1.5)
        return time.monotonic() - began

    def dock(self, name: str) -> Any:
        """Open a dock."""
        widget = self.state.open_dock(name)
        self.wait(0.7)
        return widget

    def fullest_slice(self) -> None:
        """Go to the slice with most labelled voxels."""
        shown = self.current.shown().data > 0
        self.current.go_slice(int(shown.sum(axis=(1, 2)).argmax()))
        self.wait(0.5)
