"""Every method, from the window: trained from scratch, then run on an open scan with its new bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_plugin_training import made_dataset

from made_layers import made_volume
from voxtrace.bundle import load
from voxtrace.methods import METHODS
from voxtrace.plan import Plan
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.train import TrainWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.training import setup

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("key", METHODS)
def test_it_trains_and_predicts_in_the_window(
    key: str, make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Plan.example(labels=3, window=(16, 16, 16), base_width=4).model_copy(update={"iterations": 4})
    monkeypatch.setattr(setup, "plan_dataset", lambda dataset, found, **_: small)
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([])
    segment, train = SegmentWidget(viewer), TrainWidget(viewer)
    for widget in (segment, train):
        viewer.window.add_dock_widget(widget, name=type(widget).__name__)
    qtbot.waitUntil(lambda: train.view.start.count() >= len(METHODS), timeout=60_000)
    index = train.view.start.findText(f"{METHODS[key].title}, from scratch")
    train.view.start.setCurrentIndex(index)
    train.view.start.activated.emit(index)
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "new"))
    qtbot.waitUntil(train.view.state.start.isEnabled, timeout=60_000)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=240_000)
    assert train.view.state.message.text() == "Done. new is now in the picker of the Segment panel."
    for data, about, _ in display.image_layers(made_volume(modality="MR", channels=("image",))):
        viewer.add_image(data, **about)
    segment.view.state.start.click()
    qtbot.waitUntil(lambda: segment.view.state.message.text().startswith("Done in"), timeout=240_000)
    steps = viewer.layers[-1].data
    assert steps.shape[0] == load(tmp_path / "new").method.steps
    assert np.asarray(steps).ndim == 4
