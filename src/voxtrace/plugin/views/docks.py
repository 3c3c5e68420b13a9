"""Docks of the window: panels on the right are tabs of one another; the planes stand between them and the canvas."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
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


def tab_with(panel: QWidget, others: Sequence[QWidget]) -> bool:
    """Make a panel's dock a tab of the first of other panels that is docked and open; tell whether there was one."""
    dock, window = _docked(panel)
    for other in others:
        beside, _ = _docked(other)
        if dock is not None and window is not None and beside is not None and not beside.isHidden():
            window.tabifyDockWidget(beside, dock)
            dock.show()
            dock.raise_()
            return True
    return False


def stand_left_of(panel: QWidget, others: Sequence[QWidget]) -> None:
    """Place a panel's dock to the left of other panels, which stay tabs of one another."""
    dock, window = _docked(panel)
    found = [beside for beside, _ in map(_docked, others) if beside is not None]
    if dock is None or window is None or not found:
        return
    front = next((one for one in found if not one.visibleRegion().isEmpty()), found[0])
    area = Qt.DockWidgetArea.RightDockWidgetArea
    for one in found:  # Qt leaves the tab bar behind where docks are split while they are tabs
        window.removeDockWidget(one)
    for one in found:
        window.addDockWidget(area, one, Qt.Orientation.Horizontal)
        if one is not found[0]:
            window.tabifyDockWidget(found[0], one)
        one.show()
    front.raise_()


def _docked(panel: QWidget) -> tuple[QDockWidget | None, QMainWindow | None]:
    """Return the dock of a panel and its window, where it is docked on the right."""
    dock = dock_of(panel)
    window = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return None, None
    return (dock, window) if window.dockWidgetArea(dock) == Qt.DockWidgetArea.RightDockWidgetArea else (None, None)
