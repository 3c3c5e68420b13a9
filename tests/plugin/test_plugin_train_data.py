"""Look a dataset over, mend it, plan it, follow a run and roll back: controllers and jobs, without a window."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from cases import ball_dataset, drain, small_plan
from faulty_dataset import plant_faults
from made import bundle_folder
from made_layers import ImmediateRunner, Recorded
from voxtrace.bundle import load
from voxtrace.errors import Cancelled
from voxtrace.inference.fold_folder import fold_summary
from voxtrace.io import read_labels, write
from voxtrace.methods import METHODS
from voxtrace.plan import Plan
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.controllers.train_data import TrainDataController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.messages import JobStage, TrainReport
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.models.train_more import TrainMore
from voxtrace.plugin.models.train_progress import END_NOW
from voxtrace.plugin.work import jobs, train_data
from voxtrace.plugin.work.events import Progressed
from voxtrace.plugin.work.train_run import found_run
from voxtrace.trace import Trace
from voxtrace.training import setup
from voxtrace.training.advice import Advice
from voxtrace.training.dataset_plan import read_plan
from voxtrace.training.request import TrainRequest


def small(dataset: Any, found: Any, **about: Any) -> Plan:
    return small_plan(channels=dataset.channels, labels=dataset.labels)


def some_methods() -> MethodRegistry:
    return MethodRegistry({key: METHODS[key] for key in ("recyclenet", "unet")})


@pytest.fixture
def opened() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def used() -> list[Path]:
    return []


@pytest.fixture
def data(view: Recorded, runner: ImmediateRunner, opened: list[Any], used: list[Path]) -> TrainDataController:
    return TrainDataController(
        view, runner, lambda: None, lambda examined, name: opened.append((examined.found.name, name)), used.append
    )


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    folder = ball_dataset(tmp_path / "balls", 8)
    plant_faults(folder)
    return folder


def state_of(view: Recorded, part: str) -> Any:
    return view.last(f"show_{part}_state")[0]


def test_a_dataset_is_looked_over_mended_into_a_copy_and_the_copy_taken_up(
    data: TrainDataController, view: Recorded, faulty: Path, opened: list[Any], used: list[Path], tmp_path: Path
) -> None:
    data.edit(TrainForm(str(faulty)))
    assert state_of(view, "data").can_start
    data.look_over()
    rows, mendable = view.last("set_faults")
    assert mendable
    assert state_of(view, "data").level == "warning"
    assert state_of(view, "data").message.startswith("Balls: ")
    of_a_case = next(at for at, row in enumerate(rows) if row.has_case)
    data.open_row(of_a_case)
    assert opened == [("Balls", rows[of_a_case].case)]
    data.open_row(next(at for at, row in enumerate(rows) if not row.has_case))
    assert len(opened) == 1
    data.mend(str(tmp_path / "mended"))
    assert used == [tmp_path / "mended"]
    assert "it is the dataset now" in state_of(view, "data").message
    data.edit(TrainForm(str(tmp_path / "mended")))
    assert view.last("set_faults") == ((), False)
    data.look_over()
    assert not [row for row in view.last("set_faults")[0] if row.level == "fault"]
    found = state_of(view, "data").message
    data.edit(TrainForm(str(tmp_path / "mended"), fold=1, batch_size=3))  # what was found stays said
    assert state_of(view, "data").message == found


def test_the_look_can_be_stopped_and_another_dataset_forgets_it(
    data: TrainDataController, view: Recorded, runner: ImmediateRunner, faulty: Path
) -> None:
    data.edit(TrainForm(str(faulty)))
    runner.held = True
    data.look_over()
    assert state_of(view, "data").busy
    data.stop()
    assert state_of(view, "data").message == "Stopping …"
    runner.let_go()
    assert state_of(view, "data").message == "Stopped while reading the dataset; nothing was written."
    data.look_over()
    data.edit(TrainForm(str(faulty.parent)))
    assert not runner.busy
    runner.let_go()  # its late events are dropped
    assert view.last("set_faults") == ((), False)


def test_what_is_no_dataset_is_said_in_the_engines_sentence(
    data: TrainDataController, view: Recorded, tmp_path: Path
) -> None:
    data.edit(TrainForm(str(tmp_path)))
    data.look_over()
    assert (state_of(view, "data").level, state_of(view, "data").can_start) == ("error", True)
    assert "expected nnU-Net's raw layout" in state_of(view, "data").message
    data.edit(TrainForm())
    data.look_over()
    assert not state_of(view, "data").can_start


def test_the_plan_of_the_form_is_shown_with_what_would_be_trained_and_saved_for_the_command_line(
    view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    folder = ball_dataset(tmp_path / "balls", 5)
    controller = TrainController(BundleRegistry([]), view, runner, some_methods())
    data = TrainDataController(view, runner, controller.planned_request, lambda *_: None, lambda _: None)
    form = TrainForm(str(folder), fold=1, window="16", batch_size=2, options={"train_cycles": 3})
    controller.edit(form)
    data.edit(form)
    data.show_plan()
    facts, can_save = view.last("set_plan")
    shown = dict(facts)
    assert can_save
    assert (shown["Window"], shown["Batch"]) == ("16 × 16 × 16 voxels", "2 windows")
    assert shown["Method"] == "RecycleNet"
    assert shown["Cases"] == "4 trained on, 1 held back"
    assert not (tmp_path / "Balls-recyclenet.work").exists()
    data.save_plan(str(tmp_path / "plan.json"))
    assert "Plan and folds lie in" in state_of(view, "plan").message
    assert read_plan(tmp_path / "plan.json").plan.window == (16, 16, 16)
    data.save_plan(str(tmp_path / "plan.json" / "below"))
    assert state_of(view, "plan").level == "error"
    data.edit(TrainForm(str(folder), window="8"))
    assert view.last("set_plan") == ((), False)
    data.edit(TrainForm(str(folder), window="8x"))
    data.show_plan()
    assert "is no window" in state_of(view, "plan").message


def test_files_that_were_written_anew_are_looked_over_again_before_a_plan_is_kept_for_all(
    data: TrainDataController, view: Recorded, tmp_path: Path
) -> None:
    folder = ball_dataset(tmp_path / "balls", 3)
    data.edit(TrainForm(str(folder)))
    data.look_over()
    looks = [name for name, _ in view.calls].count("set_faults")
    for file in (*(folder / "imagesTr").iterdir(), *(folder / "labelsTr").iterdir()):
        volume = nibabel.load(file)
        nibabel.save(nibabel.Nifti1Image(np.asarray(volume.dataobj), np.diag([4.0, 4.0, 4.0, 1.0])), file)
    data.show_plan()
    assert dict(view.last("set_plan")[0])["Spacing"] == "4 × 4 × 4 mm"
    assert [name for name, _ in view.calls].count("set_faults") == looks + 1


def test_a_case_is_shown_with_what_can_be_read_of_it(faulty: Path) -> None:
    examined = drain(train_data.looking_over(str(faulty), lambda: False))
    names = [case.name for case in examined.found.cases]
    whole = train_data.case_layers(examined, names[7])
    assert [(about["name"], kind) for _, about, kind in whole] == [
        (f"{names[7]} · {names[7]}_0000", "image"),
        (f"{names[7]} · labels", "labels"),
    ]
    assert whole[1][1]["metadata"][display.KEY].names[1] == "ball"
    damaged = train_data.case_layers(examined, names[0])
    assert [kind for _, _, kind in damaged] == ["labels"]


def test_every_fold_is_trained_as_the_command_line_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "plan_dataset", small)
    folder, out = ball_dataset(tmp_path / "balls", 2), tmp_path / "cv"
    request = TrainRequest(folder, method="unet", out=out, iterations=2)
    reports = [one for one in jobs.train_folds(request, lambda: False) if isinstance(one, TrainReport)]
    assert {one.fold for one in reports} == {"1 of 2", "2 of 2"}
    assert fold_summary(out)["finished"] == [0, 1]
    assert [load(out / f"fold_{n}").plan.iterations for n in (0, 1)] == [2, 2]


def test_a_case_by_name_is_followed_through_the_trace_that_the_trainer_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "plan_dataset", small)
    folder, out = ball_dataset(tmp_path / "balls", 3), tmp_path / "new"
    request = TrainRequest(folder, method="unet", out=out, iterations=10, fold=0, preview="ball_001")
    reports = [one for one in jobs.train(request, lambda: False) if isinstance(one, TrainReport)]
    previews = [one.preview for one in reports if one.preview is not None]
    trace = Trace.load(tmp_path / "new.preview")
    assert len(previews) == trace.n_steps == 10
    assert [len(one.scan) for one in previews] == [1, *[0] * 9]
    assert previews[-1].labels[0].shape[0] == 10
    assert previews[-1].labels[1]["name"] == "ball_001 · learned"
    measured = [one for one in reports if one.dice is not None]
    assert measured[0].dice_per_label.keys() == {"ball"}
    assert all(one.rate > 0 for one in reports)
    assert reports[0].left_s is not None
    assert reports[-1].left_s == 0.0


def test_a_limit_of_time_bounds_the_time_that_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "plan_dataset", small)
    request = TrainRequest(
        ball_dataset(tmp_path / "balls", 2), method="unet", out=tmp_path / "new", iterations=10**6, minutes=0.02
    )
    reports = [one for one in jobs.train(request, lambda: False) if isinstance(one, TrainReport)]
    assert max(one.left_s or 0.0 for one in reports) <= 1.2


@pytest.fixture
def tuned(
    tmp_path: Path, view: Recorded, runner: ImmediateRunner, monkeypatch: pytest.MonkeyPatch, used: list[Path]
) -> tuple[TrainController, BundleRegistry]:
    """A panel in which "tiny" was fine-tuned to "better" on a dataset with a corrected case."""
    tiny, folder = bundle_folder(tmp_path / "tiny"), ball_dataset(tmp_path / "balls", 3)
    record = json.loads((folder / "dataset.json").read_text())
    record["labels"] = {"background": 0, "label 1": 1, "label 2": 2}
    (folder / "dataset.json").write_text(json.dumps(record))
    for file in (folder / "labelsTr").iterdir():  # both labels are drawn, or one would be unlearned
        ball = read_labels(file)
        halves = np.where(np.arange(ball.data.shape[0])[:, None, None] < ball.data.shape[0] // 2, 1, 2)
        write(replace(ball, data=(ball.data * halves).astype(ball.data.dtype)), file)
    (folder / "provenance").mkdir()
    (folder / "provenance" / "ball_000.json").write_text("{}")
    registry = BundleRegistry([tiny])
    controller = TrainController(registry, view, runner, some_methods(), use=used.append)
    controller.pick_start(0)
    controller.edit(TrainForm(str(folder), fold=1, iterations=2, out=str(tmp_path / "better")))
    controller.start()
    return controller, registry


def test_after_fine_tuning_corrections_and_old_cases_are_measured_and_the_model_kept(
    tuned: tuple[TrainController, BundleRegistry], view: Recorded, used: list[Path], tmp_path: Path
) -> None:
    controller, _ = tuned
    assert view.state.message == "Done. better is now in the picker of the Segment panel."
    made = view.last("show_receipt")[0]
    assert made.before == tmp_path / "tiny"
    lines = "\n".join(made.lines)
    assert "in 1 corrected case, the new one has" in lines
    assert "on 1 old case" in lines
    controller.receipts.keep()
    assert used == [tmp_path / "better"]


def test_rolling_back_takes_the_model_off_the_list_and_removes_no_file(
    tuned: tuple[TrainController, BundleRegistry], view: Recorded, used: list[Path], tmp_path: Path
) -> None:
    controller, registry = tuned
    forgotten: list[Path] = []
    registry._forget = forgotten.append
    controller.receipts.roll_back()
    assert used == [tmp_path / "tiny"]
    assert [known.name for known in registry.bundles] == ["tiny"]
    assert forgotten == [(tmp_path / "better").resolve()]
    assert load(tmp_path / "better").name == "better"
    assert view.last("show_receipt") == (None,)
    assert view.state.message.startswith("Rolled back to tiny. better is off the list of models; its folder stays")
    controller.edit(controller._form)  # as when the fit of the models was looked at again
    assert view.state.message.startswith("Rolled back to tiny.")
    controller.receipts.roll_back()  # nothing is left to do
    assert used == [tmp_path / "tiny"]


def test_old_cases_can_be_given_as_another_dataset_and_a_refusal_stays_in_the_receipt(
    tuned: tuple[TrainController, BundleRegistry], view: Recorded, tmp_path: Path
) -> None:
    controller, _ = tuned
    assert view.state.level == "done", view.state.message
    controller.receipts.measure_old(tmp_path / "balls")
    said = view.last("show_receipt")[0].lines[-1]
    assert said.startswith("What fine-tuning changed was not measured: Balls has none of the cases")
    assert view.state.level == "done"


def test_a_run_is_resumed_with_what_it_was_begun_with(
    view: Recorded, runner: ImmediateRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "plan_dataset", small)
    tiny, folder, out = bundle_folder(tmp_path / "tiny"), ball_dataset(tmp_path / "balls", 3), tmp_path / "new"
    stop = {"now": False}
    request = TrainRequest(
        folder,
        method="recyclenet",
        options={"train_cycles": 2},
        fold=1,
        out=out,
        iterations=6,
        checkpoint_minutes=0.01,
        seed=5,
        rate=0.004,
        average=0.5,
        accumulate=2,
        weights="best",
        minutes=30.0,
        preview="ball_001",
    )
    run = jobs.train(request, lambda: stop["now"])

    def stopping(steps: Any) -> Any:
        for one in steps:
            stop["now"] = isinstance(one, TrainReport)
            yield one

    with pytest.raises(Cancelled):
        drain(stopping(run))
    controller = TrainController(BundleRegistry([tiny]), view, runner, some_methods())
    controller.edit(TrainForm(str(folder), out=str(out)))
    lines, can_fill, can_extend = view.last("show_run")
    assert "new.work: recyclenet, fold 1 held back" in lines[0]
    assert (can_fill, can_extend) == (True, True)
    assert view.last("set_start_word") == ("Resume",)
    controller.start()
    assert view.state.level == "error"
    assert "another fold (1, now 0)" in view.state.message  # the engine's sentence
    controller.fill_begun()
    assert view.last("fill_begun") == (1, False)
    more = TrainMore(seed=5, rate=0.004, average=0.5, accumulate=2, weights="best")
    assert view.last("fill_rest") == (30.0, "ball_001", more)
    values = view.last("set_options")[2]
    assert values["train_cycles"] == 2
    form = TrainForm(str(folder), fold=1, out=str(out), options=values, more=more, preview="ball_001", minutes=30.0)
    controller.edit(form)
    controller.start()
    assert view.state.level == "done", view.state.message
    assert load(out).plan.iterations == 6
    assert load(out).card["provenance"]["seed"] == 5
    finished = found_run(str(out))
    assert (finished.preview, replace(finished.more, rate=0.004)) == ("ball_001", more)


def test_a_dataset_that_was_repaired_or_grew_is_looked_at_anew(
    view: Recorded, runner: ImmediateRunner, bundle: Path, tmp_path: Path
) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    record = (folder / "dataset.json").read_text()
    (folder / "dataset.json").write_text("{")
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.edit(TrainForm(str(folder), out=str(tmp_path / "new")))
    assert view.state.level == "error"
    (folder / "dataset.json").write_text(record)
    controller.look_again()
    assert view.state.can_start
    assert view.last("set_known")[0].cases == ("ball_000", "ball_001")
    shutil.copyfile(folder / "imagesTr" / "ball_000_0000.nii.gz", folder / "imagesTr" / "more_0000.nii.gz")
    shutil.copyfile(folder / "labelsTr" / "ball_000.nii.gz", folder / "labelsTr" / "more.nii.gz")
    controller.set_dataset(folder)  # as after a case was added
    assert view.last("set_known")[0].cases == ("ball_000", "ball_001", "more")


def test_a_training_that_levelled_off_is_ended_by_a_button(
    view: Recorded, runner: ImmediateRunner, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out, asked = ball_dataset(tmp_path / "balls", 2), tmp_path / "new", list[TrainRequest]()

    def train(request: TrainRequest, cancel: Any) -> Any:
        asked.append(request)
        if request.minutes is None:
            yield TrainReport(1, 2, {"dice": 1.5}, 0.5, message=Advice(0.0, 0.0, 1).sentence)
            controller.help(END_NOW.key)
            (tmp_path / "new.work").mkdir()
            raise Cancelled("stopped.")
        yield JobStage("Validating whole cases: 1 of 1")
        (tmp_path / "new.work").rmdir()
        return bundle_folder(out)

    monkeypatch.setattr(jobs, "train", train)
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.pick_start(2)
    controller.edit(TrainForm(str(folder), out=str(out)))
    controller.start()
    assert [(one.minutes, one.resume) for one in asked] == [(None, False), (0.01, True)]
    assert view.state.level == "done"


def test_advice_offers_to_end_the_training_here(view: Recorded, runner: ImmediateRunner, bundle: Path) -> None:
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller._on_event(Progressed(TrainReport(1, 4, {"dice": 1.5}, 0.5, message=Advice(0.0, 0.0, 1).sentence)))
    assert "Validation has levelled off" in view.state.message
    assert view.state.remedy == END_NOW
    controller._on_event(Progressed(TrainReport(2, 4, {"dice": 1.5})))
    assert "Validation has levelled off" in view.state.message
    controller._on_event(Progressed(TrainReport(1, 4, {"dice": 1.5}, fold="2 of 2")))  # another run
    assert "levelled" not in view.state.message
    assert view.state.remedy is None


def test_a_run_that_was_extended_and_stopped_is_not_extended_again_when_it_is_resumed(
    view: Recorded, runner: ImmediateRunner, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out, asked = ball_dataset(tmp_path / "balls", 2), bundle_folder(tmp_path / "new"), list[TrainRequest]()
    length = load(out).plan.iterations

    def train(request: TrainRequest, cancel: Any) -> Any:
        asked.append(request)
        yield TrainReport(1, 2, {"dice": 1.5}, 0.5)
        settings = {"method": {"name": "unet", "options": {}}, "plan": {"iterations": length + 5}}
        (tmp_path / "new.work").mkdir(exist_ok=True)
        (tmp_path / "new.work" / "run.json").write_text(json.dumps(settings))
        raise Cancelled("stopped.")

    monkeypatch.setattr(jobs, "train", train)
    controller = TrainController(BundleRegistry([bundle]), view, runner, some_methods())
    controller.pick_start(2)
    controller.edit(TrainForm(str(folder), iterations=length, out=str(out), extend=5, constant_rate=True))
    controller.start()
    assert [name for name, _ in view.calls].count("clear_lengths") == 1
    controller.start()  # Resume
    assert [(one.iterations, one.resume) for one in asked] == [(length + 5, True), (None, True)]
    controller.edit(TrainForm(str(folder), out=str(out), extend=7, constant_rate=True))
    assert "for 7 iterations more than it was to have" in view.state.message


def test_a_bundle_that_is_added_meanwhile_does_not_change_what_the_receipt_compares(
    view: Recorded, runner: ImmediateRunner, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, registry = ball_dataset(tmp_path / "balls", 2), BundleRegistry([bundle])
    before: list[Path] = []

    def train(request: TrainRequest, cancel: Any) -> Any:
        registry.forget(bundle)  # as in the Segment panel, while it trains
        yield JobStage("Done")
        return bundle_folder(tmp_path / "new")

    monkeypatch.setattr(jobs, "train", train)
    controller = TrainController(registry, view, runner, some_methods())
    monkeypatch.setattr(controller.receipts, "begin", lambda made, dataset, after: before.append(made.before))
    controller.pick_start(0)
    controller.edit(TrainForm(str(folder), out=str(tmp_path / "new")))
    controller.start()
    assert before == [bundle]
