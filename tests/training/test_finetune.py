"""Fine-tuning: what a plan and a network take over from a bundle, and what of it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cases import ball_dataset, drain, small_plan
from chance import drawn
from voxtrace.bundle import Bundle, load, save
from voxtrace.errors import PlanError
from voxtrace.method import Method
from voxtrace.methods import method
from voxtrace.plan import Normalisation, Plan
from voxtrace.training import Dataset, TrainRequest, open_dataset, set_up
from voxtrace.training.finetune import finetune_plan, match_channels, match_labels, needs_planning
from voxtrace.training.takeover import Takeover, counting_axes, take_over

CT = Normalisation(scheme="ct", lower=-100, upper=200, mean=50, std=40)


@drawn()
def bundle(
    key: str = "unet", channels: tuple[str, ...] = ("MR",), labels: tuple[str, ...] = ("a",), **how: Any
) -> Bundle:
    """An untrained bundle of a small network."""
    names = {0: "background", **dict(enumerate(labels, 1))}
    plan = small_plan().model_copy(
        update={"channels": channels, "labels": names, "normalisation": (Normalisation(),) * len(channels), **how}
    )
    made = method(key)
    plan = made.adapt(plan)
    return Bundle(made, plan, made.build(plan).eval(), {"name": "start"})


def dataset(tmp_path: Path, channels: tuple[str, ...] = ("MR",), labels: tuple[str, ...] = ("ball",)) -> Dataset:
    opened = open_dataset(ball_dataset(tmp_path / "balls", 2))
    return replace(opened, channels=channels, labels={0: "background", **dict(enumerate(labels, 1))})


@drawn()
def started(initial: Bundle, made: Method | None = None, **changes: Any) -> tuple[torch.nn.Module, Takeover]:
    """A network for the bundle's plan with changes, after it took over the bundle's weights."""
    made = made or initial.method
    plan = made.adapt(initial.plan.model_copy(update=changes))
    torch.manual_seed(7)
    network = made.build(plan)
    return network, take_over(made, plan, network, initial)


# Channels, labels, normalisation


@pytest.mark.parametrize(
    ("before", "now", "order"),
    [
        (("T1", "T2"), ("T1", "T2"), (0, 1)),
        (("T1", "T2"), ("T2", "T1"), (1, 0)),
        (("T1", "T1ce", "FLAIR"), ("flair", "t1-Gd", "T1w"), (2, 1, 0)),
        (("CT",), ("MR",), (0,)),
        (("0", "0"), ("0", "0"), (0, 1)),
    ],
)
def test_channels_are_matched_by_name(before: tuple[str, ...], now: tuple[str, ...], order: tuple[int, ...]) -> None:
    assert match_channels(bundle(channels=before), now) == order


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (("T1", "T2"), ("T1",), "has 1 channel"),
        (("T1", "T2"), ("T1", "FLAIR"), "start expects T1, T2; give the same ones, in any order"),
        (("T1", "T2"), ("T1", "T1"), "channel_names in dataset.json"),
    ],
)
def test_other_channels_are_refused(before: tuple[str, ...], now: tuple[str, ...], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        match_channels(bundle(channels=before), now)


@pytest.mark.parametrize(
    ("before", "now", "pairs"),
    [
        (["liver", "spleen"], ["spleen", "liver"], {0: 0, 1: 2, 2: 1}),
        (["left_kidney"], ["aorta", "Left-Kidney "], {0: 0, 2: 1}),
        (["tumour+"], ["tumour-"], {0: 0}),
        (["x", "x"], ["x"], {0: 0}),
    ],
)
def test_labels_are_matched_by_name(before: list[str], now: list[str], pairs: dict[int, int]) -> None:
    old, new = ({0: "background", **dict(enumerate(names, 1))} for names in (before, now))
    assert match_labels(old, new) == pairs


def test_a_ct_bundle_follows_mr_data_and_needs_a_look_at_them(tmp_path: Path) -> None:
    start = bundle(channels=("CT",), normalisation=(CT,), modality="CT")
    data = dataset(tmp_path)
    assert needs_planning(start, data)
    with pytest.raises(PlanError, match="plan the dataset first"):
        finetune_plan(start, data)
    planned = small_plan().model_copy(
        update={"normalisation": (Normalisation(scheme="zscore_nonzero"),), "modality": "MR"}
    )
    plan = finetune_plan(start, data, planned=planned)
    assert (plan.normalisation[0].scheme, plan.modality, plan.channels) == ("zscore_nonzero", "MR", ("MR",))
    assert (plan.window, plan.spacing_mm, plan.topology) == (
        start.plan.window,
        start.plan.spacing_mm,
        start.plan.topology,
    )


def test_a_channel_of_the_same_kind_keeps_the_normalisation_its_weights_know(tmp_path: Path) -> None:
    scheme = Normalisation(scheme="zscore_nonzero")
    start = bundle(channels=("T1", "CT"), normalisation=(scheme, CT), modality="MR")
    data = dataset(tmp_path, channels=("CT", "T1"))
    assert not needs_planning(start, data)
    assert finetune_plan(start, data).normalisation == (CT, scheme)


# Weights


def test_rows_of_known_labels_move_with_their_names_and_others_begin_anew() -> None:
    start = bundle(labels=("a", "b"))
    network, taken = started(start, labels={0: "background", 1: "b", 2: "c", 3: "a"})
    head, old = network.state_dict(), start.network.state_dict()
    for part in ("weight", "bias"):
        name = f"decide.heads.0.{part}"
        assert torch.equal(head[name][[0, 1, 3]], old[name][[0, 2, 1]])
    assert not torch.equal(head["decide.heads.0.weight"][2], old["decide.heads.0.weight"][1])
    assert head["decide.heads.0.weight"][2].any()
    assert taken.anew == tuple(sorted(name for name in head if name.startswith("decide.")))
    assert "initialised anew: c; taken over: b, a" in taken.sentences
    told = taken.to_json(start.plan.model_copy(update={"labels": {0: "background", 1: "b", 2: "c", 3: "a"}}))
    assert told["labels"] == {"background": "background", "b": "b", "a": "a"}
    assert (told["labels_anew"], told["labels_dropped"]) == (["c"], [])


def test_labels_that_the_dataset_lacks_are_told() -> None:
    _, taken = started(bundle(labels=("a", "b")), labels={0: "background", 1: "b"})
    assert taken.complete
    assert any("forgets: a" in sentence for sentence in taken.sentences)


def test_channels_that_change_places_take_their_weights_with_them() -> None:
    start = bundle(channels=("T1", "T2"))
    network, taken = started(start, channels=("T2", "T1"))
    name = next(name for name, axes in counting_axes(start.method, start.plan).items() if (1, 0) in axes)
    assert torch.equal(network.state_dict()[name], start.network.state_dict()[name][:, [1, 0]])
    assert taken.complete
    assert taken.sentences == ("channels continue the bundle's: T2 its T2, T1 its T1",)


def test_nothing_is_told_where_all_is_taken_over() -> None:
    network, taken = started(bundle())
    assert taken.sentences == ()
    assert taken.complete
    assert all(torch.equal(value, bundle().network.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("before", "now"), [("unet", "recyclenet"), ("recyclenet", "unet")])
def test_unet_and_recyclenet_take_over_every_weight_of_each_other(before: str, now: str) -> None:
    start = bundle(before)
    network, taken = started(start, method(now))
    assert taken.complete
    assert all(torch.equal(value, start.network.state_dict()[name]) for name, value in network.state_dict().items())
    assert taken.sentences == (f"from {before} to {now}",)


def test_a_bundle_of_which_nothing_fits_is_refused() -> None:
    with pytest.raises(PlanError, match=r"no weight of start \(unet\) fits cdlunet"):
        started(bundle(), method("cdlunet"))


def test_a_mask_is_taken_over_only_with_its_weights() -> None:
    start = bundle("e2enet")
    network, taken = started(start, method("e2enet", cubic=True))
    assert any("weights do not fit" in sentence for sentence in taken.sentences)
    for name, module in network.named_modules():
        if hasattr(module, "mask"):
            off = ~module.mask[:, :, None, None, None].expand_as(module.weight)
            assert not module.weight[off].any(), name


def test_channels_that_e2enet_shifts_differently_may_not_change_places() -> None:
    four = ("T1", "T1ce", "T2", "FLAIR")
    start = bundle("e2enet", channels=four)
    _, taken = started(start, channels=("T1ce", "T1", "FLAIR", "T2"))  # each stays within its third
    assert taken.complete
    with pytest.raises(PlanError, match="treats channels by their place, and start has them in the order T1, T1ce"):
        started(start, channels=("T2", "T1ce", "T1", "FLAIR"))


# How methods fine-tune


def test_e2enet_keeps_its_connections_and_recyclenet_does_not_warm_up_again() -> None:
    assert method("e2enet").fine_tuned() == method("e2enet", dynamic=False)
    assert method("recyclenet", cycles=4).fine_tuned() == method("recyclenet", cycles=4, warm_up=False)
    assert method("meddanet").fine_tuned() == method("meddanet")  # both phases: its decision network is trained again


@pytest.mark.parametrize(
    ("key", "asked", "options", "told"),
    [
        ("e2enet", None, {}, {"dynamic": False}),
        ("e2enet", None, {"dynamic": True}, {"dynamic": True}),
        ("recyclenet", "recyclenet", {}, {"warm_up": False}),
        ("unet", "recyclenet", {}, {"warm_up": True}),
    ],
)
def test_set_up_lets_a_method_fine_tune_in_its_way_unless_told_otherwise(
    tmp_path: Path, key: str, asked: str | None, options: dict[str, Any], told: dict[str, Any]
) -> None:
    start = save(bundle(key), tmp_path / "start")
    folder = ball_dataset(tmp_path / "balls", 2)
    ready = drain(set_up(TrainRequest(folder, method=asked, initial=start, options=options), lambda: False))
    assert told.items() <= ready.method.to_json()["options"].items()


def test_fine_tuning_ct_to_mr_from_a_request_normalises_as_mr(tmp_path: Path) -> None:
    start = save(bundle(channels=("CT",), normalisation=(CT,), modality="CT"), tmp_path / "start")
    folder = ball_dataset(tmp_path / "balls", 2)
    request = TrainRequest(folder, initial=start, iterations=1, out=tmp_path / "tuned", device="cpu")
    ready = drain(set_up(request, lambda: False))
    assert (ready.plan.normalisation[0].scheme, ready.plan.modality) == ("zscore", "MR")
    messages = [event.message for event in ready.train(lambda: False)]
    assert "MR is normalised as the new data ask (zscore), not as in the bundle" in messages
    card = load(tmp_path / "tuned").card
    assert card["provenance"]["initial"]["channels"] == {"MR": "CT"}
    assert card["provenance"]["initial"]["told"] == [text for text in messages if text and not text.startswith("wrote")]


@drawn()
def test_a_denoised_mask_follows_labels_that_change_places() -> None:
    start = bundle("diffusion", labels=("a", "b"))
    network, taken = started(start, labels={0: "background", 1: "b", 2: "a"})
    assert taken.complete
    images, noisy, t = torch.randn(1, 1, 16, 16, 16), torch.randn(1, 3, 16, 16, 16), torch.zeros(1)
    with torch.no_grad():
        before = start.network.get_submodule("denoise")(images, noisy, t)
        after = network.eval().get_submodule("denoise")(images, noisy[:, [0, 2, 1]], t)
    torch.testing.assert_close(after, before[:, [0, 2, 1]], rtol=1e-4, atol=1e-4)


def test_plans_of_example_networks_have_axes_that_count_channels_and_labels() -> None:
    plan = Plan.example(channels=2, labels=3, window=(16, 16, 16), base_width=4)
    axes = counting_axes(method("diffusion"), method("diffusion").adapt(plan))
    assert axes["denoise.stem.0.weight"][1] == (1, 1)  # the image, then the noisy mask
    assert axes["denoise.head.weight"][0] == (0, 1)
