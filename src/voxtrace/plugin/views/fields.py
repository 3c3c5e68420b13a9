"""One widget for each declared option, chosen by its type and range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QWidget

from voxtrace.declaration import OptionInfo

MAX_INT = 2**31 - 1  # of Qt's integers
MAX_FLOAT = 1e9
DECIMALS = 12
_MARGIN_PX = 72  # both buttons of a spin box in napari's style, and space beside the text
_UNSET = "not set"  # where the declaration does not say what an unset value stands for


@dataclass(frozen=True)
class Field:
    """A widget for one option: how to read and to fill it, and the signal of a change."""

    widget: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], None]
    changed: Any


def field_for(info: OptionInfo, value: Any) -> Field:
    """Return the widget for an option's type and range, filled in; None in an optional one shows what it stands for."""
    if info.choices:
        made = _choice({**_unset_entry(info), **{choice: choice for choice in info.choices}})
    elif info.kind is bool:
        made = _choice({**_unset_entry(info), "yes": True, "no": False}) if info.optional else _check(info.title)
    elif info.kind is int:
        made = _whole(info)
    elif info.kind is float:
        made = _number(info)
    else:
        made = _suggested(info) if info.suggestions else _text(info)
    made.write(value)
    return made


def _unset_entry(info: OptionInfo) -> dict[str, Any]:
    return {info.unset or _UNSET: None} if info.optional else {}


def _choice(entries: dict[str, Any]) -> Field:
    box = QComboBox()
    box.addItems(list(entries))
    values = list(entries.values())
    return Field(
        box,
        lambda: values[box.currentIndex()],
        lambda value: box.setCurrentIndex(values.index(value)),
        box.currentIndexChanged,
    )


def _check(title: str) -> Field:
    box = QCheckBox(title)
    return Field(box, box.isChecked, lambda checked: box.setChecked(bool(checked)), box.toggled)


def _whole(info: OptionInfo) -> Field:
    box = QSpinBox()
    low = -MAX_INT + 1 if info.low is None else max(-MAX_INT + 1, math.ceil(info.low))
    high = MAX_INT if info.high is None else min(MAX_INT, int(info.high))
    unset = low - 1  # one below the range stands for None
    box.setRange(unset if info.optional else low, high)
    box.setGroupSeparatorShown(True)
    if info.optional:
        box.setSpecialValueText(info.unset or _UNSET)
        _make_room(box)
    return Field(
        box,
        lambda: None if info.optional and box.value() == unset else box.value(),
        lambda number: box.setValue(unset if number is None else int(number)),
        box.valueChanged,
    )


def _number(info: OptionInfo) -> Field:
    box = NumberBox(info.low, info.high, (info.unset or _UNSET) if info.optional else "")
    return Field(box, lambda: box.number, box.set_number, box.valueChanged)


def _text(info: OptionInfo) -> Field:
    line = QLineEdit()
    line.setPlaceholderText(info.unset)
    return Field(
        line,
        lambda: None if info.optional and not line.text() else line.text(),
        lambda text: line.setText("" if text is None else str(text)),
        line.textChanged,
    )


def _suggested(info: OptionInfo) -> Field:
    box = QComboBox()
    box.setEditable(True)
    box.addItems(list(info.suggestions))
    line = box.lineEdit()
    assert line is not None
    line.setPlaceholderText(info.unset)
    return Field(
        box,
        lambda: None if info.optional and not box.currentText() else box.currentText(),
        lambda text: box.setCurrentText("" if text is None else str(text)),
        box.currentTextChanged,
    )


def _make_room(box: QAbstractSpinBox) -> None:
    """Keep a box wide enough for its special text."""
    text_px = box.fontMetrics().horizontalAdvance(box.specialValueText())
    box.setStyleSheet(f"min-width: {text_px + _MARGIN_PX}px;")  # napari's style sheet overrides setMinimumWidth


class NumberBox(QDoubleSpinBox):
    """A number shown with as few digits as possible, e.g. 0.0001 or 3e-05, and typed in either way.

    With ``unset``, the text for None, the box can be empty: below the lowest number, or with its text cleared.
    """

    def __init__(self, low: float | None = None, high: float | None = None, unset: str = "") -> None:
        super().__init__()
        self._low, self._unset = -MAX_FLOAT if low is None else low, unset
        self.setDecimals(DECIMALS)
        self.setRange(self._low - 1 if unset else self._low, MAX_FLOAT if high is None else high)
        self.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        if low is not None and high is not None and unset:
            self.setStepType(QDoubleSpinBox.StepType.DefaultStepType)
            self.setSingleStep(float(f"{(high - low) / 20:.1g}"))
        self.setSpecialValueText(unset)
        if unset:
            _make_room(self)

    @property
    def number(self) -> float | None:
        """The number, or None where the box is empty."""
        return None if self._unset and self.value() < self._low else self.value()

    def set_number(self, number: float | None) -> None:
        """Fill in a number; None empties the box."""
        self.setValue(self.minimum() if number is None else float(number))

    def stepBy(self, steps: int) -> None:
        """Step within the range, and from its lower end to the empty box and back."""
        if self.number is None:
            self.setValue(self._low)
        elif self._unset and steps < 0 and self.value() <= self._low:
            self.set_number(None)
        else:
            super().stepBy(steps)
            self.setValue(max(self._low, self.value()))

    def textFromValue(self, value: float) -> str:
        """Return the number with few digits."""
        return f"{value:.10g}"

    def valueFromText(self, text: str | None) -> float:
        """Return the number that was typed; the minimum, which stands for None, where the box is empty."""
        typed = (text or "").strip()
        if self._unset and typed in ("", self._unset):
            return self.minimum()
        return float((typed or "0").replace(",", "."))

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept a number within the range; text that may become a number can be typed on."""
        typed = text or ""
        try:
            number = self.valueFromText(typed)
            inside = self._low <= number <= self.maximum() or (bool(self._unset) and number == self.minimum())
        except ValueError:
            possible = all(letter in "0123456789.,+-eE" for letter in typed)
            return (QValidator.State.Intermediate if possible else QValidator.State.Invalid), typed, position
        return (QValidator.State.Acceptable if inside else QValidator.State.Intermediate), typed, position


class WheelFilter(QObject):
    """Ignores the mouse wheel over a field without focus, so that it scrolls the panel and changes no value."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Filter wheel events of fields without focus."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if isinstance(watched, QWidget) and watched.hasFocus():
            return False
        event.ignore()
        return True
