"""A bundle's temperature changes entropy and never the labels; a probe sees the probabilities of the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import fakes
from voxtrace.bundle import verdict
from voxtrace.errors import UsageError
from voxtrace.fit import case_features
from voxtrace.inference import predict
from voxtrace.inference.progress import Result
from voxtrace.plan import View
from voxtrace.volume import Array, Geometry, Volume

SHAPE = (6, 20, 20)


def scan(seed: int = 0) -> Volume:
    """Noise around the border between two labels, so that nothing is certain."""
    data = np.random.default_rng(seed).normal(0.5, 0.2, SHAPE).astype(np.float32)
    return Volume(data[None], Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)), name="noise")


def bundle(temperature: float | None = None, steps: int = 2, **plan: Any) -> Any:
    made = fakes.bundle(fakes.Nearest(n_steps=steps, drift=0.05), labels=3, **plan)
    card = {} if temperature is None else {"calibration": {"temperature": temperature}}
    return replace(made, card={**made.card, **card})


def ran(made: Any, **options: Any) -> Result:
    return predict(made, scan(), keep="labels", device="cpu", precision="float32", **options)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 9.0])
def test_labels_do_not_depend_on_the_temperature(temperature: float) -> None:
    plain, calibrated = ran(bundle()), ran(bundle(temperature))
    assert np.array_equal(np.asarray(plain.trace.labels[:]), np.asarray(calibrated.trace.labels[:]))
    assert np.array_equal(plain.labels.data, calibrated.labels.data)


def test_entropy_is_that_of_logits_over_temperature() -> None:
    """One window over the whole scan, so that its entropy can be worked out again from the logits."""
    window = {"window": (6, 20, 20)}
    found = ran(bundle(2.0, steps=1, **window))
    distance = np.abs(scan().data[0][..., None] - np.arange(3))
    expected = []
    for temperature in (2.0, 1.0):
        p = torch.softmax(torch.from_numpy(fakes.GAIN * (1.0 - distance) / temperature).double(), -1).numpy()
        expected.append(-(p * np.log(np.maximum(p, 1e-30))).sum(-1).mean())
    assert float(found.trace.facts["entropy"][0, 0]) == pytest.approx(expected[0], rel=1e-3)
    assert float(found.trace.facts["raw_entropy"][0, 0]) == pytest.approx(expected[1], rel=1e-3)
    assert found.trace.units["raw_entropy"] == "nat"


def test_the_trace_records_it_and_it_can_be_turned_off() -> None:
    plain, calibrated, off = ran(bundle()), ran(bundle(2.0)), ran(bundle(2.0), calibrate=False)
    assert calibrated.trace.provenance.temperatures == (2.0,)
    assert calibrated.facts["temperatures"] == [2.0]
    assert off.trace.provenance.temperatures == ()
    assert plain.trace.provenance.temperatures == (1.0,)
    for found in (plain, off):
        assert "raw_entropy" not in found.trace.facts
        assert np.array_equal(found.trace.facts["entropy"], calibrated.trace.facts["raw_entropy"])


def test_what_is_usual_is_compared_without_temperature() -> None:
    """Validation cases were measured before the temperature was known."""
    assert case_features(ran(bundle(3.0)).trace) == pytest.approx(case_features(ran(bundle()).trace))


def test_several_bundles_have_a_temperature_each() -> None:
    first, second = bundle(2.0), bundle()
    both = ran([first, second])
    assert both.trace.provenance.temperatures == (2.0, 1.0)
    mean = (ran(first).trace.facts["entropy"] + ran(second).trace.facts["entropy"]) / 2
    assert both.trace.facts["entropy"] == pytest.approx(mean, rel=1e-5)


def test_a_vote_records_the_temperature_of_every_bundle_and_the_worst_fit() -> None:
    plain = bundle()
    strange = replace(bundle(2.0), plan=plain.plan.model_copy(update={"modality": "CT"}))
    vote = ran([plain, strange], members=True)
    assert vote.trace.provenance.temperatures == (1.0, 2.0)
    assert vote.facts["temperatures"] == [1.0, 2.0]
    assert vote.trace.provenance.fit == verdict([plain, strange], scan()).sentence != verdict([plain], scan()).sentence
    off = ran([plain, strange], members=True, calibrate=False)
    assert off.trace.provenance.temperatures == ()
    assert off.facts["temperatures"] == [1.0, 1.0]


def test_windows_that_settle_keep_both_entropies() -> None:
    facts = ran(bundle(2.0, steps=4), settle=0.99).trace.facts
    assert np.isfinite(facts["entropy"]).all()
    assert np.isfinite(facts["raw_entropy"]).all()


def probed(made: Any, **options: Any) -> tuple[Array, Result]:
    planes: dict[int, Array] = {}

    def probe(z: int, probabilities: Array) -> None:
        planes[z] = probabilities.copy()

    result = ran(made, probe=probe, **options)
    assert list(planes) == list(range(SHAPE[0]))
    return np.stack([planes[z] for z in range(SHAPE[0])], axis=1), result


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"spacing_mm": (1.5, 1.3, 0.8)},
        {"view": View(axes=(2, 0, 1), crop=False)},
        {"view": View(crop=False, average="logits"), "spacing_mm": (1.5, 1.3, 0.8)},
    ],
)
def test_a_probe_sees_the_probabilities_whose_greatest_is_the_label(plan: dict[str, Any]) -> None:
    probabilities, result = probed(bundle(**plan))
    assert probabilities.shape == (3, *SHAPE)
    assert probabilities.sum(0) == pytest.approx(1.0, abs=1e-3)
    labels = result.labels.data
    chosen = np.take_along_axis(probabilities, labels[None].astype(int), 0)[0]
    assert (chosen >= probabilities.max(0) - 1e-4).all()
    assert np.array_equal(labels, ran(bundle(**plan)).labels.data)  # nobody is changed by being watched


def test_probabilities_are_those_of_the_last_step() -> None:
    assert probed(bundle())[0] == pytest.approx(probed(bundle(steps=1))[0], abs=1e-5)  # neither has drift


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_probabilities_follow_the_temperature_and_keep_their_order(average: str) -> None:
    view = View(crop=False, average=average)  # type: ignore[arg-type]
    plain, calibrated = (probed(bundle(t, view=view))[0] for t in (None, 2.0))
    root = np.sqrt(np.maximum(plain, 1e-7))
    assert calibrated == pytest.approx(root / root.sum(0), abs=2e-3)
    assert np.array_equal(plain.argmax(0), calibrated.argmax(0))
    assert np.array_equal(probed(bundle(2.0, view=view), calibrate=False)[0], plain)


def test_answers_that_vote_have_no_probabilities() -> None:
    with pytest.raises(UsageError, match="vote"):
        predict([bundle(), bundle()], scan(), members=True, probe=lambda z, p: None)
