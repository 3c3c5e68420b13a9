"""What a bundle knows stays: new labels begin rare, recycling begins gently, labels that no one drew are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases import ball, ball_dataset, drain, small_plan
from chance import drawn
from voxtrace.bundle import Bundle, load, save
from voxtrace.errors import DatasetError
from voxtrace.method import Method
from voxtrace.methods import METHODS, method
from voxtrace.training import TrainRequest, set_up, train
from voxtrace.training.gain import gain_in_words
from voxtrace.training.new_labels import RARE, learn_faster
from voxtrace.training.takeover import Takeover, counting_axes, take_over
from voxtrace.volume import Case

BEFORE = {0: "background", 1: "a", 2: "b"}
NOW = {0: "background", 1: "b", 2: "new", 3: "a"}


@drawn()
def started(key: str, **changes: Any) -> tuple[Bundle, Method, torch.nn.Module, Takeover]:
    """A bundle of an untrained network for BEFORE, and a network for NOW that took its weights over."""
    made = method(key)
    plan = made.adapt(small_plan().model_copy(update={"labels": BEFORE}))
    torch.manual_seed(1)
    start = Bundle(made, plan, made.build(plan).eval(), {"name": "start"})
    for name, weight in start.network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, std=0.5)
    plan = plan.model_copy(update={"labels": NOW, **changes})
    network = made.build(plan).eval()
    return start, made, network, take_over(made, plan, network, start)


def heads(made: Method, network: torch.nn.Module) -> Iterator[tuple[torch.Tensor, torch.Tensor | None]]:
    """Weight and bias of every layer with a row for each label of NOW."""
    weights = dict(network.named_parameters())
    for name, axes in counting_axes(made, made.adapt(small_plan().model_copy(update={"labels": NOW}))).items():
        if axes and axes[0] == (0, 1) and name.endswith("weight"):
            yield weights[name], weights.get(f"{name.removesuffix('weight')}bias")


@drawn()
@pytest.mark.parametrize("key", sorted(METHODS))
def test_a_new_label_wins_nowhere_at_first_whatever_the_features(key: str) -> None:
    _, made, network, taken = started(key)
    found = list(heads(made, network))
    assert found
    assert taken.answers
    for weight, bias in found:
        features = 3.0 * torch.randn(2000, weight.shape[1])
        scores = features @ weight.flatten(1).T + (0.0 if bias is None else bias)
        assert not (scores.argmax(1) == 2).any()
        if bias is not None:  # a share of the background's probability, everywhere
            torch.testing.assert_close(scores[:, 2] - scores[:, 0], torch.full((2000,), float(np.log(RARE))))


@drawn()
def test_rows_of_a_new_label_learn_faster() -> None:
    _, made, network, taken = started("unet")
    found = list(heads(made, network))
    assert list(taken.new_rows.values()) == [[2]] * 2 * len(found)
    learn_faster(network, taken.new_rows, 7.0)
    for weight, bias in found:
        assert bias is not None
        (torch.ones(5, weight.shape[1]) @ weight.flatten(1).T + bias).sum().backward()
        for gradient in (weight.grad, bias.grad):
            assert gradient is not None
            assert [float(row.flatten()[0]) for row in gradient] == [5, 5, 35, 5]


@drawn()
def test_a_mask_of_a_new_label_is_not_read_at_first() -> None:
    start, _, network, _ = started("diffusion")
    images, noisy, t = torch.randn(1, 1, 16, 16, 16), torch.randn(1, 4, 16, 16, 16), torch.zeros(1)
    with torch.no_grad():
        before = start.network.get_submodule("denoise")(images, noisy[:, [0, 3, 1]], t)
        after = network.get_submodule("denoise")(images, noisy, t)
    torch.testing.assert_close(after[:, [0, 3, 1]], before, rtol=1e-4, atol=1e-4)


@drawn()
def test_where_the_bundle_knows_no_label_the_heads_begin_as_the_method_has_them(tmp_path: Path) -> None:
    made = method("unet")
    plan = small_plan().model_copy(update={"labels": BEFORE})
    start = Bundle(made, plan, made.build(plan).eval(), {"name": "start"})
    plan = plan.model_copy(update={"labels": {0: "background", 1: "ball"}, "iterations": 1})
    torch.manual_seed(3)
    network = made.build(plan)
    first = network.state_dict()["decide.heads.0.weight"].clone()
    taken = take_over(made, plan, network, start)
    assert (taken.keeps, taken.answers, dict(taken.new_rows)) == (False, False, {})
    assert torch.equal(network.state_dict()["decide.heads.0.weight"][1], first[1])
    for known, rate in (
        (start, 0.01),
        (replace(start, plan=start.plan.model_copy(update={"labels": plan.labels})), 0.001),
    ):
        out = tmp_path / f"rate {rate}"
        network = made.build(known.plan).eval()
        run = train(made, plan, [ball(0)], out=out, initial=replace(known, network=network), device="cpu")
        assert [event.rate for event in run if event.loss] == [rate]


# U-Net to RecycleNet


@pytest.mark.parametrize(
    ("key", "asked", "options", "feedback"),
    [
        ("unet", "recyclenet", {}, 0.125),
        ("unet", "recyclenet", {"feedback": 0.5}, 0.5),
        ("recyclenet", None, {}, 1.0),
        ("recyclenet", "recyclenet", {}, 1.0),
    ],
)
def test_weights_that_never_recycled_begin_with_little_feedback(
    tmp_path: Path, key: str, asked: str | None, options: dict[str, Any], feedback: float
) -> None:
    made = method(key)
    plan = small_plan().model_copy(update={"channels": ("MR",)})
    start = save(Bundle(made, plan, made.build(plan), {"name": "start"}), tmp_path / "start")
    folder = ball_dataset(tmp_path / "balls", 2)
    ready = drain(set_up(TrainRequest(folder, method=asked, initial=start, options=options), lambda: False))
    assert ready.method.to_json()["options"]["feedback"] == feedback


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A plain U-Net that finds balls."""
    out = tmp_path_factory.mktemp("unet") / "b"
    plan = small_plan(iterations=250)
    return drain(train(method("unet"), plan, [ball(0), ball(1), ball(2)], out=out, device="cpu", precision="float32"))


def test_a_plain_unet_recycles_without_losing_its_answer(trained: Bundle) -> None:
    changed = {}
    images = torch.from_numpy(ball(3).volume.data)[None]
    images = (images - images.mean()) / images.std()
    for made in (method("recyclenet"), method("recyclenet").fine_tuned(trained.method)):
        network = made.build(trained.plan).eval()
        take_over(made, trained.plan, network, trained)
        with torch.no_grad():
            steps = [step.logits.argmax(1) for step in made.infer(dict(network.named_children()), images, None)]  # type: ignore[arg-type]
        changed[made.to_json()["options"]["feedback"]] = int((steps[0] != steps[-1]).sum())
    assert changed[0.125] < 0.1 * steps[0].sum()
    assert changed[0.125] < 0.2 * changed[1.0]


# Labels that are drawn, or not


def with_box(case: Case, drawn_in: tuple[int, ...] = (1, 2)) -> Case:
    """A case with a box of label 2 in its corner; of the labels, those that are asked for are drawn."""
    labels = np.array(case.labels.data, np.uint8)
    labels[:5, :5, :5] = 2
    labels[~np.isin(labels, drawn_in)] = 0
    return replace(case, labels=replace(case.labels, data=labels))


def test_a_label_of_the_bundle_that_no_one_drew_is_refused_and_nothing_is_left(trained: Bundle, tmp_path: Path) -> None:
    cases = [with_box(ball(n), (2,)) for n in range(2)]
    plan = trained.plan.model_copy(update={"labels": {**trained.plan.labels, 2: "box"}, "iterations": 2})
    name = trained.plan.labels[1]
    told = rf"{name} of b would be unlearned: drawn in none of the 2 cases.*voxtrace predict -m b.*dataset.json"
    with pytest.raises(DatasetError, match=told):
        drain(train(method("unet"), plan, cases, out=tmp_path / "c", initial=trained, device="cpu"))
    assert list(tmp_path.iterdir()) == []


def test_a_label_that_is_drawn_only_in_cases_that_no_phase_learns_is_refused(tmp_path: Path) -> None:
    start, made, _, _ = started("cdlunet")
    cases = [with_box(ball(0), (2,)), replace(with_box(ball(1)), scores={"difficulty": 0.1})]
    plan = start.plan.model_copy(update={"iterations": 2})
    with pytest.raises(DatasetError, match=r"^a of start would be unlearned: drawn in none of the 1 cases"):
        drain(train(made, plan, cases, out=tmp_path / "c", initial=start, device="cpu"))


def test_a_new_label_that_some_cases_lack_is_told_and_old_labels_are_compared(trained: Bundle, tmp_path: Path) -> None:
    cases = [with_box(ball(0)), with_box(ball(1), (1,))]
    plan = trained.plan.model_copy(update={"labels": {**trained.plan.labels, 2: "box"}, "iterations": 2})
    run = train(
        method("unet"), plan, cases, out=tmp_path / "c", initial=trained, device="cpu", validate=[with_box(ball(4))]
    )
    told = [event.message for event in run if event.message]
    assert "box is drawn in 1 of 2 cases, and learned as absent in the others" in told
    gain = load(tmp_path / "c").card["metrics"]["fine_tuning"]
    assert list(gain["labels"]) == [trained.plan.labels[1]]
    assert gain["dice_before"] > 0.8  # the new label does not count, and takes nothing from the old one at first
    assert gain_in_words(gain) in told


def test_a_loss_is_told_with_what_to_do() -> None:
    gain = {"cases": 3, "dice_before": 0.85, "dice_after": 0.82, "labels": {"a": [0.9, 0.89], "b": [0.8, 0.75]}}
    said = gain_in_words(gain)
    assert said.startswith(
        "Dice on 3 held-back case(s): a 0.900 before, 0.890 after, b 0.800 before, 0.750 after; b lost"
    )
    assert "--rate" in said
    assert gain_in_words({}) == ""
