"""A part of a scan: its box, its crop, and its result back on the scan's grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import plan
from made_layers import made_trace, made_volume
from voxtrace.plan import View
from voxtrace.plugin.models.region import (
    Box,
    box_words,
    clipped_box,
    crop,
    cut,
    laid_back,
    laid_back_labels,
    with_margin,
)
from voxtrace.preprocess.crop_order import uncropped_order
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Grid, LabelMap, Volume

WHOLE = Geometry.from_spacing((8, 10, 12), (3.0, 2.0, 1.0), (-20.0, 5.0, 7.0))
BOX = Box((2, 3, 4), (6, 9, 9))  # 4×6×5 voxels, as many as the made-up trace has


@pytest.fixture
def small() -> Trace:
    return made_trace(WHOLE.part(BOX.start, BOX.shape))


def test_a_crop_is_a_view_of_the_voxels_at_the_same_place() -> None:
    volume = made_volume()
    part = crop(volume, Box((1, 2, 1), (3, 5, 4)))
    assert np.shares_memory(part.data, volume.data)
    assert part.data[0, 0, 0, 0] == volume.data[0, 1, 2, 1]
    assert np.allclose(part.geometry.world_mm((0, 0, 0)), volume.geometry.world_mm((1, 2, 1)))


def test_a_model_that_sees_the_array_as_the_file_has_it_sees_a_part_likewise() -> None:
    """nnU-Net's models were trained on mirrored axes where the file has them mirrored."""
    grid = Grid((5, 6, 4), (1.0, 2.0, 3.0), direction=(0.0, -1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    whole = Geometry.from_grid(grid)
    volume = Volume(np.arange(1, 1 + int(np.prod(whole.shape)), dtype=np.float32).reshape(1, *whole.shape), whole)
    model = plan((1, 1, 1), view=View())
    part = crop(volume, Box((1, 2, 1), (3, 5, 4)))
    seen, of_part = uncropped_order(volume.geometry, model), uncropped_order(part.geometry, model)
    assert of_part.layout == seen.layout
    assert of_part.spacing_mm == seen.spacing_mm
    inside = np.isin(seen.view(volume.data), part.data)
    assert np.array_equal(of_part.view(part.data).ravel(), seen.view(volume.data)[inside])


def test_labels_return_to_the_scans_grid_with_background_outside(small: Trace) -> None:
    whole = laid_back(small, WHOLE, BOX)
    assert whole.labels.shape == (3, 8, 10, 12)
    assert np.array_equal(whole.labels[:, 2:6, 3:9, 4:9], small.labels)
    assert np.count_nonzero(whole.labels) == np.count_nonzero(small.labels)
    assert whole.geometry is WHOLE


def test_volumes_are_the_same_on_both_grids(small: Trace) -> None:
    whole = laid_back(small, WHOLE, BOX)
    assert [row["volume_ml"] for row in whole.summary()] == [row["volume_ml"] for row in small.summary()]


def test_counts_that_are_kept_agree_with_counting_anew(small: Trace) -> None:
    kept = replace(small, step_counts=small.counted(), areas=small.label_areas())
    whole = laid_back(kept, WHOLE, BOX)
    again = replace(whole, step_counts=None, areas=None)
    assert whole.step_counts is not None
    assert np.array_equal(whole.step_counts.counts, again.counted().counts)
    assert np.array_equal(whole.label_areas(), again.label_areas())


def test_windows_lie_where_they_were(small: Trace) -> None:
    seen = replace(
        small, windows=np.array([[0, 0, 0, 2, 3, 5]]), network_shape=(2, 3, 5), facts={"cost": np.ones((3, 1))}
    )
    whole = laid_back(seen, WHOLE, BOX)
    assert whole.windows.tolist() == [[2, 3, 4, 6, 9, 9]]
    assert whole.boxes().tolist() == [[1.5, 2.5, 3.5, 5.5, 8.5, 8.5]]


def test_slices_that_were_not_seen_are_unknown(small: Trace) -> None:
    seen = replace(small, slice_facts={"cost": np.ones((3, 4), np.float32)})
    values = laid_back(seen, WHOLE, BOX).slice_facts["cost"]
    assert np.isnan(values).sum(1).tolist() == [4, 4, 4]
    assert (values[:, 2:6] == 1).all()


def test_a_cut_takes_back_what_was_laid_back(small: Trace) -> None:
    again = cut(laid_back(small, WHOLE, BOX), BOX)
    assert np.array_equal(again.labels, small.labels)
    assert again.geometry.is_close(small.geometry)


def test_a_single_label_map_returns_likewise() -> None:
    labels = LabelMap(np.full(BOX.shape, 7, np.uint8), WHOLE.part(BOX.start, BOX.shape), {7: "aorta"})
    whole = laid_back_labels(labels, WHOLE, BOX)
    assert np.count_nonzero(whole.data == 7) == np.prod(BOX.shape)
    assert whole.names == {7: "aorta"}


def test_a_box_is_clipped_to_the_grid_and_none_where_it_is_empty() -> None:
    assert clipped_box((-2, 1, 0), (3, 99, 2), (8, 10, 12)) == Box((0, 1, 0), (3, 10, 2))
    assert clipped_box((9, 0, 0), (12, 10, 12), (8, 10, 12)) is None
    assert with_margin(Box((4, 4, 4), (5, 5, 5)), 3.0, (3.0, 1.5, 1.0), (8, 10, 12)) == Box((3, 2, 1), (6, 7, 8))


def test_a_results_name_says_which_part_of_the_scan_it_is() -> None:
    assert box_words(Box((0, 0, 0), (8, 10, 12)), (8, 10, 12)) == ""
    assert box_words(Box((1, 0, 0), (4, 10, 12)), (8, 10, 12)) == "slices 2–4"
    assert box_words(BOX, (8, 10, 12)) == "box 4×6×5"
