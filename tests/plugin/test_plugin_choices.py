"""Which scan, which model, and what happens to a run: the panel's choices, with a viewer that has no window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made import bundle_folder
from made_layers import ImmediateRunner, Recorded, made_segmented, made_trace
from voxtrace.errors import BundleError, EngineError, InputError
from voxtrace.fit import Fit, FitReason
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.controllers.segment_run import SegmentRun
from voxtrace.plugin.layers import display
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle, describe
from voxtrace.plugin.models.messages import JobStage, ProvisionalAnswer
from voxtrace.plugin.models.model_cards import ModelVerdict, cost_words, in_order, model_card, preselected, quality
from voxtrace.plugin.models.scan_rows import ScanRow, channels_sentence, choose_channels, chosen_scan
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Failed, Progressed, error_kind
from voxtrace.plugin.work.growing import GrowingAnswer
from voxtrace.volume import Geometry, Volume

GRID = Geometry.from_spacing((20, 40, 40), (2.0, 1.0, 1.0))


def a_scan(name: str, modality: str = "MR", channels: tuple[str, ...] = ()) -> Volume:
    rng = np.random.default_rng(len(name))
    data = rng.normal(100, 20, (max(1, len(channels)), *GRID.shape)).astype(np.float32)
    return Volume(data, GRID, modality, channels, name)


def add(model: Any, volume: Volume) -> list[Any]:
    return [model.add_image(data, **about) for data, about, _ in display.image_layers(volume)]


def row(key: str, **about: Any) -> ScanRow:
    return ScanRow(key, key, **about)


def test_the_scan_is_the_picked_then_the_active_then_the_visible_one() -> None:
    rows = [row("top", visible=False), row("active", active=True), row("seen")]
    assert chosen_scan(rows) == 1
    assert chosen_scan(rows, picked="seen") == 2
    assert chosen_scan(rows, picked="closed meanwhile") == 1
    assert chosen_scan([row("top", visible=False), row("seen"), row("below")]) == 1
    assert chosen_scan([]) is None


def test_channels_are_taken_from_the_grid_of_the_scan_alone() -> None:
    rows = [row("other t1", grid=1), row("flair"), row("t1")]
    choices = choose_channels(("t1", "flair"), rows, 1)
    assert [(c.index, c.guess) for c in choices] == [(2, "name"), (1, "name")]
    picked = choose_channels(("t1", "flair"), rows, 1, ["other t1", None])
    assert [(c.index, c.guess) for c in picked] == [(0, "picked"), (1, "name")]


def test_order_alone_never_decides_without_saying_so() -> None:
    rows = [row("b"), row("a")]
    choices = choose_channels(("t1", "t2"), rows, 0)
    assert channels_sentence(choices, rows) == "Taken in the order of opening, not by name: t1 = a, t2 = b. Check them."
    named = [row("case t2"), row("case t1")]
    assert channels_sentence(choose_channels(("t1", "t2"), named, 0), named) == ""


def known(name: str, *, demonstration: bool = False) -> KnownBundle:
    record = {"demonstration": demonstration, "licence": "CC0"}
    return KnownBundle(name, Path(name), "unet", ("CT",), {1: "liver"}, record=record)


def verdict(severity: Any) -> ModelVerdict:
    return ModelVerdict(Fit((FitReason(severity, "because", "do this"),)))


def test_models_that_fit_come_first_and_real_ones_before_demonstrations() -> None:
    bundles = [known("no"), known("perhaps"), known("demo", demonstration=True), known("yes")]
    verdicts = {
        Path("no"): verdict("does not fit"),
        Path("perhaps"): verdict("check"),
        Path("demo"): verdict("fits"),
        Path("yes"): verdict("fits"),
    }
    assert [k.name for k in in_order(bundles, verdicts)] == ["yes", "demo", "perhaps", "no"]
    assert preselected(bundles, verdicts) == bundles[3]
    assert preselected(bundles[:2], verdicts) is None


def test_of_models_that_fit_those_with_steps_come_first_then_the_better_dice() -> None:
    def measured(name: str, steps: int, dice: float) -> KnownBundle:
        record = {"cost": {"steps": steps}, "metrics": {"validation": {"dice": {"mean": dice}}}}
        return KnownBundle(name, Path(name), "unet", ("CT",), {1: "liver"}, record=record)

    bundles = [measured("best", 1, 0.9), measured("worse", 7, 0.7), measured("better", 5, 0.8), known("unmeasured")]
    fits = {one.path: verdict("fits") for one in bundles}
    assert [one.name for one in in_order(bundles, fits)] == ["better", "worse", "best", "unmeasured"]


CHOSEN = {"best": 2, "taken": 2, "of": 7, "word": "cycle"}
CYCLES = {"metrics": {"validation": {"dice": {"mean": 0.888}, "cases": 18, "steps_chosen": CHOSEN}}}


def test_a_card_says_which_cycle_is_best_and_how_to_have_them_all() -> None:
    card = model_card(KnownBundle("heart", Path("heart"), "recyclenet", ("MR",), {1: "RV"}, record=CYCLES), None)
    assert card.best == "cycle 2 of 7 is best"
    assert card.how_good == f"{card.quality} · cycle 2 of 7 is best"
    assert card.steps == "2 of 7 cycles were best on validation; predictions take 2; 7 under Steps gives all."
    assert card.steps in card.tooltip.splitlines()
    plain = model_card(known("plain"), None)
    assert (plain.best, plain.steps, plain.how_good) == ("", "", "quality not measured")


def test_the_picker_says_it_to_who_points_at_a_model_and_to_a_screen_reader(qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    from voxtrace.plugin.views.model_picker import ModelPicker

    card = model_card(KnownBundle("heart", Path("heart"), "recyclenet", ("MR",), {1: "RV"}, record=CYCLES), None)
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.set_cards([card], 0)
    shown = picker.itemData(0, Qt.ItemDataRole.AccessibleTextRole)
    assert "2 of 7 cycles were best on validation" in shown
    assert picker.toolTip() == shown


def test_a_card_says_what_a_reader_needs() -> None:
    bundle = describe("hippocampus-recyclenet")
    card = model_card(bundle, ModelVerdict(Fit((FitReason("check", "slices are thick", "compare"),)), "about 7 s"))
    assert (card.finds, card.mark, card.cost) == ("anterior, posterior", "⚠ check", "about 7 s")
    assert card.quality == quality(bundle.record) != ""
    assert "Slices are thick: compare." in card.tooltip
    assert quality({}) == ""
    assert cost_words(None, 1.0) == "1.0 GB"


@pytest.fixture
def panel(model: Any, view: Recorded, runner: ImmediateRunner, tmp_path: Path) -> SegmentController:
    bundles = [bundle_folder(tmp_path / "one"), bundle_folder(tmp_path / "another")]
    return SegmentController(model, BundleRegistry(bundles), view, runner, lambda *result: None)


def chosen_name(view: Recorded) -> str:
    rows, chosen = view.last("set_scans")
    return str(rows[chosen].name)


def test_choosing_a_model_never_switches_the_scan(panel: SegmentController, model: Any, view: Recorded) -> None:
    [first], [second] = add(model, a_scan("first")), add(model, a_scan("second"))
    assert chosen_name(view) == "second"  # napari selects the newest
    panel.pick_scan(1)
    panel.pick_bundle(1)
    assert chosen_name(view) == "first"
    model.layers.selection.active = second
    assert chosen_name(view) == "first"
    model.layers.remove(first)
    assert chosen_name(view) == "second"


def test_the_active_scan_is_taken_also_by_its_result_and_a_hidden_one_is_not(
    panel: SegmentController, model: Any, view: Recorded
) -> None:
    [first], [second] = add(model, a_scan("first")), add(model, a_scan("second"))
    model.layers.selection.active = first
    assert chosen_name(view) == "first"
    data, about, _ = display.trace_layer(made_trace(GRID), "result", second.unique_id)
    model.add_labels(data, **about)
    assert chosen_name(view) == "second"
    model.layers.selection.active = None
    second.visible = False
    assert chosen_name(view) == "first"


def test_no_model_is_chosen_unasked_where_none_fits(panel: SegmentController, model: Any, view: Recorded) -> None:
    add(model, a_scan("brain", channels=("flair", "t1", "t1ce", "t2")))
    cards, chosen = view.last("set_bundles")
    assert [card.verdict for card in cards] == ["does not fit", "does not fit"]  # one channel of four
    assert chosen == -1
    assert view.state.message == panel_state.NO_FITTING_BUNDLE


def test_a_model_that_does_not_fit_asks_once(
    panel: SegmentController, model: Any, view: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch)
    add(model, a_scan("brain", channels=("flair", "t1")))
    panel.pick_bundle(0)
    panel.start(KEEP_EVERY_STEP)
    assert asked == []
    assert (view.state.level, view.state.remedy) == ("warning", panel_state.ANYWAY)
    panel.help("anyway")
    panel.start(KEEP_EVERY_STEP)
    assert len(asked) == 2  # the second time it does not ask


def pretend(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a made-up prediction in the engine's place; return what was asked of it."""
    asked: list[Any] = []

    def segment(request: Any, cancel: Callable[[], bool]) -> Any:
        asked.append(request)
        return (yield from made_segmented(made_trace(request.channels[0].volume.geometry), request))

    monkeypatch.setattr(jobs, "segment", segment)
    return asked


def test_done_is_gone_with_its_result(
    panel: SegmentController, model: Any, view: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    add(model, a_scan("scan"))
    panel.pick_bundle(0)
    panel.start(KEEP_EVERY_STEP)
    assert view.state.level == "done"
    model.layers.remove(model.layers[-1])
    assert view.state.level == "hint"
    assert view.state.message.startswith("Ready.")


def test_a_box_is_segmented_and_named(panel: SegmentController, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend(monkeypatch)
    add(model, a_scan("scan"))
    panel.pick_bundle(0)
    panel.pick_region("numbers", (3, 12, 1, 40, 1, 40))
    panel.start(KEEP_EVERY_STEP)
    assert (asked[0].box.start, asked[0].box.stop) == ((2, 0, 0), (12, 40, 40))
    assert asked[0].name.split(" · ")[2] == "slices 3–12"


def test_a_drawn_rectangle_reaches_through_every_slice(
    panel: SegmentController, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pretend(monkeypatch)
    [scan] = add(model, a_scan("scan"))
    panel.pick_bundle(0)
    corners = np.array([[5, 10, 8], [5, 10, 20], [5, 30, 20], [5, 30, 8]], float)
    model.add_shapes([corners], shape_type="rectangle", scale=scan.scale, translate=scan.translate)
    panel.pick_region("drawn")
    panel.start(KEEP_EVERY_STEP)
    assert (asked[0].box.start, asked[0].box.stop) == ((0, 10, 8), (20, 31, 21))


def test_an_error_offers_what_would_help(
    panel: SegmentController, model: Any, view: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[PredictOptions] = []

    def hungry(request: Any, cancel: Callable[[], bool]) -> Any:
        tried.append(request.options)
        yield JobStage("going")
        raise MemoryError

    monkeypatch.setattr(jobs, "segment", hungry)
    add(model, a_scan("scan"))
    panel.pick_bundle(0)
    panel.start(KEEP_EVERY_STEP)
    assert view.state.remedy.text == "Use a smaller batch"
    panel.help(view.state.remedy.key)
    assert (tried[1].batch, tried[1].keep) == (1, "last")


def test_kinds_of_errors() -> None:
    assert error_kind(MemoryError()) == "memory"
    assert error_kind(RuntimeError("CUDA out of memory")) == "memory"
    assert error_kind(BundleError("altered")) == "bundle"
    assert error_kind(InputError("expects 4 channels")) == "channels"
    assert error_kind(EngineError("the network failed: x. Try precision='float32' or device='cpu'.")) == "arithmetic"
    assert error_kind(EngineError("no such part. Use runtime='torch'.")) == "runtime"
    assert error_kind(EngineError("cuda was asked for; this machine has none.")) == "device"
    assert error_kind(ValueError("else")) == ""


@pytest.fixture
def growing(model: Any, view: Recorded) -> tuple[SegmentRun, GrowingAnswer, Any]:
    [scan] = add(model, a_scan("scan"))
    clock = iter(np.arange(0, 1000, 0.5)).__next__
    run = SegmentRun(model, ImmediateRunner(held=True), view.show_state, lambda *result: None, clock)
    run.start(lambda cancel: iter(()), scan.unique_id, 20.0)
    return run, GrowingAnswer(GRID, {1: "liver"}, "result", scan.unique_id), scan


def test_the_answer_grows_beside_the_scan_and_goes_with_an_error(
    growing: tuple[SegmentRun, GrowingAnswer, Any], model: Any, view: Recorded
) -> None:
    run, answer, scan = growing
    run._on_event(Progressed(answer.layer))
    [shown] = [layer for layer in model.layers if layer.name == "result · running"]
    assert model.layers.selection.active is scan
    answer.labels[:4] = 1
    run._on_event(Progressed(JobStage("Segmenting: 1 of 4", 1, 4, slices=4)))
    assert shown.data[-1].all()  # the lowest slice is the last on screen
    assert view.state.message.endswith("left")
    run._on_event(Failed("broken"))
    assert shown not in model.layers
    assert view.state.level == "error"


def test_an_earlier_result_is_hidden_while_an_answer_grows_and_comes_back(
    growing: tuple[SegmentRun, GrowingAnswer, Any], model: Any
) -> None:
    run, answer, scan = growing
    data, about, _ = display.trace_layer(made_trace(GRID), "before", scan.unique_id)
    before = model.add_labels(data, **about)
    run._on_event(Progressed(answer.layer))
    assert not before.visible
    run.cancel()
    assert before.visible
    assert [layer.name for layer in model.layers] == ["scan", "before"]


def test_a_late_event_after_cancel_changes_nothing(
    growing: tuple[SegmentRun, GrowingAnswer, Any], model: Any, view: Recorded
) -> None:
    run, _, _ = growing
    run.cancel()
    run._runner.let_go()  # type: ignore[attr-defined]
    assert view.state.message == "Stopped. Nothing was changed."
    assert len(model.layers) == 1


def test_planes_of_the_engine_fill_the_answer_in_ascending_order() -> None:
    from voxtrace.inference import FinishedPlanes, Progress

    answer = GrowingAnswer(GRID, {1: "liver"}, "result", "id")
    planes = np.zeros((3, 2, 40, 40), np.uint8)
    planes[-1] = 1
    assert answer.take(Progress("segmenting", 0, 4)) == 0
    assert answer.take(Progress("segmenting", 1, 4, "", FinishedPlanes(2, planes))) == 4
    assert answer.labels[2:4].all()
    assert not answer.labels[4:].any()
    assert isinstance(answer.layer, ProvisionalAnswer)


def test_bundles_of_earlier_sessions_are_on_the_shelf_and_missing_ones_are_named(tmp_path: Path) -> None:
    kept: list[Path] = []
    there, gone = bundle_folder(tmp_path / "there"), tmp_path / "gone"
    registry = BundleRegistry([], [str(there), str(gone)], kept.append)
    assert [k.name for k in registry.bundles] == ["there"]
    assert registry.missing == (gone,)
    registry.add(bundle_folder(tmp_path / "new"))
    assert kept == [tmp_path / "new"]
    again = BundleRegistry([], kept)
    assert [k.name for k in again.bundles] == ["new"]


def test_a_result_names_its_part_and_what_was_changed() -> None:
    options = replace(KEEP_EVERY_STEP, seed=3)
    assert panel_state.run_name("scan", "m", options, "box 4×4×4") == "scan · m · box 4×4×4 · seed 3"
    assert panel_state.seconds_left(5.0, 1, 100, 50.0) == pytest.approx(0.1 * 495 + 0.9 * 45)
