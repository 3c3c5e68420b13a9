"""Plan: what it refuses, and the topology that nnU-Net's rule gives."""

from __future__ import annotations

import pytest

from voxtrace.errors import PlanError
from voxtrace.plan import Plan, plan_topology


def test_a_plan_returns_from_json_unchanged() -> None:
    plan = Plan.example(channels=2, labels=3, window=(32, 64, 64))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_labels_count_the_background() -> None:
    assert Plan.example(labels=14).n_labels == 14


def test_a_cube_of_128_is_pooled_five_times_evenly() -> None:
    topology = plan_topology((128, 128, 128), (1.0, 1.0, 1.0))
    assert topology.widths == (32, 64, 128, 256, 320, 320)
    assert topology.strides == ((1, 1, 1),) + ((2, 2, 2),) * 5


def test_thick_slices_are_not_pooled_until_the_others_caught_up() -> None:
    topology = plan_topology((48, 192, 192), (3.0, 0.76, 0.76))
    assert topology.strides == ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert topology.kernels == ((1, 3, 3),) + ((3, 3, 3),) * 5


def test_a_window_that_cannot_be_halved_is_refused_with_the_number() -> None:
    plan = Plan.example(window=(32, 32, 32))
    with pytest.raises(PlanError, match=r"30 voxels along Y, which 8 does not divide; use 24 or 32"):
        plan.with_window((32, 30, 32))


def test_gaps_between_label_values_are_refused() -> None:
    plan = Plan.example(labels=2)
    with pytest.raises(PlanError, match="not consecutive"):
        Plan.model_validate(plan.model_dump() | {"labels": {0: "background", 2: "liver"}})
