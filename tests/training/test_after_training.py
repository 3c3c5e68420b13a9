"""What held-back cases tell a bundle is what predictions with it then do: post-processing, volumes, pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fakes
from cases import drain
from voxtrace.bundle import Bundle, annotate, card, load, save
from voxtrace.errors import BundleError
from voxtrace.fit import case_features
from voxtrace.fit.pieces import PieceRule, remove_pieces
from voxtrace.inference import predict
from voxtrace.methods import method
from voxtrace.metrics import dice, evaluate_label
from voxtrace.training.card import without_names
from voxtrace.training.failures import picture_worst, pictured
from voxtrace.training.gain import gain_of
from voxtrace.training.validation import Validation, validate_cases
from voxtrace.volume import Array, Case, Geometry, LabelMap, Volume

SHAPE = (8, 20, 20)
GEOMETRY = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0))
NAMES = {0: "background", 1: "liver", 2: "lesion"}


def drawn(number: int, specks: int) -> tuple[Array, Array]:
    """A liver with a lesion as they are, and as they look: with specks of liver that are none."""
    true = np.zeros(SHAPE, np.uint8)
    true[1:6, 2 : 10 + number % 3, 3:11] = 1
    true[3:5, 4:6, 4:6] = 2
    seen = true.copy()
    seen[1, 2, 3:11] = 0
    for speck in range(specks):
        seen[7, 12 + 3 * (speck % 3), 13 + 3 * (speck // 3)] = 1
    return true, seen


def case(number: int, specks: int) -> Case:
    true, seen = drawn(number, specks)
    noise = np.random.default_rng(number).normal(0.0, 0.12, SHAPE)
    image = np.where(noise > 0.4, seen, seen + np.clip(noise, -0.45, 0.45)).astype(np.float32)
    return Case(f"case_{number}", Volume(image[None], GEOMETRY, name=f"case_{number}"), LabelMap(true, GEOMETRY))


CASES = [case(number, specks=number % 4) for number in range(12)]


def bundle(**card_entries: Any) -> Bundle:
    made = fakes.bundle(fakes.Nearest(n_steps=3, drift=0.2), labels=3)
    return replace(made, plan=made.plan.model_copy(update={"labels": NAMES}), card={"name": "fake", **card_entries})


@pytest.fixture(scope="module")
def validation() -> Validation:
    found = drain(validate_cases(bundle(), CASES, "cpu", lambda: False))
    assert found is not None
    return found


def test_what_the_card_says_is_what_predictions_with_it_give(validation: Validation) -> None:
    entries = {name: value for name, value in validation.measured().items() if value is not None}
    assert entries["post_processing"]["labels"] == {"liver": "largest"}
    made, rows = bundle(**entries), validation.to_json()["per_case"]
    for one, row in zip(CASES, rows, strict=True):
        found = predict(made, one.volume, keep="labels", device="cpu")
        for value, name in ((1, "liver"), (2, "lesion")):
            assert row["dice"][name] == pytest.approx(dice(found.labels, one.labels, value), abs=1e-4)
            measured = evaluate_label(found.labels, one.labels, value)
            assert row["measures"][name]["nsd"] == pytest.approx(measured.nsd, abs=1e-4)
            assert row["predicted_ml"][name] == pytest.approx(measured.volume_ml, rel=1e-5)
        assert row["features"] == pytest.approx(case_features(found.trace), rel=1e-4)


def test_the_means_before_and_after_are_those_of_the_cases(validation: Validation) -> None:
    tried = validation.post_processing["tried"]["liver"]
    after = [one.scores[1].dice for one in validation.cases]
    assert tried["largest"]["dice"] == pytest.approx(np.mean(after), abs=1e-6)
    before = []
    for one in CASES:
        answer = predict(bundle(), one.volume, device="cpu", post_processing="none").labels
        before.append(dice(answer, one.labels, 1))
    assert tried["none"] == {"n": 12, "dice": pytest.approx(np.mean(before), abs=1e-6), "nsd": tried["none"]["nsd"]}
    assert tried["largest"]["dice"] > tried["none"]["dice"]
    # what fine-tuning gained is compared without: before it nothing was chosen
    untouched = drain(validate_cases(bundle(), CASES, "cpu", lambda: False, only_dice=True))
    assert untouched is not None
    assert validation.mean_dice() == untouched.mean_dice() < validation.to_json()["dice"]["mean"]


def test_measuring_again_gives_the_same_whatever_the_card_said_before(validation: Validation) -> None:
    stale = bundle(post_processing={"labels": {"lesion": "1000"}, "tried": {}}, calibration={"temperature": 9.0})
    again = drain(validate_cases(stale, CASES, "cpu", lambda: False))
    assert again is not None
    assert again.to_json() == validation.to_json()
    assert again.measured() == validation.measured()


def test_where_no_case_has_specks_every_piece_stays() -> None:
    found = drain(validate_cases(bundle(), [case(number, 0) for number in range(6)], "cpu", lambda: False))
    assert found is not None
    assert found.post_processing["labels"] == {}


def test_voxels_that_nobody_annotated_do_not_choose(validation: Validation) -> None:
    """The specks lie where nobody annotated, so that removing them changes nothing that is known."""
    cases = []
    for one in CASES:
        data = one.labels.data.copy()
        data[7] = 3
        cases.append(replace(one, labels=replace(one.labels, data=data)))
    made = bundle()
    made = replace(made, plan=made.plan.model_copy(update={"ignore": True}))
    found = drain(validate_cases(made, cases, "cpu", lambda: False))
    assert found is not None
    assert found.post_processing["labels"] == {}


def test_the_calibration_is_of_the_answers_that_were_given(validation: Validation) -> None:
    found = validation.measured()["calibration"]
    assert found["cases"] == 12
    assert sum(row[0] for row in found["reliability_before"]) == found["voxels"]
    right = sum(row[0] * row[2] for row in found["reliability_before"]) / found["voxels"]
    assert 0.8 < right < 1.0


def test_the_worst_cases_are_named_and_pictured_where_asked(validation: Validation) -> None:
    entries = validation.measured()
    worst = sorted(validation.cases, key=lambda one: one.mean_dice)[:3]
    assert [row["case"] for row in entries["failures"]] == [one.name for one in worst]
    pictures = picture_worst(bundle(), validation.cases, CASES, "cpu")
    assert list(pictures) == ["failure_1.png", "failure_2.png", "failure_3.png"]
    for content in pictures.values():
        picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert picture.shape == (240, 2 * 240 + 8, 3)
        assert not np.array_equal(picture[:, :240], picture[:, -240:])  # the answer differs from the reference
    told = pictured(entries, pictures)["failures"]
    assert [row["picture"] for row in told] == list(pictures)
    assert all("picture" not in row for row in pictured(entries, {})["failures"])


def test_anonymous_cases_have_no_name_in_failures_either(validation: Validation) -> None:
    listed = [{"name": one.name, "images": [], "labels": ""} for one in CASES]
    named = {"provenance": {"held_back": listed}, "metrics": {}, "failures": validation.measured()["failures"]}
    told = [row["case"] for row in without_names(named)["failures"]]
    numbers = [1 + int(row["case"].removeprefix("case_")) for row in named["failures"]]
    assert told == [f"case_{number:04d}" for number in numbers]


@pytest.fixture
def stored(tmp_path: Path, validation: Validation) -> Path:
    """A bundle on disk with everything that was measured, and pictures."""
    unet, plan = method("unet"), fakes.plan(window=(16, 16, 16), labels=3).model_copy(update={"labels": NAMES})
    plan = plan.model_copy(update={"topology": plan.example(labels=3, window=(16, 16, 16), base_width=4).topology})
    entries = {name: value for name, value in validation.measured().items() if value is not None}
    pictures = {f"failure_{rank}.png": bytes([rank]) for rank in (1, 2, 3)}
    whole = pictured({"name": "whole", "metrics": {"validation": validation.to_json()}, **entries}, pictures)
    return save(Bundle(unet, plan, unet.build(plan), whole), tmp_path / "whole", pictures=pictures)


def test_a_bundle_keeps_drawings_and_pictures_that_its_card_shows(stored: Path) -> None:
    text = (stored / "card.md").read_text("utf-8")
    shown = {"reliability.svg", "failure_1.png", "failure_2.png", "failure_3.png"}
    assert shown <= {file.name for file in stored.iterdir()}
    assert all(f"]({name})" in text for name in shown)
    assert shown <= set(card(stored)["files"])
    for title in ("Worst held-back cases", "Volumes", "Probabilities", "Small pieces"):
        assert f"## {title}" in text
    assert load(stored).card["failures"] == card(stored)["failures"]


def test_a_picture_may_be_taken_out_and_not_be_replaced(stored: Path) -> None:
    (stored / "failure_2.png").unlink()
    card(stored)
    (stored / "failure_1.png").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"failure_1\.png was altered"):
        card(stored)


def test_annotating_keeps_other_files_and_takes_out_what_is_none(stored: Path) -> None:
    (stored / "events.jsonl").write_text("{}\n")
    weights = (stored / "weights.safetensors").read_bytes()
    annotate(stored, {"licence": "CC0", "calibration": None})
    assert (stored / "events.jsonl").read_text() == "{}\n"
    assert (stored / "weights.safetensors").read_bytes() == weights
    assert (stored / "failure_1.png").is_file()
    assert not (stored / "reliability.svg").exists()
    assert (card(stored)["licence"], "calibration" in card(stored)) == ("CC0", False)
    annotate(stored, {}, {})
    assert not (stored / "failure_1.png").exists()
    load(stored)


def test_the_copy_of_a_reference_that_is_processed_is_what_the_engine_does(validation: Validation) -> None:
    one = CASES[3]
    plain = predict(bundle(), one.volume, device="cpu", post_processing="none").labels.data
    entries = validation.measured()
    processed = predict(bundle(post_processing=entries["post_processing"]), one.volume, device="cpu")
    expected, _ = remove_pieces(plain, {1: PieceRule(largest=True)}, GEOMETRY.voxel_ml * 1000)
    assert np.array_equal(processed.labels.data, expected)


def test_what_fine_tuning_gained_does_not_count_what_post_processing_gains(validation: Validation) -> None:
    """The same network before and after: it gained nothing, though the card's Dice rose with the rule chosen."""
    before = drain(validate_cases(bundle(), CASES, "cpu", lambda: False, only_dice=True))
    taken: Any = SimpleNamespace(labels={0: 0, 1: 1, 2: 2})
    gain = gain_of(taken, bundle().plan, before, validation)
    assert gain["cases"] == 12
    assert gain["dice_before"] == gain["dice_after"] < validation.to_json()["dice"]["mean"]
    assert all(was == now for was, now in gain["labels"].values())


def test_the_dice_of_the_last_step_is_the_networks_own(validation: Validation) -> None:
    """What a rule removes from the answer is not what the last step did."""
    found = validation.to_json()
    assert found["dice_per_step"][-1] == pytest.approx(validation.mean_dice(), abs=1e-4)
    assert found["dice_per_step"][-1] < found["dice"]["mean"]
