"""Which part of a volume the network sees, and which way round; and what it gives back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakes import plan
from voxtrace.geometry import Geometry, Grid
from voxtrace.plan import View
from voxtrace.preprocess import LabelPaster, find_crop_order, grid_of, network_labels
from voxtrace.volume import LabelMap, Volume

TURNED = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # x runs to P, y to head-down, z to L
RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def stored_as(data: Any, direction: tuple[float, ...], spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    """The canonical volume of a file that holds ``data`` (Z, Y, X); spacing along its x, y, z."""
    data = np.asarray(data)
    grid = Grid(data.shape[::-1], spacing_mm, direction=direction)
    return Volume(np.ascontiguousarray(grid.layout.to_canonical(data))[None], Geometry.from_grid(grid))


@pytest.fixture
def numbered() -> Any:
    return np.arange(1, 2 * 3 * 4 + 1).reshape(2, 3, 4)


@pytest.mark.parametrize("direction", [RAS, TURNED])
def test_the_network_sees_the_array_as_the_file_has_it(numbered: Any, direction: tuple[float, ...]) -> None:
    volume = stored_as(numbered, direction)
    crop_order = find_crop_order(volume, plan((1, 1, 1), view=View()))
    assert np.array_equal(crop_order.view(volume.data)[0], numbered)


def test_a_transposed_model_sees_it_transposed_with_its_spacing(numbered: Any) -> None:
    volume = stored_as(numbered, TURNED, (0.5, 0.75, 2.0))  # x, y, z
    crop_order = find_crop_order(volume, plan((1, 1, 1), view=View(axes=(2, 0, 1))))
    assert np.array_equal(crop_order.view(volume.data)[0], numbered.transpose(2, 0, 1))
    assert crop_order.spacing_mm == (0.5, 2.0, 0.75)


def test_a_reorienting_model_sees_axes_towards_head_front_and_right(numbered: Any) -> None:
    volume = stored_as(numbered, TURNED)  # canonical axes run towards head, back and left
    crop_order = find_crop_order(volume, plan((1, 1, 1), view=View(orientation="ras")))
    assert np.array_equal(crop_order.view(volume.data), volume.data[:, :, ::-1, ::-1])


def test_a_plan_without_a_view_sees_the_canonical_array(numbered: Any) -> None:
    volume = stored_as(np.pad(numbered, 1), TURNED)
    crop_order = find_crop_order(volume, plan((1, 1, 1)))
    assert crop_order.identity
    assert np.array_equal(crop_order.view(volume.data), volume.data)


def test_what_is_zero_all_around_is_cut_off() -> None:
    data = np.zeros((2, 6, 7, 8), np.int16)
    data[0, 2, 3, 4] = 5
    data[1, 4, 3, 6] = -5  # what one channel has, all keep
    volume = Volume(data, Geometry.from_spacing((6, 7, 8), (1.0, 1.0, 1.0)))
    seen = find_crop_order(volume, plan((1, 1, 1), view=View())).view(data)
    assert np.array_equal(seen, data[:, 2:5, 3:4, 4:7])


def test_an_empty_volume_is_not_cut() -> None:
    volume = Volume(np.zeros((1, 3, 4, 5)), Geometry.from_spacing((3, 4, 5), (1.0, 1.0, 1.0)))
    assert find_crop_order(volume, plan((1, 1, 1), view=View())).shape == (3, 4, 5)


@pytest.mark.parametrize("direction", [(1.0, 0, 0, 0, 1, 0, 0, 0, 1), RAS, TURNED])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2)])
def test_labels_return_to_where_they_were_seen(direction: tuple[float, ...], axes: tuple[int, int, int]) -> None:
    data = np.zeros((6, 7, 8), np.uint8)
    data[2:5, 1:6, 3:5] = np.random.default_rng(0).integers(1, 9, (3, 5, 2))
    volume = stored_as(data, direction)
    crop_order = find_crop_order(volume, plan((1, 1, 1), view=View(axes=axes)))
    seen = crop_order.view(volume.data)  # (1, Z', Y', X'): one channel here, one step there
    paster = LabelPaster(crop_order)
    placed = [plane for z in range(seen.shape[1]) for plane in paster.push(seen[:, z])]
    assert np.array_equal(np.stack(placed, axis=1), volume.data)


def test_labels_beside_a_volume_are_cut_with_it() -> None:
    data = np.zeros((4, 6, 6), np.float32)
    data[1:3, 2:5, 1:5] = 1
    volume = stored_as(data, RAS)
    labels = LabelMap((volume.data[0] > 0).astype(np.uint8), volume.geometry)
    chosen = plan((1, 1, 1), view=View())
    grid = grid_of(volume, chosen)
    assert grid.shape == (2, 3, 4)
    assert network_labels(labels, chosen, grid).all()
