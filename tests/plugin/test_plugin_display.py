"""Layer data lies where the patient lies, and labels find the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_layers import made_trace, made_volume
from voxtrace import palette
from voxtrace.errors import GeometryError
from voxtrace.plugin.controllers.compat import axis_names, camera
from voxtrace.plugin.layers import contrast, display
from voxtrace.plugin.layers.display_space import edge_letters, flip_z, geometry_of, layer_transform, obliquity_note
from voxtrace.plugin.layers.manual_labels import geometry_drawn_on, stated_geometry
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Grid, LabelMap, Volume

TILT = np.radians(20.0)


def oblique() -> Geometry:
    cos, sin = float(np.cos(TILT)), float(np.sin(TILT))
    return Geometry.from_grid(Grid((5, 6, 4), (1.0, 2.0, 3.0), (7.0, 5.0, -20.0), (1, 0, 0, 0, cos, -sin, 0, sin, cos)))


def test_the_first_slice_shown_is_the_most_superior(volume: Volume) -> None:
    data, about, kind = display.image_layers(volume)[0]
    assert kind == "image"
    assert np.array_equal(data[0], volume.data[0, -1])
    assert about["translate"][0] == pytest.approx(-(-20.0 + 3 * 3.0))  # I = -S of the top slice


def test_no_voxel_is_copied(volume: Volume) -> None:
    assert np.shares_memory(display.image_layers(volume)[0][0], volume.data)


def test_every_voxel_is_shown_at_its_own_place(volume: Volume) -> None:
    _, about, _ = display.image_layers(volume)[0]
    shown = np.array([1, 2, 3])
    stored = np.array([4 - 1 - 1, 2, 3])
    world = np.asarray(about["translate"]) + shown * about["scale"]
    assert np.allclose(world, volume.geometry.world_mm(stored) * (-1, 1, 1))


def test_the_shown_frame_is_right_handed_in_the_patient(model: Any, volume: Volume) -> None:
    """napari's 3-D view is right-handed in its axes; unless they are so in the patient, left and right swap.

    (R, A, S) is a right-handed frame of the patient; det[I, P, L], written in it, must be +1.
    """
    toward = {"I": (0, 0, -1), "P": (0, -1, 0), "L": (-1, 0, 0)}
    data, about, _ = display.image_layers(volume)[0]
    model.add_image(data, **about)
    assert camera(model).handedness == "right"
    assert np.linalg.det([toward[name] for name in about["axis_labels"]]) == pytest.approx(1.0)
    assert min(about["scale"]) > 0


def test_an_oblique_scan_keeps_its_centre_and_tells_its_angle() -> None:
    geometry = oblique()
    place = layer_transform(geometry)
    half = (np.asarray(geometry.shape) - 1) / 2
    centre = np.asarray(place.translate_mm) + half * place.scale_mm
    assert np.allclose(centre, geometry.world_mm(half) * (-1, 1, 1))
    assert "20.0°" in obliquity_note(geometry)
    assert obliquity_note(made_volume().geometry) == ""


def test_geometry_returns_from_scale_and_translation(volume: Volume) -> None:
    assert geometry_of(volume.geometry.shape, layer_transform(volume.geometry)).is_close(volume.geometry)


def test_steps_come_as_one_layer_with_the_methods_word(trace: Any) -> None:
    data, about, kind = display.trace_layer(trace, "prediction", "id")
    assert kind == "labels"
    assert data.shape == (3, 4, 6, 5)
    assert about["axis_labels"] == ("cycle", "I", "P", "L")
    assert about["scale"] == (1.0, 3.0, 2.0, 1.0)
    assert about["units"] == ("pixel", "mm", "mm", "mm")
    assert about["metadata"]["voxtrace"].scan == "id"


def test_the_settled_map_counts_cycles_from_one_and_leaves_background_clear(trace: Any) -> None:
    data, _, _ = display.settled_layer(trace, "settled")
    expected = np.zeros((4, 6, 5), np.uint8)
    expected[0, 1, 2] = 1  # found at the first cycle and never changed
    expected[3, 4, 4] = 3  # last changed at the third
    assert np.array_equal(flip_z(data), expected)


def test_the_map_of_settled_voxels_counts_beyond_255_steps() -> None:
    labels = np.zeros((256, 1, 1, 1), np.uint8)
    labels[-1] = 1
    geometry = Geometry.from_spacing((1, 1, 1), (1.0, 1.0, 1.0))
    trace = Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, {0: "background", 1: "liver"})
    data, _, _ = display.settled_layer(trace, "settled")
    assert np.asarray(data).tolist() == [[[256]]]


def test_labels_return_to_the_stored_grid_whatever_the_orientation() -> None:
    geometry = oblique()
    labels = LabelMap(np.random.default_rng(0).integers(0, 3, geometry.shape).astype(np.uint8), geometry, {1: "a"})
    data, about, _ = display.label_layer(labels)
    back = display.label_map_of(data, about["metadata"]["voxtrace"], "labels")
    assert np.array_equal(back.data, labels.data)
    assert back.geometry.grid == geometry.grid
    assert back.names == {1: "a"}


def test_of_a_stepped_layer_the_last_step_is_the_answer(trace: Any) -> None:
    data, about, _ = display.trace_layer(trace, "prediction")
    back = display.label_map_of(data, about["metadata"]["voxtrace"])
    assert np.array_equal(back.data, trace.labels[-1])


def test_labels_drawn_elsewhere_are_refused() -> None:
    with pytest.raises(GeometryError, match="position in the patient is unknown"):
        stated_geometry((4, 6, 5), {"axis_labels": ("-3", "-2", "-1"), "units": ("pixel",) * 3})


def test_labels_drawn_on_a_scan_are_placed_by_it_under_napari_default_axis_names_too(volume: Volume) -> None:
    geometry, place = volume.geometry, layer_transform(volume.geometry)
    drawn = {"scale": place.scale_mm, "translate": place.translate_mm, "units": ("mm",) * 3}
    drawn["axis_labels"] = ("-3", "-2", "-1")  # of new labels, before napari 0.9
    assert geometry_drawn_on(geometry.shape, drawn, [geometry]) == geometry
    with pytest.raises(GeometryError, match="not along I, P, L in mm"):
        stated_geometry(geometry.shape, drawn)  # nothing to compare with
    with pytest.raises(GeometryError, match="match none"):
        geometry_drawn_on(geometry.shape, {**drawn, "translate": (5.0, 0.0, 0.0)}, [geometry])
    with pytest.raises(GeometryError, match="lie along x, y, z"):
        geometry_drawn_on(geometry.shape, {**drawn, "axis_labels": ("x", "y", "z")}, [geometry])
    with pytest.raises(GeometryError, match="in mm"):
        geometry_drawn_on(geometry.shape, {**drawn, "units": ("pixel",) * 3}, [geometry])


def test_each_channel_is_a_layer_and_the_first_is_visible() -> None:
    layers = display.image_layers(made_volume(("flair", "t1"), "MR"))
    assert [about["name"] for _, about, _ in layers] == ["scan · flair", "scan · t1"]
    assert [about["visible"] for _, about, _ in layers] == [True, False]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ((1, 2), {"top": "A", "bottom": "P", "left": "R", "right": "L"}),  # axial
        ((0, 2), {"top": "S", "bottom": "I", "left": "R", "right": "L"}),  # coronal: head up
        ((0, 1), {"top": "S", "bottom": "I", "left": "A", "right": "P"}),  # sagittal
        ((0, 1, 2), {}),  # 3-D
    ],
)
def test_letters_fit_the_slice(shown: tuple[int, ...], expected: dict[str, str]) -> None:
    assert edge_letters(("I", "P", "L"), shown) == expected


def test_letters_turn_with_the_camera() -> None:
    assert edge_letters(("I", "P", "L"), (1, 2), ("up", "left"))["left"] == "L"
    assert edge_letters(("0", "1", "2"), (1, 2)) == {}


def test_ct_opens_in_the_abdomen_window_and_mr_by_percentiles(volume: Volume) -> None:
    assert contrast.limits(volume) == (-160, 240)
    low, high = contrast.limits(made_volume(("t1",), "MR"))
    assert 0 <= low < high <= 119


def test_a_file_without_a_modality_is_ct_when_there_is_air_in_it(volume: Volume) -> None:
    air = np.full((1, *volume.geometry.shape), -1000, np.int16)
    assert contrast.is_ct(replace(volume, data=air, modality=""))
    assert not contrast.is_ct(replace(volume, modality=""))


def test_an_image_of_one_value_has_limits_too(volume: Volume) -> None:
    flat = replace(volume, data=np.full_like(volume.data, 5), modality="MR")
    assert contrast.limits(flat) == (5, 6)


def test_label_maps_are_told_from_images() -> None:
    blocks = np.repeat(np.repeat(np.arange(4, dtype=np.uint8).reshape(1, 2, 2), 10, 1), 10, 2).repeat(5, 0)
    noise = np.random.default_rng(0).integers(0, 255, (5, 20, 20)).astype(np.uint8)
    assert contrast.looks_like_labels(blocks)
    assert not contrast.looks_like_labels(noise)
    assert not contrast.looks_like_labels(blocks.astype(np.float32))


def test_colours_are_distinct_and_the_files_own_win() -> None:
    colours = palette.colours(range(1, 60), {2: (0.1, 0.2, 0.3)})
    assert len(set(colours.values())) == 59
    assert colours[2] == (0.1, 0.2, 0.3)
    assert palette.colour(1) == palette.colours([1])[1]


def test_layers_agree_in_units_so_the_scale_bar_keeps_mm(model: Any, volume: Volume) -> None:
    for data, about, kind in [*display.image_layers(volume), display.trace_layer(made_trace(), "prediction")]:
        getattr(model, f"add_{kind}" if kind == "labels" else "add_image")(data, **about)
    assert [str(unit) for unit in model.layers.units] == ["pixel", "millimeter", "millimeter", "millimeter"]
    assert axis_names(model) == ("cycle", "I", "P", "L")
