"""Fine-tuning to a third label through the window's controller: what is told, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from made import bundle_folder, scan
from made_layers import ImmediateRunner, Recorded
from voxtrace import io
from voxtrace.bundle import Bundle, card, save
from voxtrace.errors import DatasetError
from voxtrace.methods.recyclenet import FIRST_FEEDBACK, RecycleNet
from voxtrace.methods.unet import UNet
from voxtrace.plan import Plan
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.models.train_receipt import receipt
from voxtrace.plugin.work import jobs
from voxtrace.training import TrainRequest
from voxtrace.volume import LabelMap


def corrected(folder: Path, values: tuple[int, ...]) -> Path:
    """Write three scans with labels of these values, the last one held back, as a folder of corrected cases is."""
    names = [f"case_{n}" for n in range(3)]
    for n, name in enumerate(names):
        image = io.read(scan(folder / "imagesTr" / f"{name}_0000.nii.gz", seed=n))
        data = np.zeros(image.geometry.shape, np.uint8)
        for value in values:
            data[2 * value : 2 * value + 2, 4:12, 4:12] = value
        (folder / "labelsTr").mkdir(exist_ok=True)
        io.write(LabelMap(data, image.geometry), folder / "labelsTr" / f"{name}.nii.gz")
    listed = {"background": 0, "label 1": 1, "label 2": 2, "third": 3}
    record = {"channel_names": {"0": "MRI"}, "labels": listed, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:2], "val": names[2:]}]))
    return folder


def asked_in_the_window(dataset: Path, bundle: Path, out: Path) -> TrainRequest:
    """Choose the bundle and fill in the form."""
    methods = MethodRegistry({"recyclenet": RecycleNet})
    controller = TrainController(BundleRegistry([bundle]), Recorded(), ImmediateRunner(), methods)
    controller.pick_start(next(n for n, start in enumerate(controller.starts) if start.bundle == bundle))
    controller.edit(TrainForm(str(dataset), fold=0, iterations=2, out=str(out)))
    return controller.request


def test_the_receipt_tells_what_is_new_and_what_became_of_the_old_labels(tmp_path: Path) -> None:
    bundle, out = bundle_folder(tmp_path / "tiny"), tmp_path / "tuned"
    request = asked_in_the_window(corrected(tmp_path / "cases", (1, 2, 3)), bundle, out)
    told = [str(getattr(event, "text", "")) for event in jobs.train(request, lambda: False)]
    made = card(out)
    assert list(made["metrics"]["fine_tuning"]["labels"]) == ["label 1", "label 2"]
    assert any(text.startswith("Dice on 1 held-back case(s): label 1") for text in told)
    lines = receipt(made, out, 1.0).lines
    assert any(line.startswith("Initialised anew: third; taken over: label 1, label 2") for line in lines)


def test_a_folder_in_which_only_the_third_label_is_drawn_is_refused(tmp_path: Path) -> None:
    request = asked_in_the_window(
        corrected(tmp_path / "cases", (3,)), bundle_folder(tmp_path / "tiny"), tmp_path / "out"
    )
    with pytest.raises(DatasetError, match="label 1, label 2 of tiny would be unlearned"):
        list(jobs.train(request, lambda: False))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.work").exists()


def test_a_bundle_goes_on_as_another_method_with_its_weights(tmp_path: Path) -> None:
    plan = Plan.example(labels=3, window=(16, 16, 16), base_width=4)
    plain = save(Bundle(UNet(), plan, UNet().build(plan).eval(), {"name": "plain"}), tmp_path / "plain")
    methods = MethodRegistry({"recyclenet": RecycleNet, "unet": UNet})
    view = Recorded()
    controller = TrainController(BundleRegistry([plain]), view, ImmediateRunner(), methods)
    titles = [start.title for start in controller.starts]
    controller.pick_start(titles.index(f"plain, going on as {RecycleNet.title}"))
    controller.edit(
        TrainForm(str(corrected(tmp_path / "cases", (1, 2, 3))), fold=0, iterations=2, out=str(tmp_path / "tuned"))
    )
    assert controller.request.method == "recyclenet"
    list(jobs.train(controller.request, lambda: False))
    assert card(tmp_path / "tuned")["method"]["options"]["feedback"] == FIRST_FEEDBACK
    lines = receipt(card(tmp_path / "tuned"), tmp_path / "tuned", 1.0).lines
    assert any("taken over: label 1, label 2" in line for line in lines)
