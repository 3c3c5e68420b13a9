"""The bundles trained on phantoms: small enough, as good as their cards say, and able to step through what they do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxtrace import bundle
from voxtrace.inference import predict
from voxtrace.metrics import dice
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.volume import Case

UNSEEN = 3000  # neither trained on (0 …) nor validated on (1000 …)
NAMES = sorted(name for name in bundle.shipped() if "-phantom-" in name)
MOST_BYTES = 4_000_000
ALL_TOGETHER_BYTES = 30_000_000


def phantom(name: str) -> Case:
    return brain_tumour_mr(UNSEEN) if name.startswith("tumour") else abdomen_ct(UNSEEN)


def size(name: str) -> int:
    return sum(file.stat().st_size for file in bundle.shipped()[name].iterdir())


def test_every_published_method_has_a_bundle_for_a_phantom() -> None:
    methods = {json.loads((bundle.shipped()[name] / "bundle.json").read_text())["method"]["name"] for name in NAMES}
    assert methods == {"recyclenet", "meddanet", "cdlunet", "diffusion", "e2enet"}


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_at_least_0_85_on_ten_unseen_phantoms(name: str) -> None:
    validation = bundle.card(name)["metrics"]["validation"]
    assert validation["cases"] == 10
    assert validation["dice"]["mean"] >= 0.85
    assert size(name) < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_the_organs_of_another_unseen_phantom(name: str) -> None:
    model, case = bundle.load(name), phantom(name)
    result = predict(model, case.volume, keep="labels", precision="float32")
    scores = [dice(result.labels, case.labels, label) for label in case.labels.names]
    assert np.mean(scores) > 0.8
    assert result.trace.labels.shape[0] == model.method.steps
    assert set(result.trace.facts) >= set(model.method.facts)


def test_all_shipped_bundles_together_stay_small() -> None:
    assert sum(map(size, bundle.shipped())) < ALL_TOGETHER_BYTES
