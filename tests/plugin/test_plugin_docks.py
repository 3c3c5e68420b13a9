"""Docks, menus and commands of the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import made
from voxtrace.plugin.npe2 import commands
from voxtrace.plugin.npe2.viewer_state import DOCKS, viewer_state_of

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTED = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))["contributions"]


def test_a_dock_has_one_name_whoever_opens_it() -> None:
    titles = {dock.title for dock in DOCKS.values()}
    assert {widget["display_name"] for widget in CONTRIBUTED["widgets"]} == titles


def test_every_menu_entry_is_a_command_and_titles_say_what_it_does() -> None:
    ids = {command["id"]: command["title"] for command in CONTRIBUTED["commands"]}
    assert {entry["command"] for menu in CONTRIBUTED["menus"].values() for entry in menu} <= set(ids)
    assert all("(VoxTrace)" not in title for title in ids.values()), "napari adds the name of the plugin"
    assert len(set(ids.values())) == len(ids)


def test_a_second_panel_opens_as_a_tab(make_napari_viewer: Any, qtbot: Any) -> None:
    from qtpy.QtWidgets import QLabel

    from voxtrace.plugin.views.docks import dock_of
    from voxtrace.plugin.views.widgets import Panel

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    panels = [Panel(QLabel(name)) for name in ("one", "two", "three")]
    for panel, name in zip(panels, ("one", "two", "three"), strict=True):
        viewer.window.add_dock_widget(panel, name=name, area="right")  # as napari's menu does: beside, not as a tab
        qtbot.waitUntil(panel.isVisible)
        qtbot.wait(50)
    window = viewer.window._qt_window
    docks = [dock_of(panel) for panel in panels]
    assert set(window.tabifiedDockWidgets(docks[0])) == set(docks[1:])
    qtbot.waitUntil(lambda: not panels[2].visibleRegion().isEmpty())
    assert [panel.visibleRegion().isEmpty() for panel in panels] == [True, True, False]
    assert panels[2].height() > 400


def test_the_window_fits_1280_by_800_with_every_panel(make_napari_viewer: Any, qtbot: Any, bundle: Path) -> None:
    from voxtrace.plugin.models.bundles import BundleRegistry

    viewer = make_napari_viewer(show=True)
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    viewer.window.resize(1280, 800)
    for name in ("segment", "train", "batch"):
        viewer_state_of(viewer).open_dock(name)
    qtbot.wait(100)
    size = viewer.window._qt_window.size()
    assert (size.width(), size.height()) == (1280, 800)
    assert viewer.window._qt_window.centralWidget().width() > 500


def test_a_dock_that_is_open_comes_to_the_front(make_napari_viewer_proxy: Any, bundle: Path) -> None:
    from voxtrace.plugin.models.bundles import BundleRegistry

    viewer = make_napari_viewer_proxy()
    state = viewer_state_of(viewer)
    state._bundle_registry = BundleRegistry([bundle])
    assert state.open_dock("batch") is state.open_dock("batch")


@pytest.mark.parametrize("name", ["segment", "think", "what_if", "batch", "train"])
def test_a_dock_that_runs_or_trains_networks_waits_for_its_turn(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, name: str
) -> None:
    from voxtrace.plugin.models.bundles import BundleRegistry
    from voxtrace.plugin.models.messages import WAITING
    from voxtrace.plugin.work.events import Cancel, Done, Event, Progressed

    viewer = make_napari_viewer_proxy()
    state = viewer_state_of(viewer)
    state._bundle_registry = BundleRegistry([bundle])
    runner, heard = state.open_dock(name).runner, list[Event]()

    def job(cancel: Cancel) -> Iterator[None]:
        yield from ()

    with state.engine_turn:  # another dock computes
        runner.start(job, heard.append)
        qtbot.waitUntil(lambda: bool(heard), timeout=20_000)
        assert [one.progress for one in heard if isinstance(one, Progressed)] == [WAITING]
        assert len(heard) == 1
    qtbot.waitUntil(lambda: not runner.busy, timeout=20_000)
    assert isinstance(heard[-1], Done)


def test_a_scan_opens_whatever_its_name(
    make_napari_viewer_proxy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer_proxy()
    opened: list[str] = []
    monkeypatch.setattr(type(viewer_state_of(viewer)), "open_dock", lambda _self, name: opened.append(name))
    scan = made.scan(tmp_path / "scan.nii.gz")
    monkeypatch.setattr(commands, "ask_for_scan", lambda *_: scan)
    commands.ask_and_open(viewer)
    assert [layer.name for layer in viewer.layers] == ["scan"]
    monkeypatch.setattr(commands, "ask_for_scan", lambda *_: None)
    commands.ask_and_open(viewer)
    assert opened == ["segment"]
