"""A real window with both panels, worked as a user does, for tests on real scans."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.methods import METHODS
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.train import TrainWidget

PATIENCE_MS = 900_000
SIZE = (1500, 1000)


@dataclass
class RealWindow:
    """A viewer, its two panels and the patience to wait for them."""

    viewer: Any
    qtbot: Any
    segment: SegmentWidget
    train: TrainWidget
    docks: tuple[Any, Any]

    @classmethod
    def open(cls, viewer: Any, qtbot: Any) -> RealWindow:
        """Return a viewer's window with the panels docked."""
        segment, train = SegmentWidget(viewer), TrainWidget(viewer)
        docks = [viewer.window.add_dock_widget(w, name=type(w).__name__, tabify=True) for w in (segment, train)]
        window = cls(viewer, qtbot, segment, train, (docks[0], docks[1]))
        viewer.window.resize(*SIZE)
        qtbot.waitUntil(lambda: window.train.view.start.count() >= len(METHODS), timeout=PATIENCE_MS)
        return window

    def learn(self, start: str, dataset: Path, out: Path, iterations: int) -> None:
        """Train from the entry ``start`` of the picker, and see that it ends well."""
        view = self.train.view
        self.docks[1].raise_()
        index = view.start.findText(start)
        assert index >= 0, f"{start} is not offered"
        view.start.setCurrentIndex(index)
        view.start.activated.emit(index)
        view.dataset.setText(str(dataset))
        view.out.setText(str(out))
        view.iterations.setValue(iterations)
        self.qtbot.waitUntil(view.state.start.isEnabled, timeout=PATIENCE_MS)  # the dataset was looked at
        view.state.start.click()
        self.qtbot.waitUntil(lambda: not self.train.runner.busy, timeout=PATIENCE_MS)
        assert view.state.message.text() == f"Done. {out.name} is now in the picker of the Segment panel."

    def use(self, bundle: str) -> None:
        """Pick a bundle in the Segment panel."""
        view = self.segment.view
        self.docks[0].raise_()
        index = view.bundle.findText(bundle)
        assert index >= 0, f"{bundle} is not offered"
        view.bundle.setCurrentIndex(index)
        view.bundle.activated.emit(index)

    def run(self) -> Any:
        """Press Segment and return the layer of steps."""
        state = self.segment.view.state
        self.docks[0].raise_()
        state.start.click()
        self.qtbot.waitUntil(lambda: not self.segment.runner.busy, timeout=PATIENCE_MS)
        self.qtbot.waitUntil(lambda: "Starting" not in state.message.text(), timeout=PATIENCE_MS)
        assert state.message.text().startswith("Done in"), state.message.text()
        return self.viewer.layers.selection.active

    def open_files(self, files: Sequence[Path]) -> None:
        """Open files as one scan, through napari's own way of asking for a reader."""
        self.viewer.open([str(file) for file in files], plugin="voxtrace", stack=len(files) > 1)

    def picture(self, name: str, labels: Any = None) -> None:
        """Save a picture of the window, at the fullest slice, where ``VOXTRACE_SHOTS`` names a folder for it."""
        folder = os.environ.get("VOXTRACE_SHOTS")
        if folder is None:
            return
        if labels is not None:
            counts = np.count_nonzero(np.asarray(labels.data[-1]), axis=(1, 2))
            self.viewer.dims.set_current_step(1, int(counts.argmax()))
        self.qtbot.wait(500)
        self.viewer.screenshot(str(Path(folder) / f"{name}.png"), canvas_only=False, flash=False)
