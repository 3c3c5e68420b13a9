"""Fixtures for the tests of the window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from made import bundle_folder
from made_layers import ImmediateRunner, Recorded, made_trace, made_volume
from voxtrace.plugin.work import recovery
from voxtrace.trace import Trace
from voxtrace.volume import Volume


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test settings of its own, with the defaults in them."""
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "settings" / "napari.yaml"))
    napari_settings = sys.modules.get("napari.settings")
    if hasattr(napari_settings, "_PLUGIN_SETTINGS"):  # since 0.9
        monkeypatch.setattr(napari_settings, "_CFG_PATH", str(tmp_path / "settings" / "napari.yaml"))
        monkeypatch.setattr(napari_settings, "_PLUGIN_SETTINGS", {})


@pytest.fixture(autouse=True)
def unsaved_edits(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Edits that were not saved go into a folder of the test, not into the user's cache."""
    folder = tmp_path_factory.mktemp("unsaved")
    monkeypatch.setattr(recovery, "root", lambda: folder)
    return folder


@pytest.fixture
def trace() -> Trace:
    return made_trace()


@pytest.fixture
def volume() -> Volume:
    return made_volume()


@pytest.fixture
def runner() -> ImmediateRunner:
    return ImmediateRunner()


@pytest.fixture
def view() -> Recorded:
    return Recorded()


@pytest.fixture
def model() -> Any:
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundle_folder(tmp_path / "tiny")
