"""Models that nnU-Net would have written become bundles that answer the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import made_nnunet
from chance import chance
from tolerance import Counted, InFloat64, assert_close_to_float64, distance
from voxtrace import bundle as bundles
from voxtrace.method import Batch, TrainState
from voxtrace.methods import method
from voxtrace.nn.unet import UNetNetwork
from voxtrace.nnunet import import_model
from voxtrace.training.takeover import take_over

pytestmark = pytest.mark.numeric


def assert_alike(ours: nn.Module, theirs: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Check that an imported network and the one that was written are the same in float64, and close to it."""
    with torch.no_grad():
        found, expected = ours(images), theirs(images)
        with InFloat64(), Counted(ours) as done:
            wide, exact = ours(images), theirs(images)
    assert distance(wide, exact) <= done.rounding(torch.float64)
    assert_close_to_float64(found, expected, exact, torch.float32, **done.counts)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_an_imported_network_gives_the_same_logits(tmp_path: Path, dims: int, residual: bool, bias: bool) -> None:
    theirs = made_nnunet.model(tmp_path / "model", dims, residual, channels=2, bias=bias)
    (path,) = import_model(tmp_path / "model", tmp_path / "bundle")
    ours = bundles.load(path)
    images = torch.randn(2, 2, *ours.plan.window, generator=chance())
    assert_alike(ours.network, lambda x: theirs(x) if dims == 3 else theirs(x[:, :, 0])[:, :, None], images)


def test_the_plan_says_what_plans_json_says(tmp_path: Path) -> None:
    made_nnunet.model(tmp_path / "model")
    plan = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0]).plan
    assert (plan.spacing_mm, plan.window, plan.overlap) == ((3.0, 1.2, 1.1), (16, 24, 32), 0.5)
    assert plan.labels == {0: "background", 1: "one", 2: "two", 3: "three"}
    assert (plan.mirror_axes, plan.interpolation) == ((0, 1, 2), "spline")
    assert plan.topology.blocks == (2, 1, 3)
    assert plan.topology.merges == (2, 1)  # plans.json counts decoder stages from the coarsest
    assert plan.view is not None
    assert (plan.view.coarse, plan.view.crop, plan.view.average) == (3.0, True, "logits")


def test_a_flat_model_sees_one_slice_and_keeps_the_distance_between_slices(tmp_path: Path) -> None:
    made_nnunet.model(tmp_path / "model", dims=2)
    plan = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0]).plan
    assert plan.window == (1, 24, 32)
    assert plan.spacing_mm == (4.0, 1.2, 1.1)
    assert plan.mirror_axes == (1, 2)
    assert plan.view is not None
    assert plan.view.resampled == (1, 2)


def test_ct_is_normalised_by_the_measured_foreground(tmp_path: Path) -> None:
    made = made_nnunet.plans()
    made["configurations"]["3d_fullres"]["normalization_schemes"] = ["CTNormalization"]
    net = made_nnunet.network(made)
    made_nnunet.write(tmp_path / "model", made, made_nnunet.dataset(), {"0": made_nnunet.checkpoint(net)})
    (rule,) = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0]).plan.normalisation
    assert (rule.scheme, rule.lower, rule.upper, rule.mean, rule.std) == ("ct", -150.0, 250.0, 40.0, 70.0)


def test_an_ignore_label_is_no_output_of_the_network(tmp_path: Path) -> None:
    made, about = made_nnunet.plans(), made_nnunet.dataset()
    expected = {value: name for name, value in about["labels"].items()}
    about["labels"]["ignore"] = len(expected)
    net = made_nnunet.network(made)
    made_nnunet.write(tmp_path / "model", made, about, {"0": made_nnunet.checkpoint(net)})
    plan = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0]).plan
    assert plan.labels == expected


def test_plans_of_older_versions_are_read(tmp_path: Path) -> None:
    theirs = made_nnunet.model(tmp_path / "model")
    made = made_nnunet.plans()
    configuration = made["configurations"]["3d_fullres"]
    arch = configuration.pop("architecture")["arch_kwargs"]
    configuration |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 6,
        "unet_max_num_features": 10,
        "n_conv_per_stage_encoder": arch["n_conv_per_stage"],
        "n_conv_per_stage_decoder": arch["n_conv_per_stage_decoder"],
        "pool_op_kernel_sizes": arch["strides"],
        "conv_kernel_sizes": arch["kernel_sizes"],
    }
    arch["features_per_stage"] = [6, 10, 10]
    theirs = made_nnunet.Network(arch, 3, 1, 4, residual=False).eval()
    about = made_nnunet.dataset()
    made_nnunet.write(tmp_path / "model", made, about, {"0": made_nnunet.checkpoint(theirs)})
    ours = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0])
    images = torch.randn(1, 1, *ours.plan.window, generator=chance(2))
    assert_alike(ours.network, theirs, images)


def test_a_configuration_inherits_what_it_does_not_say(tmp_path: Path) -> None:
    made = made_nnunet.plans()
    made["configurations"]["small"] = {"inherits_from": "3d_fullres", "patch_size": [8, 24, 24]}
    net = made_nnunet.network(made)
    record = made_nnunet.checkpoint(net, init_args={"configuration": "small"})
    made_nnunet.write(tmp_path / "model", made, made_nnunet.dataset(), {"0": record})
    assert bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0]).plan.window == (8, 24, 24)


def folds(folder: Path, *names: str) -> Path:
    """A model of several folds that differ in their weights."""
    made = made_nnunet.plans()
    records = {n: made_nnunet.checkpoint(made_nnunet.network(made, seed=i)) for i, n in enumerate(names)}
    return made_nnunet.write(folder, made, made_nnunet.dataset(), records)


def test_each_fold_becomes_a_bundle(tmp_path: Path) -> None:
    written = import_model(folds(tmp_path / "model", "0", "1", "all"), tmp_path / "out")
    assert [path.name for path in written] == ["fold_0", "fold_1"]  # "all" is no part of nnU-Net's ensemble
    assert len({bundles.load(path).digest for path in written}) == 2


@pytest.mark.parametrize(
    ("fold", "trained", "expected"),
    [("1", "0 1", ["out"]), ("all", "0 1 all", ["out"]), ("all", "0 1", ["fold_0", "fold_1"]), (None, "all", ["out"])],
)
def test_a_fold_is_chosen_by_name(tmp_path: Path, fold: str | None, trained: str, expected: list[str]) -> None:
    model = folds(tmp_path / "model", *trained.split())
    assert [path.name for path in import_model(model, tmp_path / "out", fold=fold)] == expected


def test_the_card_says_where_the_model_comes_from(tmp_path: Path) -> None:
    made_nnunet.model(tmp_path / "model")
    validation = tmp_path / "model" / "fold_0" / "validation"
    validation.mkdir()
    (validation / "summary.json").write_text(json.dumps({"foreground_mean": {"Dice": 0.875}}))
    card = bundles.card(import_model(tmp_path / "model", tmp_path / "bundle")[0])
    told = card["provenance"]
    assert (told["dataset"], told["trainer"], told["configuration"]) == (
        "Dataset900_Made",
        "nnUNetTrainer",
        "3d_fullres",
    )
    assert (told["fold"], told["epochs"]) == ("0", 7)
    assert card["metrics"]["nnunet"] == {"validation_dice": 0.875, "pseudo_dice_of_last_epoch": 0.75}
    assert card["mirror"] is True
    assert "unknown" in card["licence"]


@pytest.mark.parametrize("residual", [False, True])
def test_recyclenet_goes_on_from_an_imported_model(tmp_path: Path, residual: bool) -> None:
    made_nnunet.model(tmp_path / "model", residual=residual)
    initial = bundles.load(import_model(tmp_path / "model", tmp_path / "bundle")[0])
    recycling = method("recyclenet", schedule="static")
    network = recycling.build(recycling.adapt(initial.plan))
    # recycling adds no parameter, so nothing is initialised anew
    assert take_over(recycling, initial.plan, network, initial).complete
    assert isinstance(network, UNetNetwork)
    z, y, x = initial.plan.window
    batch = Batch(torch.randn(1, 1, z, y, x, generator=chance(3)), torch.zeros(1, z, y, x, dtype=torch.int64))
    (phase,) = recycling.phases(initial.plan)
    loss = sum(recycling.loss(network, batch, TrainState(phase, 0, torch.Generator())).values())
    assert torch.isfinite(torch.as_tensor(loss))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_model_of_regions_keeps_them_and_gives_the_same_logits(tmp_path: Path, dims: int) -> None:
    theirs = made_nnunet.region_model(tmp_path / "model", dims)
    (path,) = import_model(tmp_path / "model", tmp_path / "bundle")
    ours = bundles.load(path)
    assert [(r.name, r.values, r.paints) for r in ours.plan.regions] == [
        ("whole", (1, 2, 3), 2),
        ("core", (1, 3), 1),
        ("enhancing", (3,), 3),
    ]
    assert ours.plan.labels == {0: "background", 1: "core without enhancing", 2: "whole without core", 3: "enhancing"}
    images = torch.randn(2, 1, *ours.plan.window, generator=chance())
    assert ours.network(images).shape[1] == 3
    assert_alike(ours.network, lambda x: theirs(x) if dims == 3 else theirs(x[:, :, 0])[:, :, None], images)
