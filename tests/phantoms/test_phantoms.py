"""Phantoms look like what they stand for, as far as numbers can tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from voxtrace.phantoms import abdomen_ct, brain_tumour_mr, varied_lesions_mr
from voxtrace.phantoms.brain import TISSUES, healthy_brain
from voxtrace.phantoms.drawing import Space
from voxtrace.phantoms.lesions import Lesion, draw_lesions
from voxtrace.volume import Array, Case

ABDOMEN, BRAIN = abdomen_ct(5), brain_tumour_mr(5)


def organ(case: Case, name: str) -> Array:
    value = next(k for k, n in case.labels.names.items() if n == name)
    return case.labels.data == value


def centre(mask: Array) -> Array:
    return np.argwhere(mask).mean(axis=0)


@pytest.mark.parametrize("make", [abdomen_ct, brain_tumour_mr, varied_lesions_mr])
def test_the_same_seed_gives_the_same_voxels(make) -> None:
    grid = {"shape": (12, 24, 24), "spacing_mm": (8.0, 8.0, 8.0)}
    one, same, other = make(1, **grid), make(1, **grid), make(2, **grid)
    assert np.array_equal(one.volume.data, same.volume.data)
    assert np.array_equal(one.labels.data, same.labels.data)
    assert not np.array_equal(one.labels.data, other.labels.data)


@pytest.mark.parametrize("case", [ABDOMEN, BRAIN], ids=["abdomen", "brain"])
def test_every_named_label_is_there(case: Case) -> None:
    assert case.labels.values == tuple(case.labels.names)
    assert case.volume.data.dtype == np.int16
    assert set(case.labels.colours) == set(case.labels.names)


def test_the_abdomen_lies_the_right_way_round() -> None:
    """Axes run to head, back and left: the liver is on the right, the spine behind."""
    middle = (np.asarray(ABDOMEN.labels.data.shape) - 1) / 2
    assert centre(organ(ABDOMEN, "liver"))[2] < middle[2] < centre(organ(ABDOMEN, "spleen"))[2]
    assert centre(organ(ABDOMEN, "spine"))[1] > centre(organ(ABDOMEN, "aorta"))[1] > middle[1]
    assert centre(organ(ABDOMEN, "liver"))[0] > centre(organ(ABDOMEN, "kidneys"))[0]


def test_organs_have_the_hounsfield_units_of_contrast_enhanced_ct() -> None:
    hu = ABDOMEN.volume.data[0]
    low_high = {
        "liver": (60, 135),
        "spleen": (90, 160),
        "kidneys": (110, 230),
        "aorta": (130, 320),
        "spine": (120, 500),
    }
    for name, (low, high) in low_high.items():
        assert low < np.median(hu[organ(ABDOMEN, name)]) < high, name
    assert np.median(hu[:, :4]) == pytest.approx(-1000, abs=10)


def test_ct_noise_is_that_of_a_scanner() -> None:
    inside = ndimage.binary_erosion(organ(ABDOMEN, "liver"), iterations=3)
    assert 8 < np.std(ABDOMEN.volume.data[0][inside]) < 35


@pytest.mark.parametrize("seed", [2, 11, 400])
def test_abdominal_organs_have_plausible_volumes(seed: int) -> None:
    case = abdomen_ct(seed)
    ml = {name: organ(case, name).sum() * case.labels.geometry.voxel_ml for name in case.labels.names.values()}
    assert 400 < ml["liver"] < 2000
    assert 25 < ml["spleen"] < 450
    assert 150 < ml["kidneys"] < 550
    assert 40 < ml["aorta"] < 160


@pytest.mark.parametrize("seed", [2, 11, 400])
def test_most_planes_are_free_of_tumour(seed: int) -> None:
    case = brain_tumour_mr(seed)
    assert 0 < case.labels.data.any(axis=(1, 2)).mean() < 0.5


def test_the_tumour_is_core_in_rim_in_edema() -> None:
    core, edema, rim = (organ(BRAIN, name) for name in ("core", "edema", "enhancing"))
    beside_core = ndimage.binary_dilation(core) & ~core
    beside_solid = ndimage.binary_dilation(core | rim) & ~(core | rim)
    assert np.mean(rim[beside_core]) > 0.95
    assert np.mean(edema[beside_solid]) > 0.8


def test_tumours_occur_on_both_sides() -> None:
    cases = [brain_tumour_mr(seed, (24, 40, 40), (4.0, 4.0, 4.0)) for seed in range(12)]
    assert len({centre(case.labels.data > 0)[2] > 19.5 for case in cases}) == 2


def test_the_background_of_the_brain_is_exactly_zero_in_all_channels() -> None:
    brain = BRAIN.volume.data > 0
    assert np.all(brain == brain[0])
    assert not brain[:, :, 0].any()
    assert not BRAIN.labels.data[~brain[0]].any()


def test_each_sequence_shows_the_tumour_as_it_should() -> None:
    """FLAIR shows edema bright, T1 dark; the rim is bright only after contrast."""
    flair, t1ce, t1, t2 = BRAIN.volume.data.astype(float)
    tissue = (flair > 0) & (BRAIN.labels.data == 0)
    edema, rim = organ(BRAIN, "edema"), organ(BRAIN, "enhancing")
    assert np.median(flair[edema]) > 1.3 * np.median(flair[tissue])
    assert np.median(t2[edema]) > 1.2 * np.median(t2[tissue])
    assert np.median(t1[edema]) < np.median(t1[tissue])
    assert np.median(t1ce[rim]) / np.median(t1ce[tissue]) > 1.3 * np.median(t1[rim]) / np.median(t1[tissue])


# Lesions of varied difficulty

COARSE = Space.centred((24, 40, 40), (4.0, 4.0, 4.0))


def lesions_of(seed: int) -> tuple[Array, dict[str, Array], list[Lesion]]:
    rng = np.random.default_rng(seed)
    brain, depths = healthy_brain(COARSE, rng)
    return brain, depths, draw_lesions(COARSE, brain, depths, rng)


def test_there_are_one_to_four_lesions_clear_and_faint_smooth_and_ragged() -> None:
    drawn = [lesions_of(seed)[2] for seed in range(30)]
    assert {len(lesions) for lesions in drawn} == {1, 2, 3, 4}
    every = [lesion for lesions in drawn for lesion in lesions]
    seen = [lesion.contrast for lesion in every if lesion.contrast > 0]
    assert min(seen) < 0.35
    assert max(seen) > 0.85
    assert min(seen) >= 0.2
    ragged = [lesion.ragged_mm for lesion in every]
    assert min(ragged) == 0.5
    assert max(ragged) > 4
    assert 0.1 < sum(lesion.contrast == 0 for lesion in every) / len(every) < 0.4


def test_some_lesions_look_like_grey_matter_where_the_brain_is_white() -> None:
    """Their signal is that of a nucleus or the cortex, so that only the other side tells them from these."""
    found = 0
    for seed in range(12):
        _, depths, lesions = lesions_of(seed)
        for lesion in lesions:
            if lesion.contrast == 0:
                assert lesion.signals == TISSUES["grey"]
                assert (depths["white"][lesion.depth > 0] > 0).all()
                found += int((lesion.depth > 0).any())
    assert found >= 3


def test_lesions_lie_inside_the_brain_and_a_faint_one_is_less_bright() -> None:
    case = varied_lesions_mr(1)
    assert (case.volume.data[0][case.labels.data > 0] > 0).all()
    assert case.labels.names == {1: "lesion"}
    by_contrast = sorted((x for seed in range(12) for x in lesions_of(seed)[2]), key=lambda lesion: lesion.contrast)
    brightness = [lesion.signals[0] for lesion in by_contrast]  # flair
    assert brightness == sorted(brightness)
