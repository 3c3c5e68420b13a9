"""Methods on nnU-Net's recipe sum Dice over the batch where the plan says so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chance import drawn
from voxtrace.method import Batch, Phase, TrainState
from voxtrace.methods import method
from voxtrace.nn.losses import dice_loss
from voxtrace.plan import Plan

pytestmark = pytest.mark.numeric


NAMES = ("unet", "recyclenet", "e2enet")


@drawn()
def _dice_term(name: str, batch_dice: bool) -> Tensor:
    """Return the Dice term on two windows of which only the first holds label 1."""
    kind = method(name)
    plan = Plan.example(window=(32, 32, 32), base_width=4).model_copy(update={"batch_dice": batch_dice})
    network = kind.build(kind.adapt(plan))
    labels = torch.zeros(2, 32, 32, 32, dtype=torch.int64)
    labels[0, 8:24, 8:24, 8:24] = 1
    images = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    state = TrainState(Phase("train", 10), 0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return kind.loss(network, Batch(images, labels), state)["dice"]


@pytest.mark.parametrize("name", NAMES)
def test_a_window_without_the_label_weighs_less_when_dice_is_summed_over_the_batch(name: str) -> None:
    """Alone, the second window has a Dice of 0 and halves the mean; in the sum it only adds to the denominator."""
    each, summed = _dice_term(name, batch_dice=False), _dice_term(name, batch_dice=True)
    assert summed < each - 0.005


def test_the_sum_is_what_the_hand_says() -> None:
    """Two voxels each, half certain of label 1 everywhere; label 1 in all of the first window: 2·1/(2 + 2) = 1/2."""
    logits = torch.zeros(2, 2, 1, 1, 2)
    labels = torch.tensor([[[[1, 1]]], [[[0, 0]]]])
    assert dice_loss(logits, labels, over_batch=True).item() == pytest.approx(-0.5, abs=1e-4)
    assert dice_loss(logits, labels).item() == pytest.approx(-(2 / 3 + 0) / 2, abs=1e-4)
