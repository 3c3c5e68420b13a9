"""The loss for regions is nnU-Net's: by its formula, and by nnU-Net's own code."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from chance import chance
from made_regions import REGIONS, region_plan
from voxtrace.nn.averages import running_mean_of_regions
from voxtrace.nn.losses import region_loss, supervised_loss
from voxtrace.nn.regions import RegionTargets, targets_for

pytestmark = pytest.mark.numeric

PEER = """
import sys
import numpy as np, torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from batchgeneratorsv2.transforms.utils.seg_to_regions import ConvertSegmentationToRegionsTransform
given, out = np.load(sys.argv[1]), {}
labels = torch.from_numpy(given["labels"])
for ignore in (False, True):
    regions = [(1, 2, 3), (2, 3), 3] + ([4] if ignore else [])
    convert = ConvertSegmentationToRegionsTransform(regions, channel_in_seg=0)
    shown = labels if ignore else labels.clamp(max=3)
    target = torch.stack([convert(segmentation=one[None])["segmentation"] for one in shown])
    for batch_dice in (False, True):
        # as in nnUNetTrainer._build_loss
        loss = DC_and_BCE_loss({}, {"batch_dice": batch_dice, "do_bg": True, "smooth": 1e-5, "ddp": False},
                               use_ignore_label=ignore, dice_class=MemoryEfficientSoftDiceLoss)
        logits = torch.from_numpy(given["logits"]).requires_grad_()
        value = loss(logits, target)
        value.backward()
        out[f"{ignore}{batch_dice}"] = np.append(logits.grad.numpy().ravel(), float(value))
np.savez(sys.argv[2], **out)
"""


def drawn_batch() -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 5, 6, 7), and labels of which the value 4 is of voxels that nobody annotated."""
    labels = torch.randint(0, 5, (2, 5, 6, 7), generator=chance(2))
    labels[1][labels[1] == 3] = 0  # a window that lacks a region
    return 3 * torch.randn((2, 3, 5, 6, 7), generator=chance(1)), labels


def formula(logits: Tensor, labels: Tensor, ignore: bool, batch_dice: bool) -> float:
    """The loss in float64, region by region, sums over voxels written out."""
    shown = (labels < 4) if ignore else torch.ones_like(labels, dtype=torch.bool)
    p = torch.sigmoid(logits.double())
    dices, entropy = [], 0.0
    for place, region in enumerate(REGIONS):
        g = sum((labels == value) for value in region.values).bool()
        for rows in [slice(None)] if batch_dice else [slice(b, b + 1) for b in range(len(p))]:
            q, t = p[rows, place][shown[rows]], g[rows][shown[rows]].double()
            dices.append(float((2 * (q * t).sum() + 1e-5) / (q.sum() + t.sum() + 1e-5)))
        q, t = p[:, place][shown], g[shown]
        entropy -= float(torch.log(torch.where(t, q, 1 - q)).sum())
    # with an ignore label nnU-Net adds up the regions of a voxel, else it takes their mean
    entropy /= int(shown.sum()) * (1 if ignore else len(REGIONS))
    return entropy - float(np.mean(dices))


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("batch_dice", [False, True])
def test_the_loss_is_that_of_the_formula(ignore: bool, batch_dice: bool) -> None:
    logits, labels = drawn_batch()
    labels = labels if ignore else labels.clamp(max=3)
    targets = RegionTargets(region_plan(ignore=ignore))
    terms = region_loss(logits, labels, targets, over_batch=batch_dice)
    assert set(terms) == {"dice", "cross_entropy"}
    assert float(sum(terms.values())) == pytest.approx(formula(logits, labels, ignore, batch_dice), abs=1e-5)


def test_what_nobody_annotated_has_no_gradient() -> None:
    logits, labels = drawn_batch()
    logits.requires_grad_()
    terms = region_loss(logits, labels, RegionTargets(region_plan(ignore=True)))
    (gradient,) = torch.autograd.grad(sum(terms.values()), logits)
    unknown = (labels == 4)[:, None].expand_as(gradient)
    assert unknown.any()
    assert not gradient[unknown].any()
    assert gradient[~unknown].all()


def test_heads_of_regions_are_weighted_as_those_of_labels() -> None:
    logits, labels = drawn_batch()
    targets = RegionTargets(region_plan(ignore=True))
    coarse, coarsest = logits[:, :, ::2, ::2, ::2], logits[:, :, ::4, ::4, ::4]
    found = supervised_loss([logits, coarse, coarsest], labels, regions=targets)
    at_coarse = torch.nn.functional.interpolate(labels[:, None].float(), coarse.shape[2:], mode="nearest-exact")[:, 0]
    fine, rough = region_loss(logits, labels, targets), region_loss(coarse, at_coarse.long(), targets)
    for name, value in found.items():  # 1 : ½ : 0
        assert float(value) == pytest.approx((2 * float(fine[name]) + float(rough[name])) / 3, abs=1e-6)


def test_targets_are_no_part_of_the_weights() -> None:
    targets = targets_for(region_plan())
    assert targets is not None
    assert dict(targets.state_dict()) == {}
    assert targets(torch.tensor([[[[0, 1, 2, 3, 4]]]])).int().tolist() == [
        [[[[0, 1, 1, 1, 0]]], [[[0, 0, 1, 1, 0]]], [[[0, 0, 0, 1, 0]]]]
    ]
    assert targets_for(region_plan().model_copy(update={"regions": ()})) is None


def test_the_mean_of_regions_is_that_of_their_probabilities() -> None:
    answers = [3 * torch.randn((1, 3, 2, 2, 2), generator=chance(n)) for n in range(3)]
    mean = answers[0]
    for count, answer in enumerate(answers[1:], 2):
        mean = running_mean_of_regions(mean, answer, count)
    expected = torch.stack([torch.sigmoid(answer.double()) for answer in answers]).mean(0)
    assert (torch.sigmoid(mean.double()) - expected).abs().max() < 1e-6
    assert math.isfinite(float(running_mean_of_regions(torch.tensor([90.0]), torch.tensor([80.0]), 2)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_loss_and_gradient_are_those_of_nnunet_itself(tmp_path: Path) -> None:
    python = os.environ.get("VOXTRACE_NNUNET_PYTHON")
    if not python:
        pytest.skip("VOXTRACE_NNUNET_PYTHON does not name a Python that has nnunetv2")
    drawn, labels = drawn_batch()
    np.savez(tmp_path / "given.npz", logits=drawn.numpy(), labels=labels.numpy())
    command = [python, "-c", PEER, str(tmp_path / "given.npz"), str(tmp_path / "made.npz")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / "made.npz")
    for ignore in (False, True):
        for batch_dice in (False, True):
            targets = RegionTargets(region_plan(ignore=ignore))
            logits = drawn.clone().requires_grad_()
            terms = region_loss(logits, labels if ignore else labels.clamp(max=3), targets, over_batch=batch_dice)
            value = sum(terms.values())
            (gradient,) = torch.autograd.grad(value, logits)
            found = np.append(gradient.numpy().ravel(), value.item())
            assert np.abs(found - theirs[f"{ignore}{batch_dice}"]).max() < 1e-5
