"""The options of a prediction: one value, from Python, the command line and the ledger."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from fakes import ball, bundle
from voxtrace.batch import Entry
from voxtrace.errors import MethodError, UsageError
from voxtrace.inference import PredictOptions, predict, segment
from voxtrace.inference.options import KEEP_EVERY_STEP
from voxtrace.runtime import RUNTIMES
from voxtrace.runtime.torch import PRECISIONS

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


def test_they_are_frozen_and_listed_in_order() -> None:
    with pytest.raises(FrozenInstanceError):
        PredictOptions().steps = 3  # type: ignore[misc]
    assert [info.name for info in PredictOptions.options()] == [field.name for field in fields(PredictOptions)]


def test_every_option_has_a_sentence_and_every_unset_one_a_word() -> None:
    for info in PredictOptions.options():
        assert info.help.endswith("."), info.name
        assert bool(info.unset) == info.optional, info.name
        assert f"{info.name} : " in str(PredictOptions.__doc__)


def test_runtimes_and_precisions_are_those_there_are() -> None:
    choices = {info.name: info.choices for info in PredictOptions.options()}
    assert choices["runtime"] == ("auto", *RUNTIMES)
    assert set(choices["precision"]) == {"auto", *PRECISIONS}


def test_a_value_names_and_both_predict_alike() -> None:
    model, volume = bundle(window=(8, 16, 16)), ball((8, 16, 24))
    value = PredictOptions(overlap=0.25, keep="labels", **EXACT)
    results = [
        predict(model, volume, value),
        predict(model, volume, options=value),
        predict(model, volume, overlap=0.25, keep="labels", **EXACT),
        predict(model, volume, PredictOptions(**EXACT), overlap=0.25, keep="labels"),
    ]
    for result in results:
        assert result.facts["overlap"] == 0.25
        assert np.array_equal(result.labels.data, results[0].labels.data)


def test_a_mapping_holds_options_of_the_method() -> None:
    assert PredictOptions.of({"sampler": "ddim"}, seed=2) == PredictOptions(seed=2, method_options={"sampler": "ddim"})
    with pytest.raises(MethodError, match="has no option 'colour'"):
        predict(bundle(window=(8, 16, 16)), ball((8, 16, 16)), options={"colour": "red"})


def test_a_name_that_is_no_option_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match=r"no option 'overlapp'; it has steps, keep"):
        next(segment(bundle(), ball((8, 16, 16)), overlapp=0.5))


def test_the_ledger_keeps_the_names_of_earlier_versions() -> None:
    recorded = KEEP_EVERY_STEP.to_json()
    assert list(recorded) == [
        *("steps", "keep", "runtime", "device", "precision", "mirror"),
        *(
            "overlap",
            "batch",
            "settle",
            "region",
            "post_processing",
            "calibrate",
            "seed",
            "seeds",
            "members",
            "options",
        ),
    ]
    earlier = {"steps": None, "keep": "labels", "runtime": "auto", "device": "auto", "precision": "auto"}
    earlier |= {"mirror": None, "overlap": None, "batch": None, "settle": None, "region": "body", "seed": 0}
    earlier |= {"post_processing": "auto", "calibrate": True}
    assert recorded == {**earlier, "seeds": 1, "members": False, "options": {}}


def test_an_option_that_a_ledger_lacks_counts_as_its_default() -> None:
    now = Entry("a", "done", bundle_digest="1", options={**KEEP_EVERY_STEP.to_json(), "suffix": ".nii.gz"})
    lacking = {name: value for name, value in now.options.items() if name not in ("region", "settle")}
    assert now.same_settings(Entry("a", "done", bundle_digest="1", options=lacking))
    settled = Entry("a", "done", bundle_digest="1", options={**now.options, "settle": 0.1})
    assert not settled.same_settings(Entry("a", "done", bundle_digest="1", options=lacking))


def test_the_options_alone_load_no_torch() -> None:
    code = "import sys, voxtrace.inference.options, voxtrace.inference; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
