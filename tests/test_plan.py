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


def test_a_window_of_one_slice_has_flat_kernels() -> None:
    topology = plan_topology((1, 128, 128), (10.0, 1.4, 1.4))
    assert set(topology.kernels) == {(1, 3, 3)}
    assert {stride[0] for stride in topology.strides} == {1}


def test_a_window_that_cannot_be_halved_is_refused_with_the_number() -> None:
    plan = Plan.example(window=(32, 32, 32))
    with pytest.raises(PlanError, match=r"30 voxels along Y, which 8 does not divide; use 24 or 32"):
        plan.with_window((32, 30, 32))


def test_gaps_between_label_values_are_refused() -> None:
    plan = Plan.example(labels=2)
    with pytest.raises(PlanError, match="not consecutive"):
        Plan.model_validate(plan.model_dump() | {"labels": {0: "background", 2: "liver"}})


OUT_OF_BOUNDS = {
    "spacing of 1e-6 mm": {"spacing_mm": (1e-6, 1.0, 1.0)},
    "spacing of 0": {"spacing_mm": (0.0, 1.0, 1.0)},
    "negative spacing": {"spacing_mm": (-1.0, 1.0, 1.0)},
    "spacing nan": {"spacing_mm": (float("nan"), 1.0, 1.0)},
    "spacing inf": {"spacing_mm": (float("inf"), 1.0, 1.0)},
    "spacing of two numbers": {"spacing_mm": (1.0, 1.0)},
    "window 1e9": {"window": (10**9, 1, 1)},
    "window 8192³": {"window": (8192, 8192, 8192)},
    "window 0": {"window": (0, 16, 16)},
    "window of half a voxel": {"window": (0.5, 16, 16)},
    "overlap 1": {"overlap": 1.0},
    "overlap 0.9999": {"overlap": 0.9999},
    "overlap nan": {"overlap": float("nan")},
    "no channels": {"channels": (), "normalisation": ()},
    "name of 10 MB": {"channels": ("x" * 10**7,)},
    "10,000 channels": {"channels": ("a",) * 10_000},
    "label name of 10 MB": {"labels": {0: "background", 1: "x" * 10**7}},
    "100,000 labels": {"labels": dict.fromkeys(range(100000), "a")},
    "no labels": {"labels": {}},
    "label -1": {"labels": {-1: "a", 0: "b"}},
    "deviation 0": {"normalisation": ({"scheme": "ct", "std": 0.0},)},
    "negative deviation": {"normalisation": ({"scheme": "ct", "std": -1.0},)},
    "mean nan": {"normalisation": ({"scheme": "ct", "mean": float("nan")},)},
    "upper inf": {"normalisation": ({"scheme": "ct", "upper": float("inf")},)},
    "mirror axis repeated": {"mirror_axes": (0, 0)},
    "mirror axes a million times": {"mirror_axes": (0,) * 10**6},
    "mirror axis 3": {"mirror_axes": (3,)},
    "mirror axis -1": {"mirror_axes": (-1,)},
    "batch of 1e9": {"batch_size": 10**9},
    "1e12 iterations": {"iterations": 10**12},
    "augmentation nan": {"augmentation": float("nan")},
    "modality of 10 MB": {"modality": "x" * 10**7},
    "view with an axis twice": {"view": {"axes": (0, 0, 1)}},
    "view with axis 7": {"view": {"axes": (0, 1, 7)}},
    "view resampled twice": {"view": {"resampled": (1, 1)}},
    "view coarse inf": {"view": {"coarse": float("inf")}},
    "a field more": {"colour": 1},
}


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_a_plan_out_of_bounds_is_refused_in_one_short_sentence(name: str) -> None:
    document = Plan.example(labels=2).model_dump() | OUT_OF_BOUNDS[name]
    with pytest.raises(PlanError) as refused:
        Plan.model_validate(document)
    assert len(str(refused.value)) < 1200


@pytest.mark.parametrize(
    "changes",
    [
        {"widths": (10**6,) * 2},
        {"widths": (0, 4)},
        {"widths": (), "kernels": (), "strides": ()},
        {"widths": (4,) * 40, "kernels": ((3, 3, 3),) * 40, "strides": ((1, 1, 1),) * 40},
        {"kernels": ((10**6, 3, 3),) * 2},
        {"kernels": ((0, 3, 3),) * 2},
        {"strides": ((0, 1, 1),) * 2},
        {"strides": ((10**9, 1, 1),) * 2},
        {"blocks": (10**9, 1)},
        {"merges": (10**9,)},
        {"stem": 10**9},
    ],
)
def test_a_topology_out_of_bounds_is_refused(changes: dict[str, object]) -> None:
    topology = {"widths": (4, 8), "kernels": ((3, 3, 3),) * 2, "strides": ((1, 1, 1), (2, 2, 2))}
    document = Plan.example(labels=2).model_dump() | {"topology": topology}
    assert Plan.model_validate(document).topology.widths == (4, 8)
    with pytest.raises(PlanError):
        Plan.model_validate(document | {"topology": topology | changes})
