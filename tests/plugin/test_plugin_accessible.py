"""All that can be pressed or filled in has a name for screen readers, a tooltip, and a place in the tab order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.viewer_state import DOCKS, viewer_state_of

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")


def fields_of(panel: Any) -> list[Any]:
    """Return the buttons and fields of a panel that are not parts of another one."""
    from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit

    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView)
    inner = (QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView)  # their parts have no names of their own

    def is_part(widget: Any) -> bool:
        place = widget.parentWidget()
        while place is not None and place is not panel:
            if isinstance(place, inner):
                return True
            place = place.parentWidget()
        return False

    return [w for w in panel.findChildren(kinds[0]) if not is_part(w)] + [
        w for kind in kinds[1:] for w in panel.findChildren(kind) if not is_part(w)
    ]


@pytest.mark.parametrize("name", DOCKS)
def test_every_field_has_a_name_and_a_tooltip(name: str, make_napari_viewer_proxy: Any, bundle: Path) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QAbstractButton

    viewer = make_napari_viewer_proxy()
    state = viewer_state_of(viewer)
    state._bundle_registry = BundleRegistry([bundle])
    panel = state.open_dock(name)
    fields = fields_of(panel)
    assert fields
    text = {w: w.text() if isinstance(w, QAbstractButton) else "" for w in fields}
    shown = [w for w in fields if text[w].strip() or not isinstance(w, QAbstractButton) or w.isVisibleTo(panel)]
    unnamed = [f"{type(w).__name__} {text[w]!r}" for w in shown if not (w.accessibleName() or text[w].strip())]
    assert unnamed == []
    untold = [f"{type(w).__name__} {text[w] or w.accessibleName()!r}" for w in fields if not w.toolTip()]
    assert untold == []
    skipped = [
        f"{type(w).__name__} {text[w] or w.accessibleName()!r}"
        for w in fields
        if not w.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert skipped == []


@pytest.mark.parametrize("name", ["train", "batch"])
def test_tab_goes_from_top_to_bottom(name: str, make_napari_viewer: Any, qtbot: Any, bundle: Path) -> None:
    from qtpy.QtCore import QPoint

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    state = viewer_state_of(viewer)
    state._bundle_registry = BundleRegistry([bundle])
    panel = state.open_dock(name)
    qtbot.waitUntil(panel.isVisible)
    fields = [w for w in fields_of(panel) if w.isVisibleTo(panel)]
    order, here = [], panel.nextInFocusChain()
    while here is not panel and len(order) < len(fields):
        order += [here] if here in fields else []
        here = here.nextInFocusChain()
    assert len(order) == len(fields)
    content = panel.widget()
    row_height = panel.fontMetrics().lineSpacing()
    tops = [w.mapTo(content, QPoint(0, 0)).y() for w in order]
    assert all(later >= earlier - row_height for earlier, later in pairwise(tops)), tops
