from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import made
from made import Run
from voxtrace.bundle import load
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.training.setup import file_name as safe_name

SMALL = ("--iterations", 4, "--batch-size", 2, "--device", "cpu", "--precision", "float32")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six made-up cases in nnU-Net's raw layout."""
    folder = tmp_path / "Dataset001_Blocks"
    for number in range(6):
        made.scan(folder / "imagesTr" / f"block_{number}_0000.nii.gz", seed=number)
        made.labels(folder / "labelsTr" / f"block_{number}.nii.gz")
    record = {"name": "Blocks", "channel_names": {"0": "MRI"}, "labels": {"background": 0, "one": 1, "two": 2}}
    (folder / "dataset.json").write_text(json.dumps({**record, "file_ending": ".nii.gz", "numTraining": 6}))
    return folder


def test_a_plan_is_printed(run: Run, dataset: Path) -> None:
    document = run("plan", dataset, "--device", "cpu", "--json").json
    assert document["dataset"] == "Blocks"
    assert document["fingerprint"]["cases"] == 6
    assert document["fingerprint"]["median_shape"] == list(made.SHAPE)
    assert document["plan"]["labels"] == {"0": "background", "1": "one", "2": "two"}
    assert "window" in run("plan", dataset, "--device", "cpu").out


def test_training_ends_with_a_bundle_named_for_dataset_and_method(
    run: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("train", dataset, "--fold", 0, "--cycles", 2, "--set", "train_cycles=1", *SMALL)
    assert outcome.code == 0
    assert outcome.out == "the bundle lies in Blocks-recyclenet\n"
    bundle = load(tmp_path / "Blocks-recyclenet")
    assert bundle.method.to_json()["options"]["cycles"] == 2
    assert bundle.plan.batch_size == 2
    assert bundle.card["provenance"]["fold"] == 0
    assert not (tmp_path / "Blocks-recyclenet.work").exists()


def test_fine_tuning_starts_from_a_bundle(run: Run, bundle: Path, dataset: Path, tmp_path: Path) -> None:
    outcome = run("train", dataset, "--from", bundle, "-o", tmp_path / "tuned", "--name", "tuned blocks", *SMALL)
    assert outcome.code == 0
    tuned = load(tmp_path / "tuned")
    assert tuned.name == "tuned blocks"
    assert tuned.plan.window == load(bundle).plan.window


def two_channels(dataset: Path, *names: str) -> None:
    """Give each case the same image as two channels of these names."""
    for image in sorted((dataset / "imagesTr").iterdir()):
        image.with_name(image.name.replace("_0000", "_0001")).write_bytes(image.read_bytes())
    record = json.loads((dataset / "dataset.json").read_text())
    channels = {str(number): name for number, name in enumerate(names)}
    (dataset / "dataset.json").write_text(json.dumps({**record, "channel_names": channels}))


def test_channels_may_come_in_another_order_but_not_under_other_names(run: Run, dataset: Path, tmp_path: Path) -> None:
    start = made.bundle_folder(tmp_path / "start", channels=2)
    two_channels(dataset, "channel 1", "channel 0")
    words = ("train", dataset, "--from", start, *SMALL, "--rate", 1e-12, "-o")
    outcome = run(*words, tmp_path / "b")
    assert outcome.code == 0
    assert "channels continue the bundle's: channel 1 its channel 1, channel 0 its channel 0" in outcome.err
    first, before = (load(tmp_path / name).network.state_dict() for name in ("b", "start"))
    kernel = next(name for name, value in before.items() if value.ndim == 5 and value.shape[1] == 2)
    assert abs(first[kernel] - before[kernel][:, [1, 0]]).max() < 1e-3
    two_channels(dataset, "T1", "channel 0")
    outcome = run(*words, tmp_path / "c")
    assert (outcome.code, "channel_names in dataset.json" in outcome.sentence) == (2, True)


def test_resume_of_a_finished_bundle_says_so_and_another_fold_is_refused(
    run: Run, dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    words = ("train", dataset, "--from", bundle, *SMALL, "--fold", 0, "-o", tmp_path / "b", "--resume")
    assert run(*words).code == 0
    outcome = run(*words)
    assert outcome.code == 0
    assert "is finished with 4 iterations; nothing done" in outcome.err
    outcome = run(*words, "--fold", 1)
    assert (outcome.code, "another fold (0, now 1)" in outcome.sentence) == (3, True)


def test_another_method_takes_over_the_weights_that_fit(run: Run, bundle: Path, dataset: Path, tmp_path: Path) -> None:
    outcome = run("train", dataset, "--from", bundle, "--method", "unet", "-o", tmp_path / "b", *SMALL)
    assert outcome.code == 0
    assert load(tmp_path / "b").method.key == "unet"


def test_stopping_leaves_a_checkpoint_and_resume_goes_on(
    run: Run, bundle: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", dataset, "--from", bundle, "-o", tmp_path / "b", *SMALL)
    loss = RecycleNet.loss

    def interrupted(*given: Any) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return loss(*given)

    monkeypatch.setattr(RecycleNet, "loss", interrupted)
    outcome = run(*words)
    assert outcome.code == 130
    assert "resume" in outcome.sentence
    assert not (tmp_path / "b").exists()
    monkeypatch.undo()
    assert run(*words).code == 3  # an unfinished run is not disturbed
    assert run(*words, "--resume").code == 0
    assert (tmp_path / "b").is_dir()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--method", "alchemy"], 2),
        (["--colour", "red"], 2),
        (["--set", "cycles=many"], 2),
        (["--set", "cycles=0"], 2),
        (["--fold", "9"], 3),
        (["--from", "no-such-bundle"], 3),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(words: list[str], code: int, run: Run, dataset: Path) -> None:
    outcome = run("train", dataset, *words, "-o", dataset.parent / "b")
    assert outcome.code == code
    assert "Traceback" not in outcome.err
    assert not (dataset.parent / "b").exists()


def test_a_folder_that_is_no_dataset_is_refused(run: Run, tmp_path: Path) -> None:
    for command in ("plan", "train"):
        outcome = run(command, tmp_path)
        assert outcome.code == 3
        assert "dataset.json" in outcome.sentence


def names() -> Iterator[tuple[str, str]]:
    yield "Blocks", "Blocks"
    yield "a/b: c", "a_b_c"
    yield "../..", "dataset"


@pytest.mark.parametrize(("name", "file_name"), list(names()))
def test_a_datasets_name_becomes_a_file_name(name: str, file_name: str) -> None:
    assert safe_name(name) == file_name
