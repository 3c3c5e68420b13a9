"""The networks that papers compare theirs with, counted as the papers count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from voxtrace.nn.baselines import NnUNetV1, TransBTS
from voxtrace.nn.flops import flops, parameters

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("network", "size", "million", "gflop"),
    [
        ({"n_channels": 1, "n_labels": 16}, 128, 31.205984, 1067.8890),
        ({"n_channels": 4, "n_labels": 4}, 128, 31.198976, 1076.6176),
        ({"n_channels": 1, "n_labels": 14, "first_kernel": (1, 3, 3)}, 96, 31.185376, 416.7309),
        ({"n_channels": 1, "n_labels": 16, "base": 27, "strides": ((2, 2, 2),) * 4}, 128, 12.961839, 755.7928),
    ],
    ids=["AMOS", "BraTS", "BTCV, first kernel 1×3×3", "base 27, four pools"],
)
def test_nnunet_has_the_size_and_cost_that_e2enets_paper_prints(
    network: dict[str, Any], size: int, million: float, gflop: float
) -> None:
    with torch.device("meta"):
        baseline = NnUNetV1(**network)
    assert parameters(baseline) == round(million * 1e6)
    assert flops(baseline, (network["n_channels"], size, size, size), "e2e") == pytest.approx(gflop, abs=1e-3)


def test_nnunet_gives_an_answer_on_every_map_of_its_decoder() -> None:
    with torch.device("meta"):
        logits = NnUNetV1(2, 3, base=4, strides=((1, 2, 2), (2, 2, 2)))(torch.empty(1, 2, 4, 8, 8))
    assert [tuple(head.shape) for head in logits] == [(1, 3, 4, 8, 8), (1, 3, 4, 4, 4)]


def test_transbts_has_the_size_of_its_authors_but_for_a_linear_layer_and_a_norm_that_nothing_reads() -> None:
    with torch.device("meta"):
        baseline = TransBTS(4, 4, (128, 128, 128))
    unused = (512 * 512 + 512) + 2 * 512
    assert parameters(baseline) == 32_987_588 - unused
    assert flops(baseline, (4, 128, 128, 128), "fvcore-old") == pytest.approx(333.09, abs=0.005)


def test_transbts_answers_for_every_voxel() -> None:
    with torch.device("meta"):
        logits = TransBTS(4, 3, (16, 16, 24), base=8, width=16, depth=1)(torch.empty(2, 4, 16, 16, 24))
    assert logits.shape == (2, 3, 16, 16, 24)
