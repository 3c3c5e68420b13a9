"""The bar above the rulers: going along the steps, and what rows, lanes, slices and layers are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QSignalBlocker, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QMenu, QPushButton, QSizePolicy, QToolButton, QWidget

SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # steps a second
_MOVES = (
    ("first", "|◀", "First step", "Home"),
    ("previous", "◀", "Previous step", "←"),
    ("play", "▶ Play", "Play the steps", "Space"),
    ("next", "▶", "Next step", "→"),
    ("last", "▶|", "Last step", "End"),
    ("most changed", "Most changed", "The step that changed most against the one before", "M"),
)

Choice = tuple[str, str, bool]  # key, title, whether it is on


class TransportBar(QWidget):
    """Setters and signals."""

    commanded = Signal(str)
    next_asked = Signal(bool)  # whether to begin again after the last step
    speed_picked = Signal(float)  # steps a second
    rows_asked = Signal(bool)
    lane_toggled = Signal(str, bool)
    reference_picked = Signal(int)
    place_picked = Signal(int)
    overlay_toggled = Signal(str, bool)
    chart_asked = Signal(int)
    body_asked = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.moves = {name: _button(text, tip, key, self._command(name)) for name, text, tip, key in _MOVES}
        self.play = self.moves["play"]
        self.loop, self.rows, self.fold = (
            _toggle("⟳", "Begin again after the last step"),
            _toggle("", ""),
            _toggle("▾", ""),
        )
        self.speed, self.places = QComboBox(), QComboBox()
        self._model = QLabel()
        self.lanes, self.overlays, self.charts = (_menu_button(*texts) for texts in _MENUS)
        self._lane_choices: tuple[Choice, ...] = ()
        self._several = False
        self._references: tuple[tuple[str, ...], int] = ((), -1)
        self.timer = QTimer(self)
        self._time: tuple[QWidget, ...] = (*self.moves.values(), self.loop, self.speed)
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        self.play.setCheckable(True)
        self.play.setMinimumWidth(74)
        self.loop.setChecked(True)
        self.speed.addItems([f"{speed:g} / s" for speed in SPEEDS])
        self.speed.setCurrentIndex(2)
        self.rows.setToolTip("Show further rows.")
        self.fold.setChecked(True)
        for box, name, tip in (
            (self.speed, "Speed", "Steps a second"),
            (self.places, "What the place ruler shows", "What the cells along the slices show"),
        ):
            box.setAccessibleName(name)
            box.setToolTip(tip)
        self.places.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.places.setMinimumContentsLength(14)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(4)
        for widget in (self.fold, *self._time):
            layout.addWidget(widget)
        self._model.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        layout.addWidget(self._model, 1)
        for widget in (self.rows, self.lanes, self.places, self.overlays, self.charts):
            layout.addWidget(widget)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def _connect(self) -> None:
        self.speed.currentIndexChanged.connect(lambda index: self.timer.setInterval(round(1000 / SPEEDS[index])))
        self.speed.activated.connect(lambda index: self.speed_picked.emit(SPEEDS[index]))
        self.timer.setInterval(round(1000 / SPEEDS[self.speed.currentIndex()]))
        self.timer.timeout.connect(lambda: self.next_asked.emit(self.loop.isChecked()))
        self.play.toggled.connect(self._play)
        self.rows.toggled.connect(self.rows_asked)
        self.fold.toggled.connect(self._fold)
        self.places.activated.connect(self.place_picked)
        self._fold(True)

    def set_speed(self, steps_per_second: float) -> None:
        """Choose the speed nearest to a number of steps a second."""
        nearest = min(range(len(SPEEDS)), key=lambda index: abs(SPEEDS[index] - steps_per_second))
        with QSignalBlocker(self.speed):
            self.speed.setCurrentIndex(nearest)
        self.timer.setInterval(round(1000 / SPEEDS[nearest]))

    def set_stations(self, count: int) -> None:
        """Show what goes along the steps where there are several."""
        for widget in (*self._time, self.lanes):
            widget.setVisible(count > 1)
        if count < 2:
            self.set_playing(False)
        self._several = count > 1

    def set_model(self, made_by: str) -> None:
        """Say which model made the result, where the film strip, which says it too, is not shown."""
        self._model.setText("" if self._several else made_by)
        self._model.setToolTip(made_by)

    def set_rows(self, names: Sequence[str]) -> None:
        """Offer to show further rows where there are some."""
        more = len(names) - 1
        self.rows.setText(f"{more} more row{'s' if more > 1 else ''}")
        self.rows.setToolTip(f"Show a row for each of: {', '.join(names[1:])}")
        self.rows.setAccessibleName("Show further rows")
        self.rows.setVisible(more > 0)

    def set_playing(self, playing: bool) -> None:
        """Play or stop."""
        self.play.setChecked(playing)

    def set_lanes(self, choices: Sequence[Choice]) -> None:
        """Offer these lanes."""
        self._lane_choices = tuple(choices)
        self._fill_lanes()

    def set_references(self, names: Sequence[str], chosen: int) -> None:
        """Offer labels layers to compare with."""
        self._references = tuple(names), chosen
        self._fill_lanes()

    def set_places(self, titles: Sequence[str], chosen: int) -> None:
        """Offer what the place ruler can show."""
        with QSignalBlocker(self.places):
            if [self.places.itemText(k) for k in range(self.places.count())] != list(titles):
                self.places.clear()
                self.places.addItems(list(titles))
            self.places.setCurrentIndex(chosen)
        self.places.setVisible(bool(titles))

    def set_overlays(self, choices: Sequence[Choice]) -> None:
        """Offer these layers."""
        _fill(_menu(self.overlays), choices, self.overlay_toggled.emit)
        self.overlays.setVisible(bool(choices))

    def set_charts(self, titles: Sequence[str]) -> None:
        """Offer these charts."""
        menu = _menu(self.charts)
        menu.clear()
        for index, title in enumerate(titles):
            action = QAction(title, menu)
            action.triggered.connect(lambda checked=False, k=index: self.chart_asked.emit(k))
            menu.addAction(action)
        self.charts.setVisible(bool(titles))

    def _fill_lanes(self) -> None:
        menu = _menu(self.lanes)
        _fill(menu, self._lane_choices, self.lane_toggled.emit)
        names, chosen = self._references
        if not names:
            return
        menu.addSeparator()
        for index, name in enumerate(names):
            action = _check(f"Dice with {name}", menu, index == chosen)
            action.toggled.connect(lambda on, k=index: self.reference_picked.emit(k if on else -1))
            menu.addAction(action)

    def _command(self, name: str) -> Callable[[], None]:
        return lambda: self.commanded.emit(name) if name != "play" else None

    def _play(self, playing: bool) -> None:
        self.play.setText("❚❚ Pause" if playing else "▶ Play")
        if playing:
            self.timer.start()
        else:
            self.timer.stop()

    def _fold(self, shown: bool) -> None:
        self.fold.setText("▾" if shown else "▸")
        text = "Hide the rulers" if shown else "Show the rulers"
        self.fold.setToolTip(text)
        self.fold.setAccessibleName(text)
        self.body_asked.emit(shown)


_MENUS = (
    ("Lanes", "Choose the lanes under the film strip"),
    ("Layers", "Show decisions, windows or the map of settled voxels as a layer"),
    ("Network", "Charts of the network itself"),
)


def _button(text: str, tip: str, key: str, on_click: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(f"{tip} ({key} in this dock)")
    button.setAccessibleName(tip)
    button.setFixedHeight(24)
    if len(text) < 3:
        button.setFixedWidth(30)
    button.clicked.connect(lambda checked=False: on_click())
    return button


def _toggle(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setCheckable(True)
    button.setMinimumSize(QSize(26, 24))
    return button


def _menu_button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(f"{text} ▾")
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setMinimumHeight(24)
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
    button.setMenu(QMenu(button))
    return button


def _menu(button: QToolButton) -> QMenu:
    menu = button.menu()
    assert menu is not None, "the button has a menu"
    return menu


def _fill(menu: QMenu, choices: Sequence[Choice], on_toggle: Callable[[str, bool], None]) -> None:
    menu.clear()
    for key, title, shown in choices:
        action = _check(title, menu, shown)
        action.toggled.connect(lambda on, k=key: on_toggle(k, on))
        menu.addAction(action)


def _check(title: str, menu: QMenu, checked: bool) -> QAction:
    action = QAction(title, menu)
    action.setCheckable(True)
    action.setChecked(checked)
    return action
