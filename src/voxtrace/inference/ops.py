"""The functions of :class:`~voxtrace.inference.voxel_ops.VoxelOps` for a device and for what a network answers."""

from __future__ import annotations

from collections.abc import Sequence

from voxtrace.inference.score_plane import Average
from voxtrace.inference.voxel_ops import VoxelOps


def ops_for(device: str, paints: Sequence[int] = (), average: Average = "probabilities") -> VoxelOps:
    """Return the functions for a device, as torch names it; torch's where the voxel-wise kernels are switched off.

    With ``paints``, the value of each region, they are those for regions; ``average`` says what is averaged of these.
    """
    from voxtrace.inference import ops_numba, ops_torch
    from voxtrace.inference.ops_regions import RegionOps
    from voxtrace.kernels.switches import is_enabled

    ops: VoxelOps = ops_numba if device == "cpu" and is_enabled("voxelwise") else ops_torch
    return RegionOps(ops, tuple(paints), average) if paints else ops
