"""Loss, gradient, rate and weights of the plain U-Net are nnU-Net's: by its formulas, and by nnU-Net itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import small_plan
from chance import chance, drawn
from voxtrace.method import Batch, Optimiser, Phase, TrainState
from voxtrace.methods import method
from voxtrace.nnunet.weights import fill
from voxtrace.plan import Topology
from voxtrace.training.optimiser import make_optimiser

pytestmark = pytest.mark.numeric

WIDTHS, KERNELS, STRIDES = (4, 8, 12, 16), ((1, 3, 3), *((3, 3, 3),) * 3), ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2))
UPDATES, LABELS, SHAPE = 4, 3, (2, 1, 16, 16, 16)
PEER = """
import sys
import numpy as np, torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
file, out, batch_dice = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
given = np.load(file)
widths, kernels, strides = (given[n].tolist() for n in ("widths", "kernels", "strides"))
torch.manual_seed(0)
network = PlainConvUNet(
    1, len(widths), widths, torch.nn.Conv3d, kernels, strides, 2, int(given["labels"]), 2, conv_bias=True,
    norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU,
    nonlin_kwargs={"inplace": True}, deep_supervision=True,
)
saved = {"weights/" + n: v.numpy().copy() for n, v in network.state_dict().items()}
# as in nnUNetTrainer: _build_loss, configure_optimizers, train_step
loss = DC_and_CE_loss({"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False}, {},
                      dice_class=MemoryEfficientSoftDiceLoss)
heads = len(widths) - 1
weights = np.array([1 / 2**i for i in range(heads)]); weights[-1] = 0
loss = DeepSupervisionWrapper(loss, weights / weights.sum())
optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
schedule = PolyLRScheduler(optimizer, 1e-2, int(given["updates"]))
scales = np.cumprod(1 / np.vstack(strides), axis=0)[:-1].tolist()
truth = torch.from_numpy(given["truth"])
targets = [torch.stack(one) for one in zip(*(DownsampleSegForDSTransform(scales)(segmentation=t[None])["segmentation"]
                                             for t in truth))]
losses, rates = [], []
for step in range(int(given["updates"])):
    schedule.step(step)
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.zero_grad(set_to_none=True)
    value = loss(network(torch.from_numpy(given["images"])), targets)
    value.backward()
    if step == 0:
        saved.update({"gradient/" + n: p.grad.numpy().copy() for n, p in network.named_parameters()
                      if p.grad is not None})
    torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
    optimizer.step()
    losses.append(float(value))
saved.update({"after/" + n: v.numpy() for n, v in network.state_dict().items()})
np.savez(out, losses=losses, rates=rates, **saved)
"""


def _plan(batch_dice: bool) -> Any:
    topology = Topology(widths=WIDTHS, kernels=KERNELS, strides=STRIDES)
    labels = {value: f"label {value}" if value else "background" for value in range(LABELS)}
    return small_plan(iterations=UPDATES, batch_dice=batch_dice, labels=labels, topology=topology)


def _batch() -> Batch:
    images = torch.randn(SHAPE, generator=chance(1))
    truth = torch.randint(0, LABELS, (SHAPE[0], 4, 4, 4), generator=chance(2)).repeat_interleave(4, 1)
    truth = truth.repeat_interleave(4, 2).repeat_interleave(4, 3)
    truth[1][truth[1] == 2] = 0  # a window that lacks a label
    return Batch(images, truth)


def _formula(heads: list[Tensor], truth: Tensor, batch_dice: bool) -> Tensor:
    """nnU-Net's loss as its paper and code state it, label by label, voxel sums written out."""
    raw = [2.0**-i for i in range(len(heads) - 1)] + [0.0]
    total = heads[0].new_zeros(())
    for weight, logits in zip(raw, heads, strict=True):
        steps = [n // m for n, m in zip(truth.shape[1:], logits.shape[2:], strict=True)]
        at = [torch.arange(m) * s + s // 2 for m, s in zip(logits.shape[2:], steps, strict=True)]
        target = truth[:, at[0]][:, :, at[1]][:, :, :, at[2]]
        p = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
        cross_entropy = -torch.log(p.gather(1, target[:, None])).mean()
        groups = [slice(None)] if batch_dice else [slice(b, b + 1) for b in range(len(p))]
        scores = []
        for rows in groups:
            for label in range(1, LABELS):
                g, q = (target[rows] == label).to(p.dtype), p[rows, label]
                scores.append((2 * (g * q).sum() + 1e-5) / (g.sum() + q.sum() + 1e-5))
        total = total + weight / sum(raw) * (cross_entropy - torch.stack(scores).mean())
    return total


@pytest.mark.parametrize("batch_dice", [False, True])
@drawn()
def test_loss_and_gradient_are_those_of_the_formula(batch_dice: bool) -> None:
    plan, batch, m = _plan(batch_dice), _batch(), method("unet")
    network = m.build(plan).double()
    exact = Batch(batch.images.double(), batch.labels)
    heads = network.supervised(network.project(exact.images))
    expected = _formula(heads, batch.labels, batch_dice)
    wanted = torch.autograd.grad(expected, list(network.parameters()), allow_unused=True)
    network.float()
    terms = m.loss(network, batch, TrainState(Phase("train", 1), 0, torch.Generator()))
    loss = torch.stack(list(terms.values())).sum()
    found = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert max(float(theirs.abs().max()) for theirs in wanted if theirs is not None) > 0.01
    for ours, theirs in zip(found, wanted, strict=True):
        if ours is None:  # of the coarsest head, whose weight is 0
            assert theirs is None or not theirs.any()
        else:
            assert (ours.double() - theirs).abs().max() <= 1e-5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch_dice", [False, True])
def test_updates_are_those_of_nnunet_itself(tmp_path: Path, batch_dice: bool) -> None:
    python = os.environ.get("VOXTRACE_NNUNET_PYTHON")
    if not python:
        pytest.skip("VOXTRACE_NNUNET_PYTHON does not name a Python that has nnunetv2")
    batch = _batch()
    given = {"widths": WIDTHS, "kernels": KERNELS, "strides": STRIDES, "labels": LABELS, "updates": UPDATES}
    np.savez(tmp_path / "given.npz", images=batch.images.numpy(), truth=batch.labels.numpy(), **given)
    command = [python, "-c", PEER, tmp_path / "given.npz", tmp_path / "made.npz", str(batch_dice)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / "made.npz")
    plan, m = _plan(batch_dice), method("unet")

    def ours(group: str) -> dict[str, Tensor]:
        """Return nnU-Net's tensors by our names."""
        named = {n.removeprefix(group): torch.from_numpy(theirs[n]) for n in theirs.files if n.startswith(group)}
        made = m.build(plan)
        if group == "gradient/":  # the coarsest head has none
            named = {n: named.get(n, torch.zeros(theirs[f"weights/{n}"].shape)) for n in ours_names}
        fill(made, named, len(WIDTHS))
        return {name: value.detach().clone() for name, value in made.named_parameters()}

    ours_names = [n.removeprefix("weights/") for n in theirs.files if n.startswith("weights/")]
    network = m.build(plan)
    network.load_state_dict(ours("weights/"))
    how = Optimiser()
    optimizer = make_optimiser(list(network.parameters()), how)
    phase = Phase("train", UPDATES)
    for step in range(UPDATES):
        rate = how.rate * how.schedule(step, UPDATES)
        assert rate == pytest.approx(theirs["rates"][step], abs=1e-9)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = torch.stack(list(m.loss(network, batch, TrainState(phase, step, torch.Generator())).values())).sum()
        loss.backward()
        assert float(loss.detach()) == pytest.approx(theirs["losses"][step], abs=1e-5)
        if step == 0:
            wanted = ours("gradient/")
            for name, weight in network.named_parameters():
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                assert (gradient - wanted[name]).abs().max() <= 1e-5, name
        torch.nn.utils.clip_grad_norm_(network.parameters(), how.clip_norm)
        optimizer.step()
    after = ours("after/")
    for name, weight in network.named_parameters():
        assert (weight - after[name]).abs().max() <= 1e-5, name
