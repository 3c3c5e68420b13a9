"""What predict prints of an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import made
from made import Run
from voxtrace import bundle as bundles
from voxtrace import io
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.cli.show_answer import answer_lines
from voxtrace.trace import Trace


def entry(**changes: object) -> Entry:
    return Entry("a", "done", **changes)  # type: ignore[arg-type]


def test_volumes_stand_with_their_intervals() -> None:
    found = entry(volumes_ml={"liver": 1512.3, "lesion": 0.0421, "cyst": 0.0}, intervals_ml={"liver": [1400.2, 1600.0]})
    assert answer_lines(found) == ["liver 1,512 mL (1,400 to 1,600), lesion 0.0421 mL", "not found: cyst"]


def test_a_label_that_was_not_found_stands_where_it_may_have_been_missed() -> None:
    found = entry(volumes_ml={"lesion": 0.0}, intervals_ml={"lesion": [0.0, 0.4]})
    assert answer_lines(found) == ["lesion 0 mL (0 to 0.4)"]


def test_of_many_labels_a_few_that_were_not_found_are_named() -> None:
    volumes = {str(n): 1.0 for n in range(7)}
    assert answer_lines(entry(volumes_ml={**volumes, "aorta": 0.0})) == ["not found: aorta"]
    assert answer_lines(entry(volumes_ml=dict.fromkeys("abcdefg", 0.0))) == []


def test_what_was_removed_is_said() -> None:
    gone = {"liver": {"rule": "largest", "pieces": 2, "removed_ml": 0.25}, "aorta": {"pieces": 0, "removed_ml": 0.0}}
    told = answer_lines(entry(run={"post_processing": gone}))
    assert told == ["liver: 2 small pieces removed, 0.25 mL (--post-processing none keeps them)"]


def test_many_labels_are_left_to_the_ledger() -> None:
    assert answer_lines(entry(volumes_ml={str(n): 1.0 for n in range(7)})) == []


def test_what_is_written_shown_and_recorded_is_one_answer(run: Run, tmp_path: Path) -> None:
    """An untrained network scatters its labels, of which one keeps a single piece."""
    rule = {"n": 9, "dice": 0.9, "nsd": 0.9}
    pieces = {"labels": {"label 1": "largest"}, "tried": {"label 1": {"none": rule, "largest": rule}}}
    bins = [[0, 0.0, 0.0]] * 15
    told = {"reliability_before": bins, "reliability_after": bins, "of": "", "cases": 2, "voxels": 0}
    calibration = {"temperature": 2.0, "ece_before": 0.2, "ece_after": 0.1, **told}
    model = made.bundle_folder(tmp_path / "model")
    bundles.annotate(model, {"post_processing": pieces, "calibration": calibration})
    scan = made.scan(tmp_path / "a.nii.gz")
    for out, more in (("on", ()), ("off", ("--post-processing", "none", "--no-calibrate"))):
        outcome = run("predict", scan, "-m", model, "-o", tmp_path / out, "--device", "cpu", *more)
        assert outcome.code == 0
        written = io.read_labels(tmp_path / out / "a.nii.gz").data
        trace, entry = Trace.load(tmp_path / out / "a.trace"), Ledger(tmp_path / out).latest()["a"]
        assert np.array_equal(written, np.asarray(trace.labels[-1]))
        ml = round(int((written == 1).sum()) * trace.geometry.voxel_ml, 4)
        assert entry.volumes_ml["label 1"] == ml
        removed = dict(trace.provenance.post_processing)
        assert entry.run.get("post_processing", {}) == removed
        assert entry.run["temperatures"] == [2.0 if out == "on" else 1.0]
        assert bool(removed) == (out == "on")
        assert ("small piece" in outcome.err) == bool(removed and removed["label 1"]["pieces"])
