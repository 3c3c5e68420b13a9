from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import made
import voxtrace
from made import Run
from voxtrace.cli import demo, picture
from voxtrace.samples import sample
from voxtrace.trace import Trace
from voxtrace.volume import Case, LabelMap


def small_case(seed: int) -> Case:
    volume = made.volume(seed)
    truth = np.zeros(made.SHAPE, np.uint8)
    truth[2:6, 4:12, 4:12] = 1
    return Case("phantom", volume, LabelMap(truth, volume.geometry, {1: "block"}))


def test_the_demo_writes_everything_it_names(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PHANTOM_BUNDLE", str(bundle))
    monkeypatch.setattr("voxtrace.phantoms.abdomen_ct", small_case)
    outcome = run("demo", "--phantom", "--out", tmp_path / "out", "--no-window", "--json")
    assert outcome.code == 0
    assert all(Path(outcome.json[name]).exists() for name in ("image", "labels", "trace", "picture"))
    assert outcome.json["steps"] == 3
    assert 0 <= outcome.json["dice"] <= 1
    assert sum(outcome.json["volume_ml"].values()) > 0
    assert run("demo", "--phantom", "--out", tmp_path / "out", "--no-window").code == 0  # again, in the same folder


def test_the_demo_steps_through_a_real_scan_that_comes_with_the_package(run: Run, tmp_path: Path) -> None:
    outcome = run("demo", "--out", tmp_path / "out", "--no-window", "--json")
    assert outcome.code == 0
    assert outcome.json["bundle"] == "hippocampus-recyclenet"
    assert outcome.json["steps"] == 7
    assert outcome.json["dice"] is None  # nobody drew the truth of this scan
    assert set(outcome.json["volume_ml"]) == {"anterior", "posterior"}
    assert "one volunteer" in outcome.err
    shown = voxtrace.read(outcome.json["image"])
    assert np.array_equal(shown.data, voxtrace.read(sample(demo.REAL).path).data)
    assert Trace.load(outcome.json["trace"]).geometry.shape == shown.geometry.shape


def test_the_first_look_of_a_new_environment_compiles_nothing(tmp_path: Path) -> None:
    call = "from voxtrace.cli import main; main()"
    command = [sys.executable, "-c", call, "demo", "--out", str(tmp_path / "out"), "--no-window"]
    kept = tmp_path / "compiled"
    subprocess.run(command, env={**os.environ, "NUMBA_CACHE_DIR": str(kept)}, check=True, capture_output=True)
    assert [file.name for file in kept.rglob("*.nbi")] == []


def test_the_picture_is_a_png_for_any_number_of_steps(tmp_path: Path) -> None:
    case = small_case(0)
    for steps in (1, 2, 9):
        labels = np.repeat(case.labels.data[None], steps, axis=0)
        trace = Trace(labels, {}, np.zeros((0, 6), int), {}, case.volume.geometry, {0: "background", 1: "block"})
        path = picture.draw_steps(case.volume, trace, tmp_path / f"{steps}.png")
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_slice_shown_has_most_labels() -> None:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[0, :8, :6] = 1
    labels[1, :3, :3] = 1
    labels[1, 4:7, 4:7] = 2
    assert picture.busiest_slice(labels) == 1
    assert picture.busiest_slice(np.zeros((3, 8, 8), np.uint8)) == 0


def test_a_window_opens_only_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not demo._has_display()


def test_why_no_window_opens_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(demo, "_show", lambda outputs, bundle: pytest.fail("a window was opened"))
    demo._open_window(demo.DemoOutputs(tmp_path), demo.PHANTOM_BUNDLE)
    assert "no window: there is no display" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    demo._open_window(demo.DemoOutputs(tmp_path), demo.PHANTOM_BUNDLE)
    assert 'pip install "voxtrace[all]"' in capsys.readouterr().err
