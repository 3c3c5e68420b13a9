"""A form made of a method's options: a field, and the sentence that describes it, for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLineEdit, QSpinBox, QWidget

from voxtrace.plugin.models.panel_state import words
from voxtrace.plugin.views.widgets import note

if TYPE_CHECKING:
    from voxtrace.method import OptionInfo

MAX_INT = 2**31 - 1  # of Qt's whole numbers
DECIMALS = 12


@dataclass(frozen=True)
class Field:
    """A widget for one option: how to read and to fill it, and the signal of a change."""

    widget: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], None]
    changed: Any


class OptionsForm(QWidget):
    """A field for each option, its sentence below it and as tooltip; emits ``edited`` when one changes."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._shown: tuple[Sequence[OptionInfo], Mapping[str, Any]] = ((), {})
        self._wheel_filter = _WheelFilter(self)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(12, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setVerticalSpacing(0)

    @property
    def values(self) -> dict[str, Any]:
        """Name of an option -> what is filled in."""
        return {name: made.read() for name, made in self.fields.items()}

    def set_options(self, options: Sequence[OptionInfo], values: Mapping[str, Any]) -> None:
        """Make the form anew, filled in with values; the same options with the same values leave it as it is."""
        if self._shown == (options, values):
            return
        self._shown = (options, dict(values))
        while self._form.rowCount():
            self._form.removeRow(0)
        self.fields = {}
        for info in options:
            self._append(info, values.get(info.name, info.default))

    def reset(self) -> None:
        """Fill in the values that the form began with."""
        options, values = self._shown
        for info in options:
            self.fields[info.name].write(values.get(info.name, info.default))

    def _append(self, info: OptionInfo, value: Any) -> None:
        made = self.fields[info.name] = field_for(info, value)
        made.widget.setToolTip(info.help)
        made.widget.setAccessibleName(words(info.name))
        made.widget.installEventFilter(self._wheel_filter)
        made.widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel alone gives no focus
        made.changed.connect(lambda *_: self.edited.emit())
        if isinstance(made.widget, QCheckBox):
            self._form.addRow(made.widget)
        else:
            self._form.addRow(words(info.name), made.widget)
        sentence = note()
        sentence.setText(info.help)
        sentence.setContentsMargins(0, 0, 0, 8)  # nearer to its own field than to the next
        self._form.addRow(sentence)


def field_for(info: OptionInfo, value: Any) -> Field:
    """Return the widget that suits an option's type and range, filled in."""
    if info.choices:
        return _choice(info.choices, value)
    if info.kind is bool:
        return _check(words(info.name), value)
    if info.kind is int:
        return _whole(info, value)
    if info.kind is float:
        return _number(info, value)
    line = QLineEdit(str(value))
    return Field(line, line.text, lambda text: line.setText(str(text)), line.textChanged)


def _choice(choices: Sequence[str], value: Any) -> Field:
    box = QComboBox()
    box.addItems(list(choices))
    box.setCurrentText(str(value))
    return Field(box, box.currentText, lambda text: box.setCurrentText(str(text)), box.currentIndexChanged)


def _check(text: str, value: Any) -> Field:
    box = QCheckBox(text)
    box.setChecked(bool(value))
    return Field(box, box.isChecked, lambda checked: box.setChecked(bool(checked)), box.toggled)


def _whole(info: OptionInfo, value: Any) -> Field:
    box = QSpinBox()
    low, high = (
        (-MAX_INT if info.low is None else math.ceil(info.low)),
        (MAX_INT if info.high is None else int(info.high)),
    )
    box.setRange(max(-MAX_INT, low), min(MAX_INT, high))
    box.setGroupSeparatorShown(True)
    box.setValue(int(value))
    return Field(box, box.value, lambda number: box.setValue(int(number)), box.valueChanged)


def _number(info: OptionInfo, value: Any) -> Field:
    box = NumberBox()
    box.setRange(-1e9 if info.low is None else info.low, 1e9 if info.high is None else info.high)
    box.setValue(float(value))
    return Field(box, box.value, lambda number: box.setValue(float(number)), box.valueChanged)


class NumberBox(QDoubleSpinBox):
    """A number shown with as many digits as it needs, e.g. 0.0001 or 3e-05, and typed in either way."""

    def __init__(self) -> None:
        super().__init__()
        self.setDecimals(DECIMALS)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)

    def textFromValue(self, value: float) -> str:
        """Return the number in few digits."""
        return f"{value:.10g}"

    def valueFromText(self, text: str | None) -> float:
        """Return the number that was typed."""
        return float((text or "0").replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept a number within the range; what is no number may still become one."""
        typed = text or ""
        try:
            inside = self.minimum() <= self.valueFromText(typed) <= self.maximum()
        except ValueError:
            possible = all(letter in "0123456789.,+-eE" for letter in typed)
            return (QValidator.State.Intermediate if possible else QValidator.State.Invalid), typed, position
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), typed, position


class _WheelFilter(QObject):
    """Lets the wheel scroll the panel, not the value of the field that happens to be under it."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass over turns of the wheel above a field that has no focus."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if isinstance(watched, QWidget) and watched.hasFocus():
            return False
        event.ignore()
        return True
