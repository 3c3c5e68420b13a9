"""A film of a large CT stays within the size and the time that are promised for it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from voxtrace.cli import app
from voxtrace.io import write
from voxtrace.trace import Trace
from voxtrace.volume import Array, Geometry, Volume

MOST_BYTES, MOST_SECONDS = 10_000_000, 30.0
SHAPE, STEPS, ORGANS = (300, 256, 256), 7, 5
NAMES = {0: "background"} | {value: f"organ {value}" for value in range(1, ORGANS + 1)}


@pytest.fixture(scope="module")
def scan() -> Volume:
    """A body of noise in air, as int16 HU: noise is what takes most room in a picture."""
    rng = np.random.default_rng(0)
    _, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    body = ((y - 128) / 90) ** 2 + ((x - 128) / 120) ** 2 < 1
    hu = np.where(body, rng.normal(40, 30, SHAPE).astype(np.int16), np.int16(-1000))[np.newaxis]
    return Volume(hu, Geometry.from_spacing(SHAPE, (2.0, 1.5, 1.5)), "CT", ("CT",), "large")


def _labels() -> Array:
    """Five long organs with ragged borders that grow from step to step, (S, Z, Y, X)."""
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ragged = rng.normal(0, 0.03, SHAPE).astype(np.float32)
    labels = np.zeros((STEPS, *SHAPE), np.uint8)
    for value in range(1, ORGANS + 1):
        centre = (90 + 25 * value, 90 + 20 * (value % 3), 60 + 30 * value)
        far = sum(((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), centre, (120, 30, 30), strict=True)) + ragged
        for step in range(STEPS):
            labels[step][far < 0.7 + 0.05 * step] = value
    return labels


@pytest.fixture(scope="module")
def folder(scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the trace and the scan, as a prediction leaves them."""
    into = tmp_path_factory.mktemp("large")
    facts = np.zeros((0, 6), np.int64)
    Trace(_labels(), {}, facts, {}, scan.geometry, NAMES, "cycle").save(into / "large.trace")
    write(scan, into / "large.nii.gz")
    return into


def _processor_seconds() -> float:
    """Return what this process and those that it waited for have used: other work on the machine does not count."""
    return sum(os.times()[:4])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["html", "gif"])
def test_a_film_of_300_slices_and_seven_steps_is_small_and_soon_there(folder: Path, ending: str) -> None:
    film = folder / f"film.{ending}"
    busy = _processor_seconds()
    words = ["film", str(folder / "large.trace"), str(film), "--scan", str(folder / "large.nii.gz")]
    result = CliRunner().invoke(app, words)
    seconds = _processor_seconds() - busy
    assert result.exit_code == 0, result.output
    assert film.stat().st_size <= MOST_BYTES
    assert seconds <= MOST_SECONDS
    if ending == "gif":
        with Image.open(film) as shown:
            assert shown.n_frames == STEPS
