"""Every method, from the window, on real scans: trained on a few of them, then run on one that is open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from real_cases import SEQUENCES, few_cases, glioma_dataset
from real_window import RealWindow
from voxtrace.bundle import load
from voxtrace.io import read
from voxtrace.methods import METHODS
from voxtrace.phantoms import brain_tumour_mr
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.viewer_state import viewer_state_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SHORT = 4  # iterations
TUMOUR = "tumour-phantom-meddanet"


@pytest.fixture
def window(make_napari_viewer_proxy: Any, qtbot: Any) -> RealWindow:
    return RealWindow.open(make_napari_viewer_proxy(show=True), qtbot)


@pytest.fixture
def window_without_bundles(make_napari_viewer_proxy: Any, qtbot: Any) -> RealWindow:
    viewer = make_napari_viewer_proxy(show=True)
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([])
    return RealWindow.open(viewer, qtbot)


@pytest.mark.parametrize("key", METHODS)
def test_it_trains_and_predicts_on_a_real_hippocampus(
    key: str, window_without_bundles: RealWindow, real_data: Path, tmp_path: Path
) -> None:
    window = window_without_bundles
    dataset = real_data / "Dataset004_Hippocampus"
    scan = sorted((dataset / "imagesTr").glob("*_0000.nii.gz"))[0]
    window.learn(f"{METHODS[key].title}, from scratch", few_cases(dataset, tmp_path / "few"), tmp_path / "new", SHORT)
    window.picture(f"train-{key}")
    window.open_files([scan])
    layer = window.run()
    window.picture(f"hippocampus-{key}", layer)
    method = load(tmp_path / "new").method
    assert layer.data.shape == (method.steps, *read(scan).geometry.shape)
    assert window.segment.steps_view.title.text().startswith(method.step_word.capitalize())
    measured = [name for name, unit in method.facts.items() if unit != "index"]  # means of the others say nothing
    assert len(window.segment.steps_view.facts.texts) >= len(measured)


@pytest.mark.parametrize("bundle", ["hippocampus-unet", "hippocampus-recyclenet"])
def test_a_shipped_bundle_finds_both_parts_of_a_real_hippocampus(
    bundle: str, window: RealWindow, real_data: Path
) -> None:
    scan = real_data / "Dataset004_Hippocampus" / "imagesTr" / "hippocampus_033_0000.nii.gz"
    window.open_files([scan])
    window.use(bundle)
    layer = window.run()
    window.picture(f"shipped-{bundle}", layer)
    assert set(np.unique(layer.data[-1])) == {0, 1, 2}


def test_the_tumour_phantom_is_routed_slice_by_slice(window: RealWindow) -> None:
    case = brain_tumour_mr(3001)
    for data, about, _ in display.image_layers(case.volume):
        window.viewer.add_image(data, **about)
    window.use(TUMOUR)
    assert [box.currentText() for _, box in window.segment.view.channels] == _named(window, case.volume.channels)
    layer = window.run()
    window.picture("tumour-phantom", layer)
    assert layer.data.shape == (1, *case.volume.geometry.shape)
    assert set(np.unique(layer.data)) == {0, 1, 2, 3}
    facts = dict(window.segment.steps_view.facts.texts)
    assert float(facts["Cost"].split()[0]) > 0


def test_a_real_glioma_of_four_sequences_is_segmented(window: RealWindow, real_data: Path) -> None:
    """The bundle knows made-up tumours only, so where labels lie is tested, not what they are."""
    folder = real_data / "mr_brain_tumour" / "BraTS-GLI-00001-000"
    for name in SEQUENCES:
        window.open_files([folder / f"{name}.nii.gz"])
    window.use(TUMOUR)
    assert [box.currentText().rsplit(" ", 1)[-1] for _, box in window.segment.view.channels] == list(SEQUENCES)
    layer = window.run()
    window.picture("glioma", layer)
    assert layer.data.shape == (1, *read(folder / "flair.nii.gz").geometry.shape)
    assert "Cost" in dict(window.segment.steps_view.facts.texts)


def test_the_tumour_bundle_is_fine_tuned_on_a_real_glioma(window: RealWindow, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "mr_brain_tumour" / "TCGA-FG-6692"
    window.learn(TUMOUR, glioma_dataset(folder, tmp_path / "gliomas"), tmp_path / "glioma", SHORT)
    window.picture("train-glioma")
    for name in SEQUENCES:
        window.open_files([folder / f"{name}.nii.gz"])
    window.use("glioma")
    layer = window.run()
    window.picture("glioma-fine-tuned", layer)
    assert layer.data.shape == (1, *read(folder / "flair.nii.gz").geometry.shape)


def _named(window: RealWindow, channels: tuple[str, ...]) -> list[str]:
    """Return the layers' names in the order of channels."""
    names = [layer.name for layer in window.viewer.layers]
    return [next(name for name in names if name.endswith(channel)) for channel in channels]
