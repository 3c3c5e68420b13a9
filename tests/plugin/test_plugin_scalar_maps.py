"""Scalar maps that a method declares: a hidden image layer for each, after a run and when the trace is opened again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from fakes import bundle as fake_bundle
from made_layers import ImmediateRunner, Recorded, made_volume
from made_methods import Mapped
from voxtrace import bundle as bundles
from voxtrace.inference.options import KEEP_EVERY_STEP
from voxtrace.methods import METHODS
from voxtrace.plugin.controllers.canvas import CanvasController
from voxtrace.plugin.controllers.layers import map_source, open_scans
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.scalar_maps import map_layers
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.settings import JsonSettingsStore, ViewerSettings
from voxtrace.plugin.npe2.reader import load
from voxtrace.trace import Trace
from voxtrace.volume import Volume


@pytest.fixture
def scan() -> Volume:
    return made_volume(modality="MR", channels=("image",))


@pytest.fixture
def results() -> list[Any]:
    return []


@pytest.fixture
def controller(
    model: Any,
    scan: Volume,
    view: Recorded,
    runner: ImmediateRunner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    results: list[Any],
) -> SegmentController:
    monkeypatch.setitem(METHODS, "mapped", Mapped)
    folder = bundles.save(fake_bundle(Mapped(n_steps=2), spacing_mm=scan.geometry.spacing_mm), tmp_path / "mapped")
    for data, about, _ in display.image_layers(scan):
        model.add_image(data, **about)
    registry = BundleRegistry([folder])
    made = SegmentController(model, registry, view, runner, lambda layer, result: results.append(result))
    made.pick_bundle(0)
    return made


@pytest.fixture
def trace(controller: SegmentController, results: list[Any], view: Recorded) -> Trace:
    controller.start(KEEP_EVERY_STEP)
    assert view.state.level == "done", view.state.message
    return results[0].steps[1]["metadata"][display.KEY].trace  # type: ignore[no-any-return]


def test_a_declared_map_is_a_hidden_layer_after_a_run(trace: Trace, model: Any, scan: Volume) -> None:
    image, seen, nothing, steps = model.layers
    assert [type(layer) for layer in model.layers] == [Image, Image, Image, Labels]
    assert seen.name == "scan · fake · seen image (HU)"
    assert (seen.visible, steps.visible) == (False, True)
    assert seen.colormap.name == "viridis"
    assert np.asarray(seen.data) == pytest.approx(np.stack([image.data, image.data + 1.0]))
    assert (seen.scale == steps.scale).all()
    assert (seen.translate == steps.translate).all()
    assert seen.axis_labels == steps.axis_labels == ("step", "I", "P", "L")
    assert seen.units == steps.units
    source = map_source(seen)
    assert source is not None
    assert (source.name, source.unit, source.scan) == ("seen_image", "HU", image.unique_id)
    assert tuple(seen.contrast_limits) == pytest.approx((0.0, float(scan.data.max()) + 1))
    assert tuple(nothing.contrast_limits) == (0.0, 1.0)
    assert nothing.name == "scan · fake · nothing"


def test_facts_per_slice_travel_with_the_result(trace: Trace, results: list[Any], scan: Volume) -> None:
    brightest = scan.data[0].max((1, 2))
    assert results[0].slice_facts["brightest"] == pytest.approx(np.stack([brightest, brightest]))
    assert set(results[0].slice_facts) == {"brightest", "changed_voxels"}


def test_the_same_layers_are_there_when_the_trace_is_opened_again(
    trace: Trace, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trace.save(tmp_path / "case.trace")
    monkeypatch.setattr(Trace, "_chunks", lambda *_: pytest.fail("a map was read as a whole to open it"))
    layers = load([folder])
    assert [kind for _, _, kind in layers] == ["image", "image", "labels"]
    data, about, _ = layers[0]
    shown = model.layers["scan · fake · seen image (HU)"]
    assert not isinstance(data, np.ndarray)  # read from disk, plane by plane
    assert np.array_equal(np.asarray(data), shown.data)
    assert about["name"] == "case · fake · seen image (HU)"
    assert about["contrast_limits"] == tuple(shown.contrast_limits)
    assert about["axis_labels"] == shown.axis_labels
    assert not about["visible"]


def test_a_map_has_a_colour_bar(trace: Trace, model: Any, tmp_path: Path) -> None:
    controller = CanvasController(model, ViewerSettings(JsonSettingsStore(tmp_path / "window.json")))
    [(data, about, _), _] = map_layers(trace, "again")
    assert controller is not None
    assert model.add_image(data, **about).colorbar.visible


def test_a_map_is_no_scan_and_is_hidden_by_the_next_run(
    trace: Trace, controller: SegmentController, model: Any
) -> None:
    seen = model.layers["scan · fake · seen image (HU)"]
    assert [layer.name for layer in controller.scans] == ["scan"]
    assert [one.id for one in open_scans(model.layers)] == [model.layers["scan"].unique_id]
    seen.visible = True
    controller.start(KEEP_EVERY_STEP)
    assert not seen.visible


def test_a_trace_with_maps_opens_in_the_window(trace: Trace, tmp_path: Path, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.open(str(trace.save(tmp_path / "case.trace")), plugin="voxtrace")
    names = ["case · fake · seen image (HU)", "case · fake · nothing", "case · fake"]
    assert [layer.name for layer in viewer.layers] == names
    viewer.layers[names[0]].visible = True
    assert viewer.layers.selection.active.name == "case · fake"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Treat every trace as too large for memory, and return where their folders are made."""
    (tmp_path / "stores").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "stores"))
    monkeypatch.setattr(display, "IN_MEMORY_BYTES", 100)
    return tmp_path / "stores"


def test_maps_too_large_for_memory_stay_on_disk_while_their_trace_is_used(
    folders: Path, controller: SegmentController, model: Any, results: list[Any]
) -> None:
    controller.start(KEEP_EVERY_STEP)
    seen = model.layers["scan · fake · seen image (HU)"]
    assert not isinstance(seen.data, np.ndarray)
    assert len(list(folders.iterdir())) == 1
    assert np.asarray(seen.data).max() == pytest.approx(120)


def test_a_cancelled_run_leaves_no_folder(
    folders: Path, controller: SegmentController, runner: ImmediateRunner, view: Recorded
) -> None:
    runner.held = True
    controller.start(KEEP_EVERY_STEP)
    controller.cancel()
    runner.let_go()
    assert view.state.message.startswith("Stopped")
    assert list(folders.iterdir()) == []
