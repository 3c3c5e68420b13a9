"""A new user's first minute: samples, and a hint that is dismissed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from voxtrace import bundle
from voxtrace.plugin.controllers.compat import camera
from voxtrace.plugin.models.settings import JsonSettingsStore, ViewerSettings
from voxtrace.plugin.npe2 import samples
from voxtrace.samples import SAMPLES
from voxtrace.volume import Case

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTED = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))["contributions"]


def test_every_bundle_that_was_trained_on_a_phantom_has_a_sample() -> None:
    named = {c["python_name"].split(":")[1] for c in CONTRIBUTED["commands"] if ".samples:" in c["python_name"]}
    taught = {name.replace("-", "_") for name, folder in bundle.shipped().items() if samples.phantom_of(folder)}
    assert taught
    assert named == taught | {"abdomen_ct", "brain_tumour_mr"} | {scan.name for scan in SAMPLES}
    offered = {entry["command"] for entry in CONTRIBUTED["sample_data"]}
    assert offered == {c["id"] for c in CONTRIBUTED["commands"] if ".samples:" in c["python_name"]}


def test_a_sample_is_a_scan_that_its_bundle_was_not_trained_on() -> None:
    for folder in bundle.shipped().values():
        if samples.phantom_of(folder):
            first, last = bundle.card(folder)["provenance"]["dataset"].split("seeds ")[1].split(" to ")
            assert not int(first) <= samples.UNSEEN <= int(last)


def test_the_real_scans_are_offered_first() -> None:
    offered = [entry["command"].removeprefix("voxtrace.") for entry in CONTRIBUTED["sample_data"]]
    assert offered[: len(SAMPLES)] == [scan.name for scan in SAMPLES]


def test_a_real_sample_opens_its_scan_and_chooses_its_bundle(make_napari_viewer: Any, qtbot: Any) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer, scan = make_napari_viewer(), SAMPLES[0]
    for data, about, kind in getattr(samples, scan.name)():
        getattr(viewer, f"add_{kind}")(data, **about)
    state = viewer_state_of(viewer)
    qtbot.waitUntil(lambda: state.opened("segment") is not None)
    assert [layer.name for layer in viewer.layers] == [scan.name]
    qtbot.waitUntil(lambda: state.opened("segment").controller._bundle is not None, timeout=20_000)
    assert state.opened("segment").controller._bundle.path == bundle.find(scan.bundle)


def fits_canvas(viewer: Any, height_mm: float) -> bool:
    return float(camera(viewer).zoom) * height_mm <= viewer.window._qt_window._qt_viewer.canvas.native.height()


def test_the_window_of_the_demo_shows_the_first_step_of_the_fullest_slice(
    make_napari_viewer: Any, qtbot: Any, tmp_path: Path, volume: Any, trace: Any
) -> None:
    import voxtrace
    from voxtrace.film.planes import chosen_slice
    from voxtrace.plugin.npe2 import demo_window
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    voxtrace.write(volume, tmp_path / "scan.nii.gz")
    trace.save(tmp_path / "scan.trace")
    viewer, used = make_napari_viewer(show=True), bundle.find("hippocampus-recyclenet")
    demo_window.show(viewer, tmp_path / "scan.nii.gz", tmp_path / "scan.trace", used)
    state = viewer_state_of(viewer)
    assert state.opened("rulers") is not None
    assert state.current.step == 0
    assert state.current.z == chosen_slice(trace, 0, None)
    _, rows, _ = volume.geometry.shape
    height_mm = rows * volume.geometry.spacing_mm[1]
    qtbot.waitUntil(lambda: fits_canvas(viewer, height_mm), timeout=5000)  # once the rulers have taken their room


def test_what_is_no_bundle_is_no_sample() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        _ = samples.no_such


def test_a_sample_opens_its_scan_and_chooses_its_bundle(
    make_napari_viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, volume: Any
) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of
    from voxtrace.volume import LabelMap

    name, folder = next((n, f) for n, f in bundle.shipped().items() if samples.phantom_of(f))
    small = Case("small", volume, LabelMap(volume.data[0] > 0, volume.geometry))
    monkeypatch.setattr(samples, "_make", lambda phantom: small)
    viewer = make_napari_viewer()
    for data, about, kind in getattr(samples, name.replace("-", "_"))():
        getattr(viewer, f"add_{kind}")(data, **about)
    state = viewer_state_of(viewer)
    docks = viewer.window.dock_widgets
    qtbot.waitUntil(lambda: any("Segment" in title for title in docks))
    assert state.open_dock("segment").controller._bundle.path == folder


def test_the_hint_goes_for_good_and_comes_back_from_the_preferences(tmp_path: Path, qtbot: Any) -> None:
    from napari.components import ViewerModel

    from voxtrace.plugin.controllers.current import CurrentResult
    from voxtrace.plugin.npe2.first_steps import FirstSteps

    viewer = ViewerModel()
    current = CurrentResult(viewer)
    settings = ViewerSettings(JsonSettingsStore(tmp_path / "window.json"))
    hint = FirstSteps(settings, viewer, current)
    qtbot.addWidget(hint)
    assert len(hint.lines) == 3
    assert not hint.isHidden()
    hint.close_button.click()
    assert hint.isHidden()
    again = ViewerSettings(JsonSettingsStore(tmp_path / "window.json"))
    other = FirstSteps(again, viewer, current)
    qtbot.addWidget(other)
    assert other.isHidden()
    again.update(show_first_steps=True)
    assert not other.isHidden()


def test_the_hint_ticks_what_is_done(tmp_path: Path, qtbot: Any, volume: Any, trace: Any) -> None:
    from napari.components import ViewerModel

    from voxtrace.plugin.controllers.current import CurrentResult
    from voxtrace.plugin.layers import display
    from voxtrace.plugin.npe2.first_steps import FirstSteps

    viewer = ViewerModel()
    hint = FirstSteps(ViewerSettings(JsonSettingsStore(tmp_path / "window.json")), viewer, CurrentResult(viewer))
    qtbot.addWidget(hint)

    def ticked() -> list[bool]:
        return [line.text().startswith("✓") for line in hint.lines]

    assert ticked() == [False, False, False]
    data, about, _ = display.image_layers(volume)[0]
    viewer.add_image(data, **about)
    assert ticked() == [True, False, False]
    data, about, _ = display.trace_layer(trace, "result")
    viewer.add_labels(data, **about)
    assert ticked() == [True, True, False]
    viewer.layers.clear()
    assert ticked() == [False, False, False]
