"""A small made-up trace that has everything a trace can hold, without an engine or torch."""

from __future__ import annotations

import numpy as np

from voxtrace.trace import NodeChart, Provenance, Trace
from voxtrace.volume import Geometry, Shape

BRANCH_COSTS = (0.0, 1.0, 4.0)  # GFLOP of a window by branch
SHAPE: Shape = (12, 16, 20)


def made_trace(steps: int = 3, shape: Shape = SHAPE) -> Trace:
    """Return a trace of a made-up method that fills both rulers.

    Two labels, "liver" and "spleen", grow from step to step, in slices from a quarter of the depth on. Four windows
    halve the volume along z and x; one was skipped and one discarded. Rows are the answer, the extra "draft" and the
    members "seed 0" and "seed 1".
    """
    depth, height, width = shape
    labels = np.zeros((steps, *shape), np.uint8)
    for step in range(steps):
        labels[step, depth // 4 : depth // 2 + 1 + step, 2 : height // 2, 2 : width // 2] = 1
        labels[step, depth // 4 : depth // 2, height // 2 :, width // 2 : width // 2 + 2 + step] = 2
    shifted = np.roll(labels, 1, axis=3)
    slices = np.arange(depth)
    ramp = np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (steps, *shape)).copy()
    ramp[:, 0] = np.nan  # no window lay there
    half, middle = depth // 2, width // 2
    windows = [(0, 0, 0, half, height, middle), (0, 0, middle, half, height, width)]
    windows += [(half, 0, 0, depth, height, middle), (half, 0, middle, depth, height, width)]
    branches, costs = [0, 1, 2, 1], [0.25, 1.25, 4.25, 1.25]  # 0.25 for the choice itself
    return Trace(
        labels=labels,
        facts={
            "changed_fraction": np.linspace(0.5, 0, steps * 4, dtype=np.float32).reshape(steps, 4),
            "branch": np.tile(np.float32(branches), (steps, 1)),
            "cost_gflop": np.tile(np.float32(costs), (steps, 1)),
        },
        windows=np.array(windows),
        units={
            "changed_fraction": "fraction",
            "branch": "index",
            "cost_gflop": "GFLOP",
            "choice": "index",
            "brightest": "HU",
            "heat": "fraction",
            "changed_voxels": "voxel",
        },
        geometry=Geometry.from_spacing(shape, (5.0, 2.0, 2.0)),
        names={0: "background", 1: "liver", 2: "spleen"},
        step_word="round",
        network_shape=shape,
        extras={"draft": shifted},
        slice_facts={
            "choice": np.tile(np.float32(slices >= depth // 4), (steps, 1)),
            "brightest": np.float32([np.where(slices, 100.0 * slices + step, np.nan) for step in range(steps)]),
            "changed_voxels": np.float32(
                [[np.count_nonzero(a != b) for a, b in zip(one, before, strict=True)] for one, before in _pairs(labels)]
            ),
        },
        maps={"heat": ramp},
        value_names={"branch": ("none", "small", "large"), "choice": ("leave", "look")},
        value_costs={"branch": BRANCH_COSTS},
        members={"seed 0": labels, "seed 1": shifted},
        charts=(node_chart(),),
        window_sets={"skipped": np.array([(0, 0, 0, 2, height, 4)]), "discarded": np.array(windows[:1])},
        provenance=Provenance(
            method="made_routing",
            method_title="Made-up routing",
            bundle="made-bundle",
            weights_sha256="ab" * 32,
            version="0.2.0",
            options={"steps": steps, "settle": None, "options": {"drift": 0.0}},
            seconds=12.5,
            stage_seconds={"network": 10.0, "planes": 1.0},
            demonstration=True,
            seed=0,
            scan="made scan",
        ),
    )


def node_chart() -> NodeChart:
    """Return a chart of three nodes in a triangle with two series."""
    values = np.array([[[0.75, 0.25], [0.5, 0.5]], [[1.0, 0.0], [np.nan, np.nan]]], np.float32)
    return NodeChart("sources", "fraction", ("level 0", "level 1"), ("stage 1", "stage 2"), ("same", "coarser"), values)


def _pairs(labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each step's labels with those of the step before, the first with background."""
    return list(zip(labels, [np.zeros_like(labels[0]), *labels[:-1]], strict=True))
