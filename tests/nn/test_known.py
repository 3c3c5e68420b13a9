"""Voxels that nobody annotated change no loss and get no gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from voxtrace.method import Batch, TrainState
from voxtrace.methods import METHODS, method
from voxtrace.nn.known import cross_entropy, known, one_hot
from voxtrace.nn.losses import dice_and_cross_entropy, dice_loss
from voxtrace.plan import Plan

K = 3
SHAPE = (2, 4, 6, 6)


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(2, K, *SHAPE[1:], generator=rng), torch.randint(0, K, SHAPE, generator=rng)


def test_an_ignored_voxel_has_no_label() -> None:
    labels = torch.tensor([[[[0, 2, 3, 9]]]])
    assert one_hot(labels, K)[0, :, 0, 0].mT.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert known(labels, K)[0, 0, 0, 0].tolist() == [True, True, False, False]


def test_without_ignored_voxels_cross_entropy_is_torchs() -> None:
    logits, labels = drawn()
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("over_batch", [False, True])
def test_the_loss_is_that_of_the_annotated_part_alone(over_batch: bool) -> None:
    logits, labels = drawn()
    ignoring = labels.clone()
    ignoring[:, 2:] = K
    whole = dice_and_cross_entropy(logits, ignoring, over_batch=over_batch)
    part = dice_and_cross_entropy(logits[:, :, :2], labels[:, :2], over_batch=over_batch)
    for name, value in part.items():
        torch.testing.assert_close(whole[name], value)


def test_ignored_voxels_get_no_gradient() -> None:
    logits, labels = drawn()
    labels[:, 2:] = K
    logits.requires_grad_()
    sum(dice_and_cross_entropy(logits, labels).values()).backward()  # type: ignore[union-attr]
    assert logits.grad is not None
    assert float(logits.grad[:, :, 2:].abs().max()) == 0.0
    assert float(logits.grad[:, :, :2].abs().min()) > 0.0


def test_windows_without_an_annotated_voxel_teach_nothing() -> None:
    logits, labels = drawn()
    logits.requires_grad_()
    labels[:] = K
    loss = cross_entropy(logits, labels) + dice_loss(logits, labels)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0.0


@pytest.mark.parametrize("key", sorted(METHODS))
def test_no_method_learns_from_ignored_voxels(key: str) -> None:
    """What lies under the ignored voxels' labels cannot matter: K and a larger value give the same loss."""
    plan = Plan.example(labels=K, window=(16, 32, 32), base_width=4).model_copy(update={"ignore": True})
    chosen = method(key)
    plan = chosen.adapt(plan)
    torch.manual_seed(0)
    network = chosen.build(plan)
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(2, 1, *plan.window, generator=rng)
    labels = torch.randint(0, K, (2, *plan.window), generator=rng)
    half = plan.window[1] // 2
    labels[:, :, half:] = K
    for phase in chosen.phases(plan):
        losses = []
        for value in (K, K + 4):
            labels[:, :, half:] = value
            state = TrainState(phase, phase.iterations // 2, torch.Generator().manual_seed(2))
            torch.manual_seed(3)
            terms = chosen.loss(network, Batch(images, labels), state)
            losses.append(sum(terms.values()))
        assert torch.isfinite(losses[0])
        torch.testing.assert_close(losses[0], losses[1])
