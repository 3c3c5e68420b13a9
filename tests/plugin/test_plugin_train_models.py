"""The training panel without a window: form, request, what lies at an output, advice, receipt."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from cases import ball_dataset, drain, small_plan
from faulty_dataset import plant_faults
from made import bundle_folder
from voxtrace.errors import Cancelled, UsageError
from voxtrace.methods import method
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.train_data import can_mend, examined_sentence, fault_rows, plan_facts
from voxtrace.plugin.models.train_form import (
    KnownDataset,
    TrainForm,
    TrainStart,
    ready,
    request_of,
    spacing_mm,
    start_word,
    window_voxels,
)
from voxtrace.plugin.models.train_more import TrainMore, recorded_more
from voxtrace.plugin.models.train_progress import advice_words, can_end_now
from voxtrace.plugin.models.train_receipt import TrainReceipt, receipt, with_change, with_note
from voxtrace.plugin.models.train_run import FoundRun, run_lines
from voxtrace.plugin.work.dataset_fit import dataset_fit
from voxtrace.plugin.work.train_run import found_run
from voxtrace.training import train
from voxtrace.training.advice import Advice
from voxtrace.training.dataset import open_dataset
from voxtrace.training.doctor import examine
from voxtrace.training.plan_command import PlanChoices, plan_examined
from voxtrace.training.receipt import FineTuningChange, LearnedCorrection, OldCase
from voxtrace.volume import Case

UNET = TrainStart("U-Net, from scratch", "unet")


def test_window_and_spacing_are_read_as_they_are_typed() -> None:
    assert (window_voxels("32x64x96"), window_voxels("32 × 64, 96"), window_voxels(" 16 ")) == (
        (32, 64, 96),
        (32, 64, 96),
        (16, 16, 16),
    )
    assert spacing_mm("3 × 0.8 × 0.8") == (3.0, 0.8, 0.8)
    assert (window_voxels(""), spacing_mm("  ")) == (None, None)


@pytest.mark.parametrize("text", ["0", "3x4", "1.5", "a", "-1", "1x2x3x4", "nan"])
def test_a_window_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no window; expected whole voxels"):
        window_voxels(text)


@pytest.mark.parametrize("text", ["0", "3x4", "a", "-1", "inf", "1e3"])
def test_a_spacing_that_is_none_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no spacing; expected mm"):
        spacing_mm(text)


def test_the_form_becomes_the_request_of_the_command_line(tmp_path: Path) -> None:
    form = TrainForm(
        dataset="data.csv",
        fold=None,
        iterations=400,
        out=str(tmp_path / "new"),
        options={"deep_supervision": True},
        minutes=2.5,
        window="32x64x64",
        spacing="3x1x1",
        batch_size=4,
        constant_rate=True,
        preview="case_3",
    )
    made = request_of(form, UNET, FoundRun())
    assert (made.dataset, made.fold, made.iterations, made.minutes) == (Path("data.csv"), None, 400, 2.5)
    assert (made.window, made.spacing_mm, made.batch_size) == ((32, 64, 64), (3.0, 1.0, 1.0), 4)
    assert (made.method, made.initial, made.rate_schedule, made.preview) == ("unet", None, "constant", "case_3")
    assert (made.plan, made.resume) == (None, False)
    every = request_of(replace(form, fold=2, every_fold=True), UNET, FoundRun())
    assert every.fold is None
    tuned = request_of(form, TrainStart("tiny", "recyclenet", tmp_path / "tiny"), FoundRun())
    assert (tuned.method, tuned.initial) == (None, tmp_path / "tiny")


def test_a_dataset_of_any_layout_can_be_chosen_and_a_plain_folder_gets_the_engines_sentence(tmp_path: Path) -> None:
    raw = ball_dataset(tmp_path / "raw", 3)
    rows = [f"{raw}/imagesTr/ball_00{n}_0000.nii.gz,{raw}/labelsTr/ball_00{n}.nii.gz" for n in range(3)]
    table = tmp_path / "balls.csv"
    table.write_text("\n".join(["image,label", *rows]))
    (tmp_path / "plain").mkdir()
    known = dataset_fit(str(raw), {})
    assert (known.sentence, known.problem) == ("3 cases in 3 folds, nnU-Net's raw layout", "")
    assert dataset_fit(str(table), {}).layout == "csv"
    form = TrainForm(str(tmp_path / "plain"), out=str(tmp_path / "new"))
    plain = dataset_fit(form.dataset, {})
    assert ready(form, plain) == panel_state.PanelState(plain.problem, "error")
    assert "has no dataset.json; expected nnU-Net's raw layout" in plain.problem
    assert "a CSV with columns image and label" in plain.problem
    gone = dataset_fit(str(tmp_path / "gone.csv"), {})
    assert gone.problem


def test_a_form_says_what_is_missing_in_order(tmp_path: Path) -> None:
    known = KnownDataset("d", cases=("a",), folds=5)
    assert "Choose a dataset" in ready(TrainForm(), known).message
    assert "Looking at the dataset" in ready(TrainForm("other"), known).message
    assert "The window '3x' is no window" in ready(TrainForm("d", window="3x"), known).message
    assert "Choose where the new bundle" in ready(TrainForm("d"), known).message
    assert ready(TrainForm("d", out=str(tmp_path / "new")), known).can_start
    assert "exists already" in ready(TrainForm("d", out=str(tmp_path)), known).message


def test_a_finished_run_is_extended_from_its_own_length(tmp_path: Path) -> None:
    out = bundle_folder(tmp_path / "tiny")
    form = TrainForm("d", out=str(out))
    known = KnownDataset("d", cases=("a",), folds=5)
    assert "is finished" in ready(form, known).message
    assert not ready(form, known).can_start
    longer = replace(form, extend=300)
    assert start_word(longer) == "Extend"
    assert ready(longer, known).can_start
    found = found_run(str(out))
    assert (found.kind, found.method, found.extensible) == ("finished", "recyclenet", False)
    made = request_of(longer, UNET, found)
    assert made.iterations == found.iterations + 300
    assert made.resume
    assert "cannot be extended" in run_lines(found, str(out))[1]


def test_what_an_unfinished_run_holds_is_listed(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    cases: list[Case] = list(open_dataset(folder).cases(["ball_000", "ball_001"]))
    out, stop = tmp_path / "new", {"now": False}
    run = train(
        method("unet"),
        small_plan(),
        cases[:1],
        out=out,
        validate=cases[1:],
        checkpoint_every=3,
        validate_every=3,
        rate_schedule="constant",
        about={"provenance": {"fold": 1, "dataset": "Balls"}},
        cancel=lambda: stop["now"],
    )

    def stopping(steps: Any) -> Any:
        for progress in steps:
            stop["now"] = progress.iteration >= 6 and bool(progress.loss)
            yield progress

    with pytest.raises(Cancelled, match="stopped"):
        drain(stopping(run))
    found = found_run(str(out))
    assert (found.kind, found.method, found.fold, found.iterations) == ("unfinished", "unet", 1, 12)
    assert "checkpoint.pt" in found.kept
    assert found.state["checkpoint_at"] is not None
    lines = run_lines(found, str(out))
    assert (
        lines[0] == f"new.work: unet, fold 1 held back; checkpoint at iteration {found.state['checkpoint_at']} of 12."
    )
    assert lines[1].startswith("Validation Dice 0.")
    assert lines[2].endswith("checkpoint.pt.")
    (tmp_path / "new.work" / "run.json").write_text("[]")
    damaged = found_run(str(out))
    assert "does not describe a run" in damaged.problem
    assert run_lines(damaged, str(out)) == (damaged.problem,)
    (tmp_path / "new.work" / "run.json").write_text(json.dumps({"plan": {"iterations": "many"}}))
    strange = found_run(str(out))
    assert "holds no run that can be gone on with" in strange.problem
    assert found_run("") == FoundRun() == found_run(str(tmp_path / "nothing"))


def test_advice_names_the_button_and_not_the_keys_of_the_command_line() -> None:
    told = advice_words(Advice(0.001, 0.0004, 5).sentence)
    assert told == (
        "Validation has levelled off: the rest of this phase is expected to add 0.001 Dice (± 0.000), beside what the "
        "falling rate adds."
    )
    assert "Ctrl-C" not in told
    assert "--" not in told
    assert (advice_words(""), advice_words("changed since")) == ("", "changed since")
    last = TrainReport(5, 10, {"dice": 1.0}, phase="router", phases=("bank", "router"))
    assert can_end_now(last)
    assert not can_end_now(replace(last, phase="bank"))
    assert not can_end_now(replace(last, fold="1 of 5"))


def test_pace_and_time_left_are_said() -> None:
    report = TrainReport(5, 10, {"mse": 1.5}, iterations_per_s=2.5, left_s=84.0, fold="2 of 5")
    message = panel_state.working(report).message
    assert message == "Fold 2 of 5 · Iteration 5 of 10 · loss 1.500 · 2.5/s · 1 min 25 s left of this fold"
    assert " · 4 s each" in panel_state.working(replace(report, iterations_per_s=0.25)).message
    assert "left of this fold" not in panel_state.working(replace(report, fold="")).message
    assert replace(report, message="levelled off").keep
    assert not report.keep


def test_the_bar_is_full_when_the_time_limit_ends_the_run() -> None:
    """Of 5,500 iterations at one in two seconds, 30 are done and 60 s are left: half of what will be done."""
    report = TrainReport(30, 5500, {"mse": 1.5}, iterations_per_s=0.5, left_s=60.0)
    assert (panel_state.working(report).done, panel_state.working(report).total) == (30, 60)
    unknown = panel_state.working(replace(report, left_s=None))
    assert (unknown.done, unknown.total) == (30, 5500)


def test_a_run_that_goes_on_is_asked_for_with_everything_that_it_recorded(tmp_path: Path) -> None:
    more = TrainMore(7, 0.002, 0.99, 4, "best", "labelsChosen")
    assert recorded_more({**asdict(more), "label_folder": "labelsChosen"}) == more
    assert recorded_more({}) == TrainMore()
    assert (more.changed, TrainMore().changed) == (6, 0)
    asked = request_of(replace(TrainForm("data"), more=more), UNET, FoundRun())
    assert {name: getattr(asked, name) for name in asdict(more)} == asdict(more)


def test_folds_that_are_finished_are_not_resumed(tmp_path: Path) -> None:
    form = TrainForm("data", out=str(tmp_path / "cv"), every_fold=True)
    known = KnownDataset("data", cases=("a", "b"), folds=2)
    (tmp_path / "cv" / "fold_0").mkdir(parents=True)
    summary = tmp_path / "cv" / "cross_validation.json"
    summary.write_text(json.dumps({"folds": 2, "dice": {}, "dice_per_label": {}}))
    (tmp_path / "cv" / "fold_0" / "bundle.json").write_text("{}")
    assert ready(form, known).message == "There are folds. Press Resume to continue where it stopped."
    (tmp_path / "cv" / "fold_1").mkdir()
    (tmp_path / "cv" / "fold_1" / "bundle.json").write_text("{}")
    end = ready(form, known)
    assert (end.can_start, end.message) == (
        False,
        f"Every fold in {tmp_path / 'cv'} is finished. Choose another folder.",
    )
    summary.write_text("not JSON")
    assert (ready(form, known).level, ready(form, known).can_start) == ("error", False)


def test_the_receipt_says_what_fine_tuning_changed(tmp_path: Path) -> None:
    made = TrainReceipt("better is ready", ("Lies there.",), tmp_path / "better", tmp_path / "tiny")
    change = FineTuningChange(
        (LearnedCorrection("mine_1", False, 800, 600, 20), LearnedCorrection("mine_2", True, 200, 50, 5)),
        (OldCase("old_1", 0.9, 0.95), OldCase("old_2", 0.9, 0.8), OldCase("old_3", 0.9, 0.895)),
    )
    told = with_change(made, change)
    assert told.lines == (
        "Lies there.",
        "Corrections: of 1,000 voxels that the model before had wrong in 2 corrected cases, the new one has 650 right "
        "(65%); 25 that were right are wrong now.",
        "   mine_1 (trained on): 600 of 800 voxels, 20 wrong now.",
        "   mine_2 (held back): 50 of 200 voxels, 5 wrong now.",
        "Old cases: mean Dice 0.900 before, 0.882 after, on 3 old cases; 1 got worse by more than 0.01.",
        "   old_2: 0.900 before, 0.800 after.",
    )
    assert not told.asks_for_old
    nothing = with_change(made, FineTuningChange((), ()))
    assert nothing.lines[1:] == (
        "No case of the dataset was added from Correct, so there are no corrections to look at.",
        "No old case was held back, so it is not known what got worse.",
    )
    assert nothing.asks_for_old
    assert with_note(made, "Stopped.").lines[-1] == "Stopped."


def test_the_receipt_of_a_cross_validation_has_the_pooled_dice(tmp_path: Path) -> None:
    told: dict[str, Any] = {"mean": 0.9, "ci95": [0.85, 0.95], "n": 12}
    summary = {
        "cases": 12,
        "dice": told,
        "dice_per_label": {"ball": told, "gone": {"mean": None, "ci95": None, "n": 0}},
    }
    made = receipt(summary, tmp_path / "cv", 200.0, None, 5)
    assert made.title == "cv is ready"
    assert made.lines == (
        "5 folds in 3.3 min; 12 cases held back in turn.",
        "ball: Dice 0.900 (95 % interval 0.850 to 0.950, n 12).",
        "Mean of labels: Dice 0.900 (95 % interval 0.850 to 0.950, n 12).",
        f"Lies in {tmp_path / 'cv'}; as one model it averages its folds.",
    )
    assert made.before is None


def test_the_list_of_faults_is_that_of_the_doctor(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 8)
    planted = plant_faults(folder)
    examined = drain(examine(folder))
    rows = fault_rows(examined)
    assert len(rows) == len(examined.faults)
    assert planted.keys() <= {row.kind for row in rows}
    assert [row.level for row in rows] == sorted(row.level for row in rows)
    damaged = next(row for row in rows if row.kind == "damaged")
    assert damaged.has_case
    assert damaged.detail.endswith("In a mended copy: leave out.")
    assert not next(row for row in rows if row.kind == "two names").has_case
    assert examined_sentence(examined).startswith(f"Balls: {len(examined.cases)} cases, {len(examined.usable)} of them")
    assert can_mend(examined)


def test_the_facts_of_a_plan_are_those_of_the_command_line(tmp_path: Path) -> None:
    examined = drain(examine(ball_dataset(tmp_path / "balls", 4)))
    planned = plan_examined(examined, PlanChoices(window=(8, 16, 16), batch_size=3))
    assert planned.document is not None
    assert planned.needs is not None
    facts = dict(plan_facts(planned, None))
    assert facts["Window"] == "8 × 16 × 16 voxels"
    assert facts["Batch"] == "3 windows"
    assert facts["Spacing"] == "1 × 1 × 1 mm"
    assert facts["Disk"].startswith("less than 0.01 GB for prepared cases; ")
    assert planned.needs.disk_gb < 0.01
    assert facts["Labels"] == "ball"
    record = json.loads((tmp_path / "balls" / "dataset.json").read_text())
    record["labels"] = {"ball": 1}
    (tmp_path / "balls" / "dataset.json").write_text(json.dumps(record))
    without = plan_examined(drain(examine(tmp_path / "balls")), PlanChoices())
    assert plan_facts(without, None)[0][0] == "No plan"
    assert not can_mend(drain(examine(ball_dataset(tmp_path / "good", 3))))
