"""Settings are remembered, kept apart from damage, and shown in napari's preferences."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from voxtrace.plugin.models.settings import (
    DEFAULTS,
    RANGES,
    SCALARS,
    JsonSettingsStore,
    Preferences,
    ViewerSettings,
    preferences_from,
)
from voxtrace.plugin.npe2 import settings as joined

ROOT = Path(__file__).resolve().parents[2]


def at(path: Path) -> ViewerSettings:
    return ViewerSettings(JsonSettingsStore(path))


def test_values_come_back(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "window.json"
    seen: list[Preferences] = []
    first = at(file)
    first.changed.connect(seen.append)
    first.update(undecided_limit_ml=2.5, include_patient_name=True)
    first.remember_window("CT", 350.0, 40.0)
    first.remember_bundle(tmp_path / "mine")
    again = at(file).values
    assert again == first.values == seen[-1]
    assert (again.undecided_limit_ml, again.include_patient_name) == (2.5, True)
    assert again.windows == {"CT": (350.0, 40.0)}
    assert again.bundle_folders == (str((tmp_path / "mine").resolve()),)


def test_a_bundle_is_on_the_shelf_once_and_can_be_taken_off(tmp_path: Path) -> None:
    settings = at(tmp_path / "window.json")
    for name in ("a", "b", "a"):
        settings.remember_bundle(tmp_path / name)
    assert [Path(f).name for f in settings.values.bundle_folders] == ["b", "a"]
    settings.forget_bundle(tmp_path / "b")
    assert [Path(f).name for f in settings.values.bundle_folders] == ["a"]


@pytest.mark.parametrize("damaged", ["", "{", "[1, 2]", '"text"', "null", "\x00\x01"])
def test_a_damaged_file_reads_as_the_defaults_and_is_replaced(tmp_path: Path, damaged: str) -> None:
    file = tmp_path / "window.json"
    file.write_text(damaged, "utf-8")
    settings = at(file)
    assert settings.values == DEFAULTS
    settings.update(label_outline=True)
    assert json.loads(file.read_text("utf-8"))["label_outline"] is True


def test_wrong_types_and_ranges_are_mended_one_by_one() -> None:
    stored = {
        "undecided_limit_ml": "much",
        "label_opacity": 7,
        "steps_per_second": float("nan"),
        "include_patient_name": "no",
        "label_outline": True,
        "windows": {"CT": [400, 40], "MR": "wide", "PT": [1]},
        "bundle_folders": ["a", 3, "a", "b"],
        "of a later version": 1,
    }
    read = preferences_from(stored)
    assert (read.undecided_limit_ml, read.label_opacity, read.label_outline) == (DEFAULTS.undecided_limit_ml, 1.0, True)
    assert (read.steps_per_second, read.include_patient_name) == (DEFAULTS.steps_per_second, False)
    assert (read.windows, read.bundle_folders) == ({"CT": (400.0, 40.0)}, ("a", "b"))


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="speed"):
        at(tmp_path / "window.json").update(speed=3)


def test_settings_hold_where_they_cannot_be_stored(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = at(tmp_path / "file" / "window.json")
    settings.update(label_outline=True)
    assert settings.values.label_outline


def test_the_manifest_offers_every_number_and_switch_with_its_default() -> None:
    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    offered = manifest["contributions"]["configurations"][joined.GROUP]["properties"]
    assert list(offered) == list(SCALARS)
    assert {name: entry["default"] for name, entry in offered.items()} == {n: getattr(DEFAULTS, n) for n in SCALARS}
    assert {n: (e["minimum"], e["maximum"]) for n, e in offered.items() if e["type"] == "number"} == dict(RANGES)
    assert len(fields(Preferences)) == len(SCALARS) + 2


def test_napari_shows_and_changes_them(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not hasattr(pytest.importorskip("napari.settings"), "get_plugin_settings"):
        pytest.skip("napari keeps settings of plugins since 0.9")
    request.getfixturevalue("plugin_settings")
    pm = request.getfixturevalue("npe2pm")
    from npe2 import PluginManifest

    pm.register(PluginManifest.from_file(ROOT / "napari.yaml"))
    group = joined._napari_group()
    settings = ViewerSettings(joined.NapariSettingsStore(group, JsonSettingsStore(tmp_path / "window.json")))
    assert settings.values == DEFAULTS
    seen: list[Any] = []
    settings.changed.connect(seen.append)
    settings.update(label_opacity=0.25, windows={"CT": (80, 40)})
    assert group.label_opacity == 0.25
    group.include_patient_name = True  # as the preferences dialog does
    assert settings.values.include_patient_name
    assert len(seen) == 2
    assert settings.values.windows == {"CT": (80.0, 40.0)}
    assert "label_opacity: 0.25" in (tmp_path / "voxtrace.yaml").read_text()


def test_settings_are_shared_and_lie_beside_those_of_napari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "napari.yaml"))
    monkeypatch.setattr(joined, "_napari_group", lambda: None)  # of before napari 0.9
    settings = joined.viewer_settings()
    assert settings is joined.viewer_settings()
    settings.update(label_outline=True)
    assert (tmp_path / "voxtrace-window.json").is_file()


def test_new_results_look_as_the_preferences_say(tmp_path: Path, trace: Any, volume: Any) -> None:
    from napari.components import ViewerModel

    from voxtrace.plugin.controllers.result_style import OUTLINE_PX, ResultStyle
    from voxtrace.plugin.layers import display

    settings = at(tmp_path / "window.json")
    viewer = ViewerModel()
    style = ResultStyle(viewer, settings)

    def added(layer: Any) -> Any:
        data, about, kind = layer
        return getattr(viewer, f"add_{kind}")(data, **about)

    first = added(display.trace_layer(trace, "first"))
    assert (first.opacity, first.contour) == (DEFAULTS.label_opacity, 0)
    settings.update(label_opacity=0.25, label_outline=True)
    second = added(display.trace_layer(trace, "second"))
    assert (second.opacity, second.contour) == (0.25, OUTLINE_PX)
    assert (first.opacity, first.contour) == (DEFAULTS.label_opacity, 0)
    assert added(display.image_layers(volume)[0]).opacity == 1.0
    assert style is not None


def test_the_clock_of_the_autosave_and_the_speed_follow_the_preferences(
    make_napari_viewer_proxy: Any, tmp_path: Path
) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer = make_napari_viewer_proxy()
    state = viewer_state_of(viewer)
    clock = state.autosave.timer
    for minutes, interval_ms in ((1.0, 60_000), (5.0, 300_000)):
        state.settings.update(autosave_minutes=minutes)
        state.autosave._on_changed(None)
        assert (clock.isActive(), clock.interval()) == (True, interval_ms)
        clock.stop()
    state.settings.update(autosave_minutes=0.0, steps_per_second=4.0)
    state.autosave._on_changed(None)
    assert not clock.isActive()
    bar = state.open_dock("rulers").view.bar
    assert bar.timer.interval() == 250
    bar.speed.activated.emit(0)
    assert state.settings.values.steps_per_second == 0.5
