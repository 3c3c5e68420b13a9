"""E2ENet's network: a flat encoder, a triangle of sparse fusion nodes, and a head on the last node of four levels.

::

    x(i, j) = F([ x(i, j−1), U(x(i+1, j−1)), D(x(i−1, j−1)) ])       i + j < L        (eq. 1)

    level 0   x(0,0) ─ x(0,1) ─ x(0,2) → head 0
                 ╲  ╱     ╲   ╱                          L = 3 levels, stages j = 1 and 2
    level 1   x(1,0) ─ x(1,1) → head 1
                 ╲   ╱
    level 2   x(2,0)

Legend: i level (0 finest), j stage (0 is the encoder), L levels, F fusion (two convolutions where i + j = L − 1, else
one), U transposed convolution, D maximum pooling, M mask over the kernels of F and U.

References
----------
Wu et al., "E2ENet: Dynamic Sparse Feature Fusion for Accurate and Efficient 3D Medical Image Segmentation",
NeurIPS 2024, arXiv:2312.04727.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.nn.blocks import LEAK, he_init
from voxtrace.nn.instance_norm import WindowNorm
from voxtrace.nn.masked import Masked, MaskedConv3d, MaskedConvTranspose3d
from voxtrace.nn.regions import targets_for
from voxtrace.plan import Plan, Shape, Topology

HEADS = 4
FLAT: Shape = (1, 3, 3)
CUBE: Shape = (3, 3, 3)
SOURCES = ("forward", "upward", "downward")  # from the same level, the coarser one, the finer one


@dataclass(frozen=True)
class FusionOptions:
    """How the levels are fused.

    Attributes
    ----------
    density
        Fraction 1 − S of the kernels of each F and U that is on.
    level0_density
        The same for F of level 0; 0 takes ``density``.
    shift
        Slices that a third of the channels moves up, and a third down, before each flat convolution.
    strict_shift
        Shift maps of one or two channels, too.
    cubic
        3×3×3 kernels in the encoder and the last nodes, and no shift (ablation).
    active_gradient
        See :class:`voxtrace.nn.masked.Masked`.
    axis
        Along which channels move and flat kernels are one voxel thick: 0 depth (the paper's), 1 Y, 2 X (ablations).
    """

    density: float
    level0_density: float = 0.0
    shift: int = 1
    strict_shift: bool = False
    cubic: bool = False
    active_gradient: bool = False
    axis: int = 0


def depth_shift(x: Tensor, distance: int = 1, strict: bool = False) -> Tensor:
    """Return (B, C, Z, Y, X) with the first third of the channels moved to lower z, the last third to higher z.

    ``out[z] = in[z + distance]`` for the first ⌈C/3⌉ channels, unchanged for the next ⌈C/3⌉, ``in[z − distance]`` for
    the rest; voxels without a source are 0. One or two channels stay as they are unless ``strict``.
    """
    if distance == 0 or (x.shape[1] < 3 and not strict):
        return x
    depth = x.shape[2]
    # Slices that come in from outside are 0: the shift does not wrap around.
    padded = F.pad(x, (0, 0, 0, 0, distance, distance))  # (B, C, Z + 2·distance, Y, X)
    groups = padded.chunk(3, dim=1)  # of ⌈C/3⌉ channels
    starts = (2 * distance, distance, 0)
    return torch.cat([g[:, :, s : s + depth] for g, s in zip(groups, starts, strict=False)], dim=1)


def depth_moves(channels: int, distance: int = 1, strict: bool = False) -> list[int]:
    """Return how many slices :func:`depth_shift` moves each of the channels."""
    if distance == 0 or (channels < 3 and not strict):
        return [0] * channels
    group = -(-channels // 3)
    return [(distance, 0, -distance)[c // group] for c in range(channels)]


class ShiftedBlock(nn.Module):
    """Depth shift, convolution (with bias), instance norm, leaky ReLU; (B, Cin, Z, Y, X) to (B, Cout, …)."""

    def __init__(self, conv: nn.Conv3d, distance: int = 1, strict: bool = False) -> None:
        super().__init__()
        self.distance = distance
        self.strict = strict
        self.conv = conv
        self.norm = WindowNorm(conv.out_channels, eps=1e-5, affine=True)
        self.act = nn.LeakyReLU(LEAK, inplace=True)

    def moves(self, channels: int) -> list[int]:
        """Return how many slices each channel moves; a runtime can read shifted rows instead of copying the map."""
        return depth_moves(channels, self.distance, self.strict)

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the activated map of one map, or of several concatenated along channels."""
        x = torch.cat(list(maps), dim=1) if isinstance(maps, (list, tuple)) else cast(Tensor, maps)  # (B, Cin, Z, …)
        activated: Tensor = self.act(self.norm(self.conv(depth_shift(x, self.distance, self.strict))))
        return activated  # (B, Cout, Z/sz, Y/sy, X/sx)


class TurnedBlock(nn.Module):
    """A shifted block along another axis than depth: the map is turned so that this axis comes first, and back."""

    def __init__(self, block: ShiftedBlock, axis: int) -> None:
        super().__init__()
        self.block = block
        self.axis = axis

    @property
    def conv(self) -> nn.Conv3d:
        """The block's convolution, whose kernel and stride are for the turned map."""
        return self.block.conv

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the activated map of one map, or of several concatenated along channels."""
        x = torch.cat(list(maps), dim=1) if isinstance(maps, (list, tuple)) else cast(Tensor, maps)
        activated: Tensor = self.block(x.transpose(2, 2 + self.axis)).transpose(2, 2 + self.axis)
        return activated


class FlatEncoder(nn.Module):
    """Two blocks on each level; the first carries the stride."""

    def __init__(self, plan: Plan, options: FusionOptions) -> None:
        super().__init__()
        widths, strides = plan.topology.widths, plan.topology.strides
        kernel = CUBE if options.cubic else FLAT
        padding = (kernel[0] // 2, 1, 1)
        self.levels = nn.ModuleList(
            nn.Sequential(
                _block(
                    nn.Conv3d(n_in, n_out, kernel, stride if options.cubic else _turned(stride, options.axis), padding),
                    options,
                ),
                _block(nn.Conv3d(n_out, n_out, kernel, 1, padding), options),
            )
            for n_in, n_out, stride in zip((plan.n_channels, *widths), widths, strides, strict=False)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return x(0, 0) … x(L−1, 0) of images (B, C, Z, Y, X)."""
        maps = [images]
        for level in self.levels:
            maps.append(level(maps[-1]))  # (B, w[i], Z/2^i, Y/2^i, X/2^i)
        return tuple(maps[1:])


class FusionNode(nn.Module):
    """x(i, j), j ≥ 1: fuses the maps of levels i, i + 1 and i − 1 of the stage before (eq. 1)."""

    def __init__(self, topology: Topology, level: int, last: bool, options: FusionOptions) -> None:
        super().__init__()
        w, s = topology.widths, topology.strides
        fused = options.level0_density if level == 0 and options.level0_density else options.density
        # The mask covers U as well: only then do sizes and costs come out as published.
        self.up = MaskedConvTranspose3d(w[level + 1], w[level], s[level + 1], options.density)
        # Level 0 has no finer level.
        self.down = nn.MaxPool3d(s[level]) if level else None
        self.widths = (w[level], w[level], w[level - 1] if level else 0)  # channels from each of SOURCES
        kernel = CUBE if options.cubic and last else FLAT
        # Input channels in the order of SOURCES; ``fuses`` counts one more operation a voxel (eq. 5).
        convs = [MaskedConv3d(sum(self.widths), w[level], kernel, fused, fuses=True)]
        if last:
            convs.append(MaskedConv3d(w[level], w[level], kernel, fused, fuses=True))
        self.fuse = nn.Sequential(*(_block(conv, options) for conv in convs))

    def forward(self, same: Tensor, coarser: Tensor, finer: Tensor | None = None) -> Tensor:
        """Return x(i, j), of the size of ``same``."""
        maps = [same, self.up(coarser)]  # each (B, w[i], Z, Y, X)
        if self.down is not None:
            maps.append(self.down(finer))  # (B, w[i−1], Z, Y, X)
        fused: Tensor = self.fuse(maps)  # (B, w[i], Z, Y, X)
        return fused

    def sources(self) -> Tensor:
        """Return how many active kernels of the first convolution read each of SOURCES, (3,) int64."""
        # Only the first convolution reads other nodes; the second of a last node reads its own map.
        first = cast(ShiftedBlock | TurnedBlock, self.fuse[0])
        mask = cast(MaskedConv3d, first.conv).mask  # (Cout, Cin)
        return torch.stack([group.sum() for group in mask.split_with_sizes(self.widths, dim=1)])

    def connections(self) -> dict[str, Any]:
        """Return active kernels by source: how many, their share of the node's, and the fraction that is on."""
        counts: list[int] = self.sources().tolist()
        found: dict[str, Any] = {"active_kernels": sum(counts)}
        for name, count, width in zip(SOURCES, counts, self.widths, strict=True):
            possible = width * self.widths[0]
            share, density = count / sum(counts), count / possible if possible else 0.0
            found[name] = {"active_kernels": count, "share": round(share, 6), "density": round(density, 6)}
        return found


class FusionStage(nn.ModuleList):
    """One column of the triangle: takes the maps of stage j − 1, finest first, and returns one map fewer."""

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Return x(0, j) … x(L−1−j, j)."""
        return tuple(node(maps[i], maps[i + 1], *maps[i - 1 : i]) for i, node in enumerate(self))


class FusionHead(nn.Module):
    """A 1×1×1 convolution without bias on a last node, and the sources of that node's features."""

    sources: Tensor

    def __init__(self, width: int, n_labels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, n_labels, 1, bias=False)
        self.register_buffer("sources", torch.zeros(3, dtype=torch.int64))  # active kernels of the node, by source

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K, Z, Y, X) and the share of active kernels by source, (B, 3)."""
        return self.conv(x), (self.sources / self.sources.sum()).expand(x.shape[0], 3)


class E2ENetNetwork(nn.Module):
    """Children ``encode``, ``stage1`` … ``stage{L−1}`` and ``head0`` … ``head3``; ``regions`` where the plan has any.

    ``updates`` counts how often the masks were changed since the network was first made.
    """

    updates: Tensor

    def __init__(self, plan: Plan, options: FusionOptions) -> None:
        super().__init__()
        t = plan.topology
        # A head on each of the last nodes of levels 0 … 3.
        L = len(t.widths)
        self.batch_dice = plan.batch_dice
        self.encode = FlatEncoder(plan, options)
        for j in range(1, L):
            nodes = (FusionNode(t, i, i + j == L - 1, options) for i in range(L - j))
            self.add_module(f"stage{j}", FusionStage(nodes))
        for i in range(HEADS):
            self.add_module(f"head{i}", FusionHead(t.widths[i], plan.n_outputs))
        self.regions = targets_for(plan)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.apply(he_init)
        for conv in self.masked:
            conv.active_gradient = options.active_gradient
            conv.apply_mask()  # he_init has drawn weights for kernels that are off, too
        self.count_sources()

    @property
    def stages(self) -> list[FusionStage]:
        """Stages 1 … L−1."""
        return [child for child in self.children() if isinstance(child, FusionStage)]

    @property
    def nodes(self) -> dict[tuple[int, int], FusionNode]:
        """Node x(i, j) by (i, j), stage after stage."""
        return {(i, j): cast(FusionNode, n) for j, stage in enumerate(self.stages, 1) for i, n in enumerate(stage)}

    @property
    def supervised(self) -> list[FusionHead]:
        """Heads, finest first."""
        return [child for child in self.children() if isinstance(child, FusionHead)]

    @property
    def masked(self) -> list[Masked]:
        """Every masked convolution, in order of construction."""
        return [module for module in self.modules() if isinstance(module, Masked)]

    @property
    def is_dense(self) -> bool:
        """Whether every kernel of every masked convolution is on."""
        return all(bool(conv.mask.all()) for conv in self.masked)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return logits of each head, finest first, each at its own size."""
        maps, last = self.encode(images), []
        for stage in self.stages:
            maps = stage(*maps)  # x(0, j) … x(L−1−j, j)
            last.append(maps[-1])
        return [head(x)[0] for head, x in zip(self.supervised, reversed(last), strict=False)]

    def count_sources(self) -> None:
        """Bring the heads' counts of active kernels by source up to date with the masks."""
        for head, stage in zip(self.supervised, reversed(self.stages), strict=False):
            head.sources.copy_(cast(FusionNode, stage[-1]).sources())


def _block(conv: nn.Conv3d, options: FusionOptions) -> ShiftedBlock | TurnedBlock:
    block = ShiftedBlock(conv, 0 if options.cubic else options.shift, options.strict_shift)
    return TurnedBlock(block, options.axis) if options.axis and not options.cubic else block


def _turned(stride: Shape, axis: int) -> Shape:
    """Return a stride for a map whose axis 0 has changed places with ``axis``."""
    order = list(stride)
    order[0], order[axis] = order[axis], order[0]
    return (order[0], order[1], order[2])
