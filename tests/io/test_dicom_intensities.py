"""Stored words become the values that the header means, or the series is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence as Items

import awkward_dicom as awkward
from voxtrace.errors import ReadError
from voxtrace.io import read
from voxtrace.io.dicom import find_series, load

PLAIN = awkward.place()
SHORT = range(4)
SYNTAXES = {
    "plain": "",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


def refusal(folder: Path) -> str:
    (series,) = find_series(folder)
    assert not series.usable
    with pytest.raises(ReadError) as caught:
        load(folder)
    return str(caught.value)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_bits_above_the_stored_ones_are_dropped(tmp_path: Path, syntax: str, signed: bool) -> None:
    coding = awkward.Coding(intercept=0.0 if signed else -1024.0, signed=signed)
    files = awkward.images(PLAIN, SHORT, coding)
    for file in files:
        words = np.frombuffer(file.PixelData, np.uint16).copy()
        words &= 0x0FFF
        words[::3] |= 0x8000  # an overlay in the highest bit
        file.PixelData = words.tobytes()
        if SYNTAXES[syntax]:
            file.PixelRepresentation = 0
            file.compress(SYNTAXES[syntax], generate_instance_uid=False)
        file.PixelRepresentation, file.BitsStored, file.HighBit = int(signed), 12, 11
    assert np.array_equal(load(awkward.save(tmp_path, files)).array, awkward.values(SHORT))


def test_numbers_at_the_upper_end_of_their_words_are_read(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    for file in files:
        file.PixelData = (np.frombuffer(file.PixelData, np.uint16) << 4).tobytes()
        file.BitsStored, file.HighBit = 12, 15
    assert np.array_equal(load(awkward.save(tmp_path / "plain", files)).array, awkward.values(SHORT))
    packed = awkward.save(tmp_path / "packed", awkward.compressed(files, SYNTAXES["JPEG 2000"]))
    assert "not right-aligned (12 bits, the highest 15)" in refusal(packed)


@pytest.mark.parametrize(
    ("signed", "kind", "stated", "stored"),
    [
        (False, "SS", -2000, 63536),
        (False, "US", 63536, 63536),
        (True, "US", 63536, -2000),
        (True, "SS", -2000, -2000),
    ],
)
def test_padding_is_found_whatever_its_sign(tmp_path: Path, signed: bool, kind: str, stated: int, stored: int) -> None:
    files = awkward.images(PLAIN, SHORT, awkward.Coding(intercept=0.0 if signed else -1024.0, signed=signed))
    for file in files:
        words = np.frombuffer(file.PixelData, np.int16 if signed else np.uint16).copy()
        words[:36] = stored
        file.PixelData = words.tobytes()
        file.add_new("PixelPaddingValue", kind, stated)
    loaded = load(awkward.save(tmp_path, files))
    expected = awkward.values(SHORT)
    assert np.array_equal(loaded.array[:, 1:], expected[:, 1:])
    assert loaded.array[:, 0].max() == expected[:, 1:].min()
    assert loaded.array.dtype == np.int16


def test_padding_outside_of_the_stored_bits_is_found(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    for file in files:
        words = np.frombuffer(file.PixelData, np.uint16).copy()
        words[:36] = 63536  # without its upper four bits this would be 2096
        file.PixelData, file.BitsStored, file.HighBit = words.tobytes(), 12, 11
        file.add_new("PixelPaddingValue", "US", 63536)
    loaded = load(awkward.save(tmp_path, files))
    assert loaded.array[:, 0].max() == awkward.values(SHORT)[:, 1:].min()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope 0"),
        ({"RescaleSlope": 1e20}, "beyond 1e"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour images (PALETTE COLOR)"),
        ({"PhotometricInterpretation": "YBR_FULL"}, "colour images"),
        ({"HighBit": 40}, "contradict each other"),
        ({"BitsStored": 20}, "contradict each other"),
        ({"PixelRepresentation": 7}, "PixelRepresentation is 7"),
        ({"SamplesPerPixel": 0}, "0 values a pixel"),
        ({"PixelSpacing": [976, 976]}, "pixels of 976×976 mm"),
        ({"PixelSpacing": [1e-9, 1e-9]}, "expected 0.01 to 100 mm"),
        ({"PixelSpacing": [0, 0]}, "pixels of 0×0 mm"),
        ({"PixelSpacing": [-1, 1]}, "pixels of -1×1 mm"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaics"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"}, "a dose distribution"),
    ],
)
def test_what_would_give_wrong_values_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(awkward.save(tmp_path, awkward.images(PLAIN, SHORT, **changes)))


def test_one_image_without_rescale_among_others_is_refused(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    del files[2].RescaleSlope, files[2].RescaleIntercept
    assert "1 of 4 images have no rescale slope or intercept" in refusal(awkward.save(tmp_path / "ct", files))
    plain = awkward.images(PLAIN, SHORT, awkward.Coding(intercept=0.0, signed=True))
    del plain[2].RescaleSlope
    assert np.array_equal(load(awkward.save(tmp_path / "same", plain)).array, awkward.values(SHORT))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floating_point_pixels_stay_fractions(tmp_path: Path, kind: type) -> None:
    values = np.random.default_rng(0).random((4, 40, 36)).astype(kind) / 1000
    files = awkward.images(PLAIN, SHORT)
    for file, plane in zip(files, values, strict=True):
        del file.PixelData, file.RescaleSlope, file.RescaleIntercept
        name = "FloatPixelData" if kind is np.float32 else "DoubleFloatPixelData"
        setattr(file, name, plane.tobytes())
        file.BitsAllocated = 8 * np.dtype(kind).itemsize
        del file.BitsStored, file.HighBit, file.PixelRepresentation
    volume = read(awkward.save(tmp_path, files))
    assert volume.data.dtype == np.float32
    assert np.array_equal(volume.data[0], values.astype(np.float32))


def test_a_parametric_map_has_its_real_world_values(tmp_path: Path) -> None:
    mapping = Dataset()
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.001, 0.5
    files = awkward.images(
        PLAIN, SHORT, awkward.Coding(intercept=0.0, signed=True), RealWorldValueMappingSequence=Items([mapping])
    )
    whole = awkward.enhanced(files, SOPClassUID="1.2.840.10008.5.1.4.1.1.30")
    whole.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = Items([mapping])
    loaded = load(awkward.save(tmp_path, [whole]))
    assert np.allclose(loaded.array, awkward.values(SHORT) * 0.001 + 0.5, atol=1e-6)


def test_values_in_private_sequences_of_a_frame_do_not_count(tmp_path: Path) -> None:
    coding = awkward.Coding(slope=2.0, intercept=-1024.0)
    files = awkward.mr(awkward.images(PLAIN, SHORT, coding))
    whole = awkward.enhanced(files)
    for group in whole.PerFrameFunctionalGroupsSequence:
        other, stack = Dataset(), Dataset()
        other.ImagePositionPatient, other.ImageOrientationPatient = [9, 9, 9], [0, 1, 0, 0, 0, 1]
        other.RescaleSlope, other.RescaleIntercept, other.PixelSpacing = 1, 0, [5, 5]
        stack.PlanePositionSequence = Items([other])
        private = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        private.add_new(0x0F, "SQ", Items([other]))
        private.add_new(0x10, "SQ", Items([stack]))
    loaded = load(awkward.save(tmp_path, [whole]))
    assert np.abs(loaded.array - awkward.values(SHORT)).max() <= 1
    assert loaded.grid.origin_mm == pytest.approx(awkward.ORIGIN_MM)
    assert loaded.grid.spacing_mm[:2] == pytest.approx(awkward.SPACING_MM[:0:-1])
