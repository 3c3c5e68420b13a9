"""One definition of a mean: card, progress line and ``voxtrace evaluate`` agree on the same cases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cases import drain, small_plan
from voxtrace.batch.evaluation import Pair, score_pairs, summarise
from voxtrace.bundle import Bundle, card, load, readable_card, save
from voxtrace.io import write
from voxtrace.methods import method
from voxtrace.metrics import MEASURES
from voxtrace.training import validation
from voxtrace.training.validation import quick_dice, validate_cases
from voxtrace.volume import Array, Case, Geometry, LabelMap, Volume

SHAPE = (8, 12, 12)
GEOMETRY = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0))
NAMES = {0: "background", 1: "liver", 2: "lesion"}


def drawn(**blocks: int) -> Array:
    """Labels with a block of a size for ``liver``, and for ``lesion``; 0 for none."""
    data = np.zeros(SHAPE, np.uint8)
    for value, (name, corner) in enumerate((("liver", 0), ("lesion", 6)), start=1):
        size = blocks.get(name, 0)
        data[corner // 2 : corner // 2 + size, corner : corner + size, corner : corner + size] = value
    return data


# name -> reference, prediction; a lesion is in both, missed, invented, and rightly not found
DRAWN = {
    "both": (drawn(liver=5, lesion=4), drawn(liver=4, lesion=3)),
    "missed": (drawn(liver=5, lesion=4), drawn(liver=5)),
    "invented": (drawn(liver=5), drawn(liver=3, lesion=2)),
    "none": (drawn(liver=5), drawn(liver=5)),
    "empty": (drawn(), drawn()),
}
CASES = [
    Case(n, Volume(np.zeros((1, *SHAPE), np.float32), GEOMETRY, name=n), LabelMap(t, GEOMETRY))
    for n, (t, _) in DRAWN.items()
]


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose answer is drawn: two steps, the first of them empty."""

    def predict(_bundle: Bundle, volume: Volume, **_: Any) -> Any:
        answer = DRAWN[volume.name][1]
        trace = SimpleNamespace(labels=np.stack([np.zeros_like(answer), answer]), facts={}, units={})
        return SimpleNamespace(trace=trace, seconds=0.5, facts={"device": "cpu"})

    monkeypatch.setattr(validation, "predict", predict)
    monkeypatch.setattr(validation, "packed", lambda _trace: None)
    monkeypatch.setattr(validation, "case_features", lambda _trace: {})
    plan, unet = small_plan(labels=NAMES, n_labels=3), method("unet")
    return Bundle(unet, plan, unet.build(plan), {"name": "drawn"})


def evaluated(folder: Path, names: list[str]) -> dict[str, Any]:
    pairs = []
    for name in names:
        for kind, data in zip(("true", "made"), DRAWN[name], strict=True):
            write(LabelMap(data, GEOMETRY), folder / kind / f"{name}.nii.gz")
        pairs.append(Pair(name, folder / "made" / f"{name}.nii.gz", folder / "true" / f"{name}.nii.gz"))
    return summarise(list(score_pairs(pairs)), NAMES)


def same(stored: Mapping[str, Any], record: Mapping[str, Any], measure: str) -> None:
    assert stored["n"] == record[f"{measure}_n"]
    assert stored["mean"] == pytest.approx(record[measure], abs=6e-5)
    assert stored["ci95"] == pytest.approx(record[f"{measure}_ci95"], abs=6e-5)


def test_card_progress_line_and_evaluate_agree(bundle: Bundle, tmp_path: Path) -> None:
    stored = drain(validate_cases(bundle, CASES, "cpu", lambda: False)).to_json()
    document = evaluated(tmp_path, list(DRAWN))
    for measure in MEASURES:
        same(stored["measures"][measure], document["mean"], measure)
        for value, name in ((1, "liver"), (2, "lesion")):
            same(stored["measures_per_label"][name][measure], document["labels"][str(value)], measure)
    same(stored["dice"], document["mean"], "dice")
    same(stored["dice_per_label"]["lesion"], document["labels"]["2"], "dice")
    quick = quick_dice(bundle, CASES, "cpu")
    assert quick.dice == pytest.approx(document["mean"]["dice"])
    assert quick.per_label["lesion"] == pytest.approx(document["labels"]["2"]["dice"])
    assert stored["dice_per_step"] == [0.0, stored["dice"]["mean"]]


def test_each_measure_says_of_how_many_cases_it_is(bundle: Bundle) -> None:
    lesion = drain(validate_cases(bundle, CASES, "cpu", lambda: False)).to_json()["measures_per_label"]["lesion"]
    assert lesion["dice"]["n"] == lesion["volume_error_ml"]["n"] == 3  # both, missed, invented
    assert lesion["hd95_mm"]["n"] == 1  # a distance needs both
    voxel_ml = 0.002
    assert lesion["volume_bias_ml"]["mean"] == pytest.approx((27 - 64 - 64 + 8) / 3 * voxel_ml, abs=1e-4)
    assert lesion["volume_error_ml"]["mean"] == pytest.approx((64 - 27 + 64 + 8) / 3 * voxel_ml, abs=1e-4)


def test_a_label_that_no_case_has_is_null_and_the_card_is_written(bundle: Bundle, tmp_path: Path) -> None:
    found = drain(validate_cases(bundle, CASES[3:], "cpu", lambda: False))
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["measures_per_label"]["lesion"]["dice"] == {"mean": None, "ci95": None, "n": 0}
    whole = replace(bundle, card={**bundle.card, "metrics": {"validation": stored}})
    assert "| lesion | – |" in readable_card(whole)
    assert "| liver | 1.000 [1.000, 1.000], n 1 |" in readable_card(whole)
    save(whole, tmp_path / "bundle")
    assert card(tmp_path / "bundle")["metrics"]["validation"] == load(tmp_path / "bundle").card["metrics"]["validation"]


def test_cases_without_any_label_have_no_dice(bundle: Bundle) -> None:
    found = drain(validate_cases(bundle, CASES[4:], "cpu", lambda: False))
    assert np.isnan(found.mean_dice())
    assert found.to_json()["dice"] == {"mean": None, "ci95": None, "n": 0}
    assert quick_dice(bundle, CASES[4:], "cpu").dice is None


def test_only_dice_measures_no_surface(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("surfaces were measured")

    monkeypatch.setattr(validation, "evaluate_label", refused)
    found = drain(validate_cases(bundle, CASES, "cpu", lambda: False, "before", only_dice=True))
    quick_dice(bundle, CASES, "cpu")
    assert found.mean_dice() > 0
    with pytest.raises(AssertionError, match="surfaces"):
        drain(validate_cases(bundle, CASES, "cpu", lambda: False))


def test_the_card_tells_what_other_rules_would_have_made_of_a_case(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A liver of 250 mm³ and a stray voxel of 2 mm³: up to 100 mm³ rules take the voxel, beyond all of it."""
    stray = drawn(liver=5)
    stray[-1, -1, -1] = 1
    monkeypatch.setitem(DRAWN, "stray", (drawn(liver=5), stray))
    monkeypatch.setitem(DRAWN, "wrong", (drawn(), drawn(liver=2)))
    cases = [
        Case(n, Volume(np.zeros((1, *SHAPE), np.float32), GEOMETRY, name=n), LabelMap(DRAWN[n][0], GEOMETRY))
        for n in ("stray", "none", "wrong")
    ]
    stored = drain(validate_cases(bundle, cases, "cpu", lambda: False)).to_json()
    rows, told = stored["per_case"], stored["by_rule"]
    kept, cleaned, gone = told[0]["liver"]
    assert [one["rules"] for one in (kept, cleaned, gone)] == [
        ["none"],
        ["largest", "10", "30", "100"],
        ["300", "1000"],
    ]
    assert (cleaned["dice"], cleaned["predicted_ml"], cleaned["measures"]["nsd"]) == (1.0, 0.25, 1.0)
    assert (kept["predicted_ml"], gone["predicted_ml"], gone["dice"]) == (0.252, 0.0, 0.0)
    assert (kept["dice"], kept["measures"]) == (rows[0]["dice"]["liver"], rows[0]["measures"]["liver"])
    assert [one["rules"] for one in told[1]["liver"]] == [["none"], ["300", "1000"]]
    assert list(told[1]) == ["liver"]  # of no lesion is anything removed
    assert told[2]["liver"][1] == {
        "rules": ["30", "100", "300", "1000"],
        "dice": None,
        "predicted_ml": 0.0,
        "measures": {},
    }
    json.dumps(told, allow_nan=False)
