"""Windows that have settled compute no further steps; several bundles are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fakes import Nearest, Score, ball, bundle
from voxtrace.errors import EngineError, UsageError
from voxtrace.inference import predict
from voxtrace.method import Parts, Step
from voxtrace.plan import Normalisation
from voxtrace.volume import Geometry, Volume

pytestmark = pytest.mark.numeric


EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


@dataclass(frozen=True)
class Creeping(Nearest):
    """Label 1 where x < the step; so each step changes one column, and only of windows that read 1 somewhere."""

    key = "creeping"

    def infer(self, parts: Parts, images: torch.Tensor, rng: Any) -> Iterator[Step]:
        for step in range(self.n_steps):
            moves = images.flatten(1).amax(1).view(-1, 1, 1, 1, 1)
            column = torch.arange(images.shape[-1]).view(1, 1, 1, 1, -1)
            seen = parts["score"](((column < step + 1) & (moves > 0)).float().expand_as(images))
            yield Step(seen, {"mean_intensity": torch.full((len(images),), float(step))})


def two_windows() -> Volume:
    """The first window reads 0 everywhere, the second 1 everywhere."""
    data = np.zeros((1, 8, 16, 32), np.float32)
    data[..., 16:] = 1.0
    return Volume(data, Geometry.from_spacing((8, 16, 32), (1.0, 1.0, 1.0)))


def test_a_settled_window_computes_no_more_and_keeps_its_answer() -> None:
    calls: list[int] = []

    class Counting(Score):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            calls.append(len(images))
            return super().forward(images)

    network = nn.Module()
    network.score = Counting(2)
    made = bundle(Creeping(n_steps=5), network=network, window=(8, 16, 16))
    trace = predict(made, two_windows(), keep="labels", settle=0.0, overlap=0.0, batch=1, **EXACT).trace
    # the first window changes nothing in step 2 and stops; the second one changes a column of 16 in every step
    assert trace.facts["computed"].tolist() == [[1, 1], [1, 1], [0, 1], [0, 1], [0, 1]]
    assert trace.facts["changed_fraction"][:, 1].tolist() == [1 / 16] * 5
    assert np.isnan(trace.facts["mean_intensity"][2:, 0]).all()
    assert len(calls) == 2 + 5
    assert [int(step.sum()) for step in trace.labels] == [8 * 16 * n for n in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("settle", [0.0, 1 / 16, None])
def test_settling_does_not_depend_on_the_batch(settle: float | None, batch: int) -> None:
    made = bundle(Creeping(n_steps=4), window=(8, 16, 16))
    result = predict(made, two_windows(), keep="labels", settle=settle, overlap=0.0, batch=batch, **EXACT)
    columns = {0.0: (1, 2, 3, 4), 1 / 16: (1, 2, 2, 2), None: (1, 2, 3, 4)}[settle]
    assert [int(step.sum()) for step in result.trace.labels] == [8 * 16 * n for n in columns]
    taken = {0.0: [2, 4], 1 / 16: [2, 2]}.get(settle or 0.0)
    if settle is None:
        assert "computed" not in result.trace.facts
    else:
        assert result.trace.facts["computed"].sum(0).tolist() == taken


def test_a_share_outside_its_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"settle is 1\.5"):
        predict(bundle(), ball((8, 16, 16)), settle=1.5)


def test_logits_that_are_not_numbers_are_refused() -> None:
    class Broken(Score):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * torch.nan

    network = nn.Module()
    network.score = Broken(2)
    with pytest.raises(EngineError, match="step 1 of nearest gave logits that are not numbers"):
        predict(bundle(network=network, window=(8, 16, 16)), ball((8, 16, 16)), **EXACT)


# --- several bundles ------------------------------------------------------------------------------------------------


class Fixed(Score):
    """Logits of label 1 are ``value`` everywhere, those of label 0 are 0."""

    def __init__(self, value: float) -> None:
        super().__init__(2)
        self.value = value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(images), torch.full_like(images, self.value)], 1)


def fixed(value: float, **options: Any) -> Any:
    network = nn.Module()
    network.score = Fixed(value)
    return bundle(network=network, window=(8, 16, 16), **options)


def test_probabilities_of_several_bundles_are_averaged() -> None:
    volume = ball((8, 16, 16))
    # p(1) = 0.88, 0.27, 0.27 on average 0.47; the logits would be even
    result = predict([fixed(2.0), fixed(-1.0), fixed(-1.0)], volume, **EXACT)
    assert not result.labels.data.any()
    assert result.facts["members"] == 3
    assert predict([fixed(2.0), fixed(-1.0)], volume, **EXACT).labels.data.all()


def test_each_bundle_sees_its_own_normalisation() -> None:
    volume = ball((8, 16, 16), radius_mm=5)
    one_higher = Normalisation(scheme="ct", lower=0.0, upper=1.0, mean=-1.0, std=1.0)
    plain, higher = bundle(window=(8, 16, 16)), bundle(window=(8, 16, 16), normalisation=(one_higher,))
    assert np.array_equal(predict([plain, plain, plain], volume, **EXACT).labels.data, volume.data[0])
    # where the others read 0 and 1, this one reads 1 and 2, both nearer to label 1; two of three decide
    assert predict([plain, higher, higher], volume, **EXACT).labels.data.all()


def test_bundles_that_cannot_be_averaged_are_refused() -> None:
    volume = ball((8, 16, 16))
    with pytest.raises(UsageError, match=r"has window \(8, 16, 16\) and fake \(8, 16, 32\)"):
        predict([bundle(window=(8, 16, 16)), bundle(window=(8, 16, 32))], volume)
    with pytest.raises(UsageError, match="only bundles of one method"):
        predict([bundle(), bundle(Nearest(n_steps=2))], volume)
    with pytest.raises(UsageError, match="no bundle was given"):
        predict([], volume)


@pytest.mark.parametrize("swapped", [False, True])
def test_bundles_that_would_be_mirrored_otherwise_are_refused_in_either_order(swapped: bool) -> None:
    """A network that never saw mirror images answers them wrongly."""
    volume, on = ball((8, 16, 16)), {"name": "on", "mirror": True}
    taught, never = replace(bundle(mirror_axes=(0, 2)), card=on), bundle(mirror_axes=())
    other = replace(bundle(mirror_axes=(0,)), card=on)
    for options, pair in (({}, (taught, never)), ({"mirror": True}, (taught, never)), ({}, (taught, other))):
        with pytest.raises(UsageError, match=r"trained with mirror axes .* add --no-mirror"):
            predict(pair[::-1] if swapped else pair, volume, **options)
    pair = (taught, bundle(mirror_axes=(0, 2)))
    with pytest.raises(UsageError, match="on mirrors windows and fake does not; add --no-mirror or --mirror"):
        predict(pair[::-1] if swapped else pair, volume)
    assert predict((taught, never), volume, mirror=False, **EXACT).facts["mirror"] is False
    assert predict((bundle(mirror_axes=(0,)), never), volume, **EXACT).facts["mirror"] is False
    assert predict(pair, volume, mirror=True, **EXACT).facts["mirror"] is True


@pytest.mark.parametrize("swapped", [False, True])
def test_bundles_whose_windows_overlap_otherwise_are_refused_in_either_order(swapped: bool) -> None:
    volume, pair = ball((8, 16, 16)), (bundle(overlap=0.0), bundle(overlap=0.5))
    pair = pair[::-1] if swapped else pair
    with pytest.raises(UsageError, match=r"overlap by 0\.. and those of fake by 0\..; say with --overlap"):
        predict(pair, volume)
    assert predict(pair, volume, overlap=0.25, **EXACT).facts["overlap"] == 0.25
    assert len(predict(pair, volume, members=True, **EXACT).trace.members) == 2
