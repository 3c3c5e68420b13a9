"""The figures of the papers are drawn from what a run wrote down, with the numbers that it wrote down."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from voxtrace.training.events import EVENTS, EventLog

SCRIPTS = Path(__file__).parents[1] / "scripts"
SOURCES = ["forward", "upward", "downward"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not (SCRIPTS / "figures.py").is_file():
        pytest.skip("the scripts do not lie beside the tests, as in an installed package")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("figures")


def _run(folder: Path, corner: float | None = None) -> Path:
    """Write the events of a training of 30 updates: a triangle of three nodes whose shares change at 10, 20 and 30."""
    folder.mkdir()
    log = EventLog(folder / EVENTS)
    for done, forward in ((10, 0.5), (20, 0.6), (30, 0.75)):
        top = [forward, 1 - forward, 0.0]
        last = [None if corner is None else corner] * 3
        values = [[top, top], [[0.4, 0.4, 0.2], last]]
        chart = {"title": "connections by source", "unit": "fraction", "rows": ["level 0", "level 1"]}
        chart |= {"columns": ["stage 1", "stage 2"], "series": SOURCES, "values": values}
        method = {"f_decay": 0.5 - done / 100, "density": 0.2, "topology_updates": done // 10}
        log.write("update", done, 30, iteration=done, loss={}, method=method)
        log.write("charts", done, 30, iteration=done, charts=[chart])
    return folder


def _draw(figures: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["figures.py", *map(str, words)])
    figures.main()


def test_each_node_of_the_triangle_has_a_panel_with_its_shares_over_the_iterations(
    figures: ModuleType, tmp_path: Path
) -> None:
    figure = figures.over_training(_run(tmp_path / "b"))
    nodes = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(nodes) == ["level 0, stage 1", "level 0, stage 2", "level 1, stage 1"]
    lines = {line.get_label(): line for line in nodes["level 0, stage 2"].lines}
    assert list(lines) == SOURCES[:2]  # the finest level has no finer one
    assert list(lines["forward"].get_xdata()) == [10, 20, 30]
    assert list(lines["forward"].get_ydata()) == pytest.approx([50, 60, 75])
    assert {text.get_text() for text in nodes["level 0, stage 2"].texts} == {"75", "25"}
    assert len(nodes["level 1, stage 1"].lines) == 3


def test_the_log_beside_the_triangle_has_f_decay_density_and_the_number_of_updates(
    figures: ModuleType, tmp_path: Path
) -> None:
    above, below = figures.over_training(_run(tmp_path / "b")).axes[-2:]
    assert [list(line.get_ydata()) for line in above.lines] == [
        pytest.approx([40, 30, 20]),
        pytest.approx([20, 20, 20]),
    ]
    assert list(below.lines[0].get_ydata()) == [1, 2, 3]


def test_the_figure_is_written_from_a_bundle(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _draw(figures, monkeypatch, "flow-over-training", tmp_path / "f.png", _run(tmp_path / "b"))
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_a_bundle_without_such_events_and_a_chart_that_is_no_triangle_are_refused(
    figures: ModuleType, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="no connections over a training; expected a bundle that was trained here"):
        figures.over_training(tmp_path)
    with pytest.raises(SystemExit, match="is no triangle"):
        figures.over_training(_run(tmp_path / "full", corner=0.3))


@pytest.mark.parametrize("places", [[0.5, 0.5, 0.2], [0.36, 0.37, 0.27], [0.1, 0.9]])
def test_numbers_at_the_edge_of_a_panel_keep_their_order_and_a_distance(
    figures: ModuleType, places: list[float]
) -> None:
    spread = importlib.import_module("flow_over_training").spread
    moved = np.asarray(spread(places, 0.085))
    assert (np.argsort(moved, kind="stable") == np.argsort(places, kind="stable")).all()
    assert np.diff(np.sort(moved)).min() >= 0.04
    assert np.abs(moved - places).max() <= 0.085
