"""Losses, against values derived by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from chance import chance
from tolerance import distance, rounding, strayed
from voxtrace.nn.losses import dice_and_cross_entropy, dice_loss, head_weights, supervised_loss

pytestmark = pytest.mark.numeric


SURE = 50.0


def _logits(labels: torch.Tensor, n_labels: int = 2) -> torch.Tensor:
    return SURE * torch.nn.functional.one_hot(labels, n_labels).movedim(-1, 1).float()


def test_a_perfect_answer_has_dice_loss_minus_one() -> None:
    labels = torch.tensor([0, 1, 1, 0]).view(1, 1, 1, 4)
    assert dice_loss(_logits(labels), labels).item() == pytest.approx(-1.0, abs=1e-5)


def test_half_an_overlap_has_dice_loss_minus_one_half() -> None:
    truth = torch.tensor([1, 1, 0, 0]).view(1, 1, 1, 4)
    answer = torch.tensor([0, 1, 1, 0]).view(1, 1, 1, 4)
    assert dice_loss(_logits(answer), truth).item() == pytest.approx(-0.5, abs=1e-5)


def test_batch_dice_sums_before_it_divides() -> None:
    """One window is right with 1 voxel, the other misses 3: per sample (1 + 0) / 2, over the batch 2 / 5."""
    truth = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0]]).view(2, 1, 1, 4)
    answer = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]).view(2, 1, 1, 4)
    assert dice_loss(_logits(answer), truth).item() == pytest.approx(-0.5, abs=1e-4)
    assert dice_loss(_logits(answer), truth, over_batch=True).item() == pytest.approx(-0.4, abs=1e-4)


def test_cross_entropy_of_an_undecided_answer_is_the_logarithm_of_the_labels() -> None:
    labels = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    terms = dice_and_cross_entropy(torch.zeros(1, 3, 2, 2, 2), labels)
    assert terms["cross_entropy"].item() == pytest.approx(math.log(3))


def test_head_weights_halve_and_the_coarsest_gets_none() -> None:
    assert head_weights(1) == [1.0]
    assert head_weights(3) == pytest.approx([2 / 3, 1 / 3, 0.0])
    assert head_weights(5) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0.0])


def test_the_coarsest_head_does_not_matter() -> None:
    labels = torch.randint(0, 2, (1, 4, 4, 4), generator=chance())
    fine, coarse = torch.randn(1, 2, 4, 4, 4, generator=chance()), torch.randn(1, 2, 2, 2, 2, generator=chance(2))
    one = supervised_loss([fine, coarse], labels)
    two = supervised_loss([fine, coarse * 7], labels)
    assert one["dice"] == two["dice"]
    assert one["cross_entropy"] == two["cross_entropy"]


def test_given_weights_reach_the_coarsest_head_too() -> None:
    labels = torch.randint(0, 2, (2, 4, 4, 4), generator=chance())
    heads = [torch.randn(2, 2, n, n, n, generator=chance(3)) for n in (4, 2)]
    coarse = F.interpolate(labels[:, None].float(), size=(2, 2, 2), mode="nearest-exact")[:, 0].long()
    terms = supervised_loss(heads, labels, weights=(0.5, 0.25))
    fine_loss, coarse_loss = (F.cross_entropy(h.double(), t) for h, t in zip(heads, (labels, coarse), strict=True))
    voxels = labels.numel() + coarse.numel()  # summed for the means
    allowed = rounding(torch.float32, products=strayed(voxels), roundings=3)
    assert distance(terms["cross_entropy"], 0.5 * fine_loss + 0.25 * coarse_loss) <= allowed


def test_dice_of_heads_is_over_the_batch_when_asked_for() -> None:
    truth = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 0]]).view(2, 1, 1, 4)
    answer = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]]).view(2, 1, 1, 4)
    terms = supervised_loss([_logits(answer)], truth, over_batch=True)
    assert terms["dice"].item() == pytest.approx(-0.4, abs=1e-4)
