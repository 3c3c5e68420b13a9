"""Planes, presets, readout, measurements and label colours: pure functions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from made_layers import made_volume
from voxtrace import palette
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display_space import LayerTransform, camera_letters, direction_letters, viewpoint
from voxtrace.plugin.models import label_places, measures, planes, presets, readout
from voxtrace.volume import Geometry, Volume

STEPPED, SPATIAL = (0, 1, 2, 3), (1, 2, 3)
UNIT = LayerTransform((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def rolled(order: tuple[int, ...]) -> tuple[int, ...]:
    """What napari does on a roll where the step axis is not rollable."""
    first, *rest = order
    return (first, rest[-1], *rest[:-1])


def test_rolls_go_through_the_three_planes_upright() -> None:
    order, seen = STEPPED, []
    for _ in range(4):
        order = planes.anatomical_order(order, rolled(order), SPATIAL)
        seen.append(order)
    assert seen == [(0, 2, 1, 3), (0, 3, 1, 2), (0, 1, 2, 3), (0, 2, 1, 3)]


def test_the_step_axis_is_never_drawn_even_where_napari_rolls_it() -> None:
    napari_rolls_everything = (3, 0, 1, 2)
    order = planes.anatomical_order(STEPPED, napari_rolls_everything, SPATIAL)
    assert order[0] == 0
    assert set(order[-2:]) <= set(SPATIAL)


def test_a_transposed_plane_stays_transposed_until_the_next_roll() -> None:
    transposed = planes.anatomical_order(STEPPED, (0, 1, 3, 2), SPATIAL)
    assert transposed == (0, 1, 3, 2)
    assert planes.anatomical_order(transposed, rolled(transposed), SPATIAL) == (0, 2, 1, 3)


@pytest.mark.parametrize(("axis", "shown"), [(0, (2, 3)), (1, (1, 3)), (2, (1, 2))])
def test_each_plane_has_the_head_or_the_front_up(axis: int, shown: tuple[int, int]) -> None:
    order = planes.order_of_plane(axis, (0, 3, 2, 1), SPATIAL)
    assert order[-2:] == shown
    assert planes.shown_plane(order, SPATIAL) == axis


def test_spatial_axes_are_found_by_name_and_only_together() -> None:
    assert planes.spatial_axes(("cycle", "I", "P", "L")) == (1, 2, 3)
    assert planes.spatial_axes(("0", "1", "2")) == ()


def test_voxels_and_positions_go_there_and_back_and_stay_within_the_grid() -> None:
    transform = LayerTransform((3.0, 2.0, 1.0), (-20.0, 5.0, 7.0))
    assert planes.world_of((2, 1, 4), transform) == (-14.0, 7.0, 11.0)
    assert planes.voxel_at((-14.0, 7.0, 11.0), transform, (4, 6, 5)) == (2, 1, 4)
    assert planes.voxel_at((500.0, -500.0, 11.2), transform, (4, 6, 5)) == (3, 0, 4)


def test_a_click_in_the_coronal_plane_moves_along_its_two_axes_only() -> None:
    assert planes.moved((1, 2, 3), planes.CORONAL, (0.4, 1.6), (4, 6, 5)) == (0, 2, 2)
    assert planes.moved((1, 2, 3), planes.CORONAL, (-9.0, 99.0), (4, 6, 5)) == (0, 2, 4)
    assert planes.scrolled((1, 2, 3), planes.CORONAL, 9, (4, 6, 5)) == (1, 5, 3)


def test_axial_slices_are_counted_from_the_feet() -> None:
    pixels = np.zeros((6, 5, 3), np.uint8)
    shown = planes.picture(planes.AXIAL, pixels, (0, 2, 1), (4, 6, 5), (3.0, 2.0, 1.0))
    assert shown.title == "axial 4 of 4"
    assert dict(shown.letters) == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert shown.size_mm == (12.0, 5.0)
    assert shown.cross == (2.0, 1.0)


def test_grey_levels_run_from_the_lower_to_the_upper_limit() -> None:
    levels = planes.grey(np.array([[-500, -100, 0, 100, 500]]), (-100.0, 100.0))
    assert levels.tolist() == [[0, 0, 127, 255, 255]]
    assert planes.grey(np.array([[np.nan]]), (0.0, 1.0)).tolist() == [[0]]


def test_labels_are_mixed_over_the_scan_or_outlined() -> None:
    greys = np.full((5, 5), 100, np.uint8)
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 2
    table = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]], np.float32)
    filled = planes.painted(greys, labels, table, contour=False, opacity=0.5)
    assert filled[2, 2].tolist() == [178, 50, 50]
    assert filled[0, 0].tolist() == [100, 100, 100]
    outlined = planes.painted(greys, labels, table, contour=True, opacity=0.5)
    assert outlined[1, 1].tolist() == [255, 0, 0]
    assert outlined[2, 2].tolist() == [100, 100, 100]


def test_a_hidden_label_is_not_drawn() -> None:
    labels = np.ones((2, 2), np.uint8)
    hidden = np.array([[0, 0, 0, 0], [1, 1, 1, 0]], np.float32)
    pixels = planes.painted(np.full((2, 2), 9, np.uint8), labels, hidden, contour=False, opacity=1.0)
    assert np.all(pixels == 9)


def test_labels_on_a_coarser_grid_are_drawn_where_they_lie() -> None:
    coarse = LayerTransform((2.0, 2.0, 2.0), (0.0, 0.0, 2.0))
    plane = np.array([[1, 2], [3, 4]])
    drawn = planes.resampled_plane(plane, coarse, planes.AXIAL, (9, 4, 6), UNIT)
    assert drawn.shape == (4, 6)
    assert drawn[0].tolist() == [0, 1, 1, 2, 2, 0]
    assert drawn[3].tolist() == [0, 0, 0, 0, 0, 0]
    assert drawn[2].tolist() == [0, 3, 3, 4, 4, 0]


def test_letters_turn_with_the_camera() -> None:
    front, head = (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)
    assert camera_letters(front, head) == {"left": "R", "right": "L", "top": "S", "bottom": "I"}
    assert camera_letters((0.0, -1.0, 0.0), head)["left"] == "L"
    assert camera_letters((0.0, 1.0, -1.0), head)["right"] in ("PL", "LP")
    assert direction_letters((0.1, 0.0, -1.0)) == "R"
    assert viewpoint(front) == "seen from the front"
    assert viewpoint((0.0, 1.0, -0.8)) == "seen from the front and the patient's left"


def ct(values: Any) -> Volume:
    data = np.asarray(values, np.int16)[None]
    return Volume(data, Geometry.from_spacing(data.shape[1:], (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), "CT", ("CT",), "scan")


def mr(seed: int = 0) -> Volume:
    data = np.random.default_rng(seed).gamma(2.0, 100.0, (1, 12, 12, 12)).astype(np.float32)
    return Volume(data, Geometry.from_spacing((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), "MR", ("T1",), "scan")


def test_ct_has_a_preset_for_each_of_five_keys_in_hu() -> None:
    found = presets.presets(made_volume())
    assert [(one.key, one.name) for one in found] == [
        (1, "Abdomen"),
        (2, "Lung"),
        (3, "Bone"),
        (4, "Brain"),
        (5, "Liver"),
    ]
    assert found[1].limits == (-1350.0, 150.0)
    assert found[0].title == "1  Abdomen  40/400"


def test_mr_has_percentiles_and_the_first_is_the_one_it_opens_with() -> None:
    volume = mr()
    found = presets.presets(volume)
    assert found[0].limits == contrast.limits(volume)
    low, high = np.percentile(volume.data, (2.0, 98.0))
    assert found[2].limits == pytest.approx((low, high))
    assert found[1].limits == pytest.approx((volume.data.min(), volume.data.max()))


def test_ones_own_contrast_comes_back_under_key_six() -> None:
    level, width = presets.remembered(ct(np.zeros((3, 3, 3))), 0, (-150.0, 250.0))
    assert (level, width) == (50.0, 400.0)
    own = presets.presets(ct(np.zeros((3, 3, 3))), 0, {"CT": (width, level)})[-1]
    assert (own.key, own.name, own.limits) == (6, "Yours", (-150.0, 250.0))


def test_ones_own_contrast_of_mr_carries_over_to_a_brighter_scan() -> None:
    volume = mr()
    limits = tuple(float(v) for v in np.percentile(volume.data, (10.0, 80.0)))
    level, width = presets.remembered(volume, 0, limits)
    brighter = Volume(volume.data * 7, volume.geometry, "MR", ("T1",), "scan")
    own = presets.presets(brighter, 0, {"MR": (width, level)})[-1]
    assert own.limits == pytest.approx((7 * limits[0], 7 * limits[1]), rel=0.05)


def test_dragging_right_widens_and_dragging_down_darkens() -> None:
    assert presets.dragged((0.0, 100.0), (50.0, 0.0), 1.0) == (-25.0, 125.0)
    assert presets.dragged((0.0, 100.0), (0.0, 30.0), 1.0) == (30.0, 130.0)
    low, high = presets.dragged((0.0, 100.0), (-500.0, 0.0), 1.0)
    assert high > low


def test_the_preset_on_screen_is_recognised() -> None:
    found = presets.presets(made_volume())
    assert presets.matching(found, (-160.0, 240.0)) == 0
    assert presets.matching(found, (-160.0, 250.0)) == -1
    assert presets.window_words((-160.0, 240.0), True) == "level 40, width 400 HU"


def test_the_readout_names_sides_of_the_patient() -> None:
    assert readout.readout(432.4, True, (-102.3, 12.0, 34.5), "liver", "settled at cycle 1") == (
        "432 HU · liver\nsettled at cycle 1\nL 34.5 P 12.0 S 102.3 mm"
    )
    assert readout.position((5.0, -1.0, -2.0)) == "R 2.0 A 1.0 I 5.0 mm"
    assert readout.intensity(0.123456, False) == "0.1235"


def test_a_voxel_settles_at_the_step_of_its_last_change() -> None:
    steps = np.array([[[0, 1, 1]], [[0, 2, 1]], [[0, 2, 3]]])
    assert readout.settled_plane(steps).tolist() == [[1, 2, 3]]


def test_a_line_is_measured_in_mm_on_anisotropic_voxels() -> None:
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert measures.measure("line", points, (1.0, 1.0), np.zeros((9, 9))).length_mm == 5.0
    assert measures.measure("line", points, (4.0, 1.0), np.zeros((9, 9))).length_mm == pytest.approx(np.hypot(12, 4))
    path = np.array([[0.0, 0.0], [0.0, 3.0], [4.0, 3.0]])
    assert measures.measure("path", path, (2.0, 1.0), np.zeros((9, 9))).length_mm == 11.0


def test_a_box_has_the_statistics_of_the_voxels_whose_centres_lie_inside() -> None:
    plane = np.random.default_rng(1).normal(40.0, 9.0, (20, 30))
    box = np.array([[1.5, 2.5], [1.5, 9.5], [6.5, 9.5], [6.5, 2.5]])
    found = measures.measure("rectangle", box, (3.0, 0.5), plane)
    inside = plane[2:7, 3:10]
    assert found.area_mm2 == pytest.approx(5 * 3.0 * 7 * 0.5)
    assert found.voxels == inside.size
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx(
        (inside.mean(), inside.std(), inside.min(), inside.max())
    )


def test_an_ellipse_holds_the_voxels_of_its_equation() -> None:
    plane = np.random.default_rng(2).normal(size=(40, 40))
    box = np.array([[5.0, 8.0], [5.0, 28.0], [15.0, 28.0], [15.0, 8.0]])
    found = measures.measure("ellipse", box, (2.0, 1.0), plane)
    rows, columns = np.mgrid[:40, :40]
    inside = ((rows - 10) / 5) ** 2 + ((columns - 18) / 10) ** 2 <= 1 + 1e-9
    assert found.voxels == int(inside.sum())
    assert found.mean == pytest.approx(plane[inside].mean())
    assert found.area_mm2 == pytest.approx(np.pi * 5 * 10 * 2.0)


def test_a_concave_polygon_leaves_its_notch_out() -> None:
    notch = np.array([[-0.5, -0.5], [-0.5, 9.5], [9.5, 9.5], [9.5, 4.5], [4.5, 4.5], [4.5, -0.5]])
    inside = measures.inside("polygon", notch, (12, 12))
    drawn = np.zeros((12, 12), bool)
    drawn[:10, :10] = True
    drawn[5:10, :5] = False
    assert np.array_equal(inside, drawn)
    assert measures.polygon_area(notch) == 75.0


def test_a_region_without_voxels_has_an_area_and_no_mean() -> None:
    tiny = np.array([[0.1, 0.1], [0.1, 0.3], [0.3, 0.3], [0.3, 0.1]])
    found = measures.measure("rectangle", tiny, (1.0, 1.0), np.zeros((5, 5)))
    assert found.mean is None
    assert found.text() == "0.04 mm²"


def test_a_line_in_two_planes_belongs_to_the_one_it_was_drawn_in() -> None:
    line = np.array([[3.0, 2.0, 0.0], [3.0, 2.0, 9.0]])
    assert measures.plane_of(line, preferred=planes.CORONAL) == planes.CORONAL
    assert measures.plane_of(line, preferred=planes.SAGITTAL) == planes.AXIAL


def test_labels_are_counted_with_the_intensities_of_the_scan() -> None:
    chance = np.random.default_rng(3)
    labels, image = chance.integers(0, 3, (4, 8, 8)), chance.normal(50.0, 20.0, (4, 8, 8))
    one, two, absent = measures.label_measurements(labels, image, {1: "liver", 2: "spleen", 7: "aorta"}, 0.01)
    for found, value in ((one, 1), (two, 2)):
        own = image[labels == value]
        assert found.voxels == own.size
        assert found.volume_ml == pytest.approx(own.size * 0.01)
        assert (found.mean, found.sd, found.low, found.high) == pytest.approx(
            (own.mean(), own.std(), own.min(), own.max())
        )
    assert (absent.voxels, absent.mean, absent.volume_ml) == (0, None, 0.0)


def test_the_table_has_a_row_for_each_measurement_and_its_unit() -> None:
    line = measures.Measurement("1 line", "axial, S 2.5 mm", length_mm=21.0, unit="HU")
    box = measures.Measurement("2 rectangle", "axial", None, 4.0, None, 50.0, 2.0, 48.0, 52.0, 4, "HU")
    signal = measures.Measurement("liver", "whole volume", None, None, 1.5, 310.0, 2.0, 308.0, 312.0, 4)
    assert measures.as_csv([line, box, signal]) == (
        "what,length mm,area mm²,volume mL,mean,SD,min,max,unit,voxels,where\n"
        '1 line,21,,,,,,,,,"axial, S 2.5 mm"\n'
        "2 rectangle,,4,,50,2,48,52,HU,4,axial\n"
        "liver,,,1.5,310,2,308,312,,4,whole volume\n"
    )
    assert (box.text(), signal.text()) == ("4.00 mm²\n50.0 ± 2.0 HU", "310 ± 2")


def test_the_jump_goes_to_a_voxel_of_the_label_in_its_fullest_slice() -> None:
    volume = np.zeros((5, 6, 6), np.uint8)
    volume[1, 0, 0] = 3
    volume[4, 1:4, 2:5] = 3
    assert label_places.fullest_voxel(volume, 3) == (4, 2, 3)
    assert label_places.fullest_voxel(volume, 9) is None
    ring = np.zeros((1, 5, 5), np.uint8)
    ring[0] = 1
    ring[0, 1:4, 1:4] = 0
    found = label_places.fullest_voxel(ring, 1)
    assert found is not None
    assert ring[found] == 1


PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: Any) -> Any:
    rgb = np.asarray(colour)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: Any) -> Any:
    relative = XYZ @ np.clip(rgb, 0, 1) / (0.95047, 1.0, 1.08883)
    root = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("sight", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["normal", "protanopia", "deuteranopia"])
def test_any_two_of_the_first_eight_colours_are_told_apart(sight: Any) -> None:
    seen = [lab(sight @ linear(palette.colour(k))) for k in range(1, palette.SAFE + 1)]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) >= 30


def test_the_first_eight_colours_can_be_seen_on_black() -> None:
    for k in range(1, palette.SAFE + 1):
        luminance = float(XYZ[1] @ linear(palette.colour(k)))
        assert (luminance + 0.05) / 0.05 >= 3


def test_an_organ_has_the_same_colour_whatever_its_value() -> None:
    first = palette.colours([1, 2], None, {1: "liver", 2: "spleen"})
    other = palette.colours([1, 5, 6], None, {1: "Left_Kidney", 5: "SPLEEN", 6: "Liver"})
    assert first[1] == other[6]
    assert first[2] == other[5]
    assert len(set(other.values())) == 3


def test_up_to_eight_unknown_labels_get_the_eight_safe_colours() -> None:
    names = {k: f"structure {k}" for k in range(1, 9)}
    found = palette.colours(names, None, names)
    assert set(found.values()) == {palette.colour(k) for k in range(1, 9)}


def test_numbered_labels_are_coloured_by_their_value() -> None:
    names = {3: "label 3", 1: "label 1"}
    assert palette.colours([1, 3], None, names) == {1: palette.colour(1), 3: palette.colour(3)}


def test_many_labels_have_as_many_colours() -> None:
    names = {k: f"part {k}" for k in range(1, 105)}
    assert len(set(palette.colours(names, None, names).values())) == 104


def test_hidden_labels_are_transparent_in_naparis_colours() -> None:
    colours = palette.napari_colours({1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0)}, hidden=[2])
    assert colours[1] == (1.0, 0.0, 0.0, 1.0)
    assert colours[2] == (0.0, 1.0, 0.0, 0.0)
