"""The panel's section about the result: run under a display, or xvfb-run."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from voxtrace.plugin.models.panel_state import LegendRow

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtCore import QPoint, QRect
from qtpy.QtWidgets import QLabel

from voxtrace.plugin.views.steps import QtStepsView
from voxtrace.plugin.views.widgets import Panel


def test_rows_do_not_overlap_from_the_moment_a_result_comes(qtbot: Any) -> None:
    view = QtStepsView()
    panel = Panel(view)
    qtbot.addWidget(panel)
    panel.resize(360, 500)
    panel.show()
    qtbot.waitExposed(panel)
    rows = [LegendRow(k, (1.0, 0.0, 0.0), f"organ {k}", 10.0 * k) for k in range(1, 8)]
    facts = [(f"fact {k}", str(k)) for k in range(5)]
    view.show_step("Cycle 7 of 7", "12 voxels changed against the cycle before (0.01% of the scan). " * 2, rows, facts)
    shown = [label for label in view.findChildren(QLabel) if label.isVisible() and label.text()]
    assert len(shown) >= 2 * 7 + 2 * 5
    boxes = [QRect(label.mapTo(view, QPoint(0, 0)), label.size()) for label in shown]
    overlapping = [(a, b) for (a, x), (b, y) in combinations(zip(shown, boxes, strict=True), 2) if x.intersects(y)]
    assert [(a.text(), b.text()) for a, b in overlapping] == []
