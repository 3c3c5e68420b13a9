"""The page of the models: what the cards say, a picture where a scan may be shown, and no word as markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import made
from made import Run
from voxtrace import bundle as bundles
from voxtrace.batch.model_page import NO_PICTURE, ModelPicture, model_section
from voxtrace.bundle import annotate, card, load, save, shipped
from voxtrace.fit.model_facts import dice_words, model_facts

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


def test_a_page_has_every_model_and_a_picture_of_the_scan_that_was_given(run: Run, two: Path, tmp_path: Path) -> None:
    scan, out = made.scan(tmp_path / "mine.nii.gz"), tmp_path / "models.html"
    assert run("models", "page", out, "--scan", f"plain={scan}", "--device", "cpu").code == 0
    text = out.read_text(encoding="utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == ["hostile", "plain"]
    assert text.count("data:image/png;base64,") == 1
    assert text.count(NO_PICTURE) == 1
    assert "plain: its answer on the scan mine" in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "0.500, n 7" in text
    assert "0.500, n 7" in run("models", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["a.txt"], "ending in .html"), (["a.html", "--scan", "nobody=x"], "expected one of hostile, plain")],
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
    text = model_section(name, facts, record, ModelPicture(b"png", 1.5, "a made-up scan"))
    assert "1.5 s" in text
    assert ('class="demonstration"' in text) == bool(record.get("demonstration"))
    assert all(label in text for value, label in record["plan"]["labels"].items() if value != "0")


def test_a_dice_that_was_not_measured_is_not_known() -> None:
    assert dice_words({}) == dice_words({"metrics": {"validation": {"dice": {"mean": None}}}}) == "not known"
    assert dice_words(card("hippocampus-unet")) == "0.886 [0.877, 0.894], n 47"
