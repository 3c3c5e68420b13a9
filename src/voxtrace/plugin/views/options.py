"""A form made of declared options: a field, and the sentence that describes it, for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QWidget

from voxtrace.declaration import OptionInfo
from voxtrace.plugin.views.fields import Field, WheelFilter, field_for
from voxtrace.plugin.views.widgets import note


class OptionsForm(QWidget):
    """A field for each option, its sentence below it and as tooltip; emits ``edited`` when one changes.

    An option that does nothing beside the values of the others is greyed, and has the value that the form began with.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._shown: tuple[Sequence[OptionInfo], Mapping[str, Any]] = ((), {})
        self._wheel_filter = WheelFilter(self)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(12, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        self._form.setVerticalSpacing(0)

    @property
    def values(self) -> dict[str, Any]:
        """Name of an option -> its value in the form."""
        read = {name: made.read() for name, made in self.fields.items()}
        return read | {info.name: self._initial(info) for info in self._shown[0] if self._unread(info)}

    @property
    def changed(self) -> int:
        """How many fields differ from the values that the form began with."""
        values = self.values
        return sum(values[info.name] != self._initial(info) for info in self._shown[0])

    def set_options(self, options: Sequence[OptionInfo], values: Mapping[str, Any]) -> None:
        """Make the form anew with these values; the same options with the same values leave it as it is."""
        if self._shown == (options, values):
            return
        self._shown = (options, dict(values))
        while self._form.rowCount():
            self._form.removeRow(0)
        self.fields = {}
        for info in options:
            self._append(info)
        self._edited()

    def reset(self) -> None:
        """Restore the values that the form began with."""
        for info in self._shown[0]:
            self.fields[info.name].write(self._initial(info))

    def _initial(self, info: OptionInfo) -> Any:
        return self._shown[1].get(info.name, info.default)

    def _unread(self, info: OptionInfo) -> str:
        """Return the setting of another option, in the form or fixed, with which one does nothing; empty where read."""
        return info.unread_with({**self._shown[1], **{name: made.read() for name, made in self.fields.items()}})

    def _edited(self) -> None:
        for info in self._shown[0]:
            unread, widget = self._unread(info), self.fields[info.name].widget
            widget.setEnabled(not unread)
            widget.setToolTip(
                f"{info.sentence} Does nothing now: {unread} does not read it." if unread else info.sentence
            )
        self.edited.emit()

    def _append(self, info: OptionInfo) -> None:
        made = self.fields[info.name] = field_for(info, self._initial(info))
        made.widget.setAccessibleName(info.title)
        made.widget.installEventFilter(self._wheel_filter)
        made.widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the wheel alone gives no focus
        made.changed.connect(lambda *_: self._edited())
        if isinstance(made.widget, QCheckBox):
            self._form.addRow(made.widget)
        else:
            self._form.addRow(info.title, made.widget)
        sentence = note()
        sentence.setText(" ".join(filter(None, (info.sentence, info.unread))))
        sentence.setContentsMargins(0, 0, 0, 8)  # nearer to its own field than to the next
        self._form.addRow(sentence)
