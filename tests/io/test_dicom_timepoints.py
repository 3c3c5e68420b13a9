"""Images at one position are told apart by whatever distinguishes them, within the tolerance that stacks them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

import awkward_dicom as awkward
from voxtrace.errors import ReadError
from voxtrace.io.dicom import find_series, load, load_series, named

PLAIN = awkward.place()
SHORT = range(4)
Edit = Callable[[Dataset, int, int], object]  # an image, its volume and its plane, each from 0


def private(group: int, creator: str, element: int, kind: str, value: Callable[[int], object]) -> Edit:
    def edit(file: Dataset, volume: int, plane: int) -> None:
        file.private_block(group, creator, create=True).add_new(element, kind, value(volume))

    return edit


def number(file: Dataset, volume: int, plane: int) -> None:
    file.InstanceNumber = 4 * volume + plane + 1


def position_by_position(file: Dataset, volume: int, plane: int) -> None:
    file.InstanceNumber = 2 * plane + volume + 1


def attribute(name: str, *values: object) -> Edit:
    return lambda file, volume, plane: setattr(file, name, values[volume])


EDITS: dict[str, Edit] = {
    "acquisition": attribute("AcquisitionNumber", 1, 2),
    "temporal position": attribute("TemporalPositionIdentifier", 1, 2),
    "trigger time": lambda file, volume, plane: setattr(file, "TriggerTime", 400 * volume + plane),
    "echo number": attribute("EchoNumbers", 1, 2),
    "echo time alone": lambda file, volume, plane: file.update({"EchoNumbers": 1, "EchoTime": 4.6 * (volume + 1)}),
    "b-value": attribute("DiffusionBValue", 0.0, 800.0),
    "b-value of GE": private(0x43, "GEMS_PARM_01", 0x39, "IS", lambda b: [1_000_000_000 + 800 * b, 8, 0, 0]),
    "b-value of Siemens": private(0x19, "SIEMENS MR HEADER", 0x0C, "IS", lambda b: 800 * b),
    "b-value of Philips": private(0x2001, "Philips Imaging DD 001", 0x03, "FL", lambda b: 800.0 * b),
    "sequence name": attribute("SequenceName", "*ep_b0", "*ep_b800"),
    "kernel": attribute("ConvolutionKernel", "B30f", "B70f"),
    "instance number": number,
    "instance number, position by position": position_by_position,
}


def two_volumes(folder: Path, edit: Edit, shift_mm: float = 0.0) -> Path:
    """Write two volumes of four images under one UID, the second 7 brighter and shifted along the stack."""
    files = []
    for volume in (0, 1):
        for plane in SHORT:
            place = awkward.Place(PLAIN.across, PLAIN.down, PLAIN.step_mm, (-20.0, 35.0, 110.0 + volume * shift_mm))
            (file,) = awkward.mr([awkward.image(awkward.values([plane])[0] + 7 * volume, place, plane)])
            edit(file, volume, plane)
            files.append(file)
    return awkward.save(folder, files, seed=3)


@pytest.mark.parametrize("shift_mm", [0.0, 0.03])
@pytest.mark.parametrize("how", EDITS)
def test_volumes_under_one_uid_are_told_apart(tmp_path: Path, how: str, shift_mm: float) -> None:
    found = find_series(two_volumes(tmp_path, EDITS[how], shift_mm))
    assert [(s.images, s.usable) for s in found] == [(4, True), (4, True)]
    for extra, series in zip((0, 7), found, strict=True):
        assert np.array_equal(load_series(series).array, awkward.values(SHORT) + extra)


def test_what_nothing_tells_apart_is_refused_by_inspect_and_read_alike(tmp_path: Path) -> None:
    folder = two_volumes(tmp_path, lambda file, volume, plane: None)
    (series,) = find_series(folder)
    assert not series.usable
    with pytest.raises(ReadError, match="2 different images at the same position that no attribute distinguishes"):
        load(folder)


def test_copies_are_left_out(tmp_path: Path) -> None:
    files = awkward.images(PLAIN, SHORT)
    awkward.save(tmp_path / "one", files)
    awkward.save(tmp_path / "two", files)
    (series,) = find_series(tmp_path)
    assert series.usable
    assert np.array_equal(load_series(series).array, awkward.values(SHORT))


def test_two_series_under_one_uid_are_two(tmp_path: Path) -> None:
    def edit(file: Dataset, volume: int, plane: int) -> None:
        file.SeriesNumber, file.SeriesDescription = (3, "native") if volume == 0 else (4, "portal venous")

    folder = two_volumes(tmp_path, edit)
    found = find_series(folder)
    assert [(s.number, s.images, s.usable) for s in found] == [("3", 4, True), ("4", 4, True)]
    assert np.array_equal(load_series(named(found, "4", folder)).array, awkward.values(SHORT) + 7)


def test_a_mosaic_is_named_also_by_its_private_element(tmp_path: Path) -> None:
    files = awkward.mr(awkward.images(PLAIN, SHORT))
    for n, file in enumerate(files):
        file.ImagePositionPatient, file.AcquisitionNumber = [-300, -300, 50 + 0.4 * n], n
        file.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 9)
    with pytest.raises(ReadError, match="mosaics"):
        load(awkward.save(tmp_path, files))


@pytest.mark.parametrize("step_mm", [0.625, 0.75, 1.25])
def test_positions_rounded_to_a_tenth_are_no_uneven_spacing(tmp_path: Path, step_mm: float) -> None:
    files = awkward.images(PLAIN)
    for n, file in enumerate(files):
        file.ImagePositionPatient = [-20, 35, round(110 + step_mm * n, 1)]
    loaded = load(awkward.save(tmp_path, files))
    assert np.array_equal(loaded.array, awkward.values())
    assert loaded.grid.spacing_mm[2] == pytest.approx(step_mm, rel=4e-3)
    assert not loaded.grid.regridded
    assert loaded.passport.notes == ()


def test_uneven_positions_that_are_no_rounding_are_still_resampled(tmp_path: Path) -> None:
    files = awkward.images(PLAIN)
    for n, file in enumerate(files):
        file.ImagePositionPatient = [-20, 35, 110 + 3 * n + (0.6 if n % 2 else 0.0)]
    assert load(awkward.save(tmp_path, files)).grid.regridded


def test_orientations_of_two_decimals_are_turned_to_the_line_of_the_positions(tmp_path: Path) -> None:
    turned = np.radians(10)
    down, normal = np.asarray([0, np.cos(turned), np.sin(turned)]), np.asarray([0, -np.sin(turned), np.cos(turned)])
    place = awkward.Place(np.asarray([1.0, 0, 0]), down, 12.0 * normal)
    files = awkward.images(place, ImageOrientationPatient=[1, 0, 0, 0, *(round(float(v), 2) for v in down[1:])])
    loaded = load(awkward.save(tmp_path, files))
    assert np.array_equal(loaded.array, awkward.values())
    assert not loaded.grid.regridded
    assert np.reshape(loaded.grid.direction, (3, 3))[:, 2] == pytest.approx(normal, abs=1e-6)
