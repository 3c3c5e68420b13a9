"""CDL-UNet: a small U-Net that learns easy cases first and looks only where there is something.

Idea: how well three candidate label maps of a case agree shows which of them is best (*reliability*) and how hard the
case is (*difficulty*; high is easy). A U-Net of 1.4 million parameters learns the easy cases, then, with a fresh
optimiser, the harder ones too. In inference the centre window of each z start runs first::

    Dice(L_i, L_j)  ->  RS_i = mean_j Dice(L_i, L_j)    kept: the label of the largest RS
                        DS   = mean Dice of the kept label with the others

    easy   DS > 0.90   2/5 of the run, learning rate from 0.01
    hard   DS > 0.80   3/5 of the run, from those weights, learning rate from 0.01 again

Legend: L_i candidate label map, RS reliability score, DS difficulty score (by :mod:`voxtrace.training.reliability`).

References
----------
"CDL-UNet: Curriculum-Driven Lightweight 3D U-Net for Abdominal Organ Segmentation", MICCAI FLARE 2024, submission 11
(https://openreview.net/forum?id=1ZR6Hsb8z3).
Thresholds, starts of windows and details of the network are those of its published code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn

from voxtrace.errors import MethodError, PlanError
from voxtrace.method import Alike, Augmentation, Batch, Figure, Method, Noise, Parts, Phase, Step, TrainState, option
from voxtrace.nn.blocks import ConvStage
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.losses import supervised_loss
from voxtrace.nn.regions import targets_for
from voxtrace.plan import Plan, Topology
from voxtrace.windows import PUBLISHED_WINDOW, Adaptive, Windowing

TOPOLOGY = Topology(
    widths=(16, 32, 64, 128),
    kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
)
HEAD_WEIGHTS = (8 / 15, 4 / 15, 2 / 15)  # finest first; the sum is 14/15, as in the published code
EASY_FRACTION = 1000 / 2500  # epochs
MOST_EMPTY = math.prod(PUBLISHED_WINDOW)
LATTICE = {"windows": ("regular",)}  # where no window depends on another's answer
AUGMENTATION = Augmentation(elastic_p=0.2, mirror=False)


@dataclass(frozen=True)
class CDLUNet(Method):
    """Curriculum-driven light U-Net with an adaptive sliding window."""

    key: ClassVar[str] = "cdlunet"
    title: ClassVar[str] = "CDL-UNet"
    source: ClassVar[str] = (
        "CDL-UNet: Curriculum-Driven Lightweight 3D U-Net for Abdominal Organ Segmentation, MICCAI FLARE 2024, "
        "openreview.net/forum?id=1ZR6Hsb8z3"
    )
    facts: ClassVar[Mapping[str, str]] = {"foreground_voxels": "voxel"}
    overlapping: ClassVar[bool] = True

    easy_above: float = option(
        0.90,
        "Difficulty score above which a case is easy (high is easy).",
        low=0.0,
        high=1.0,
        unread_where={"course": ("all_at_once",)},
    )
    hard_above: float = option(
        0.80,
        "Difficulty score above which a case is in the hard phase; below, it is dropped.",
        low=0.0,
        high=1.0,
        unread_where={"course": ("only_easy",)},
    )
    hard_only: bool = option(
        False,
        "Leave the easy cases out of the hard phase.",
        unread_where={"course": ("only_easy", "only_hard", "all_at_once")},
    )
    course: Literal["easy_then_hard", "only_easy", "only_hard", "all_at_once"] = option(
        "easy_then_hard",
        "Which cases the two phases learn: the paper's curriculum, or, for comparison over the same updates and rates, "
        "easy cases alone, hard cases alone, or both from the start.",
    )
    score: Literal["mean", "min"] = option(
        "mean", "Which Dice of the kept label with the other candidates is compared: their mean or the smallest."
    )
    windows: Literal["adaptive", "regular"] = option(
        "adaptive",
        "Windows in inference: the centre first and the rest where it is not empty, or all of a lattice.",
        live=True,
    )
    rule: Literal["paper", "code"] = option(
        "paper",
        "Where the neighbours of a centre window are skipped: where it has no foreground, or as in the published code "
        "where it has little, and then its own result and the next z start are dropped too.",
        live=True,
        unread_where=LATTICE,
    )
    empty_below: int = option(
        1000,
        "Foreground voxels below which the centre window is empty by the rule of the published code; for a window of "
        "32×128×192 and scaled with its size. 0 never skips, by either rule.",
        low=0,
        live=True,
        high=MOST_EMPTY,
        unread_where=LATTICE,
        alike_where=(Alike({"rule": ("paper",)}, range(1, MOST_EMPTY + 1)),),
    )
    tube_labels: str = option(
        "",
        "Label values, such as 5 6 10, of vessels and the like: where the centre would be empty but for them, only "
        "windows before and behind it run; empty switches the rule off.",
        live=True,
        unread_where=LATTICE,
    )
    central_only: bool = option(
        False,
        "Leave the outer voxels of a wide scan background, as published for the abdomen.",
        live=True,
        unread_where=LATTICE,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        reads_both = self.course in ("easy_then_hard", "only_hard")
        if reads_both and self.hard_above > self.easy_above:
            raise MethodError(
                f"cdlunet: hard_above is {self.hard_above}, above easy_above {self.easy_above}; "
                "a high score is easy, so choose a hard_above of at most easy_above."
            )
        self.tubes()

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan with the published topology, a window that fits it, and no mirroring.

        Each axis of the window is rounded up to a multiple of (4, 8, 8).

        Raises
        ------
        PlanError
            The coarsest map would be a single voxel.
        MethodError
            ``tube_labels`` has a value that is no label of the plan.
        """
        z, y, x = (-(-n // d) * d for n, d in zip(plan.window, TOPOLOGY.divisor, strict=True))
        # Instance norm of a single voxel would erase it.
        if (z, y, x) == TOPOLOGY.divisor:
            raise PlanError(
                f"window {plan.window} leaves cdlunet a coarsest map of one voxel; use at least 8 voxels along Z, "
                "or 16 along Y or X."
            )
        unknown = self.tubes() - set(plan.labels)
        if unknown:
            raise MethodError(
                f"cdlunet: tube_labels has {min(unknown)}, expected values of 1 to {plan.n_labels - 1}; correct it."
            )
        return plan.model_copy(update={"topology": TOPOLOGY, "window": (z, y, x), "mirror_axes": ()})

    def build(self, plan: Plan) -> nn.Module:
        """Return the network with its one child ``segment``; weights as torch initialises them."""
        return CDLUNetNetwork(plan)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return Dice (over the batch) and cross-entropy of all three heads."""
        net = cast(CDLUNetNetwork, network)
        heads = net.segment.supervised(batch.images)
        return supervised_loss(heads, batch.labels, weights=HEAD_WEIGHTS, over_batch=True, regions=net.regions)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the one decision."""
        logits = parts["segment"](images)
        # Where the label is not 0: cheaper than an argmax over all labels. Regions have no background to be above.
        foreground = logits.amax(1) > 0 if "regions" in parts else logits[:, 1:].amax(1) > logits[:, 0]  # (B, Z, Y, X)
        yield Step(logits, {"foreground_voxels": foreground.flatten(1).sum(1).float()})

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return "easy", two fifths of the run, and "hard", the rest; each starts with a fresh optimiser."""
        easy = round(EASY_FRACTION * plan.iterations)
        # Name of the score that is stored with each case.
        key = "difficulty" if self.score == "mean" else "difficulty_min"
        updates = (("easy", easy), ("hard", plan.iterations - easy))
        return tuple(
            Phase(name, n, case_weight=partial(chosen, key=key, above=above, most=most), augmentation=AUGMENTATION)
            for (name, n), (above, most) in zip(updates, self.courses(), strict=True)
            if n
        )

    def courses(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return above and up to which difficulty score cases are learned, in the first phase and in the second."""
        easy, both = (self.easy_above, 1.0), (self.hard_above, 1.0)
        hard = (self.hard_above, self.easy_above)
        return {
            "easy_then_hard": (easy, hard if self.hard_only else both),
            "only_easy": (easy, easy),
            "only_hard": (hard, hard),
            "all_at_once": (both, both),
        }[self.course]

    def windowing(self, plan: Plan) -> Windowing:
        """Return the adaptive schedule, or the even lattice."""
        if self.windows == "regular":
            return Windowing()
        schedule = Adaptive(self.empty_below, self.tubes(), self.central_only, self.rule)
        return Windowing(schedule, keeps=schedule.keeps)

    def covering(self, least: float) -> Self:
        """Return the method with the even lattice of windows where the adaptive ones miss a part of a known label."""
        return replace(self, windows="regular") if least < 1.0 and self.windows == "adaptive" else self

    def tubes(self) -> frozenset[int]:
        """Return ``tube_labels`` as numbers, or refuse anything else."""
        words = self.tube_labels.replace(",", " ").split()
        for word in words:
            if not word.isdecimal() or int(word) == 0:
                raise MethodError(f"cdlunet: tube_labels has {word!r}; expected label values from 1, e.g. '5 6 10'.")
        return frozenset(map(int, words))

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return the published size and cost."""
        # The paper truncates both after two decimals.
        shape = "1×32×128×192, 14 labels"
        source = "table not known here"
        return (
            Figure("parameters, 14 labels", 1.39, "M", 0.01, source, lambda: parameters(_published()) / 1e6),
            Figure(
                f"cost, {shape}",
                64.02,
                "GMAC",
                0.01,
                source,
                lambda: flops(_published(), (1, *PUBLISHED_WINDOW), "thop"),
                "thop",
            ),
        )


def chosen(scores: Mapping[str, float], progress: float, *, key: str, above: float, most: float) -> float:
    """Return 1 for a case with ``above < scores[key] ≤ most``, else 0; a case without the score counts as easiest.

    A case whose kept labels have no foreground at all is never learned: its candidates agree on nothing.
    """
    return float(above < scores.get(key, 1.0) <= most and scores.get("foreground_voxels", 1.0) > 0)


class LightUnet(nn.Module):
    """Four stages of width 16, 32, 64, 128 (nnU-Net v1: transposed convolutions and heads have no bias)."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        w, k, s = TOPOLOGY.widths, TOPOLOGY.kernels, TOPOLOGY.strides
        deeper = range(1, len(w))
        self.down = nn.ModuleList(
            [ConvStage(plan.n_channels, w[0], k[0], s[0]), *(ConvStage(w[i - 1], w[i], k[i], s[i]) for i in deeper)]
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(w[i], w[i - 1], s[i], s[i], bias=False) for i in deeper)
        self.merge = nn.ModuleList(ConvStage(2 * w[i - 1], w[i - 1], (3, 3, 3)) for i in deeper)
        self.heads = nn.ModuleList(nn.Conv3d(w[i - 1], plan.n_outputs, 1, bias=False) for i in deeper)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X) of the finest head."""
        logits: Tensor = self.heads[0](self.maps(images)[0])
        return logits

    def supervised(self, images: Tensor) -> list[Tensor]:
        """Return logits of every head, finest first."""
        return [head(x) for head, x in zip(self.heads, self.maps(images), strict=True)]

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the decoder's feature maps, finest first."""
        # The image is the first entry and no skip.
        skips = [images]
        for stage in self.down:
            skips.append(stage(skips[-1]))  # (B, 16, Z, Y, X), (B, 32, Z, Y/2, X/2), … (B, 128, Z/4, Y/8, X/8)
        x, decoded = skips.pop(), []
        for up, merge, skip in zip(reversed(self.up), reversed(self.merge), reversed(skips[1:]), strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))  # (B, w[i−1], size of the skip)
            decoded.append(x)
        return decoded[::-1]


class CDLUNetNetwork(nn.Module):
    """One child, ``segment``: the whole LightUnet; and ``regions`` where the plan has any."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.segment = LightUnet(plan)
        self.regions = targets_for(plan)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X)."""
        logits: Tensor = self.segment(images)
        return logits

    def counted(self, images: Tensor) -> list[Tensor]:
        """Return logits of every head: the pass whose cost is published."""
        return self.segment.supervised(images)


def _published() -> nn.Module:
    """Return the published network without weights: 1 channel, 14 labels."""
    with torch.device("meta"):
        return CDLUNetNetwork(Plan.example(labels=14, window=PUBLISHED_WINDOW))
