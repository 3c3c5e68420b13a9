"""The size of a trace is known before it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fakes
from made_methods import MadeRouting
from voxtrace.bundle import Bundle
from voxtrace.inference import PredictOptions, predict, trace_bytes

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}
BALL = fakes.ball((10, 18, 18))


@pytest.mark.parametrize(
    ("bundle", "options"),
    [
        (fakes.bundle(), PredictOptions(**EXACT)),
        (fakes.bundle(MadeRouting(n_steps=3)), PredictOptions(keep="labels", **EXACT)),
        (fakes.bundle(MadeRouting(n_steps=3)), PredictOptions(keep="all", steps=2, **EXACT)),
        (fakes.bundle(fakes.Noisy(n_steps=2)), PredictOptions(keep="labels", seeds=3, **EXACT)),
    ],
)
def test_it_is_that_of_the_arrays(bundle: Bundle, options: PredictOptions) -> None:
    trace = predict(bundle, BALL, options).trace
    held = [trace.labels, *trace.extras.values(), *trace.maps.values(), *trace.members.values()]
    held += [] if trace.second is None else [trace.second]
    expected = sum(np.asarray(values).nbytes for values in held)
    if options.seeds > 1:  # the traces of the members
        one = np.asarray(trace.labels)
        expected += options.seeds * (one.nbytes + one[-1].nbytes)  # each with its second choice
    assert trace_bytes(bundle.method, bundle.plan, options, BALL.data[0].size) == expected
