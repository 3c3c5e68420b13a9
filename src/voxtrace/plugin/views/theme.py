"""Colours of napari's current theme, applied to a panel and again when the theme changes.

A widget names its role with :func:`set_tone`; the panel that holds it calls :func:`follow_theme` once and turns the
roles into colours with one style sheet. What paints itself, such as a plot, gets its colours from :func:`on_theme`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from voxtrace.plugin.models.theme_colours import ThemeColours, hex_colour, theme_colours

Tone = Literal[
    "text",
    "dimmed",
    "heading",
    "accent",
    "good",
    "warning",
    "error",
    "text button",
    "primary",
    "box",
    "good box",
    "warning box",
    "error box",
]
_STYLE = """
*[tone="text"] {{ color: {c.text}; }}
*[tone="dimmed"] {{ color: {c.dimmed}; }}
*[tone="heading"] {{ color: {c.text}; font-weight: bold; font-size: {heading_pt}pt; }}
*[tone="accent"] {{ color: {c.accent}; }}
*[tone="good"] {{ color: {c.good}; }}
*[tone="warning"] {{ color: {c.warning}; }}
*[tone="error"] {{ color: {c.error}; }}
QToolButton[tone] {{ border: none; background: transparent; }}
*[tone="box"], *[tone="good box"], *[tone="warning box"], *[tone="error box"] {{ padding: 5px; border-radius: 4px; }}
*[tone="good box"] {{ background: {c.good_fill}; color: {c.on_fill}; }}
*[tone="warning box"] {{ background: {c.warning_fill}; color: {c.on_fill}; }}
*[tone="error box"] {{ background: {c.error_fill}; color: {c.on_fill}; }}
QLineEdit, QComboBox, QAbstractSpinBox {{ placeholder-text-color: {c.hint}; }}
QLabel:disabled[tone] {{ color: {c.line}; }}
QPushButton[tone="primary"]:enabled {{ background: {c.accent_fill}; color: {c.on_fill}; font-weight: bold; }}
QAbstractButton:focus, QComboBox:focus, QAbstractSpinBox:focus, QLineEdit:focus, QAbstractItemView:focus {{
    border: 1px solid {c.accent};
}}
"""
_HEADING_PT = 2  # larger than other text
_CHANGES = (QEvent.Type.StyleChange, QEvent.Type.PaletteChange, QEvent.Type.ParentChange, QEvent.Type.Show)


def colours(widget: QWidget | None = None) -> ThemeColours:
    """Return the colours of the theme of the widget's viewer; of napari's settings outside a viewer."""
    from napari.utils.theme import get_theme

    theme = get_theme(_theme_id(widget))
    return theme_colours(_hex(theme.background), _hex(theme.text), _hex(theme.primary))


def set_tone(widget: QWidget, tone: Tone) -> None:
    """Give a widget its role: what a panel's style sheet colours it by."""
    if widget.property("tone") == tone:
        return
    widget.setProperty("tone", tone)
    if (style := widget.style()) is not None:  # a style sheet looks at properties only when the widget is polished
        style.unpolish(widget)
        style.polish(widget)
    widget.updateGeometry()  # a box has padding


def follow_theme(panel: QWidget, extra: Callable[[ThemeColours], str] | None = None) -> None:
    """Colour a panel and everything in it by their roles, now and whenever the theme changes.

    ``extra`` returns more style sheet for this panel.
    """

    def restyle(c: ThemeColours) -> None:
        panel.setStyleSheet(_STYLE.format(c=c, heading_pt=_font_pt() + _HEADING_PT) + (extra(c) if extra else ""))

    on_theme(panel, restyle)


def on_theme(widget: QWidget, apply: Callable[[ThemeColours], None]) -> None:
    """Call a function with the colours now, and again whenever the theme or the size of its text changes."""
    _ThemeFollower(widget, apply)


class _ThemeFollower(QObject):
    """Watches a widget's style; it belongs to the widget and is gone with it."""

    def __init__(self, widget: QWidget, apply: Callable[[ThemeColours], None]) -> None:
        super().__init__(widget)
        self._widget, self._apply = widget, apply
        self._applied: tuple[ThemeColours, int] | None = None
        self._update()
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at the theme again after a change of style."""
        if event is not None and event.type() in _CHANGES:
            self._update()
        return False

    def _update(self) -> None:
        now = colours(self._widget), _font_pt()
        if now != self._applied:
            self._applied = now  # first: applying changes the style, which comes back here
            self._apply(now[0])


def _font_pt() -> int:
    from napari.settings import get_settings

    return int(get_settings().appearance.font_size)


def _theme_id(widget: QWidget | None) -> str:
    from napari.settings import get_settings

    place: Any = widget
    while place is not None:
        if (qt_viewer := getattr(place, "_qt_viewer", None)) is not None:
            return str(qt_viewer.viewer.theme)
        place = place.parentWidget()
    return str(get_settings().appearance.theme)


def _hex(colour: Any) -> str:
    return hex_colour(*colour.as_rgb_tuple()[:3])
