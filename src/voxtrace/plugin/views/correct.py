"""The Correct section: draw, work on a whole label, and keep what was corrected."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.correct_form import DrawState, DrawTool, LabelChoice, OperationChoice
from voxtrace.plugin.models.correction import TOOLS, Kind, Scope
from voxtrace.plugin.models.panel_state import PanelState
from voxtrace.plugin.views.state import LEVEL_TONES
from voxtrace.plugin.views.theme import set_tone
from voxtrace.plugin.views.widgets import heading, note, picker
from voxtrace.volume import Triple

_TOOLS: dict[DrawTool, tuple[str, str]] = {
    "pan_zoom": ("Move", "Move and zoom the image."),
    "paint": ("Brush", "Draw the label with a round brush; the right button encircles an area and fills it."),
    "erase": ("Eraser", "Turn voxels into background."),
    "fill": ("Fill", "Give the area under the pointer the label."),
    "polygon": ("Polygon", "Click around an area; a double click fills it with the label."),
}
_SCOPES: dict[Scope, str] = {"volume": "Whole volume", "slice": "This slice", "visible": "Visible part"}


class QtCorrectView(QWidget):
    """Setters and signals; implements the controller's ``CorrectView``."""

    label_picked = Signal(int)
    tool_picked = Signal(str)
    brush_changed = Signal(float)
    in_3d_changed = Signal(bool)
    protect_changed = Signal(bool)
    undo_asked = Signal()
    redo_asked = Signal()
    operation_asked = Signal(object)
    restore_asked = Signal()
    discard_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.target, self.log, self.message = note(), note(), QLabel()
        self.message.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self._values: list[int] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Correct"))
        layout.addWidget(self.target)
        layout.addWidget(self._recovery())
        layout.addLayout(self._drawing())
        layout.addWidget(heading("Whole label"))
        layout.addLayout(self._operations())
        for widget in (self.bar, self.message, heading("Edits"), self.log):
            layout.addWidget(widget)
        hidden: tuple[QWidget, ...] = (self.bar, self.message, self.recovery)
        for one in hidden:
            one.hide()
        self._show_kind()

    def set_target(self, sentence: str, labels: Sequence[LabelChoice]) -> None:
        """Show which labels are corrected, and the labels that can be drawn; none disables the section."""
        self.target.setText(sentence)
        self._values = [label.value for label in labels]
        with QSignalBlocker(self.label):
            self.label.clear()
            for label in labels:
                self.label.addItem(_swatch(label.colour), label.name)
        for widget in (self.tools, self.label, self.apply, self.undo, self.redo, self.brush):
            widget.setEnabled(bool(labels))

    def set_drawing(self, state: DrawState) -> None:
        """Show the tool, label and brush in use."""
        group = (self.label, self.brush, self.in_3d, self.protect, *self.buttons.values())
        blockers = [QSignalBlocker(widget) for widget in group]
        if state.label in self._values:
            self.label.setCurrentIndex(self._values.index(state.label))
        self.brush.setValue(state.brush_mm)
        self.in_3d.setChecked(state.in_3d)
        self.protect.setChecked(state.protect)
        for tool, button in self.buttons.items():
            button.setChecked(tool == state.tool)
            set_tone(button, "primary" if tool == state.tool else "text")
        del blockers

    def set_log(self, lines: str) -> None:
        """Show the last edits."""
        self.log.setText(lines or "Nothing was edited yet.")

    def offer_recovery(self, sentence: str) -> None:
        """Offer edits that were not saved; ``""`` takes the offer back."""
        self.recovery_text.setText(sentence)
        self.recovery.setVisible(bool(sentence))

    def show_state(self, state: PanelState) -> None:
        """Show the state of a job."""
        self.message.setText(state.message)
        set_tone(self.message, LEVEL_TONES[state.level])
        self.message.setVisible(bool(state.message))
        self.bar.setVisible(state.busy)
        self.apply.setEnabled(not state.busy and bool(self._values))

    def _recovery(self) -> QWidget:
        self.recovery, self.recovery_text = QWidget(), QLabel()
        self.recovery_text.setWordWrap(True)
        set_tone(self.recovery_text, "warning box")
        restore, discard = QPushButton("Restore"), QPushButton("Discard")
        restore.setToolTip("Take the edits that were not saved as the edited labels.")
        discard.setToolTip("Remove the edits that were not saved.")
        restore.clicked.connect(self.restore_asked)
        discard.clicked.connect(self.discard_asked)
        layout = QVBoxLayout(self.recovery)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.recovery_text)
        layout.addLayout(_row(restore, discard))
        return self.recovery

    def _drawing(self) -> QVBoxLayout:
        self.label = picker("The label that is drawn and worked on.")
        self.label.setAccessibleName("Label to draw")
        self.label.setMinimumContentsLength(8)
        self.label.activated.connect(lambda index: self.label_picked.emit(self._values[index]))
        self.brush = _spin("Diameter of the brush in mm.", " mm", 0.1, 200.0, decimals=1)
        self.brush.setAccessibleName("Brush diameter in mm")
        self.brush.valueChanged.connect(self.brush_changed)
        self.in_3d, self.protect = QCheckBox("Ball in 3-D"), QCheckBox("Protect other labels")
        self.in_3d.setToolTip("Draw and fill in all three directions instead of the slice on screen.")
        self.protect.setToolTip("Drawing and corrections change background and this label only.")
        self.in_3d.toggled.connect(self.in_3d_changed)
        self.protect.toggled.connect(self.protect_changed)
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.setToolTip("Take the last change back (Ctrl+Z).")
        self.redo.setToolTip("Make the last change that was taken back again (Ctrl+Shift+Z).")
        self.undo.clicked.connect(self.undo_asked)
        self.redo.clicked.connect(self.redo_asked)
        layout = QVBoxLayout()
        layout.addWidget(self._tool_buttons())
        layout.addLayout(_row(self.label, self.brush))
        layout.addWidget(self.in_3d)
        layout.addWidget(self.protect)
        layout.addLayout(_row(self.undo, self.redo))
        return layout

    def _tool_buttons(self) -> QWidget:
        self.tools, self.buttons, self.group = QWidget(), dict[str, QPushButton](), QButtonGroup(self)
        layout = QHBoxLayout(self.tools)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for tool, (title, tip) in _TOOLS.items():
            button = self.buttons[tool] = QPushButton(title)
            button.setToolTip(tip)
            button.setAccessibleName(f"{title} tool")
            button.setCheckable(True)
            button.clicked.connect(lambda checked=False, tool=tool: self.tool_picked.emit(tool))
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(title) + 8)  # less than the style's padding
            self.group.addButton(button)
            layout.addWidget(button)
        return self.tools

    def _operations(self) -> QGridLayout:
        self.kind, self.scope = picker("What is done to the label."), picker("Where voxels may change.")
        self.scope.setMinimumContentsLength(8)
        self.kind.addItems([tool.title for tool in TOOLS.values()])
        self.scope.addItems(list(_SCOPES.values()))
        self.kind.setAccessibleName("Correction")
        self.scope.setAccessibleName("Where the correction acts")
        self.kind.currentIndexChanged.connect(self._show_kind)
        self.amount = _spin("How far, or how much.", "", 0.01, 1000.0)
        self.amount.setAccessibleName("Amount of the correction")
        self.in_plane = QCheckBox("Each slice by itself")
        self.in_plane.setToolTip("Treat every slice alone; off, the label is worked on in 3-D.")
        self.sentence, self.apply = note(), QPushButton("Apply")
        self.apply.setToolTip("Correct the label; one Undo takes it back.")
        set_tone(self.apply, "primary")
        self.apply.clicked.connect(self._ask)
        layout = QGridLayout()
        layout.addWidget(self.kind, 0, 0, 1, 2)
        layout.addWidget(self.scope, 1, 0)
        layout.addWidget(self.amount, 1, 1)
        for row, widget in enumerate((self.in_plane, self.sentence, self.apply), 2):
            layout.addWidget(widget, row, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        return layout

    def _chosen_kind(self) -> Kind:
        return list(TOOLS)[self.kind.currentIndex()]

    def _show_kind(self, index: int = 0) -> None:
        tool = TOOLS[self._chosen_kind()]
        self.sentence.setText(tool.sentence)
        self.amount.setVisible(bool(tool.amount))
        self.amount.setSuffix(f" {tool.amount}")
        self.amount.setValue(tool.default)
        between = self._chosen_kind() == "between"
        self.in_plane.setVisible(not between)
        self.scope.setEnabled(not between)
        if between:
            self.scope.setCurrentIndex(list(_SCOPES).index("volume"))

    def _ask(self) -> None:
        scope = list(_SCOPES)[self.scope.currentIndex()]
        in_plane = self.in_plane.isChecked() and not self.in_plane.isHidden()
        self.operation_asked.emit(
            OperationChoice(self._chosen_kind(), self.amount.value(), scope, in_plane, self.protect.isChecked())
        )


def _spin(tip: str, suffix: str, low: float, high: float, decimals: int = 2) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(low, high)
    spin.setDecimals(decimals)
    spin.setSuffix(suffix)
    spin.setToolTip(tip)
    spin.setKeyboardTracking(False)
    spin.setMinimumWidth(spin.fontMetrics().averageCharWidth() * 12)
    spin.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    return spin


def _row(*widgets: QWidget) -> QHBoxLayout:
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget, 1)
    return layout


def _swatch(colour: Triple) -> QIcon:
    pixmap = QPixmap(14, 14)
    pixmap.fill(QColor.fromRgbF(*colour))
    return QIcon(pixmap)
