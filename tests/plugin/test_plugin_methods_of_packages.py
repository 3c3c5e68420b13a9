"""A method of another package that cannot be used is told in the window, and the others are offered."""

from __future__ import annotations

import pytest

from voxtrace.methods import METHODS
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.npe2.viewer_state import _offer_methods


def test_what_is_left_out_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", told.append)
    registry = MethodRegistry()
    _offer_methods(registry, (METHODS, {"edge": "the method 'edge' of edges 1.0 cannot be used."}))
    assert registry.classes == METHODS
    assert told == ["the method 'edge' of edges 1.0 cannot be used."]
