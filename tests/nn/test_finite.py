"""Finding nan and inf."""

from __future__ import annotations

import pytest
import torch

from voxtrace.nn.finite import all_finite, first_not_finite

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [0, 100, -1])
def test_one_bad_number_is_found_wherever_it_is(dtype: torch.dtype, value: float, where: int) -> None:
    tensor = torch.linspace(-3, 3, 1001).to(dtype)
    assert all_finite(tensor)
    tensor[where] = value
    assert not all_finite(tensor)
    assert not all_finite(tensor.view(7, 11, 13))


@pytest.mark.parametrize("dtype", TYPES)
def test_the_largest_numbers_of_a_type_are_finite(dtype: torch.dtype) -> None:
    """Their sum is not, so no sum is used."""
    largest = torch.finfo(dtype).max
    assert all_finite(torch.tensor([largest, largest, -largest], dtype=dtype))


def test_integers_masks_and_empty_tensors_are_finite() -> None:
    for tensor in (torch.zeros(0), torch.tensor([1, 2]), torch.tensor([True]), torch.tensor([255], dtype=torch.uint8)):
        assert all_finite(tensor)


def test_the_first_bad_tensor_is_named_through_mappings_and_lists() -> None:
    state = {"step": 3, "state": {0: {"exp_avg": torch.ones(2)}}, "groups": [torch.ones(1), torch.tensor([torch.nan])]}
    assert first_not_finite(state) == "groups.1"
    assert first_not_finite({"step": 3, "state": {0: torch.ones(2)}}) == ""
    assert first_not_finite({"a": {"b": torch.tensor(torch.inf)}, "c": torch.tensor(torch.nan)}) == "a.b"
