"""Controllers, with a viewer that has no window and a view that only remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cases import ball_dataset
from made_layers import ImmediateRunner, Recorded, made_segmented, made_trace, made_volume
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.controllers.steps import StepsController
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry, match_channels
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.scan_rows import ChannelChoice
from voxtrace.plugin.models.train_form import TrainForm, resumable
from voxtrace.plugin.work import jobs
from voxtrace.training import TrainRequest
from voxtrace.volume import Volume


def add_scan(model: Any, volume: Volume | None = None) -> Any:
    for data, about, _ in display.image_layers(volume or made_volume()):
        layer = model.add_image(data, **about)
    return layer


@pytest.fixture
def segmenting(monkeypatch: pytest.MonkeyPatch) -> list[jobs.SegmentRequest]:
    """Put a made-up prediction in the engine's place; return what was asked of it."""
    asked: list[jobs.SegmentRequest] = []

    def segment(request: jobs.SegmentRequest, cancel: Callable[[], bool]) -> Any:
        asked.append(request)
        return (yield from made_segmented(made_trace(), request))

    monkeypatch.setattr(jobs, "segment", segment)
    return asked


@pytest.fixture
def controller(model: Any, bundle: Path, view: Recorded, runner: ImmediateRunner) -> SegmentController:
    made = SegmentController(model, BundleRegistry([bundle]), view, runner, lambda *result: None)
    made.pick_bundle(0)
    return made


def test_an_empty_window_says_how_to_open_a_scan(controller: SegmentController, view: Recorded) -> None:
    assert "Open Sample" in view.state.message
    assert not view.state.can_start


def test_an_open_scan_can_be_segmented(controller: SegmentController, model: Any, view: Recorded) -> None:
    add_scan(model)
    assert view.state.can_start
    assert "Press Segment" in view.state.message
    assert view.last("set_channels") == ((ChannelChoice("channel 0", 0, "name"),), ["scan"], "")
    rows, chosen = view.last("set_scans")
    assert ([(row.name, row.about) for row in rows], chosen) == ([("scan", "5×6×4 · 1×2×3 mm")], 0)


def test_a_run_adds_one_layer_at_its_last_step_on_the_same_slice(
    controller: SegmentController, model: Any, view: Recorded, segmenting: list[jobs.SegmentRequest]
) -> None:
    scan = add_scan(model)
    model.dims.set_current_step(0, 3)
    controller.start(PredictOptions(steps=3, keep="labels"))
    assert [layer.ndim for layer in model.layers] == [3, 4]
    assert model.dims.current_step[:2] == (2, 3)
    assert model.layers[-1].metadata["voxtrace"].scan == scan.unique_id
    assert segmenting[0].options.steps == 3
    assert view.state.level == "done"
    assert "3 cycles" in view.state.message


def test_a_second_run_hides_the_first_and_keeps_it(
    controller: SegmentController, model: Any, segmenting: list[jobs.SegmentRequest]
) -> None:
    add_scan(model)
    controller.start(KEEP_EVERY_STEP)
    controller.start(KEEP_EVERY_STEP)
    stepped = [layer for layer in model.layers if layer.ndim == 4]
    assert [layer.visible for layer in stepped] == [False, True]


def test_a_result_for_a_closed_scan_is_dropped(
    controller: SegmentController,
    model: Any,
    view: Recorded,
    runner: ImmediateRunner,
    segmenting: list[jobs.SegmentRequest],
) -> None:
    add_scan(model)
    runner.held = True
    controller.start(KEEP_EVERY_STEP)
    model.layers.clear()
    runner.let_go()
    assert len(model.layers) == 0
    assert "closed" in view.state.message


def test_a_runtime_error_in_the_engine_reaches_the_panel(
    controller: SegmentController, model: Any, view: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: jobs.SegmentRequest, cancel: Callable[[], bool]) -> Any:
        yield jobs.JobStage("going")
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(jobs, "segment", broken)
    add_scan(model)
    controller.start(KEEP_EVERY_STEP)
    assert view.state.level == "error"
    assert "memory" in view.state.message
    assert view.state.can_start  # it can be tried again


def test_cancelling_changes_nothing(
    controller: SegmentController, model: Any, view: Recorded, runner: ImmediateRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patient(request: jobs.SegmentRequest, cancel: Callable[[], bool]) -> Any:
        from voxtrace.errors import Cancelled

        yield jobs.JobStage("going")
        if cancel():
            raise Cancelled("stopped")

    monkeypatch.setattr(jobs, "segment", patient)
    add_scan(model)
    runner.held = True
    controller.start(KEEP_EVERY_STEP)
    controller.cancel()
    assert view.state.message == "Stopped. Nothing was changed."  # at once, not when the thread has ended
    assert view.state.can_start
    runner.let_go()
    assert len(model.layers) == 1
    assert view.state.can_start


def test_a_folder_that_is_no_bundle_is_refused_in_a_sentence(
    controller: SegmentController, view: Recorded, tmp_path: Path
) -> None:
    controller.browse(tmp_path)
    assert view.state.level == "error"
    assert "neither a bundle folder" in view.state.message


def test_channels_are_matched_by_name_then_by_order() -> None:
    assert match_channels(["flair", "t1"], ["case · T1", "case · FLAIR"]) == (1, 0)
    assert match_channels(["MRI", "CT"], ["opened last", "opened first"]) == (1, 0)
    assert match_channels(["CT"], ["on top", "below"]) == (0,)
    assert match_channels(["a", "b"], ["a"]) == (0, None)


def test_four_channels_are_matched_by_word_or_by_nnunets_number() -> None:
    wanted = ["FLAIR", "T1", "T1 Gd", "T2"]
    assert match_channels(wanted, ["case · T2", "case · T1 Gd", "case · T1", "case · FLAIR"]) == (3, 2, 1, 0)
    assert match_channels(wanted, ["case_0003", "case_0002", "case_0001", "case_0000"]) == (3, 2, 1, 0)
    assert match_channels(wanted, ["d", "c", "b", "a"]) == (3, 2, 1, 0)
    assert match_channels(wanted, ["new_0001", "new_0000", "T2", "x"]) == (1, 0, 3, 2)


def test_a_bundle_of_several_channels_asks_for_each(
    model: Any, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    from made import bundle_folder

    bundle_registry = BundleRegistry([bundle_folder(tmp_path / "two", channels=2)])
    controller = SegmentController(model, bundle_registry, view, runner, lambda *result: None)
    controller.pick_bundle(0)
    add_scan(model)
    assert controller.scans[0].name == "scan"
    assert view.state.message == "Choose an image for channel 1."
    choices, _, sentence = view.last("set_channels")
    assert choices == (ChannelChoice("channel 0", 0, "order"), ChannelChoice("channel 1", None, "missing"))
    assert sentence == "Taken in the order of opening, not by name: channel 0 = scan. Check them."
    assert view.state.remedy.text == "Open the missing channel"


@pytest.fixture
def current(model: Any, view: Recorded) -> Iterator[CurrentResult]:
    add_scan(model)
    current = CurrentResult(model)
    steps = StepsController(current, view)
    data, about, _ = display.trace_layer(made_trace(), "prediction")
    model.add_labels(data, **about)  # napari makes it the active layer
    yield current
    steps.close()


def test_the_panel_follows_naparis_slider(current: CurrentResult, model: Any, view: Recorded) -> None:
    model.dims.set_current_step(0, 1)
    title, sentence, legend, facts = view.last("show_step")
    assert facts == ()  # the made-up trace has none
    assert title == "Cycle 2 of 3"
    assert sentence.startswith("1 voxels changed against the cycle before")
    assert [(row.name, row.volume_ml) for row in legend] == [("liver", pytest.approx(0.012)), ("spleen", 0.0)]


def test_the_panel_counts_what_was_painted(current: CurrentResult, model: Any, view: Recorded) -> None:
    stations = current.stations
    assert stations is not None
    stations[2, 0, 0, :3] = 2
    model.layers["prediction"].data = stations  # napari learns that there is one more
    current.go(3)
    current.announce_edit()
    title, sentence, legend, _ = view.last("show_step")
    assert (title, sentence) == ("Edited", "Begun from cycle 3.")
    assert [(row.name, row.volume_ml) for row in legend] == [
        ("liver", pytest.approx(0.006)),
        ("spleen", pytest.approx(0.024)),
    ]


def test_facts_of_a_step_are_told_in_words_with_units() -> None:
    row = {"step": 1, "changed_fraction": 0.25, "entropy": 0.01, "cost_gflop": 1234.5, "seen_voxels": 12.0}
    row |= {"entropy_per_found": 0.0512, "raw_entropy": 0.02}
    units = {"changed_fraction": "fraction", "entropy": "nat", "cost_gflop": "GFLOP", "seen_voxels": "voxel"}
    units |= {"raw_entropy": "nat"}
    expected = (("Changed", "25.0%"), ("Entropy per labelled voxel", "0.0512 nat"), ("Cost", "1,234 GFLOP"))
    assert panel_state.facts(row, units) == (*expected, ("Seen", "12 voxels"))
    assert panel_state.facts(row | {"changed_voxels": 7, "entropy_per_found": None}, units) == (
        expected[2],
        ("Seen", "12 voxels"),
    )


def test_removing_the_prediction_empties_the_panel(current: CurrentResult, model: Any, view: Recorded) -> None:
    model.layers.remove("prediction")
    assert view.calls[-1] == ("clear", ())


def some_methods() -> MethodRegistry:
    from voxtrace.methods import METHODS

    return MethodRegistry({key: METHODS[key] for key in ("recyclenet", "unet")})


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return ball_dataset(tmp_path / "dataset", 2)


def test_training_says_what_is_missing(bundle: Path, view: Recorded, runner: ImmediateRunner, dataset: Path) -> None:
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    starts = ["tiny", "RecycleNet, from scratch", "U-Net, from scratch", "tiny, going on as U-Net"]
    assert view.last("set_starts") == (starts, -1), "none is chosen before the dataset is known"
    assert "Choose a dataset" in view.state.message
    controller.edit(TrainForm(str(bundle), out=str(dataset)))
    assert "no dataset.json" in view.state.message
    controller.edit(TrainForm(str(dataset), out=str(dataset)))
    assert "exists already" in view.state.message
    controller.edit(TrainForm(str(dataset), out=str(dataset.parent / "new")))
    assert view.state.can_start


def test_a_finished_training_puts_the_bundle_on_the_shelf(
    bundle: Path, view: Recorded, runner: ImmediateRunner, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from made import bundle_folder

    def train(request: TrainRequest, cancel: Callable[[], bool]) -> Any:
        yield jobs.TrainReport(1, 2, {"dice": 1.5})
        yield jobs.TrainReport(2, 2, {"dice": 1.25}, 0.75)
        return bundle_folder(request.out)

    monkeypatch.setattr(jobs, "train", train)
    bundle_registry = BundleRegistry([bundle])
    controller = TrainController(bundle_registry, view, runner, some_methods())
    controller.pick_start(0)
    controller.edit(TrainForm(str(dataset), out=str(dataset.parent / "better")))
    assert controller.request.initial == bundle
    controller.start()
    assert [k.name for k in bundle_registry.bundles] == ["tiny", "better"]
    assert view.last("add_report") == (jobs.TrainReport(2, 2, {"dice": 1.25}, 0.75),)
    assert view.state.level == "done"


def test_a_stopped_training_can_be_resumed(
    bundle: Path, view: Recorded, runner: ImmediateRunner, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voxtrace.errors import Cancelled

    out = dataset.parent / "new"

    def train(request: TrainRequest, cancel: Callable[[], bool]) -> Any:
        yield jobs.TrainReport(1, 2, {"dice": 1.5})
        (dataset.parent / "new.work").mkdir()
        raise Cancelled("stopped at iteration 1 of 2; resume continues there.")

    monkeypatch.setattr(jobs, "train", train)
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.pick_start(2)
    controller.edit(TrainForm(str(dataset), out=str(out)))
    assert (controller.request.method, controller.request.resume) == ("unet", False)
    controller.start()
    assert view.state.message == "Stopped at iteration 1 of 2; resume continues there. Press Resume to continue."
    assert view.last("set_start_word") == ("Resume",)
    assert resumable(str(out))
    assert controller.request.resume


def test_the_start_stays_chosen_when_a_bundle_is_added(
    bundle: Path, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    from made import bundle_folder

    bundle_registry = BundleRegistry([bundle])
    controller = TrainController(bundle_registry, view, runner, some_methods())
    controller.pick_start(1)
    bundle_registry.add(bundle_folder(tmp_path / "another"))
    names, chosen = view.last("set_starts")
    assert names[chosen] == "RecycleNet, from scratch"
    assert controller.request.method == "recyclenet"


def test_methods_can_be_picked_once_a_thread_has_brought_them(view: Recorded, runner: ImmediateRunner) -> None:
    method_registry = MethodRegistry()
    controller = TrainController(BundleRegistry([]), view, runner, method_registry)
    assert controller.starts == []
    assert view.last("set_starts") == ([], -1)
    assert view.state.message == "Loading the methods …"
    method_registry.set_classes(some_methods().classes)
    assert view.last("set_starts") == (["RecycleNet, from scratch", "U-Net, from scratch"], -1)
    controller.pick_start(0)
    title, options, values = view.last("set_options")
    assert title == "RecycleNet"
    assert (
        [info.name for info in options]
        == list(values)
        == ["cycles", "train_cycles", "schedule", "norm", "feedback", "average", "warm_up"]
    )


def test_methods_that_cannot_be_loaded_are_said_to_be_so(view: Recorded, runner: ImmediateRunner) -> None:
    method_registry = MethodRegistry()
    controller = TrainController(BundleRegistry([]), view, runner, method_registry)
    method_registry.set_error("torch is not installed.")
    assert controller.starts == []
    assert view.state.message == "torch is not installed."


def test_options_filled_in_reach_the_training(
    bundle: Path, view: Recorded, runner: ImmediateRunner, dataset: Path
) -> None:
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.pick_start(1)
    controller.edit(TrainForm(str(dataset), out=str(dataset.parent / "new"), options={"train_cycles": 5}))
    assert dict(controller.request.options) == {"train_cycles": 5}
    assert controller.request.iterations is None  # as planned


def test_an_option_that_the_method_refuses_is_said_before_anything_starts(
    bundle: Path, view: Recorded, runner: ImmediateRunner, dataset: Path
) -> None:
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.pick_start(1)
    controller.edit(TrainForm(str(dataset), out=str(dataset.parent / "new"), options={"train_cycles": 99}))
    assert view.state.level == "error"
    assert view.state.message == "recyclenet: train_cycles is 99; expected 1 to 16."
    controller.start()
    assert not runner.busy
    assert view.last("clear_curves") is None


def test_a_bundle_starts_with_the_options_it_was_trained_with(
    bundle: Path, view: Recorded, runner: ImmediateRunner
) -> None:
    TrainController(BundleRegistry([bundle]), view, runner, some_methods()).pick_start(0)
    assert view.last("set_options")[2]["cycles"] == 3  # the default is 7


def test_the_phase_is_named_where_there_are_several() -> None:
    phases = ("bank", "router")
    state = panel_state.working(
        jobs.TrainReport(1500, 2000, {"dice": -0.25, "cross_entropy": 0.75}, None, "router", phases)
    )
    assert state.message == (
        "Phase router (2 of 2) · Iteration 1,500 of 2,000 · loss 0.500 (dice loss -0.250, cross entropy loss 0.750)"
    )
    assert panel_state.working(jobs.TrainReport(1, 2, {"mse": 1.5})).message == "Iteration 1 of 2 · loss 1.500"


def test_a_result_stays_to_be_read_until_the_choice_changes(
    controller: SegmentController, model: Any, view: Recorded, segmenting: list[jobs.SegmentRequest]
) -> None:
    add_scan(model)
    controller.start(KEEP_EVERY_STEP)
    model.add_labels(made_trace().labels[0])
    assert view.state.level == "done"
    model.layers.remove("scan")
    assert view.state.level == "hint"


def test_a_damaged_bundle_does_not_keep_the_panel_from_opening(bundle: Path) -> None:
    (bundle / "weights.safetensors").write_bytes(b"altered")
    assert BundleRegistry([bundle]).bundles == ()
