"""Whichever way a file lies, a landmark is read where its mm say, and its label is written where it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import made_scans
import voxtrace
from fakes import Nearest, bundle
from made_scans import FORMATS, SPACING_MM, centres_mm, landmarks_mm, letters, oblique, save
from voxtrace.volume import Array, LabelMap

TENTH_MM = 0.1 * min(SPACING_MM)
STRAIGHT = [pytest.param(matrix, id=letters(matrix)) for matrix in made_scans.signed_permutations()]
OBLIQUE = [
    pytest.param(oblique(matrix), id=f"17° {letters(matrix)}") for matrix in made_scans.signed_permutations()[::5]
]
SUFFIX = {"sform": ".nii.gz", "qform": ".nii", "both": ".nii.gz", "nrrd": ".nrrd", "mha": ".mha"}


def test_there_are_48_ways_to_lie_along_the_axes() -> None:
    assert len({letters(matrix) for matrix in made_scans.signed_permutations()}) == 48


def assert_near(found: dict[int, Array], expected: dict[int, Array]) -> None:
    assert found.keys() == expected.keys()
    for label, where_mm in expected.items():
        assert np.linalg.norm(found[label] - where_mm) < TENTH_MM, (label, found[label], where_mm)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("direction", STRAIGHT + OBLIQUE)
def test_a_landmark_is_read_where_its_mm_say_and_its_label_written_where_it_was(
    tmp_path: Path, direction: Array, form: str
) -> None:
    steps = direction * SPACING_MM
    volume = voxtrace.read(save(tmp_path, form, steps))
    expected = landmarks_mm(steps)
    read = {k: volume.geometry.world_mm(np.argwhere(volume.data[0] == k)[0])[::-1] for k in expected}
    assert_near(read, expected)
    assert volume.geometry.obliquity_deg < 30  # canonical: nearly along S, P, L
    assert np.all(np.diag(volume.geometry.matrix) > 0)
    labels = LabelMap(volume.data[0].astype(np.uint8), volume.geometry)
    assert_near(centres_mm(voxtrace.write(labels, tmp_path / f"out{SUFFIX[form]}")), expected)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("direction", OBLIQUE)
def test_a_label_lies_where_it_was_in_every_other_format(tmp_path: Path, direction: Array, suffix: str) -> None:
    steps = direction * SPACING_MM
    volume = voxtrace.read(save(tmp_path, "both", steps))
    labels = LabelMap(volume.data[0].astype(np.uint8), volume.geometry)
    assert_near(centres_mm(voxtrace.write(labels, tmp_path / f"out{suffix}")), landmarks_mm(steps))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("direction", STRAIGHT + OBLIQUE)
def test_what_is_predicted_lies_on_what_was_scanned(tmp_path: Path, direction: Array, form: str) -> None:
    """The fake network says 1 where the image is bright: a bright block comes back as the same block, in mm."""
    steps = direction * SPACING_MM
    block = np.zeros(made_scans.SIZE[::-1], np.float32)
    block[1:4, 5:8, 7:10] = 1.0  # z, y, x
    volume = voxtrace.read(save(tmp_path, form, steps, block))
    result = voxtrace.predict(bundle(Nearest(), spacing_mm=volume.geometry.spacing_mm), volume, device="cpu")
    middle_mm = steps @ (8, 6, 2) + made_scans.FIRST_MM
    out = voxtrace.write(result.labels, tmp_path / f"out{SUFFIX[form]}")
    assert_near(centres_mm(out), {1: middle_mm})
