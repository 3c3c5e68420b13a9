"""The page of the models: what the cards say, a picture where a scan may be shown, and no word as markup."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import made
from made import Run
from voxtrace import bundle as bundles
from voxtrace.batch.model_markdown import markdown_section
from voxtrace.batch.model_page import NO_PICTURE, ModelPicture, ShownModel, matched_labels, model_section
from voxtrace.bundle import annotate, card, load, save, shipped
from voxtrace.fit.model_facts import dice_words, model_facts
from voxtrace.geometry import Geometry
from voxtrace.training import open_dataset
from voxtrace.training.dataset import fold
from voxtrace.training.identity import identify
from voxtrace.volume import LabelMap

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def two(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shipped bundles: one without a phantom, one whose card has a hostile licence."""
    home = tmp_path / "shipped"
    for name in ("plain", "hostile"):
        save(load(bundle), home / name)
    annotate(home / "hostile", {"licence": HOSTILE, "metrics": {"validation": {"cases": 7, "dice": {"mean": 0.5}}}})
    monkeypatch.setattr(bundles, "SHIPPED", home)
    return home


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six cases in nnU-Net's raw layout."""
    folder = tmp_path / "Dataset001_Blocks"
    for number in range(6):
        made.scan(folder / "imagesTr" / f"block_{number}_0000.nii.gz", seed=number)
        made.labels(folder / "labelsTr" / f"block_{number}.nii.gz")
    record = {"name": "Blocks", "channel_names": {"0": "MRI"}, "labels": {"background": 0, "one": 1, "two": 2}}
    (folder / "dataset.json").write_text(json.dumps({**record, "file_ending": ".nii.gz", "numTraining": 6}))
    return folder


def test_a_page_has_every_model_and_a_picture_of_the_scan_that_was_given(run: Run, two: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "mine.nii.gz"), tmp_path / "models.html"
    assert run("models", "page", out, "--scan", f"plain={scan}", "--device", "cpu").code == 0
    text = out.read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == ["hostile", "plain"]
    assert text.count("data:image/png;base64,") == 1
    assert text.count(NO_PICTURE) == 1
    assert "plain: its answer on the scan mine" in text
    assert text.count("not measured") == 4  # seconds and memory of both
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "0.500, n 7" in text
    assert "0.500, n 7" in run("models", "list").out


def test_a_scan_has_its_reference_beside_it_by_the_names_of_its_labels(run: Run, two: Path, tmp_path: Path) -> None:
    first = load(two / "plain").plan.labels[1]
    scan, labels, out = (
        made.scan(tmp_path / "mine.nii.gz"),
        made.labels(tmp_path / "theirs.nii.gz"),
        tmp_path / "a.html",
    )
    words = ("models", "page", out, "--labels", f"plain={labels}", "--device", "cpu")
    assert "has no --scan" in run(*words).sentence
    (tmp_path / "theirs.json").write_text(json.dumps({"0": "background", "2": first, "1": "another"}))
    assert run(*words, "--scan", f"plain={scan}").code == 0
    text = out.read_text(encoding="utf-8")
    assert "plain: the scan mine with the labels theirs: the reference, and beside it its answer (mean Dice" in text
    (tmp_path / "theirs.json").write_text(json.dumps({"1": "heart"}))
    assert f"have none of {first}" in run(*words, "--scan", f"plain={scan}").sentence


def test_a_reference_is_taken_under_the_values_of_the_model() -> None:
    """Their 9 is called as the model's 1, and 7 is nothing of it; without names their values are the model's."""
    theirs = np.array([[[9, 7, 1, 0]]], np.uint8)
    grid = Geometry.from_spacing((1, 1, 4), (1.0, 1.0, 1.0))
    named = LabelMap(theirs, grid, {9: "liver", 7: "heart"}, name="a")
    model = {0: "background", 1: "liver", 2: "spleen"}
    assert matched_labels(named, model, "m").data.tolist() == [[[1, 0, 0, 0]]]
    assert matched_labels(LabelMap(theirs, grid), model, "m").data.tolist() == [[[0, 0, 1, 0]]]


def test_pictures_show_the_channel_that_the_card_names(run: Run, two: Path) -> None:
    channel = load(two / "plain").plan.channels[0]
    assert run("models", "describe", two / "plain", "--show-channel", channel).code == 0
    assert card(two / "plain")["shown_channel"] == channel
    refused = run("models", "describe", two / "plain", "--show-channel", "FLAIR")
    assert refused.code == 2
    assert f"expected one of {channel}" in refused.sentence


def test_a_page_of_markdown_has_its_pictures_beside_it_and_obeys_no_card(run: Run, two: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "mine.nii.gz"), tmp_path / "all of them.md"
    assert run("models", "page", out, "--scan", f"plain={scan}", "--device", "cpu").code == 0
    text = out.read_text(encoding="utf-8")
    assert re.findall("^## (.*)", text, re.MULTILINE) == ["hostile", "plain"]
    assert re.findall(r"!\[.*\]\((.*)\)", text) == ["images/all%20of%20them/plain.png"]
    command = re.findall("^voxtrace models page .*", text, re.MULTILINE)
    assert shlex.split(command[0])[3:] == [str(out), "--scan", f"plain={scan}"]
    with Image.open(tmp_path / "images" / "all of them" / "plain.png") as picture:
        assert picture.height <= 240
    assert r"\<script\>" in text
    assert HOSTILE not in text


def test_a_model_is_pictured_on_the_first_held_back_case_of_its_dataset(
    run: Run, two: Path, dataset: Path, tmp_path: Path
) -> None:
    listed = open_dataset(dataset)
    annotate(two / "plain", {"provenance": {"dataset": listed.name, "fold": 0}})
    out, first = tmp_path / "models.html", fold(listed, 0)[1][0]
    assert run("models", "page", out, "--dataset", dataset, "--device", "cpu").code == 0
    text = out.read_text(encoding="utf-8")
    assert f"held-back case {first.name} of {listed.name}, the first of its fold: the reference" in text
    learned = {"name": first.name, "images": list(identify(fold(listed, 0)[1].files[0]).images), "labels": ""}
    annotate(two / "plain", {"provenance": {"dataset": listed.name, "fold": 0, "training": [learned]}})
    assert f"was trained on {first.name}" in run("models", "page", out, "--dataset", dataset).sentence
    annotate(two / "plain", {"provenance": {"dataset": "another"}})
    assert "expected one of , another" in run("models", "page", out, "--dataset", dataset).sentence


NON_COMMERCIAL = ("CC BY-NC-SA 4.0 (the training data's)", "CC-BY-NC 4.0", "free for noncommercial use")


@pytest.mark.parametrize("licence", [*NON_COMMERCIAL, "CC-BY-SA 4.0", "Apache-2.0", "NCSA"])
def test_a_licence_that_excludes_commercial_use_says_so(run: Run, two: Path, licence: str) -> None:
    annotate(two / "plain", {"licence": licence})
    assert ("plain: " + licence + "; for non-commercial use only" in run("models", "list").out) == (
        licence in NON_COMMERCIAL
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [(["a.txt"], "ending in .html or .md"), (["a.html", "--scan", "nobody=x"], "expected one of hostile, plain")],
)
def test_what_cannot_be_done_is_refused(run: Run, two: Path, words: list[str], said: str) -> None:
    refused = run("models", "page", *words)
    assert refused.code == 2
    assert said in refused.sentence


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_models_say_all_that_a_list_needs(name: str) -> None:
    record: dict[str, Any] = card(name)
    facts = model_facts(shipped()[name], record)
    assert "not known" not in facts.values()
    shown = ShownModel(name, facts, record, ModelPicture(b"png", 1.5, "a made-up scan"))
    text = model_section(shown)
    assert "1.5 s" in text
    assert "1.5 s" not in markdown_section(shown, "images/x.png")  # who reads it has another machine
    assert ('class="demonstration"' in text) == bool(record.get("demonstration"))
    assert all(label in text for value, label in record["plan"]["labels"].items() if value != "0")


def test_a_dice_that_was_not_measured_is_not_known() -> None:
    assert dice_words({}) == dice_words({"metrics": {"validation": {"dice": {"mean": None}}}}) == "not known"
    assert dice_words(card("hippocampus-unet")) == "0.886 [0.878, 0.894], n 47"
