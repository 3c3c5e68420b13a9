"""Which rectangle is the region to be segmented, among other shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded, made_volume
from voxtrace.errors import UsageError
from voxtrace.plugin.controllers.measure import MeasureController
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.regions import region_box, start_drawing
from voxtrace.plugin.layers import display

SMALL = np.array([[1, 1, 1], [1, 1, 3], [1, 3, 3], [1, 3, 1]], float)
LARGE = np.array([[1, 0, 0], [1, 0, 4], [1, 5, 4], [1, 5, 0]], float)


@pytest.fixture
def scan(model: Any) -> Any:
    [(data, about, _)] = display.image_layers(made_volume())
    return model.add_image(data, **about)


@pytest.fixture
def measure(model: Any, scan: Any) -> MeasureController:
    return MeasureController(model, Recorded(), NavigationController(model), ImmediateRunner())


def extent(model: Any, scan: Any) -> tuple[Any, ...]:
    box = region_box(model, scan, "drawn")
    assert box is not None
    return box.start[1:], box.stop[1:]


def test_a_measurement_is_no_region(model: Any, scan: Any, measure: MeasureController) -> None:
    measure.use("rectangle")
    model.layers.selection.active.add(LARGE, shape_type="rectangle")
    with pytest.raises(UsageError, match="no rectangle was drawn"):
        region_box(model, scan, "drawn")


def test_measuring_afterwards_leaves_the_region_as_it_was_drawn(
    model: Any, scan: Any, measure: MeasureController
) -> None:
    start_drawing(model, scan)
    model.layers.selection.active.add(SMALL, shape_type="rectangle")
    drawn = extent(model, scan)
    assert drawn == ((1, 1), (4, 4))
    measure.use("line")
    model.layers.selection.active.add([[1, 0, 0], [1, 5, 4]], shape_type="line")
    assert extent(model, scan) == drawn
    model.layers.selection.active = scan
    assert extent(model, scan) == drawn


def test_other_shapes_are_taken_only_where_no_region_was_drawn(model: Any, scan: Any) -> None:
    about = {"scale": scan.scale, "translate": scan.translate, "shape_type": "rectangle"}
    other = model.add_shapes([SMALL], name="other", **about)
    model.add_shapes([np.add(SMALL, (0, 0, 1))], name="topmost", **about)
    assert extent(model, scan) == ((1, 2), (4, 5))
    model.layers.selection.active = other
    assert extent(model, scan) == ((1, 1), (4, 4))
    start_drawing(model, scan)
    model.layers.selection.active.add(np.add(SMALL, (0, 1, 0)), shape_type="rectangle")
    model.layers.selection.active = other
    assert extent(model, scan) == ((2, 1), (5, 4))
