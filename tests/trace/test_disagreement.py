"""Places to look at: label maps that a person can draw, regions that are derived by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voxtrace.errors import Cancelled, GeometryError
from voxtrace.trace import Trace
from voxtrace.trace.disagreement import Answers, LabelPlanes, PlaceLimits, of_label_maps, of_steps, offered, regions
from voxtrace.trace.disagreement.differing import differing_voxels
from voxtrace.trace.disagreement.joining import join
from voxtrace.volume import Geometry, LabelMap

SHAPE, SPACING_MM = (10, 40, 40), (2.0, 1.0, 1.0)
GEOMETRY = Geometry.from_spacing(SHAPE, SPACING_MM)
NAMES = {0: "background", 1: "liver", 2: "tumour"}
ALL = PlaceLimits(least_ml=0.0, most_ml=0.0)  # lists every region


def liver() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:8, 5:35, 5:35] = 1
    return labels


def seeds(*maps: np.ndarray, answer: np.ndarray | None = None) -> Answers:
    names = tuple(f"seed {i}" for i in range(len(maps)))
    rows = tuple(LabelPlanes(one) for one in maps)
    return Answers("members", names, rows, LabelPlanes(liver() if answer is None else answer), GEOMETRY, NAMES)


def with_tumour(box: tuple[slice, ...]) -> np.ndarray:
    labels = liver()
    labels[box] = 2
    return labels


BLOCK = (slice(4, 6), slice(10, 15), slice(12, 18))  # 2 × 5 × 6 voxels of 0.002 mL
SMALL = (slice(3, 4), slice(25, 28), slice(25, 28))


def steps_trace(*maps: np.ndarray) -> Trace:
    return Trace(np.stack(maps), {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, NAMES, "cycle")


def test_a_block_that_some_seeds_call_tumour_is_one_place() -> None:
    found = regions(seeds(*[with_tumour(BLOCK)] * 3, liver(), liver(), answer=with_tumour(BLOCK)), ALL)
    [place] = found.places
    assert place.ml == pytest.approx(60 * 0.002)
    assert (place.label, place.other, place.sentence) == (2, 1, "3 of 5 seeds say tumour, 2 say liver")
    assert place.box == (4, 10, 12, 6, 15, 18)
    assert place.voxel[0] in (4, 5)
    assert (place.voxel[1], place.voxel[2]) in {(12, 14), (12, 15)}
    assert set(place.others) == {1}
    assert not place.is_thin


def test_the_structure_is_told_rather_than_background() -> None:
    without = liver()
    without[BLOCK] = 0
    for answer, pair in ((liver(), (1, 0)), (without, (0, 1))):
        [place] = regions(seeds(liver(), without, without, answer=answer), ALL).places
        assert (place.label, place.other, place.concerned, place.sentence) == (*pair, 1, "1 of 3 seeds says liver")


def test_places_come_by_ml_at_stake() -> None:
    found = regions(seeds(with_tumour(SMALL), with_tumour(BLOCK), liver()), ALL)
    assert [round(place.ml / 0.002) for place in found.places] == [60, 9]


def test_regions_under_the_limit_are_summed_up_as_calm() -> None:
    found = regions(seeds(with_tumour(SMALL), with_tumour(BLOCK), liver()), PlaceLimits(least_ml=0.05))
    assert [round(place.ml / 0.002) for place in found.places] == [60]
    assert (found.calm_count, found.calm_ml) == (1, pytest.approx(9 * 0.002))


def test_large_labels_have_a_larger_limit() -> None:
    limits = PlaceLimits(least_ml=0.05, fraction=0.01, most_ml=0.5)
    assert [limits.of(ml) for ml in (1.0, 20.0, 1500.0)] == [0.05, 0.2, 0.5]


def test_answers_that_agree_give_no_place() -> None:
    found = regions(seeds(liver(), liver()), ALL)
    assert (found.places, found.labels, found.calm_ml, found.calm_count) == ((), (), 0.0, 0)


def test_a_thin_shell_does_not_join_two_spots() -> None:
    wide = liver()
    wide[2:8, 4, 5:35] = 1  # one voxel more along a whole side of the liver
    for x in (5, 26):
        wide[4, 0:5, x : x + 5] = 1  # and a spot at both of its ends
    found = regions(seeds(wide, liver()), ALL)
    assert [place.is_thin for place in found.places] == [False, False, True]
    assert all(round(place.ml / 0.002) >= 25 for place in found.places[:2])
    assert sum(place.ml for place in found.places) == pytest.approx((6 * 30 + 2 * 20) * 0.002)


def test_gaps_under_the_limit_are_closed_and_wide_ones_are_not() -> None:
    labels = with_tumour((slice(4, 5), slice(10, 14), slice(10, 14)))
    labels[4, 10:14, 15:19] = 2  # a gap of 1 mm
    labels[4, 24:28, 10:14] = 2  # and one of 10 mm
    region, spots = join(differing_voxels(seeds(labels, liver())), SHAPE, SPACING_MM)
    assert (spots, sorted(np.bincount(region))) == (2, [16, 32])


def test_undecided_volume_of_a_label_in_words() -> None:
    found = regions(seeds(with_tumour(BLOCK), liver(), liver()))
    liver_ml = 6 * 30 * 30 * 0.002
    assert [one.sentence for one in found.labels] == [
        f"0.12 mL of {liver_ml:.1f} mL liver undecided",
        "0.12 mL of 0.00 mL tumour undecided",
    ]


def test_only_the_last_third_of_the_steps_counts() -> None:
    early = [with_tumour(BLOCK), *[liver()] * 5]
    assert regions(of_steps(steps_trace(*early)), ALL).places == ()
    late = [liver()] * 4 + [with_tumour(BLOCK), liver()]
    answers = of_steps(steps_trace(*late))
    assert answers.title == "cycles 4 to 6"
    [place] = regions(answers, ALL).places
    assert (place.label, place.other, place.sentence) == (1, 2, "changed at cycle 5 and 6")


def test_one_step_of_one_network_offers_nothing() -> None:
    assert offered(steps_trace(liver())) == ()


def test_two_results_are_named() -> None:
    maps = [LabelMap(with_tumour(BLOCK), GEOMETRY, NAMES, name="A"), LabelMap(liver(), GEOMETRY, NAMES, name="B")]
    [place] = regions(of_label_maps(maps), ALL).places
    assert place.sentence == "A says tumour; B says liver"


def test_one_of_three_results_is_named() -> None:
    maps = [
        LabelMap(one, GEOMETRY, NAMES, name=name) for name, one in zip("ABC", (liver(), liver(), liver()), strict=True)
    ]
    maps[1].data[BLOCK] = 2
    [place] = regions(of_label_maps(maps), ALL).places
    assert place.sentence == "2 of 3 say liver, B says tumour"


def test_results_on_different_grids_are_refused() -> None:
    other = Geometry.from_spacing(SHAPE, SPACING_MM, (50.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match="does not lie on the grid of A"):
        of_label_maps([LabelMap(liver(), GEOMETRY, name="A"), LabelMap(liver(), other, name="B")])


def test_slabs_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    noisy = [np.where(rng.random(SHAPE) < 0.05, 2, liver()).astype(np.uint8) for _ in range(3)]
    whole = regions(seeds(*noisy), ALL)
    monkeypatch.setattr("voxtrace.trace.disagreement.differing.chunk_depth", lambda shape: 3)
    slabs = regions(seeds(*noisy), ALL)
    assert [(one.ml, one.box, one.voxel) for one in slabs.places] == [(p.ml, p.box, p.voxel) for p in whole.places]
    voxels = np.concatenate([place.indices for place in whole.places])
    differs = np.flatnonzero((noisy[0] != noisy[1]) | (noisy[0] != noisy[2]))
    assert whole.calm_count == 0 or len(whole.places) == 100
    assert np.isin(voxels, differs).all()
    assert len(np.unique(voxels)) == len(voxels)


def test_the_search_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        regions(seeds(liver(), liver()), cancel=lambda: True)


def test_known_counts_are_not_taken_again() -> None:
    answers = seeds(with_tumour(BLOCK), liver(), liver())
    counted = replace(answers, counts=np.array([0, 500, 0]))
    assert [one.answer_ml for one in regions(counted, ALL).labels if one.value == 1] == [pytest.approx(1.0)]
