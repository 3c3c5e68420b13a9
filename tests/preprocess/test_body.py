"""Air around the patient is not segmented."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakes import bundle
from voxtrace.errors import UsageError
from voxtrace.inference import predict
from voxtrace.plan import Normalisation
from voxtrace.preprocess import grid_of
from voxtrace.volume import Geometry, Volume

pytestmark = pytest.mark.numeric


EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}
HU = Normalisation(scheme="ct", lower=-1000.0, upper=1000.0, mean=-1000.0, std=1000.0)  # air 0, water 1, bone 2


def ct(shape: tuple[int, int, int] = (8, 100, 120)) -> Volume:
    """Air, and a body of water at rows 40 … 60, columns 70 … 100, with a bone in it."""
    data = np.full((1, *shape), -1000, np.int16)
    data[:, :, 40:60, 70:100] = 0
    data[:, 2:6, 45:50, 75:80] = 1000
    return Volume(data, Geometry.from_spacing(shape, (1.0, 1.0, 1.0)), modality="CT")


def test_windows_cover_the_body_and_ten_millimetres() -> None:
    made = bundle(window=(8, 16, 16), labels=3, normalisation=(HU,))
    body, whole = (predict(made, ct(), region=region, **EXACT) for region in ("body", "all"))
    boxes = body.trace.windows
    assert (boxes[:, :3].min(0).tolist(), boxes[:, 3:].max(0).tolist()) == ([0, 30, 60], [8, 70, 110])
    assert np.array_equal(body.labels.data, whole.labels.data)
    assert set(np.unique(body.labels.data)) == {0, 1, 2}
    assert body.facts["windows"] == 4 * 6 < whole.facts["windows"] == 12 * 14
    assert body.trace.network_shape == (8, 100, 120)


def test_the_box_is_never_smaller_than_a_window() -> None:
    made = bundle(window=(8, 64, 96), normalisation=(HU,))
    grid = grid_of(ct(), made.plan, "body")
    assert grid.padding == ((0, 0), (0, 0), (0, 0))
    assert grid.crop_order.box is not None
    assert grid.crop_order.box[1:] == (slice(17, 82), slice(23, 120))  # 65 around rows 30 … 70; 97 up to the border


def test_boxes_keep_their_place_at_another_spacing() -> None:
    made = bundle(window=(8, 8, 8), spacing_mm=(1.0, 2.0, 2.0), labels=3, normalisation=(HU,))
    trace = predict(made, ct(), **EXACT).trace
    assert trace.network_shape == (8, 50, 60)
    assert (trace.windows[:, :3].min(0).tolist(), trace.windows[:, 3:].max(0).tolist()) == ([0, 15, 30], [8, 35, 55])


@pytest.mark.parametrize(
    ("volume", "rule"),
    [
        (ct(), Normalisation(scheme="none")),  # not HU, as far as the plan says
        (Volume(np.full((1, 8, 40, 40), -1000, np.int16), Geometry.from_spacing((8, 40, 40), (1, 1, 1))), HU),
        (Volume(np.full((1, 8, 40, 40), 24, np.int16), Geometry.from_spacing((8, 40, 40), (1, 1, 1))), HU),
    ],
    ids=["another modality", "air alone", "no air"],
)
def test_nothing_is_left_out(volume: Volume, rule: Normalisation) -> None:
    plan = bundle(window=(8, 16, 16), normalisation=(rule,)).plan
    assert grid_of(volume, plan, "body") == grid_of(volume, plan, "all")


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(UsageError, match="region is 'head'"):
        predict(bundle(), ct(), region="head")
