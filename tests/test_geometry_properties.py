"""Properties of Geometry under any affine: there and back is where one was, and parts keep their place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fakes import plan
from voxtrace.preprocess.axis import axis_weights
from voxtrace.preprocess.grid import grid_of, network_grid
from voxtrace.preprocess.stream import PlaneStream
from voxtrace.volume import Array, Geometry, Grid, Layout, Volume

quick = settings(max_examples=50, deadline=None)
spacings_mm = st.tuples(*[st.floats(0.05, 20.0)] * 3)
origins_mm = st.tuples(*[st.floats(-1000.0, 1000.0)] * 3)
sizes = st.tuples(*[st.integers(1, 9)] * 3)
points = st.lists(st.tuples(*[st.floats(-500.0, 500.0)] * 3), min_size=1, max_size=5).map(np.array)
directions = st.tuples(st.integers(0, 100_000), st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3)).map(
    lambda drawn: Rotation.random(random_state=drawn[0]).as_matrix() * drawn[1]
)
grids = st.builds(
    lambda size, spacing_mm, origin_mm, direction: Grid(size, spacing_mm, origin_mm, tuple(direction.ravel())),
    sizes,
    spacings_mm,
    origins_mm,
    directions,
)
geometries = grids.map(Geometry.from_grid)
layouts = directions.map(Layout.nearest)
spans = st.tuples(*[st.tuples(st.integers(-4, 4), st.integers(1, 9))] * 3)


@quick
@given(geometries, points)
def test_world_to_voxel_to_world_is_where_one_was(geometry: Geometry, points_mm: Array) -> None:
    assert geometry.world_mm(geometry.voxel(points_mm)) == pytest.approx(points_mm, abs=1e-8)


@quick
@given(geometries, points)
def test_voxel_to_world_to_voxel_is_where_one_was(geometry: Geometry, voxels: Array) -> None:
    assert geometry.voxel(geometry.world_mm(voxels)) == pytest.approx(voxels, abs=1e-6)


@quick
@given(grids, st.data())
def test_a_voxel_has_one_place_in_the_file_and_in_the_canonical_array(grid: Grid, data: st.DataObject) -> None:
    """By way of the stored array's affine, and of the canonical one: the same mm."""
    geometry = Geometry.from_grid(grid)
    stored = np.arange(np.prod(grid.size)).reshape(grid.size[::-1])
    number = data.draw(st.integers(0, stored.size - 1))
    [at_stored], [at_canonical] = np.argwhere(stored == number), np.argwhere(grid.layout.to_canonical(stored) == number)
    stored_mm = (grid.affine @ [*at_stored, 1.0])[:3]
    assert geometry.world_mm(at_canonical) == pytest.approx(stored_mm, abs=1e-8)
    assert np.array_equal(grid.layout.stored_index(at_canonical, geometry.shape), at_stored)


@quick
@given(grids)
def test_the_grid_of_a_geometry_is_the_grid_it_came_from(grid: Grid) -> None:
    geometry = Geometry.from_grid(grid)
    assert geometry.grid == grid
    assert geometry.spacing_mm == pytest.approx([grid.spacing_mm[::-1][axis] for axis in grid.layout.axes])


@quick
@given(geometries)
def test_a_canonical_grid_describes_its_geometry_again(geometry: Geometry) -> None:
    """Without a file, the grid to write onto is the canonical one: from it comes the same geometry."""
    again = Geometry.from_grid(Geometry(geometry.shape, geometry.affine).grid)
    assert again.is_close(geometry, 1e-6)


@quick
@given(geometries)
def test_canonical_axes_run_as_nearly_as_they_can_to_head_back_and_left(geometry: Geometry) -> None:
    unit = geometry.matrix[:3, :3] / geometry.spacing_mm
    assert Layout.nearest(unit) == Layout((0, 1, 2), (False, False, False))


@quick
@given(layouts, sizes)
def test_to_stored_undoes_to_canonical_and_the_other_way_round(layout: Layout, shape) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    assert np.array_equal(layout.to_stored(layout.to_canonical(array)), array)
    assert np.array_equal(layout.to_canonical(layout.to_stored(array)), array)


@quick
@given(geometries, spans)
def test_a_part_keeps_its_place(geometry: Geometry, spans) -> None:
    """Cropped, padded, or both at once, voxel (0, 0, 0) of the part is voxel ``start`` of the whole."""
    start, shape = np.array([lo for lo, _ in spans]), tuple(n for _, n in spans)
    part = geometry.part(tuple(start.tolist()), shape)
    assert part.shape == shape
    last = np.array(shape) - 1
    assert part.world_mm([(0, 0, 0), last]) == pytest.approx(geometry.world_mm([start, start + last]), abs=1e-8)


@quick
@given(geometries, spans)
def test_a_part_lies_in_the_file_as_the_whole_does(geometry: Geometry, spans) -> None:
    """Its own grid is that of the box; one made in memory has none."""
    start, shape = tuple(lo for lo, _ in spans), tuple(n for _, n in spans)
    part = geometry.part(start, shape)
    assert geometry.stored is not None
    assert part.stored is not None
    assert part.stored.layout == geometry.stored.layout
    assert Geometry.from_grid(part.stored).is_close(part, 1e-6)
    assert Geometry(geometry.shape, geometry.affine).part(start, shape).stored is None


@quick
@given(geometries, spans)
def test_crop_and_pad_undo_each_other(geometry: Geometry, spans) -> None:
    start = tuple(lo for lo, _ in spans)
    there = geometry.part(start, tuple(n for _, n in spans))
    back = there.part(tuple(-lo for lo in start), geometry.shape)
    assert back.is_close(geometry, 1e-8)


@quick
@given(geometries, st.tuples(*[st.floats(0.3, 3.0)] * 3))
def test_the_network_grid_covers_the_same_box(geometry: Geometry, factors) -> None:
    """As many mm from the first border to the last, but for half a voxel of rounding."""
    there_mm = tuple(mm * factor for mm, factor in zip(geometry.spacing_mm, factors, strict=True))
    grid = network_grid(geometry, plan(spacing_mm=there_mm))
    assert grid.input_shape == geometry.shape
    for n, mm, m, other_mm in zip(grid.input_shape, geometry.spacing_mm, grid.shape, there_mm, strict=True):
        assert m >= 1
        assert m == 1 or abs(n * mm - m * other_mm) <= 0.5 * other_mm * 1.001


@quick
@given(st.integers(8, 30), st.integers(8, 30))
def test_an_even_slope_survives_resampling_there_and_back(n: int, m: int) -> None:
    """Away from the ends, where there is nothing to lean on, linear weights keep what is linear."""
    there, back = axis_weights(n, m, "linear"), axis_weights(m, n, "linear")
    slope = np.arange(n, dtype=np.float32)
    returned = back.apply(there.apply(slope[:, None, None], 0), 0)[:, 0, 0]
    inside = slice(2 + n // m, n - 2 - n // m)
    assert returned[inside] == pytest.approx(slope[inside], abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.integers(5, 12)] * 3), st.integers(0, 100))
def test_on_its_own_grid_a_volume_is_not_touched(shape, seed: int) -> None:
    data = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    volume = Volume(data, Geometry.from_spacing(shape, (1.0, 1.0, 1.0)))
    grid = grid_of(volume, plan())
    assert grid.identity
    assert np.array_equal(PlaneStream(grid, volume, plan()).planes(0, shape[0]), data)
