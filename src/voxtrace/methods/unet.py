"""The plain U-Net as nnU-Net plans it: the baseline, with the same parameters as RecycleNet.

Idea: one pass through the planned network; its single decision is the answer.

References
----------
Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
Nature Methods 18, 203-211, 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

from torch import Tensor, nn

from voxtrace.method import Batch, Method, Noise, Parts, Step, TrainState
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.unet import FINEST_BIAS, UNetNetwork, check_plan
from voxtrace.plan import Plan


@dataclass(frozen=True)
class UNet(Method):
    """A U-Net as nnU-Net plans and trains it."""

    key: ClassVar[str] = "unet"
    title: ClassVar[str] = "U-Net"
    source: ClassVar[str] = "Isensee et al., nnU-Net, Nature Methods 18, 2021"
    overlapping: ClassVar[bool] = True
    begins_from: ClassVar[tuple[str, ...]] = ("recyclenet",)
    last_bias: ClassVar[str] = FINEST_BIAS

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan unchanged, or refuse a window that the topology cannot halve, or halves nowhere."""
        check_plan(plan)
        return plan

    def build(self, plan: Plan) -> nn.Module:
        """Return the network with children ``project``, ``recycle`` and ``decide``."""
        return UNetNetwork(plan)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return Dice and cross-entropy over all heads."""
        unet = cast(UNetNetwork, network)
        # Deep supervision: one head for each decoder stage, finest first.
        heads = unet.supervised(unet.project(batch.images))
        return supervised_loss(heads, batch.labels, over_batch=unet.batch_dice, regions=unet.regions)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the one decision."""
        yield Step(parts["decide"](parts["recycle"](parts["project"](images))))
