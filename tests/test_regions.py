"""Regions that overlap: nnU-Net's syntax, names of values, what is refused, and how a plan stores them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cases import small_plan
from made_regions import LABELS, NAMES, ORDER, REGIONS, region_plan
from voxtrace.errors import MethodError, PlanError
from voxtrace.plan import Plan
from voxtrace.plan.regions import LabelRegion, painted_over, parse_regions, refuse_regions, value_names


def test_regions_are_those_of_dataset_json_in_its_order() -> None:
    assert [(r.name, r.values, r.paints) for r in REGIONS] == [
        ("whole tumour", (1, 2, 3), 1),
        ("tumour core", (2, 3), 2),
        ("enhancing", (3,), 3),
    ]


def test_a_value_has_the_name_of_its_smallest_region_without_the_others() -> None:
    assert value_names(REGIONS) == NAMES


def test_values_that_no_region_tells_apart_have_their_number_in_the_name() -> None:
    regions = parse_regions({"background": 0, "whole": [1, 2, 3], "enhancing": 3}, [1, 3])
    assert value_names(regions) == {1: "whole without enhancing (1)", 2: "whole without enhancing (2)", 3: "enhancing"}


def test_lists_of_one_value_alone_are_no_regions() -> None:
    assert parse_regions({"background": [0], "liver": [1], "spleen": 2}, None) == ()


def test_the_ignore_label_and_the_background_are_no_regions() -> None:
    assert parse_regions({**LABELS, "ignore": 4}, ORDER) == REGIONS
    assert parse_regions({"background": 0, "lesion": ["1", "2"]}, ["1"])[0].values == (1, 2)


@pytest.mark.parametrize(
    ("labels", "order", "said"),
    [
        (LABELS, None, "regions_class_order is None; expected a list with the value"),
        (LABELS, [1, 2], "has 2 values for 3 regions .whole tumour, tumour core, enhancing"),
        (LABELS, [2, 1, 3], "'tumour core' is painted with 1, which is none of its values 2, 3"),
        (LABELS, [1, 2, True], "expected a list"),
        ({"background": 0, "whole": [0, 1]}, [1], "'whole' has the value 0, the background"),
        ({"background": 0, "whole": [1, 2.5]}, [1], "expected whole numbers"),
        ({"background": 0, "": [1, 2]}, [1], "0 letters"),
    ],
)
def test_what_is_no_region_is_refused_in_a_sentence(labels: dict[str, Any], order: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        parse_regions(labels, order)


def test_a_smaller_region_before_a_larger_one_would_be_lost() -> None:
    core, whole = LabelRegion(name="core", values=(2,), paints=2), LabelRegion(name="whole", values=(1, 2), paints=1)
    assert painted_over([core, whole]) == "'core' lies in 'whole', which is painted over it"
    assert painted_over([whole, core]) == painted_over(REGIONS) == ""


def test_a_plan_with_regions_has_an_output_for_each_and_none_for_the_background() -> None:
    plan = region_plan()
    assert (plan.n_outputs, plan.n_labels) == (3, 4)
    assert plan.outputs == {0: "whole tumour", 1: "tumour core", 2: "enhancing"}
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert region_plan().model_copy(update={"ignore": True}).ignored == 4


def test_a_label_called_like_a_region_of_other_values_is_refused() -> None:
    """Volumes and their intervals are told by name, so that one of both would be told for the other."""
    plan = region_plan()
    for labels, refused in (
        ({1: "Whole Tumour"}, True),
        ({2: "enhancing", 3: "edge"}, True),
        ({3: "enhancing"}, False),
    ):
        changed = {**json.loads(plan.model_dump_json()), "labels": {**plan.labels, **labels}}
        if refused:
            with pytest.raises(PlanError, match=r"are both called .*give the label a name of its own"):
                Plan.model_validate(changed)
        else:
            assert Plan.model_validate(changed).regions == plan.regions


def test_a_plan_without_regions_is_stored_as_before_there_were_any() -> None:
    plan = small_plan()
    assert "regions" not in json.loads(plan.model_dump_json())
    assert "regions" not in plan.model_dump()
    assert (plan.n_outputs, plan.outputs) == (plan.n_labels, plan.labels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({0: "background", 1: "a", 2: "b", 3: "c", 4: "d"}, "the labels .1, 2, 3, 4.; expected the same"),
        ({0: "background", 1: "a", 2: "b"}, "expected the same: each value in a region"),
    ],
)
def test_regions_and_labels_of_a_plan_have_the_same_values(labels: dict[int, str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        Plan.model_validate(region_plan().model_dump() | {"labels": labels})


def test_two_regions_of_one_name_are_refused() -> None:
    twice = [REGIONS[0].model_dump(), *(r.model_dump() | {"name": "Core"} for r in REGIONS[1:])]
    with pytest.raises(PlanError, match="the region 'core' occurs twice"):
        Plan.model_validate(region_plan().model_dump() | {"regions": twice})


def test_a_region_knows_its_voxels() -> None:
    labels = np.arange(5, dtype=np.uint8)
    assert REGIONS[1].inside(labels).tolist() == [False, False, True, True, False]
    assert REGIONS[2].inside(labels).tolist() == [False, False, False, True, False]


def test_a_method_that_cannot_learn_regions_says_which_can() -> None:
    with pytest.raises(MethodError, match=r"diffusion cannot learn regions.*whole tumour.*--method unet"):
        refuse_regions("diffusion", REGIONS)
    refuse_regions("diffusion", ())


def test_a_value_never_has_the_name_of_a_region_of_several_values() -> None:
    """The volumes of both stand under their names in a card."""
    regions = parse_regions({"background": 0, "one": [1, 2], "other": [1, 3]}, [1, 3])
    assert value_names(regions) == {1: "one (1)", 2: "one without other", 3: "other without one"}
