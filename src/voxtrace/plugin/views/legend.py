"""Labels with their colours and volumes, and other facts about a step."""

from __future__ import annotations

from collections.abc import Container, Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from voxtrace.plugin.models.panel_state import LegendRow
from voxtrace.plugin.models.theme_colours import ThemeColours
from voxtrace.plugin.views import icons
from voxtrace.plugin.views.theme import on_theme, set_tone

SWATCH = 14
MANY = 8  # labels from which they can be filtered by name


class LegendView(QWidget):
    """A row for each label: swatch, name, mL, and buttons to hide it, to show it alone and to jump to it.

    Above them a slider of opacity and a switch for outlines, and for many labels a field that filters by name.
    """

    shown_asked = Signal(int, bool)  # label, whether it is to be seen
    solo_asked = Signal(int)
    jump_asked = Signal(int)
    opacity_asked = Signal(float)
    outline_asked = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[_LegendRow] = []
        self._count = 0
        self._colours: ThemeColours | None = None
        self.filter, self.opacity, self.outline = QLineEdit(), QSlider(Qt.Orientation.Horizontal), QCheckBox("outline")
        self._grid, self._bar = QGridLayout(), QWidget()
        self._lay_out()
        self.filter.textChanged.connect(self._apply_filter)
        self.opacity.valueChanged.connect(lambda percent: self.opacity_asked.emit(percent / 100))
        self.outline.toggled.connect(self.outline_asked)
        on_theme(self, self._recolour)

    def _recolour(self, colours: ThemeColours) -> None:
        self._colours = colours
        for row in self._rows:
            row.recolour(colours)

    def _lay_out(self) -> None:
        self.filter.setPlaceholderText("Find a label …")
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip("Show only the labels whose name contains this text.")
        self.filter.setAccessibleName("Find a label")
        self.filter.hide()
        self.opacity.setRange(0, 100)
        self.opacity.setValue(50)
        self.opacity.setToolTip("Opacity of the labels over the scan.")
        self.opacity.setAccessibleName("Opacity of the labels")
        self.outline.setToolTip("Draw outlines only, so that the scan under the labels can be seen.")
        self._grid.setColumnStretch(1, 1)
        self._grid.setVerticalSpacing(1)
        self._grid.setHorizontalSpacing(4)
        bar = QHBoxLayout(self._bar)
        bar.setContentsMargins(0, 0, 0, 0)
        bar.addWidget(QLabel("opacity"))
        bar.addWidget(self.opacity, 1)
        bar.addWidget(self.outline)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        layout.addWidget(self.filter)
        layout.addLayout(self._grid)

    def show_rows(self, rows: Sequence[LegendRow]) -> None:
        """Show these rows; widgets are reused."""
        while len(self._rows) < len(rows):
            self._append()
        self._count = len(rows)
        for widgets, row in zip(self._rows, rows, strict=False):
            widgets.show_row(row)
        self.filter.setVisible(len(rows) > MANY)
        self._bar.setVisible(bool(rows))
        self._apply_filter()

    def show_hidden(self, hidden: Container[int]) -> None:
        """Set which labels are hidden on the canvas."""
        for widgets in self._rows:
            widgets.show_hidden(widgets.value in hidden)

    def show_style(self, opacity: float, outlined: bool) -> None:
        """Set the opacity, 0 to 1, and whether labels are drawn as outlines."""
        with QSignalBlocker(self.opacity), QSignalBlocker(self.outline):
            self.opacity.setValue(round(100 * opacity))
            self.outline.setChecked(outlined)

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Names and volumes as shown."""
        return [(row.name.text(), row.volume.text()) for row in self._rows if not row.name.isHidden()]

    def row(self, value: int) -> _LegendRow:
        """Return the widgets of a label."""
        return next(row for row in self._rows[: self._count] if row.value == value)

    def _append(self) -> None:
        row = _LegendRow()
        for column, widget in enumerate(row.widgets):
            self._grid.addWidget(widget, len(self._rows), column)
        if self._colours is not None:
            row.recolour(self._colours)
        row.eye.clicked.connect(lambda shown: self.shown_asked.emit(row.value, shown))
        row.solo.clicked.connect(lambda: self.solo_asked.emit(row.value))
        row.jump.clicked.connect(lambda: self.jump_asked.emit(row.value))
        self._rows.append(row)

    def _apply_filter(self) -> None:
        wanted = self.filter.text().strip().lower() if not self.filter.isHidden() else ""
        for index, row in enumerate(self._rows):
            shown = index < self._count and wanted in row.name.text().lower()
            for widget in row.widgets:
                widget.setVisible(shown and not (row.is_region and widget in row.buttons))


_INTERVAL = "In brackets the range of the true volume, from the errors on the model's validation cases."


class _LegendRow:
    """The widgets of one label."""

    def __init__(self) -> None:
        self.value, self.is_region = 0, False
        self.swatch, self.name, self.volume = QLabel(), QLabel(), QLabel()
        self.eye = _small_button(checkable=True)
        self.solo, self.jump = _small_button(), _small_button()
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.volume.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.eye.setChecked(True)

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        """From left to right."""
        return self.swatch, self.name, self.volume, *self.buttons

    @property
    def buttons(self) -> tuple[QToolButton, ...]:
        """Of a label; a region is no layer's, so it cannot be hidden or shown alone."""
        return self.eye, self.solo, self.jump

    def show_row(self, row: LegendRow) -> None:
        """Show a label."""
        self.value, self.is_region = row.value, row.is_region
        self.swatch.setPixmap(QPixmap() if row.is_region else _square(row.colour))
        self.name.setText(row.name)
        self.name.setToolTip(f"{row.name}: a region of several labels." if row.is_region else row.name)
        self.volume.setText(f"{row.volume_text} {row.interval_text}".rstrip())
        self.volume.setToolTip(_INTERVAL if row.interval_text else "")
        for button, does in (
            (self.eye, f"Show or hide {row.name}."),
            (self.solo, f"Show {row.name} alone, or all labels again."),
            (self.jump, f"Go to the slice with most of {row.name}."),
        ):
            button.setToolTip(does)
            button.setAccessibleName(does)

    def show_hidden(self, hidden: bool) -> None:
        """Set whether the label is hidden on the canvas."""
        self.eye.setChecked(not hidden)

    def recolour(self, colours: ThemeColours) -> None:
        """Draw the buttons' pictures in a theme's colours."""
        self.eye.setIcon(icons.eye(colours.text, colours.dimmed))
        self.solo.setIcon(icons.solo(colours.text))
        self.jump.setIcon(icons.target(colours.text))


class FactsView(QWidget):
    """The facts of a step: a row with name and value for each."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[tuple[QLabel, QLabel]] = []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(0, 1)
        self._grid.setVerticalSpacing(1)
        self._grid.addWidget(QLabel("Means at this step:"), 0, 0, 1, 2)

    def show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Show these pairs of name and value; widgets are reused."""
        while len(self._rows) < len(facts):
            self._append()
        for index, widgets in enumerate(self._rows):
            for widget, text in zip(widgets, facts[index] if index < len(facts) else ("", ""), strict=True):
                widget.setText(text)
                widget.setVisible(index < len(facts))
        self.setVisible(bool(facts))

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Names and values as shown."""
        return [(name.text(), value.text()) for name, value in self._rows if not name.isHidden()]

    def _append(self) -> None:
        widgets = (QLabel(), QLabel())
        widgets[1].setAlignment(Qt.AlignmentFlag.AlignRight)
        for column, widget in enumerate(widgets):
            set_tone(widget, "dimmed")
            self._grid.addWidget(widget, len(self._rows) + 1, column)
        self._rows.append(widgets)


def _square(colour: tuple[float, float, float]) -> QPixmap:
    square = QPixmap(SWATCH, SWATCH)
    square.fill(QColor.fromRgbF(*colour))
    return square


def _small_button(*, checkable: bool = False) -> QToolButton:
    button = QToolButton()
    button.setCheckable(checkable)
    button.setAutoRaise(True)
    button.setFixedSize(24, 22)
    return button
