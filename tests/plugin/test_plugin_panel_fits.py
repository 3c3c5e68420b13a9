"""A panel whose parts cannot settle on a height is fitted all the same."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("qtpy")

from qtpy.QtCore import QSize
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from voxtrace.plugin.views.widgets import Panel


class Restless(QWidget):
    """Asks for another height at each height that it is given, as a table may whose rows wrap."""

    def __init__(self) -> None:
        super().__init__()
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def hasHeightForWidth(self) -> bool:  # noqa: N802 Qt names it
        return True

    def heightForWidth(self, a0: int) -> int:  # noqa: N802 Qt names it
        return 2000 if self.height() > 2300 else 2600

    def resizeEvent(self, a0: QResizeEvent | None) -> None:  # noqa: N802 Qt names it
        self.updateGeometry()

    def minimumSizeHint(self) -> QSize:  # noqa: N802 Qt names it
        return QSize(200, 100)


def test_a_part_that_cannot_settle_on_a_height_ends_in_a_size(qtbot: object, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[BaseException | None] = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: raised.append(error))
    part = Restless()
    panel = Panel(part)
    qtbot.addWidget(panel)  # type: ignore[attr-defined]
    panel.resize(320, 600)
    panel.show()
    for width in (340, 320, 360):
        panel.resize(width, 600)
        part.updateGeometry()
        qtbot.wait(50)  # type: ignore[attr-defined]
    assert raised == []
    assert part.height() >= 1900
    assert panel.verticalScrollBar().maximum() > 0
