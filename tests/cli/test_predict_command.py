from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

import made
from made import Run
from voxtrace import io
from voxtrace.bundle import Bundle, save
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.trace import Trace


def statuses(out: Path) -> list[tuple[str, str]]:
    lines = (out / "ledger.jsonl").read_text().splitlines()
    return [(entry["case"], entry["status"]) for entry in map(json.loads, lines)]


def test_a_file_becomes_a_label_map_a_trace_and_a_line_in_the_ledger(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "liver.nii.gz"), tmp_path / "out"
    outcome = run("predict", scan, "-m", bundle, "-o", out)
    assert outcome.code == 0
    assert outcome.out == ""
    assert io.read_labels(out / "liver.nii.gz").geometry.is_close(io.read(scan).geometry)
    trace = Trace.load(out / "liver.trace")
    assert trace.labels.shape == (3, *made.SHAPE)
    assert np.array_equal(trace.labels[-1], io.read_labels(out / "liver.nii.gz").data)
    assert statuses(out) == [("liver", "started"), ("liver", "done")]
    assert sorted(p.name for p in out.iterdir()) == ["ledger.jsonl", "liver.nii.gz", "liver.trace"]


def test_json_is_one_document_that_says_where_things_lie(run: Run, bundle: Path, tmp_path: Path) -> None:
    outcome = run("predict", made.scan(tmp_path / "a.nrrd"), "-m", bundle, "-o", tmp_path / "out", "--json")
    [case] = outcome.json["done"]
    assert Path(case["labels"]).is_file()
    assert Path(case["trace"]).is_dir()
    assert outcome.json["failed"] == []


def test_steps_keep_and_format_are_heard(run: Run, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--steps", 5, "--keep", "last", "--format", "nrrd")
    assert run("predict", made.scan(tmp_path / "a.nii"), "-m", bundle, "-o", out, *words).code == 0
    trace = Trace.load(out / "a.trace")
    assert (trace.n_steps, trace.labels.shape[0]) == (5, 1)
    assert (out / "a.nrrd").is_file()


def test_a_bad_case_is_named_and_the_next_one_begins(run: Run, bundle: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    made.scan(scans / "first.nii.gz")
    (scans / "second.nii.gz").write_bytes(b"not a volume")
    made.scan(scans / "third.nii.gz")
    outcome = run("predict", scans, "-m", bundle, "-o", out)
    assert outcome.code == 1
    assert "second" in outcome.sentence
    assert {p.name for p in out.glob("*.nii.gz")} == {"first.nii.gz", "third.nii.gz"}
    assert ("second", "failed") in statuses(out)


def test_channels_of_a_case_are_grouped_for_a_bundle_of_several(
    run: Run, two_channel_bundle: Path, tmp_path: Path
) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    for case in ("a", "b"):
        made.scan(scans / f"{case}_0000.nii.gz", seed=1)
        made.scan(scans / f"{case}_0001.nii.gz", seed=2)
    assert run("predict", scans, "-m", two_channel_bundle, "-o", out).code == 0
    assert {p.name for p in out.glob("*.nii.gz")} == {"a.nii.gz", "b.nii.gz"}


def test_resume_passes_over_what_is_done_and_predicts_the_rest(run: Run, bundle: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    made.scan(scans / "a.nii.gz")
    made.scan(scans / "b.nii.gz")
    run("predict", scans, "-m", bundle, "-o", out)
    (out / "b.nii.gz").unlink()
    outcome = run("predict", scans, "-m", bundle, "-o", out, "--resume", "--json")
    assert outcome.code == 0
    assert outcome.json["skipped"] == ["a"]
    assert [case["case"] for case in outcome.json["done"]] == ["b"]


def test_resume_with_other_options_is_refused_and_overwrite_is_not(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "a.nii.gz"), tmp_path / "out"
    run("predict", scan, "-m", bundle, "-o", out)
    assert run("predict", scan, "-m", bundle, "-o", out).code == 2
    assert run("predict", scan, "-m", bundle, "-o", out, "--resume", "--steps", 2).code == 2
    assert run("predict", scan, "-m", bundle, "-o", out, "--overwrite", "--steps", 2).code == 0
    assert Trace.load(out / "a.trace").n_steps == 2


def test_two_cases_of_one_name_are_refused_before_anything_runs(run: Run, bundle: Path, tmp_path: Path) -> None:
    one, other = made.scan(tmp_path / "x" / "a.nii.gz"), made.scan(tmp_path / "y" / "a.nrrd")
    outcome = run("predict", one, other, "-m", bundle, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert "'a'" in outcome.sentence
    assert not (tmp_path / "out").exists()


def test_inputs_are_never_overwritten(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "scans" / "a.nii.gz")
    before = scan.read_bytes()
    for given in (scan, scan.parent):
        assert run("predict", given, "-m", bundle, "-o", scan.parent, "--overwrite").code == 2
    assert scan.read_bytes() == before
    assert [p.name for p in scan.parent.iterdir()] == ["a.nii.gz"]


def test_a_dicom_folder_is_one_case(run: Run, bundle: Path, tmp_path: Path, real_data: Path) -> None:
    folder = shutil.copytree(real_data / "ct_abdomen" / "dicom", tmp_path / "study")
    outcome = run("predict", folder, "-m", bundle, "-o", tmp_path / "out", "--json", "--steps", 1, "--overlap", 0)
    assert outcome.code == 0
    assert [case["case"] for case in outcome.json["done"]] == ["study"]


def test_stopping_keeps_what_is_done_and_leaves_130(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from voxtrace.batch.ledger import Entry, Ledger

    scans, out = tmp_path / "scans", tmp_path / "out"
    made.scan(scans / "a.nii.gz")
    made.scan(scans / "b.nii.gz")
    append = Ledger.append

    def interrupted(ledger: Ledger, entry: Entry) -> None:
        append(ledger, entry)
        if (entry.case, entry.status) == ("b", "started"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Ledger, "append", interrupted)
    outcome = run("predict", scans, "-m", bundle, "-o", out)
    assert outcome.code == 130
    assert "Traceback" not in outcome.err
    assert sorted(p.name for p in out.iterdir()) == ["a.nii.gz", "a.trace", "ledger.jsonl"]
    monkeypatch.undo()
    assert run("predict", scans, "-m", bundle, "-o", out, "--resume").code == 0


def test_an_option_of_the_method_can_be_set_for_a_prediction(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "a.nii.gz")
    assert run("predict", scan, "-m", bundle, "-o", tmp_path / "out", "--set", "cycles=4").code == 0
    entries = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()]
    assert entries[-1]["steps"] == 4
    assert entries[-1]["options"]["options"] == {"cycles": 4}


def test_an_option_that_training_fixed_is_refused_before_anything_is_written(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    scan = made.scan(tmp_path / "a.nii.gz")
    outcome = run("predict", scan, "-m", bundle, "-o", tmp_path / "out", "--set", "norm=layer")
    assert outcome.code in (2, 3)
    assert "fixed in training" in outcome.sentence
    assert not (tmp_path / "out").exists()


def film(path: Path, frames: int = 3) -> Path:
    """A scan with time as its fourth dimension, brighter from frame to frame, its unit unnamed."""
    volumes = [made.volume(seed).data[0] + 10 * seed for seed in range(frames)]
    nibabel.save(nibabel.Nifti1Image(np.stack(volumes).T, np.diag([-1.0, -1.0, 2.0, 1.0])), path)
    return path


def test_all_frames_are_cases_of_their_own(run: Run, bundle: Path, tmp_path: Path) -> None:
    source, out = film(tmp_path / "film.nii.gz"), tmp_path / "out"
    outcome = run("predict", source, "-m", bundle, "-o", out, "--frame", "all", "--json")
    assert outcome.code == 0
    assert [case["case"] for case in outcome.json["done"]] == ["film_t000", "film_t001", "film_t002"]
    assert {p.name for p in out.glob("*.nii.gz")} == {f"film_t{frame:03d}.nii.gz" for frame in range(3)}
    alone = tmp_path / "alone"
    assert run("predict", source, "-m", bundle, "-o", alone, "--frame", 1).code == 0
    assert [p.name for p in alone.glob("*.nii.gz")] == ["film_t001.nii.gz"]
    one, other = (io.read_labels(folder / "film_t001.nii.gz") for folder in (out, alone))
    assert np.array_equal(one.data, other.data)
    assert one.geometry.is_close(io.read(source, 1).geometry)


def test_a_film_without_a_choice_fails_with_the_way_to_choose(run: Run, bundle: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "film.nii.gz")
    outcome = run("predict", source, "-m", bundle, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert "3 frames" in outcome.sentence
    assert "--frame all" in outcome.sentence
    for wrong, code in (("9", 3), ("first", 2), ("-1", 2)):
        assert run("predict", source, "-m", bundle, "-o", tmp_path / "out", f"--frame={wrong}").code == code


def test_the_passport_goes_with_every_result(run: Run, bundle: Path, tmp_path: Path) -> None:
    """The unit is metres, and so told in the document, the ledger and the trace, and the labels lie on the image."""
    image = nibabel.Nifti1Image(made.volume().data[0].T, np.diag([0.001, 0.001, 0.002, 1.0]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii.gz")
    out = tmp_path / "out"
    outcome = run("predict", tmp_path / "a.nii.gz", "-m", bundle, "-o", out, "--json")
    [done] = outcome.json["done"]
    entry = json.loads((out / "ledger.jsonl").read_text().splitlines()[-1])
    passport = io.read(tmp_path / "a.nii.gz").passport
    assert passport.notes == ("units: the header measures in metres; converted to mm",)
    assert done["passport"] == entry["passport"] == passport.as_json()
    assert Trace.load(out / "a.trace").passport == passport
    assert np.array_equal(nibabel.load(out / "a.nii.gz").affine, nibabel.load(tmp_path / "a.nii.gz").affine)


def test_each_of_several_bundles_votes_with_members(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "a.nii.gz"), tmp_path / "out"
    assert run("predict", scan, "-m", bundle, "-m", bundle, "-o", out, "--members").code == 0
    trace = Trace.load(out / "a.trace")
    assert len(trace.members) == 2
    for labels in trace.members.values():
        assert np.array_equal(labels[:], trace.labels[:])
    assert trace.provenance.options["members"] is True
    assert sorted(path.name for path in out.iterdir()) == ["a.nii.gz", "a.trace", "ledger.jsonl"]


def test_three_seeds_of_a_method_that_draws_numbers_vote_with_a_member_each(run: Run, tmp_path: Path) -> None:
    plan = Plan.example(labels=3, window=(16, 16, 16), base_width=4)
    diffusion = method("diffusion", denoising_steps=2)
    network = diffusion.build(diffusion.adapt(plan)).eval()
    model = save(Bundle(diffusion, diffusion.adapt(plan), network, {"name": "noisy"}), tmp_path / "noisy")
    scan, out = made.scan(tmp_path / "a.nii.gz"), tmp_path / "out"
    assert run("predict", scan, "-m", model, "-o", out, "--seeds", 3).code == 0
    trace = Trace.load(out / "a.trace")
    assert list(trace.members) == ["seed 0", "seed 1", "seed 2"]
    answers = np.stack([labels[:] for labels in trace.members.values()])
    assert not all(np.array_equal(answers[0], other) for other in answers[1:]), "another seed, another answer"
    two_agree = (answers[:, None] == answers).sum(0).max(0) >= 2
    majority = np.where(answers[1] == answers[2], answers[1], answers[0])
    voted = trace.labels[-1] if majority.ndim == 3 else trace.labels[:]
    assert np.array_equal(voted[two_agree], majority[two_agree])


def test_votes_that_make_no_sense_are_refused_before_the_first_case(run: Run, bundle: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "a.nii.gz"), tmp_path / "out"
    seeds = run("predict", scan, "-m", bundle, "-o", out, "--seeds", 3)
    assert (seeds.code, "draws no random numbers" in seeds.sentence) == (2, True)
    members = run("predict", scan, "-m", bundle, "-o", out, "--members")
    assert (members.code, "give at least two" in members.sentence) == (2, True)
    assert not out.exists()
