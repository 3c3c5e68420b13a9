from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxtrace.bench.inputs import abdomen, doubled, glioma, hippocampi, lengthened
from voxtrace.io import read, read_labels
from voxtrace.phantoms import abdomen_ct
from voxtrace.volume import Array, Geometry

SMALL = abdomen_ct(1, (6, 16, 16), (10.0, 12.0, 12.0))


def test_a_doubled_scan_covers_the_same_box_and_keeps_its_labels() -> None:
    fine = doubled(SMALL, seed=0)
    assert fine.labels.data.shape == (12, 32, 32)
    assert fine.volume.geometry.spacing_mm == (5.0, 6.0, 6.0)
    assert np.array_equal(fine.labels.data[1::2, ::2, 1::2], SMALL.labels.data)
    assert np.allclose(corner_mm(fine.volume.geometry), corner_mm(SMALL.volume.geometry))


def corner_mm(geometry: Geometry) -> Array:
    return np.subtract(geometry.origin_mm, np.divide(geometry.spacing_mm, 2))


def test_slices_beyond_the_scans_own_are_its_reflections() -> None:
    long = lengthened(SMALL, 14)
    own = SMALL.labels.data
    assert np.array_equal(long.labels.data[:6], own)
    assert np.array_equal(long.labels.data[6:11], own[4::-1])
    assert np.array_equal(long.volume.data[0, 11:14], SMALL.volume.data[0, 1:4])


def test_a_scan_is_made_once(tmp_path: Path) -> None:
    scan = abdomen(tmp_path, 8, 16, seed=1)
    made = scan.channels[0].stat().st_mtime_ns
    assert abdomen(tmp_path, 8, 16, seed=1) == scan
    assert scan.channels[0].stat().st_mtime_ns == made
    assert read(scan.channels[0]).data.shape == (1, 8, 16, 16)
    assert scan.truth is not None
    assert read_labels(scan.truth).geometry.spacing_mm == pytest.approx((2.0, 0.8, 0.8))


def test_without_real_scans_there_are_none(tmp_path: Path) -> None:
    assert glioma(tmp_path, tmp_path) is None
    assert hippocampi(tmp_path, 3) == []
