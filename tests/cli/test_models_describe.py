"""What a maker says gets into the card, by `train --about` and by `models describe`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases import ball_dataset
from made import Run
from voxtrace import bundle as bundles
from voxtrace.fit import ABOUT, claim_items

SMALL = ("--iterations", 2, "--batch-size", 1, "--device", "cpu", "--precision", "float32")


@pytest.fixture
def about(tmp_path: Path) -> Path:
    file = tmp_path / "about.toml"
    file.write_text("".join(f'{name} = "words on {name}"\n' for name in ABOUT), encoding="utf-8")
    return file


def test_a_training_with_a_makers_words_tells_nine_tenths_of_claim(run: Run, about: Path, tmp_path: Path) -> None:
    out, dataset = tmp_path / "balls", ball_dataset(tmp_path / "data")
    words = ("--fold", 0, "--cycles", 2, "--set", "train_cycles=1", "--about", about, *SMALL)
    assert run("train", dataset, "-o", out, *words).code == 0
    record, text = bundles.card(out), (out / bundles.CARD).read_text(encoding="utf-8")
    apply = [item for item in claim_items(record) if item.applies]
    told = [item for item in apply if item.where]
    assert len(apply) >= 41
    assert len(told) / len(apply) >= 0.9
    assert f"{len(told)} of the {len(apply)} items that apply are told" in text
    assert all(f"\n## {item.where}\n" in text for item in told)
    for part in ("words on population", "s (median of", "GFLOP", "training time", "held back, 1: ball", "| step | 1 |"):
        assert part in text
    assert record["files"]["weights.safetensors"] in text


def test_without_them_what_only_a_maker_knows_is_left_out(run: Run, bundle: Path) -> None:
    listed = run("models", "describe", bundle)
    assert listed.code == 0
    assert "population" in listed.out
    assert "about" not in bundles.card(bundle)


def test_words_are_replaced_and_the_weights_stay(run: Run, bundle: Path, about: Path, tmp_path: Path) -> None:
    copy = bundles.save(bundles.load(bundle), tmp_path / "copy")
    before = (copy / bundles.WEIGHTS).read_bytes()
    first = run("models", "describe", copy, "--about", about, "--json").json
    (tmp_path / "less.json").write_text(json.dumps({"funding": "none"}), encoding="utf-8")
    second = run("models", "describe", copy, "--about", tmp_path / "less.json", "--json").json
    assert second["about"] == {"funding": "none"}
    assert second["told"] < first["told"]
    assert (copy / bundles.WEIGHTS).read_bytes() == before
    assert "- Funding: none" in (copy / bundles.CARD).read_text(encoding="utf-8")


def test_a_wrong_file_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_text("founding = 'x'\n", encoding="utf-8")
    dataset = ball_dataset(tmp_path / "data")
    refused = run("train", dataset, "-o", tmp_path / "out", "--about", tmp_path / "about.toml", *SMALL)
    assert refused.code == 3
    assert "which no card tells" in refused.sentence
    assert not (tmp_path / "out.work").exists()
