"""Docks of the window: a panel that opens beside another becomes a tab of it, so that neither is squeezed."""

from __future__ import annotations

from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that holds a widget."""
    place: QWidget | None = widget
    while place is not None and not isinstance(place, QDockWidget):
        place = place.parentWidget()
    return place


def join_tabs(panel: QWidget, kind: type[QWidget]) -> bool:
    """Make a panel's dock a tab of another docked panel of a kind in the same area; tell whether there was one."""
    dock = dock_of(panel)
    window = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return False
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        if other is dock or other.isFloating() or window.dockWidgetArea(other) != area or not other.findChildren(kind):
            continue
        if dock not in window.tabifiedDockWidgets(other):
            if other.isHidden() and not window.tabifiedDockWidgets(other):
                continue  # it was closed
            window.tabifyDockWidget(other, dock)
        dock.show()
        dock.raise_()
        return True
    return False
