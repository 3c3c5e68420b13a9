"""Films of traces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from made_layers import made_trace
from voxtrace import palette
from voxtrace.cli import app
from voxtrace.errors import GeometryError, UsageError
from voxtrace.film import FilmOptions, frames, write_film
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Volume

SHAPE = (4, 20, 30)


@pytest.fixture
def trace() -> Trace:
    geometry = Geometry.from_spacing(SHAPE, (4.0, 2.0, 1.0), (0.0, 0.0, 0.0))
    labels = np.zeros((3, *SHAPE), np.uint8)
    for step in range(3):
        labels[step, 1, 2 : 6 + step, 3:13] = 1  # towards the front, on the patient's right
    return Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, {0: "background", 1: "liver"}, "cycle")


@pytest.fixture
def scan(trace: Trace) -> Volume:
    data = np.full((1, *SHAPE), -1000, np.int16)
    data[:, :, 4:16, 5:25] = 40
    return Volume(data, trace.geometry, "CT", ("CT",), "scan")


def test_a_film_has_a_frame_for_each_step(trace: Trace, scan: Volume, tmp_path: Path) -> None:
    path = write_film(trace, tmp_path / "film.gif", scan, FilmOptions(per_second=2))
    with Image.open(path) as film:
        assert film.n_frames == 3
        durations = []
        for k in range(3):
            film.seek(k)
            durations.append(film.info["duration"])
    assert durations == [500, 500, 1500]


def test_labels_lie_where_they_are_at_true_proportions(trace: Trace, scan: Volume) -> None:
    plain = [np.asarray(f, float) for f in frames(_without_labels(trace), scan, FilmOptions(index=1, height=200))]
    drawn = [np.asarray(f, float) for f in frames(trace, scan, FilmOptions(index=1, height=200))]
    rows, columns = np.nonzero(np.abs(drawn[0] - plain[0]).sum(-1)[12:212] > 30)
    left = (drawn[0].shape[1] - 150) // 2  # the plane of 200 × 150 pixels is centred
    assert (rows.min(), rows.max() + 1) == (20, 60)  # voxels 2 to 5 of 20 along Y, 10 pixels each
    assert (columns.min() - left, columns.max() + 1 - left) == (15, 65)


def test_every_label_keeps_its_colour(trace: Trace, scan: Volume, tmp_path: Path) -> None:
    names = {0: "background"} | {value: f"organ {value}" for value in range(1, 41)}
    labels = np.zeros((2, *SHAPE), np.uint8)
    labels[:, 1, 2:10, 2:22:4] = np.arange(1, 41).reshape(8, 5)
    many = replace(trace, labels=labels, names=names)
    colours = palette.colours([v for v in names if v], names={v: n for v, n in names.items() if v})
    with Image.open(write_film(many, tmp_path / "film.gif", scan, FilmOptions(index=1))) as film:
        film.seek(1)
        shown = {tuple(rgb) for rgb in np.asarray(film.convert("RGB")).reshape(-1, 3).tolist()}
    wanted = {tuple(round(255 * part) for part in rgb) for rgb in colours.values()}
    assert wanted <= shown


def _without_labels(trace: Trace) -> Trace:
    return replace(trace, labels=np.zeros_like(trace.labels))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_plane_has_a_film(trace: Trace, plane: str) -> None:
    assert len(frames(trace, None, FilmOptions(plane))) == 3  # type: ignore[arg-type]


def test_the_head_is_on_top_of_a_coronal_film(trace: Trace) -> None:
    drawn = np.asarray(frames(trace, None, FilmOptions("coronal", 3, height=160))[0], float)[12:172]
    rows = np.nonzero(drawn.sum(-1) > 100)[0]
    assert rows.min() >= 80  # slice 1 of 4 lies below the middle


def test_a_scan_on_another_grid_is_refused(trace: Trace, scan: Volume) -> None:
    other = Volume(np.zeros((1, 4, 5, 6), np.int16), Geometry.from_spacing((4, 5, 6), (1, 1, 1), (0, 0, 0)))
    elsewhere = Geometry.from_spacing(trace.geometry.shape, trace.geometry.spacing_mm, (500, 0, 0))
    for volume in (other, replace(scan, geometry=elsewhere)):
        with pytest.raises(GeometryError, match="expected the scan that was segmented"):
            frames(trace, volume, FilmOptions())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"plane": "oblique"}, "expected axial, coronal, sagittal"),
        ({"per_second": 0.0}, "expected 0.1 to 30"),
        ({"height": 3}, "expected 64 to 2160"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FilmOptions(**options)  # type: ignore[arg-type]


def test_a_slice_that_does_not_exist_is_refused(trace: Trace) -> None:
    with pytest.raises(UsageError, match="expected 0 to 3"):
        frames(trace, None, FilmOptions(index=4))


def test_the_command_writes_a_film_of_a_trace_on_disk(tmp_path: Path) -> None:
    made_trace().save(tmp_path / "case.trace")
    out = tmp_path / "film.gif"
    result = CliRunner().invoke(app, ["film", str(tmp_path / "case.trace"), str(out), "--height", "100"])
    assert result.exit_code == 0, result.output
    with Image.open(out) as film:
        assert film.n_frames == 3


def test_another_suffix_is_refused_and_nothing_is_written(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.gif"):
        write_film(trace, tmp_path / "film.mp4")
    assert not list(tmp_path.iterdir())
