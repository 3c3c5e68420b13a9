"""Many cases in the window: the ledger as a table, worst first, and a case opened by a click."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import made
from made_layers import ImmediateRunner, Recorded
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.plugin.controllers.batch import BatchController
from voxtrace.plugin.models.batch import (
    MOST_ROWS,
    RANKED_BY,
    BatchForm,
    CaseRow,
    TimeLeft,
    label_columns,
    odd_of,
    order_sentence,
    ranking,
    ready,
    row_of,
    worst_first,
)
from voxtrace.plugin.models.bundles import BundleRegistry


def done(case: str, **signs: float) -> CaseRow:
    return CaseRow(case, "done", {"liver": 1.0}, signs=signs)


def test_failed_cases_come_first_then_the_least_sure() -> None:
    rows = [
        done("sure", entropy_per_found=0.1),
        done("unsure", entropy_per_found=0.9),
        CaseRow("broken", "failed"),
        CaseRow("cut", "started"),
    ]
    assert [row.case for row in worst_first(rows)] == ["broken", "cut", "unsure", "sure"]
    assert RANKED_BY[ranking(rows)].endswith("highest entropy for each labelled voxel")


def test_an_expected_dice_orders_before_entropy_and_what_lacks_it_comes_first() -> None:
    rows = [
        done("good", expected_dice=0.95, entropy_per_found=0.9),
        done("bad", expected_dice=0.5),
        done("old", entropy_per_found=0.1),
    ]
    assert [row.case for row in worst_first(rows)] == ["old", "bad", "good"]
    assert "expected Dice" in RANKED_BY[ranking(rows)]


def test_without_any_sign_the_order_is_by_name_and_says_so() -> None:
    """What the last step changed, and the mean entropy, which a ledger has too, are none."""
    changed = row_of(Entry("b", "done", features={"changed_fraction": 0.5, "entropy": 0.9}))
    rows = [changed, done("a")]
    assert [row.case for row in worst_first(rows)] == ["a", "b"]
    assert "by name" in RANKED_BY[ranking(rows)]


def test_what_is_odd_is_said_in_a_line() -> None:
    tilt = {"what": "tilt", "verdict": "corrected", "found": "12.0°", "remedy": "slices were shifted back"}
    fine = {"what": "orientation", "verdict": "fine", "found": "RAS", "remedy": ""}
    assert odd_of(Entry("a", "done", passport=[fine, tilt])) == "tilt: 12.0° (slices were shifted back)"
    assert odd_of(Entry("a", "failed", error="it is no volume.")) == "it is no volume."
    failed = Entry("a", "failed", error="/scans/a.nii: no volume.", inputs=["/scans/a.nii"])
    assert odd_of(failed) == "a.nii: no volume."
    assert odd_of(Entry("a", "done", volumes_ml={"liver": 0.0})) == "nothing was found"
    assert odd_of(Entry("a", "done", volumes_ml={"liver": 0.0, "spleen": 1.0})) == ""
    assert "Start continues" in odd_of(Entry("a", "started"))
    assert odd_of(Entry("a", "done", usual="like the validation cases")) == ""
    unlike = "unlike them: look closely (the entropy of the answer is 2 nat, in 90 % of the validation cases 0 to 1)"
    assert odd_of(Entry("a", "done", usual=unlike)) == unlike
    reasons = [
        {"severity": "check", "sentence": "slices are 10 mm apart", "remedy": ""},
        {"severity": "fits", "sentence": "a note", "remedy": ""},
    ]
    assert odd_of(Entry("a", "done", fit={"verdict": "check", "reasons": reasons})) == "check: slices are 10 mm apart"


def test_a_ledger_of_an_older_version_is_shown() -> None:
    row = row_of(Entry("a", "done", time_s=3.0))
    assert (row.volumes_ml, row.signs, row.inputs, row.seconds) == ({}, {}, (), 3.0)


def test_a_long_table_is_cut_and_says_so() -> None:
    rows = [done(f"case {n}") for n in range(MOST_ROWS + 1)]
    assert order_sentence(rows, MOST_ROWS + 1).endswith(f"The first {MOST_ROWS} of {MOST_ROWS + 1} are listed.")
    assert "listed" not in order_sentence(rows, 3)
    assert order_sentence([], 0) == ""


def test_a_filter_needs_every_word() -> None:
    row = CaseRow("case_12", "failed", odd="is no volume")
    assert row.matches("failed VOLUME")
    assert not row.matches("failed tilt")


def test_labels_have_columns_in_the_order_in_which_they_occur() -> None:
    rows = [CaseRow("a", volumes_ml={"x": 1.0}), CaseRow("b", volumes_ml={"y": 1.0, "x": 1.0})]
    assert label_columns(rows) == ("x", "y")
    assert label_columns(rows, limit=1) == ("x",)


def test_the_time_left_is_that_of_the_cases_so_far() -> None:
    left = TimeLeft(began_s=100.0)
    assert left.sentence(5, now_s=130.0) == ""
    assert left.another().another().sentence(5, now_s=130.0) == "about 75 s left"
    assert left.another().sentence(0, now_s=130.0) == ""


def test_the_form_says_what_is_missing(tmp_path: Path) -> None:
    assert ready(BatchForm()).message == "Choose a model."
    assert "Add a folder" in ready(BatchForm(bundle=tmp_path)).message
    assert ready(BatchForm((str(tmp_path / "no"),), tmp_path)).level == "error"
    assert not ready(BatchForm((str(tmp_path),), tmp_path)).can_start
    assert ready(BatchForm((str(tmp_path),), tmp_path, str(tmp_path / "out"))).can_start


@pytest.fixture
def opened() -> list[tuple[CaseRow, Path]]:
    return []


@pytest.fixture
def controller(
    bundle: Path, view: Recorded, runner: ImmediateRunner, opened: list[tuple[CaseRow, Path]]
) -> BatchController:
    return BatchController(BundleRegistry([bundle]), view, runner, lambda row, trace: opened.append((row, trace)))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Two scans and a file that is none."""
    for n in range(2):
        made.scan(tmp_path / "scans" / f"case_{n}.nii.gz", seed=n)
    (tmp_path / "scans" / "broken.nii.gz").write_bytes(b"no volume")
    return tmp_path / "scans"


def test_a_folder_is_predicted_listed_and_resumed(
    controller: BatchController, view: Recorded, scans: Path, tmp_path: Path, opened: list[tuple[CaseRow, Path]]
) -> None:
    out = tmp_path / "out"
    controller.add_inputs([str(scans)])
    controller.set_out(str(out))
    controller.start()
    (state,) = view.last("show_state")
    assert (state.level, state.message.split(".")[0]) == ("done", "2 done, 1 failed")
    rows, labels, order = view.last("set_rows")
    assert [row.state for row in rows] == ["failed", "done", "done"]
    assert rows[0].case == "broken"
    assert set(labels) == set(rows[1].volumes_ml)
    assert rows[1].seconds > 0
    assert order
    entry = Ledger(out).latest()["case_0"]
    assert entry.inputs == [str((scans / "case_0.nii.gz").resolve())]
    controller.open_row(0)  # a failed case has nothing to open
    controller.open_row(1)
    assert [(row.case, trace) for row, trace in opened] == [(rows[1].case, out / f"{rows[1].case}.trace")]
    controller.start()
    (state,) = view.last("show_state")
    assert state.message.startswith("0 done, 2 were done before, 1 failed.")


def test_a_run_that_is_cancelled_goes_on_later(
    controller: BatchController, view: Recorded, runner: ImmediateRunner, scans: Path, tmp_path: Path
) -> None:
    controller.add_inputs([str(scans)])
    controller.set_out(str(tmp_path / "out"))
    runner.held = True
    controller.start()
    controller.cancel()
    runner.let_go()
    (state,) = view.last("show_state")
    assert state.can_start
    assert state.message.startswith("Stopped. Start continues")
    rows, *_ = view.last("set_rows")
    assert {row.state for row in rows} <= {"waiting", "started", "failed"}


def test_an_output_folder_is_opened_without_its_scans(
    controller: BatchController, view: Recorded, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "out")
    ledger.append(Entry("b", "done", volumes_ml={"liver": 2.0}, features={"entropy_per_found": 0.1}))
    ledger.append(Entry("a", "done", volumes_ml={"liver": 1.0}, features={"entropy_per_found": 0.4}))
    controller.set_out(str(tmp_path / "out"))
    rows, labels, order = view.last("set_rows")
    assert [row.case for row in rows] == ["a", "b"]
    assert labels == ("liver",)
    assert "entropy" in order
    controller.set_filter("B done")
    assert [row.case for row in view.last("set_rows")[0]] == ["b"]


def test_a_click_opens_the_scan_with_its_trace(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, scans: Path, tmp_path: Path
) -> None:
    from voxtrace.plugin.npe2.batch import BatchWidget
    from voxtrace.plugin.npe2.viewer_state import ViewerState, viewer_state_of

    viewer = make_napari_viewer_proxy()
    state = viewer_state_of(viewer)
    state._bundle_registry = BundleRegistry([bundle])
    docks: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViewerState, "open_dock", lambda _self, name: docks.append(name))
        widget = BatchWidget(viewer)
        viewer.window.add_dock_widget(widget, name="batch")
        widget.view.inputs_added.emit([str(scans)])
        widget.view.out_picked.emit(str(tmp_path / "out"))
        widget.view.state.start.click()
        qtbot.waitUntil(lambda: not widget.runner.busy, timeout=120_000)
        assert widget.view.table.rowCount() == 3
        assert widget.view.table.item(0, 1).text() == "failed"
        for at in (1, 2):
            widget.view.table.cellClicked.emit(at, 0)
            case = widget.view.table.item(at, 0).text()
            wanted = [case, f"{case} · result"]
            qtbot.waitUntil(lambda wanted=wanted: [x.name for x in viewer.layers] == wanted, timeout=30_000)
            assert state.current.layer is viewer.layers[-1].__wrapped__
            assert state.current.scan is viewer.layers[0].__wrapped__
    assert set(docks) == {"rulers"}


def test_of_several_models_for_patients_none_is_guessed(
    bundle: Path, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    other = shutil.copytree(bundle, tmp_path / "other")
    controller = BatchController(BundleRegistry([bundle, other]), view, runner, lambda row, trace: None)
    names, chosen = view.last("set_bundles")
    assert (len(names), chosen) == (2, -1)
    (state,) = view.last("show_state")
    assert state.message == "Choose a model."
    controller.pick_bundle(1)
    (state,) = view.last("show_state")
    assert state.message != "Choose a model."
