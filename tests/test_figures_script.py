"""The figures of the papers are drawn from what a run wrote down, with the numbers that it wrote down."""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from made_traces import made_trace
from voxtrace.inference import predict
from voxtrace.io import write
from voxtrace.trace.places import WindowGroup
from voxtrace.training.events import EVENTS, EventLog
from voxtrace.volume import Geometry, LabelMap, Volume

SCRIPTS = Path(__file__).parents[1] / "scripts"
SOURCES = ["forward", "upward", "downward"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    if not (SCRIPTS / "figures.py").is_file():
        pytest.skip("the scripts do not lie beside the tests, as in an installed package")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("figures")


def _run(folder: Path, corner: float | None = None, dense: bool = False) -> Path:
    """Write the events of a training of 30 updates: a triangle of three nodes whose shares change at 10, 20 and 30.

    With ``dense`` the active fraction of each source, two fifths of its share, stands beside.
    """
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
        on = [[[v and 0.4 * v for v in node] for node in row] for row in values]
        more = [{**chart, "title": "active fraction of each source", "values": on}] if dense else []
        log.write("charts", done, 30, iteration=done, charts=[chart, *more])
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


def test_the_active_fraction_of_each_source_is_dotted_where_the_log_has_it(figures: ModuleType, tmp_path: Path) -> None:
    figure = figures.over_training(_run(tmp_path / "b", dense=True))
    nodes = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    dotted = [line for line in nodes["level 0, stage 2"].lines if line.get_linestyle() == ":"]
    assert [list(line.get_ydata()) for line in dotted] == [
        pytest.approx([20, 24, 30]),
        pytest.approx([20, 16, 10]),
    ]
    assert "dotted: % of the kernels of each source that are on" in figure.legends[0].get_title().get_text()
    without = figures.over_training(_run(tmp_path / "older"))
    assert "dotted" not in without.legends[0].get_title().get_text()


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


def test_dice_is_drawn_in_the_mean_and_by_case_against_the_first_step(figures: ModuleType, tmp_path: Path) -> None:
    cases = [{"dice": [0.5, 0.6]}, {"dice": [0.7, 0.9]}]
    (tmp_path / "one.json").write_text(json.dumps({"cases": cases}), encoding="utf-8")
    means, gains = figures.dice(Namespace(sources=[tmp_path / "one.json"])).axes
    assert list(means.lines[0].get_ydata()) == pytest.approx([0.6, 0.75])
    assert list(gains.lines[0].get_ydata()) == pytest.approx([0, 0.15])
    gain, (low, high) = figures.gain_of(np.asarray([case["dice"] for case in cases]), np.random.default_rng(0))
    assert gain == pytest.approx([0, 0.15])
    assert (low[1], high[1]) == pytest.approx((0.1, 0.2))


def test_another_bundle_is_a_line_at_its_mean_and_each_file_has_a_panel_of_its_own(
    figures: ModuleType, tmp_path: Path
) -> None:
    found = {"cases": [{"dice": [0.5, 0.6]}, {"dice": [0.7, 0.9]}], "arms": {"the U-Net": [0.6, 0.8]}}
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    one, two, gains = figures.dice(Namespace(sources=[tmp_path / "one.json", tmp_path / "two.json"])).axes
    for axes, name in ((one, "one"), (two, "two")):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [name, "U-Net"]
        assert list(axes.lines[1].get_ydata()) == pytest.approx([0.7, 0.7])
    drawn = [line.lines[0].get_color() for line in gains.containers]
    assert drawn == [one.lines[0].get_color(), two.lines[0].get_color()]


def test_two_frames_of_a_heart_are_one_subject(figures: ModuleType) -> None:
    table = np.asarray([[0.5, 0.6], [0.8, 0.9], [0.7, 0.8]])
    assert figures.by_subject(table, ["a", "b", "a"]) == pytest.approx(np.asarray([[0.6, 0.7], [0.8, 0.9]]))


def test_outlines_lie_on_a_slice_cut_to_what_is_labelled_with_a_bar_in_mm_and_the_names_of_labels(
    figures: ModuleType, tmp_path: Path
) -> None:
    trace = made_trace(steps=3)
    trace.save(tmp_path / "t.trace")
    figure = figures.contours(Namespace(sources=[tmp_path / "t.trace"], slice=None, scan=None))
    (axes,) = figure.axes
    assert "1 (pale, thin) to 3" in axes.get_title()
    assert next(text.get_text() for text in axes.texts).endswith(" mm")
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert names <= set(trace.names.values())


def test_a_window_is_a_dot_at_its_centre_in_mm_larger_where_several_lie_behind_one_another(figures: ModuleType) -> None:
    from matplotlib.figure import Figure

    scans = importlib.import_module("figures_on_scans")
    boxes = np.asarray([[-0.5, -0.5, -0.5, 3.5, 3.5, 3.5], [-0.5, 3.5, -0.5, 3.5, 7.5, 3.5]])  # one behind the other
    axes = Figure().subplots()
    scans._dots(axes, WindowGroup("visited", boxes), (0, 2), (5.0, 2.0), (0, 0, 1))
    (front,) = axes.collections
    assert front.get_offsets().tolist() == [[4.0, 10.0]]  # the middle of 4 voxels of 2 mm and of 5 mm
    assert front.get_sizes()[0] == 2 * 26


def test_a_structure_is_outlined_where_it_is_thick_and_named_if_it_is(figures: ModuleType) -> None:
    from matplotlib.figure import Figure

    scans = importlib.import_module("figures_on_scans")
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:, 1:5, 1:5] = 1  # 6 slices of 5 mm
    labels[0, :, 5] = 2  # one slice
    colours = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0)}
    axes = Figure().subplots()
    assert scans._structures(axes, labels, colours, 0, 5.0, (0, 6, 6, 0)) == {1}
    ((outline,),) = [[one.vertices for one in axes.collections[0].get_paths()]]
    assert (outline.min(0).round(2).tolist(), outline.max(0).round(2).tolist()) == ([1.0, 1.0], [5.0, 5.0])


def test_skipped_windows_are_white_and_lie_below_those_that_ran(figures: ModuleType) -> None:
    scans = importlib.import_module("figures_on_scans")
    groups = [WindowGroup(name, np.zeros((1, 6))) for name in ("visited", "skipped")]
    visited, skipped = scans._group_colours(groups)
    assert skipped == (1.0, 1.0, 1.0) != visited


def test_windows_beside_an_empty_centre_are_skipped_where_the_network_reads_the_labels(figures: ModuleType) -> None:
    windows = importlib.import_module("perfect_windows")
    image = np.zeros((1, 96, 64, 64), np.float32)
    image[0, 44:52, 28:36, 28:36] = 2
    volume = Volume(image, Geometry.from_spacing((96, 64, 64), (5.0, 3.0, 3.0)), "MR", ("labels",), "made up")
    result = predict(windows.reading((5.0, 3.0, 3.0)), volume, runtime="torch", precision="float32")
    assert (np.asarray(result.labels.data) == image[0]).all()
    assert len(result.trace.window_sets["skipped"]) > 0


@pytest.mark.parametrize("kind", ["windows", "steps", "choices", "flow"])
def test_every_figure_is_drawn_of_a_trace_that_has_all_a_trace_can_hold(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    made_trace().save(tmp_path / "t.trace")
    _draw(figures, monkeypatch, kind, tmp_path / "f.png", tmp_path / "t.trace")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_slices_that_the_reference_marks_are_shaded_and_labels_of_another_scan_are_refused(
    figures: ModuleType, tmp_path: Path
) -> None:
    trace = made_trace()
    trace.save(tmp_path / "t.trace")
    drawn = np.zeros(trace.geometry.shape, np.uint8)
    drawn[3:5, 2, 2] = 1
    write(LabelMap(drawn, trace.geometry), tmp_path / "drawn.nii.gz")
    given = Namespace(sources=[tmp_path / "t.trace"], slice=None, reference=tmp_path / "drawn.nii.gz")
    shaded = [patch for patch in figures.choices(given).axes[0].patches if isinstance(patch, Rectangle)]
    assert [patch.get_x() for patch in shaded] == [2.5, 3.5]
    with pytest.raises(SystemExit, match="has 12 slices; expected 9, as the trace"):
        figures.labelled_slices(tmp_path / "drawn.nii.gz", 9)
