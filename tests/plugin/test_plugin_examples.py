"""The examples in the window's docstrings."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["bundles", "formats", "panel_state", "passports"])
def test_examples_are_true(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(f"voxtrace.plugin.models.{name}"))
    assert attempted > 0
    assert failed == 0
