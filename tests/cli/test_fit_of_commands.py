"""Commands say where a model does not fit: `predict`, `train --from`; `models measure` measures a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made
from cases import ball_dataset
from made import Run
from voxtrace import bundle as bundles
from voxtrace import io
from voxtrace.batch.ledger import Ledger
from voxtrace.phantoms import abdomen_ct
from voxtrace.trace import Trace
from voxtrace.volume import DEMONSTRATION, LabelMap

SMALL = ("--iterations", 2, "--device", "cpu", "--precision", "float32")
DEMO = "abdomen-phantom-cdlunet"


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of the kind that the demonstration models know."""
    return io.write(abdomen_ct(9001).volume, tmp_path_factory.mktemp("scans") / "phantom.nii.gz")


def test_a_demonstration_on_a_patient_is_said_and_recorded(run: Run, tmp_path: Path) -> None:
    """The scan is noise that no header marks as made up."""
    scan, out = made.scan(tmp_path / "patient.nii.gz", shape=(24, 48, 48)), tmp_path / "out"
    outcome = run("predict", scan, "-m", DEMO, "-o", out, "--json")
    assert outcome.code == 0
    assert "[1/1] patient: the model does not fit" in outcome.err
    assert "made for made-up scans; its answer on a patient means nothing (choose a model" in outcome.err
    [case] = outcome.json["done"]
    assert case["demonstration"] is True
    assert case["fit"]["verdict"] == "does not fit"
    entry = Ledger(out).latest()["patient"]
    assert (entry.demonstration, entry.fit["verdict"]) == (True, "does not fit")
    assert io.read_labels(out / "patient.nii.gz").note == DEMONSTRATION
    assert Trace.load(out / "patient.trace").provenance.fit.startswith("does not fit: ")


def test_a_case_like_those_of_validation_gets_an_interval_for_each_label(
    run: Run, real_data: Path, tmp_path: Path
) -> None:
    scan = real_data / "Dataset004_Hippocampus" / "imagesTr" / "hippocampus_004_0000.nii.gz"
    outcome = run("predict", scan, "-m", "hippocampus-unet", "-o", tmp_path / "out", "--json")
    [case] = outcome.json["done"]
    assert (case["fit"]["verdict"], case["demonstration"]) == ("fits", False)
    volumes = Ledger(tmp_path / "out").latest()[case["case"]].volumes_ml
    for name, (low, high) in case["intervals_ml"].items():
        assert 0.7 * volumes[name] < low < volumes[name] < high < 1.3 * volumes[name]
    assert set(case["intervals_ml"]) == {"anterior", "posterior"}
    assert case["usual"] == "like the validation cases"


def test_where_the_model_fits_nothing_is_said(run: Run, phantom: Path, tmp_path: Path) -> None:
    outcome = run("predict", phantom, "-m", DEMO, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "does not fit" not in outcome.err
    assert "may not fit" not in outcome.err
    assert Ledger(tmp_path / "out").latest()["phantom"].fit["verdict"] == "fits"


def test_channels_that_are_missing_are_named_before_the_case_fails(
    run: Run, two_channel_bundle: Path, tmp_path: Path
) -> None:
    outcome = run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", two_channel_bundle, "-o", tmp_path / "out")
    assert outcome.code == 3
    assert "the model takes 2 (channel 0 and channel 1), the scan has 1 channel" in outcome.err


def test_fine_tuning_on_another_modality_is_said(run: Run, tmp_path: Path) -> None:
    dataset = ball_dataset(tmp_path / "balls", 3)
    outcome = run("train", dataset, "--from", DEMO, "-o", tmp_path / "tuned", *SMALL)
    assert outcome.code == 0
    assert f"{DEMO}: the model does not fit" in outcome.err
    assert "the model is for CT in HU" in outcome.err


def test_training_on_phantoms_makes_a_demonstration(run: Run, tmp_path: Path) -> None:
    dataset = ball_dataset(tmp_path / "balls", 3)
    for number, path in enumerate(sorted((dataset / "imagesTr").iterdir())):
        phantom = abdomen_ct(number, shape=(16, 16, 16), spacing_mm=(1.0, 1.0, 1.0)).volume
        io.write(phantom, path)
        labels = np.zeros((16, 16, 16), np.uint8)
        labels[4:9, 4:9, 4:9] = 1
        io.write(LabelMap(labels, phantom.geometry), dataset / "labelsTr" / path.name.replace("_0000", ""))
    assert run("train", dataset, "-o", tmp_path / "b", *SMALL).code == 0
    record = bundles.card(tmp_path / "b")
    assert record["demonstration"] is True
    assert (record["training_scans"]["cases"], record["training_scans"]["made_up"]) == (3, 3)
    assert "**Demonstration.**" in (tmp_path / "b" / "card.md").read_text("utf-8")


def test_training_records_scans_cost_and_each_validation_case(run: Run, tmp_path: Path) -> None:
    dataset = ball_dataset(tmp_path / "balls", 5)
    assert run("train", dataset, "--fold", 0, "-o", tmp_path / "b", *SMALL).code == 0
    record = bundles.card(tmp_path / "b")
    assert "demonstration" not in record
    assert record["training_scans"]["size_mm"] == [[16.0] * 3, [16.0] * 3]
    assert record["cost"]["gflop_per_window"] > 0
    [case] = record["metrics"]["validation"]["per_case"]
    assert case["name"].startswith("ball_")
    assert set(case) == {"name", "dice", "measures", "predicted_ml", "reference_ml", "features"}
    assert case["reference_ml"]["ball"] > 0
    assert "intervals" not in record  # one case tells no interval
    assert "per_case" not in (tmp_path / "b" / "card.md").read_text("utf-8")


def test_a_bundle_is_measured_on_its_dataset_and_its_weights_stay(run: Run, bundle: Path, tmp_path: Path) -> None:
    copy = made.bundle_folder(tmp_path / "copy")
    weights, digest = (copy / "weights.safetensors").read_bytes(), bundles.card(copy)["digest"]
    dataset = ball_dataset(tmp_path / "balls", 12)
    splits = [{"train": [f"ball_{n:03d}" for n in range(2)], "val": [f"ball_{n:03d}" for n in range(2, 12)]}]
    (dataset / "splits_final.json").write_text(json.dumps(splits))
    outcome = run("models", "measure", copy, dataset, "--fold", 0, "--device", "cpu", "--json")
    assert outcome.code == 0
    record = bundles.card(copy)
    assert outcome.json["digest"] == record["digest"] != digest
    assert record["training_scans"]["cases"] == 2
    assert record["expected"]["cases"] == 10
    assert record["metrics"]["validation"]["cases"] == 10
    assert (copy / "weights.safetensors").read_bytes() == weights
    assert run("models", "verify", copy).code == 0


def test_a_bundle_is_measured_with_options_that_predictions_begin_with_then(run: Run, tmp_path: Path) -> None:
    """The card keeps what training was asked for; options of the network, and the number of steps, are refused."""
    dataset, out = ball_dataset(tmp_path / "balls", 3), tmp_path / "b"
    assert run("train", dataset, "--method", "recyclenet", "--fold", 0, "-o", out, *SMALL).code == 0
    measure = ("models", "measure", out, dataset, "--device", "cpu", "--json")
    assert run(*measure, "--set", "average=true").code == 0
    for again in range(2):
        record = bundles.card(out)
        assert record["method"]["options"]["average"] is True
        assert record["provenance"]["chosen_after_training"]["average"] is False
        assert again or run(*measure).code == 0
    before = (out / "bundle.json").read_bytes()
    for setting, words in (
        ("norm=layer", "norm of recyclenet was fixed in training; a prediction may change average, cycles, feedback"),
        ("cycles=9", "the number of cycles is what is best on the held-back cases"),
        ("depth=1", "recyclenet has no option 'depth'"),
    ):
        outcome = run(*measure, "--set", setting)
        assert outcome.code != 0
        assert words in outcome.err
    assert (out / "bundle.json").read_bytes() == before


def test_options_that_need_each_other_may_be_given_one_after_the_other(run: Run, tmp_path: Path) -> None:
    """``eta`` is of ``ddim`` alone, which training was not asked for; how many steps is not chosen by Dice here."""
    dataset, out = ball_dataset(tmp_path / "balls", 3), tmp_path / "b"
    assert run("train", dataset, "--method", "diffusion", "--fold", 0, "-o", out, *SMALL).code == 0
    for setting in ("sampler=ddim", "eta=0.5", "sampling_steps=2"):
        assert run("models", "measure", out, dataset, "--device", "cpu", "--set", setting).code == 0
    record = bundles.card(out)
    options, asked = record["method"]["options"], record["provenance"]["chosen_after_training"]
    assert [options[name] for name in ("sampler", "eta", "sampling_steps")] == ["ddim", 0.5, 2]
    assert [asked[name] for name in ("sampler", "eta", "sampling_steps")] == ["ddpm", 0.0, 0]


def test_measuring_gives_the_record_that_training_gave(run: Run, tmp_path: Path) -> None:
    """Names that were made up stay so, and what only earlier versions wrote is replaced."""
    dataset, out = ball_dataset(tmp_path / "balls", 14), tmp_path / "b"
    splits = [{"train": [f"ball_{n:03d}" for n in range(2)], "val": [f"ball_{n:03d}" for n in range(2, 14)]}]
    (dataset / "splits_final.json").write_text(json.dumps(splits))
    asked = ("train", dataset, "--method", "unet", "--fold", 0, "-o", out, "--anonymous-names", "--picture-failures")
    assert run(*asked, "--iterations", 2, "--device", "cpu", "--precision", "float32").code == 0
    trained = bundles.card(out)
    assert {row["picture"] for row in trained["failures"]} == {f"failure_{rank}.png" for rank in (1, 2, 3)}
    assert (out / "failure_3.png").is_file()
    assert trained["post_processing"]["tried"]["ball"]["none"]["n"] == 12
    bundles.annotate(out, {"intervals": None, "failures": None, "post_processing": None}, {})
    assert run("models", "measure", out, dataset, "--device", "cpu", "--picture-failures").code == 0
    again = bundles.card(out)
    for record in (trained, again):  # how long predictions took is another each time
        assert record["provenance"]["prediction"].pop("seconds") > 0
    volatile = ("digest", "files")
    assert {k: v for k, v in again.items() if k not in volatile} == {
        k: v for k, v in trained.items() if k not in volatile
    }
    assert "ball_0" not in (out / "bundle.json").read_text() + (out / "card.md").read_text("utf-8")
    assert (out / "events.jsonl").is_file()


def test_cases_that_were_trained_on_tell_nothing(run: Run, tmp_path: Path) -> None:
    dataset, out = ball_dataset(tmp_path / "balls", 4), tmp_path / "b"
    names = [f"ball_{n:03d}" for n in range(4)]
    splits = [{"train": names[:2], "val": names[2:]}, {"train": names[2:], "val": names[:2]}]
    (dataset / "splits_final.json").write_text(json.dumps(splits))
    assert run("train", dataset, "--method", "unet", "--fold", 0, "-o", out, *SMALL).code == 0
    before = (out / "bundle.json").read_bytes()
    outcome = run("models", "measure", out, dataset, "--fold", 1, "--device", "cpu")
    assert outcome.code != 0
    assert "was trained on ball_000, ball_001 of the cases held back now" in outcome.err
    for words, remedy in (
        (["--fold", 1], "hold back what it held back (--fold 0)"),
        (["--cv"], "train without --from"),
    ):
        outcome = run("train", dataset, "--from", out, *words, "-o", tmp_path / "fine", *SMALL)
        assert outcome.code != 0
        assert remedy in outcome.err
        assert not (tmp_path / "fine").exists()
    assert run("train", dataset, "--from", out, "--fold", 0, "-o", tmp_path / "fine", *SMALL).code == 0
    learned = [image for case in bundles.card(out)["provenance"]["training"] for image in case["images"]]
    assert bundles.card(tmp_path / "fine")["provenance"]["initial"]["learned"] == sorted(learned)
    assert learned[0] not in (tmp_path / "fine" / "card.md").read_text("utf-8")
    assert (out / "bundle.json").read_bytes() == before


def test_measuring_on_another_number_of_channels_is_refused(run: Run, two_channel_bundle: Path, tmp_path: Path) -> None:
    outcome = run("models", "measure", two_channel_bundle, ball_dataset(tmp_path / "balls", 2), "--device", "cpu")
    assert outcome.code != 0
    assert "has 1 channels, the bundle takes 2" in outcome.err
