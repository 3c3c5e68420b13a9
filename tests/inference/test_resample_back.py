"""Network planes on their way back to the planes of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fakes import plan
from voxtrace.inference import ops_numba
from voxtrace.inference.resample_back import LabelResampler
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.plan import View
from voxtrace.preprocess import network_grid
from voxtrace.volume import Geometry


def certain(label: int) -> ScorePlane:
    """Return a plane in which one of three labels is certain."""
    scores = torch.eye(3)[label].view(1, 3, 1, 1).expand(1, 3, 4, 4).contiguous()
    return ScorePlane(scores, np.arange(3, dtype=np.uint8))


def test_planes_that_are_repeated_are_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network plane is 4 mm thick, eight times 1 mm in the input: planes 0 to 3 are the first, 4 to 7 the second."""
    decided: list[float] = []
    upsample_argmax = ops_numba.upsample_argmax

    def counted(below: Any, above: Any, z_weight: float, *rest: Any) -> Any:
        decided.append(z_weight)
        return upsample_argmax(below, above, z_weight, *rest)

    monkeypatch.setattr(ops_numba, "upsample_argmax", counted)
    view = View(crop=False, coarse=3.0)
    thick = plan((1, 4, 4), (4.0, 1.0, 1.0), interpolation="spline", view=view)
    grid = network_grid(Geometry.from_spacing((8, 4, 4), (1.0, 1.0, 1.0)), thick)
    resampler = LabelResampler(grid, 3)
    planes = [labels for label in (1, 2) for labels in resampler.push(certain(label))]
    assert [int(labels[0, 0, 0]) for labels in planes] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert all(np.array_equal(labels, np.full((1, 4, 4), labels[0, 0, 0])) for labels in planes)
    assert decided == [1.0, 1.0]
