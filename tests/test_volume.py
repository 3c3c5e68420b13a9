"""Geometry: what is stored comes back bit for bit, and every voxel keeps its place in the world."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from voxtrace.errors import GeometryError
from voxtrace.volume import Array, Case, Geometry, Grid, LabelMap, Layout, Volume

ALL_LAYOUTS = [
    Layout((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))
    for axes in permutations(range(3))
    for flips in product((False, True), repeat=3)
]

sizes = st.tuples(*[st.integers(1, 6)] * 3)
spacings_mm = st.tuples(*[st.floats(0.1, 10.0)] * 3)
origins_mm = st.tuples(*[st.floats(-500.0, 500.0)] * 3)
rotations = st.integers(0, 10_000).map(lambda seed: Rotation.random(random_state=seed).as_matrix())


def direction_of(layout: Layout) -> Array:
    """Draw the array-order direction matrix (columns Z, Y, X of the file, rows S, P, L) that has a layout."""
    matrix = np.zeros((3, 3))
    for world, (stored, flip) in enumerate(zip(layout.axes, layout.flips, strict=True)):
        matrix[world, stored] = -1.0 if flip else 1.0
    return matrix


def grid_of(directions: Array, size=(4, 3, 2), spacing_mm=(0.5, 2.0, 5.0), origin_mm=(10.0, -20.0, 30.0)) -> Grid:
    return Grid(size, spacing_mm, origin_mm, tuple(directions[::-1, ::-1].ravel()))


def numbered(grid: Grid) -> Array:
    return np.arange(np.prod(grid.size)).reshape(grid.size[::-1])


def test_there_are_48_layouts() -> None:
    assert len(set(ALL_LAYOUTS)) == 48


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=str)
def test_a_layout_is_found_from_its_directions(layout: Layout) -> None:
    assert Layout.nearest(direction_of(layout)) == layout


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=str)
def test_stored_arrays_return_from_canonical_orientation(layout: Layout) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    channels = np.stack([array, -array])
    assert np.array_equal(layout.to_stored(layout.to_canonical(array)), array)
    assert np.array_equal(layout.to_stored(layout.to_canonical(channels)), channels)
    assert np.array_equal(layout.to_canonical(channels)[1], -layout.to_canonical(array))


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=str)
def test_canonical_axes_of_an_unrotated_scan_run_to_head_back_and_left(layout: Layout) -> None:
    geometry = Geometry.from_grid(grid_of(direction_of(layout)))
    assert np.array_equal(geometry.matrix[:3, :3], np.diag(geometry.spacing_mm))
    assert geometry.obliquity_deg == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("layout", ALL_LAYOUTS, ids=str)
def test_canonical_shape_is_the_shape_of_the_canonical_array(layout: Layout) -> None:
    grid = grid_of(direction_of(layout))
    assert Geometry.from_grid(grid).shape == grid.layout.to_canonical(numbered(grid)).shape


@settings(max_examples=60, deadline=None)
@given(rotation=rotations, size=sizes, spacing_mm=spacings_mm, origin_mm=origins_mm, mirrored=st.booleans())
def test_every_voxel_keeps_its_place_in_the_world(rotation, size, spacing_mm, origin_mm, mirrored) -> None:
    grid = grid_of(rotation * (1, 1, -1 if mirrored else 1), size, spacing_mm, origin_mm)
    geometry = Geometry.from_grid(grid)
    canonical = grid.layout.to_canonical(numbered(grid))
    stored_index = np.stack(np.unravel_index(canonical.ravel(), grid.size[::-1]), axis=-1)
    expected_mm = stored_index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    index = np.stack(np.indices(geometry.shape), axis=-1).reshape(-1, 3)
    assert np.allclose(geometry.world_mm(index), expected_mm, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(rotation=rotations, size=sizes, spacing_mm=spacings_mm, origin_mm=origins_mm)
def test_voxel_is_the_inverse_of_world(rotation, size, spacing_mm, origin_mm) -> None:
    geometry = Geometry.from_grid(grid_of(rotation, size, spacing_mm, origin_mm))
    index = np.asarray([[0, 0, 0], [1.5, -2, 7]])
    assert np.allclose(geometry.voxel(geometry.world_mm(index)), index, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(rotation=rotations, size=sizes, spacing_mm=spacings_mm, origin_mm=origins_mm)
def test_no_axis_of_a_canonical_scan_is_more_than_55_degrees_off(rotation, size, spacing_mm, origin_mm) -> None:
    """The worst case is the body diagonal, arccos(1/√3) = 54.7°."""
    geometry = Geometry.from_grid(grid_of(rotation, size, spacing_mm, origin_mm))
    directions = geometry.matrix[:3, :3] / geometry.spacing_mm
    assert np.all(np.diag(directions) > 0) or geometry.obliquity_deg > 45
    assert sorted(geometry.spacing_mm) == pytest.approx(sorted(spacing_mm))


def test_the_grid_to_write_onto_is_the_stored_one() -> None:
    grid = grid_of(direction_of(ALL_LAYOUTS[17]))
    assert Geometry.from_grid(grid).grid is grid


def test_a_geometry_made_in_memory_describes_itself_as_a_grid() -> None:
    geometry = Geometry.from_spacing((2, 3, 4), (5.0, 2.0, 1.0), (1.0, 2.0, 3.0))
    assert geometry.grid == Grid((4, 3, 2), (1.0, 2.0, 5.0), (3.0, 2.0, 1.0))
    assert Geometry.from_grid(geometry.grid) == geometry


def test_a_voxel_of_2_by_5_by_10_mm_holds_a_tenth_of_a_millilitre() -> None:
    assert Geometry.from_spacing((1, 1, 1), (2.0, 5.0, 10.0)).voxel_ml == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (0, 1, 1)}, "empty"),
        ({"spacing_mm": (0.0, 1.0, 1.0)}, "not positive"),
        ({"spacing_mm": (np.nan, 1.0, 1.0)}, "not positive"),
        ({"direction": (1.0, 0, 0, 1.0, 0, 0, 0, 0, 1.0)}, "no inverse"),
    ],
)
def test_an_impossible_grid_is_refused(changes, message) -> None:
    with pytest.raises(GeometryError, match=message):
        Grid(**{"size": (2, 2, 2), "spacing_mm": (1.0, 1.0, 1.0), **changes})


def test_stacked_volumes_keep_their_order_and_their_channel_names() -> None:
    geometry = Geometry.from_spacing((1, 2, 2), (1.0, 1.0, 1.0))
    flair, t1 = (Volume(np.full((1, 1, 2, 2), k), geometry, channels=(n,)) for k, n in enumerate(("flair", "t1")))
    assert Volume.stack([flair, t1]).data[:, 0, 0, 0].tolist() == [0, 1]
    assert Volume.stack([flair, t1]).channels == ("flair", "t1")
    unnamed = Volume(t1.data, geometry)
    assert Volume.stack([flair, unnamed]).channels == ()


def test_parts_that_are_stacked_are_a_whole_of_their_own() -> None:
    geometry = Geometry.from_spacing((2, 4, 4), (1.0, 1.0, 1.0))
    part = Volume(np.arange(32.0).reshape(1, 2, 4, 4), geometry).part((1, 1, 1), (1, 2, 2))
    assert part.start == (1, 1, 1)
    stacked = Volume.stack([part, part])
    assert (stacked.whole, stacked.start) == (None, (0, 0, 0))
    assert stacked.part((0, 1, 1), (1, 1, 1)).start == (0, 1, 1)


def test_channels_on_different_grids_are_not_stacked() -> None:
    data = np.zeros((1, 2, 2, 2))
    near, far = (Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, mm)) for mm in (0.0, 5.0))
    with pytest.raises(GeometryError, match="another grid"):
        Volume.stack([Volume(data, near), Volume(data, far)])


def test_data_must_fit_their_geometry() -> None:
    geometry = Geometry.from_spacing((2, 2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(GeometryError, match="does not fit"):
        Volume(np.zeros((2, 2, 2)), geometry)
    with pytest.raises(GeometryError, match="do not fit"):
        LabelMap(np.zeros((1, 2, 2), np.uint8), geometry)


@pytest.mark.parametrize(
    ("values", "kind"), [([0, 255], np.uint8), ([0, 256], np.uint16), ([0.0, 3.0], np.uint8), ([True, False], np.uint8)]
)
def test_labels_take_the_smallest_type_that_holds_them(values, kind) -> None:
    geometry = Geometry.from_spacing((1, 1, 2), (1.0, 1.0, 1.0))
    assert LabelMap(np.asarray(values).reshape(1, 1, 2), geometry).data.dtype == kind


@pytest.mark.parametrize("values", [[0.5, 1.0], [-1, 0], [0, 70_000], [np.nan, 0.0]])
def test_what_is_no_label_is_refused(values) -> None:
    geometry = Geometry.from_spacing((1, 1, 2), (1.0, 1.0, 1.0))
    with pytest.raises(GeometryError):
        LabelMap(np.asarray(values).reshape(1, 1, 2), geometry)


def test_a_case_needs_image_and_labels_on_one_grid() -> None:
    one, other = (Geometry.from_spacing((2, 2, 2), (mm, 1.0, 1.0)) for mm in (1.0, 2.0))
    with pytest.raises(GeometryError, match="case c"):
        Case("c", Volume(np.zeros((1, 2, 2, 2)), one), LabelMap(np.zeros((2, 2, 2), np.uint8), other))
