"""A series has a small picture with square pixels, whether it can be opened or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import awkward_dicom as awkward
from voxtrace.io.dicom import find_series, thumbnail

PLAIN = awkward.place()


def test_the_longer_side_has_the_edge_and_pixels_are_square(tmp_path: Path) -> None:
    (series,) = find_series(awkward.save(tmp_path, awkward.images(PLAIN)))
    small = thumbnail(series, edge=96)
    assert small.dtype == np.uint8
    assert small.shape == (96, 72)  # 40 × 1.5 mm by 36 × 1.25 mm: 60 by 45 mm
    assert thumbnail(series, edge=20).shape == (20, 15)


def test_ct_is_shown_from_minus_160_to_240_hu(tmp_path: Path) -> None:
    plane = np.repeat([-1000, -160, 40, 240], 9)[np.newaxis].repeat(40, axis=0)
    files = [awkward.image(plane, PLAIN, k) for k in range(3)]
    (series,) = find_series(awkward.save(tmp_path, files))
    small = thumbnail(series)
    assert [int(small[48, x]) for x in (9, 27, 45, 63)] == [0, 0, 128, 255]


def test_the_middle_slice_along_the_stack_is_shown(tmp_path: Path) -> None:
    levels = [0, 0, 200, 0, 0]
    files = [awkward.image(np.full((40, 36), level), PLAIN, k) for k, level in enumerate(levels)]
    (series,) = find_series(awkward.save(tmp_path, files, seed=3))
    assert thumbnail(series).min() == round(360 / 400 * 255)


def test_mr_is_shown_between_percentiles_and_bright_is_bright(tmp_path: Path) -> None:
    for name, extra in (("plain", {}), ("inverted", {"PhotometricInterpretation": "MONOCHROME1"})):
        files = awkward.mr(awkward.images(PLAIN, coding=awkward.Coding(intercept=0.0, signed=True), **extra))
        if extra:
            for n, file in enumerate(files):
                file.PixelData = (-1 - awkward.values([n])[0]).astype(np.int16).tobytes()
        (series,) = find_series(awkward.save(tmp_path / name, files))
        assert thumbnail(series).max() == 255
    one, other = (thumbnail(find_series(tmp_path / name)[0]) for name in ("plain", "inverted"))
    assert np.array_equal(one, other)


def test_what_cannot_be_opened_has_a_picture_too(tmp_path: Path) -> None:
    awkward.save(tmp_path, awkward.localizer(), "A{}")
    colours = awkward.image(
        awkward.values([0])[0], PLAIN, 0, SeriesInstanceUID="2.25.60", Modality="OT", SamplesPerPixel=3
    )
    colours.PhotometricInterpretation, colours.PlanarConfiguration = "RGB", 0
    colours.BitsAllocated, colours.BitsStored, colours.HighBit = 8, 8, 7
    colours.PixelData = np.arange(40 * 36 * 3).astype(np.uint8).tobytes()
    found = find_series(awkward.save(tmp_path, [awkward.capture(), colours], "B{}"))
    assert [thumbnail(s).shape for s in found] == [(96, 72), (96, 72), (96, 86)]
