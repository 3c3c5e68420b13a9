"""Costs printed in the Med-DANet paper, and how each is counted here.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from voxtrace.method import Figure
from voxtrace.nn.baselines import TransBTS
from voxtrace.nn.flops import flops
from voxtrace.nn.model_bank import CANDIDATES, costs
from voxtrace.nn.shufflenet import ShuffleNet
from voxtrace.plan import Shape

CONVENTION = "fvcore-old"
CHANNELS = LABELS = 4
WINDOWS = 16  # of 128×128 on a slice of 240×240

# Side of the window -> GMAC of M_1 … M_4, as printed. The table is not known here; what the others show leaves Table 3.
CANDIDATES_GMAC = {128: (0.61, 1.07, 2.36, 4.98), 240: (2.13, 3.75, 8.88, 19.88)}
CANDIDATES_SOURCE = "table not known here, likely Table 3"
# The same with a digit more, not printed: totals over 66 cases of 155 slices (of 16 windows at 128²) ÷ their number.
# The cost term of the choice takes these, since differences of a thousandth decide there.
TOTALS_DIVIDED_GMAC = {128: (0.605, 1.067, 2.358, 4.979), 240: (2.126, 3.750, 8.882, 19.878)}

# Name, widths and GMAC over the windows of a slice, of two decision networks.
DECISION_NETWORKS = (
    ("the decision network", (12, 24, 48, 96, 256), 0.078),
    ("ShuffleNetV2 0.5× in its place", (24, 48, 96, 192, 1024), 0.247),
)
TRANSBTS_GMAC, TRANSBTS_VOLUME = 333.09, (128, 128, 128)


def figures() -> tuple[Figure, ...]:
    """Return costs: of the candidates in both settings, of two decision networks, and of the baseline in 3D."""
    return (*_candidates(), *_decision_networks(), _transbts())


def _candidates() -> Iterator[Figure]:
    for side, row in CANDIDATES_GMAC.items():
        for index, gmac in enumerate(row):
            what, count = f"cost of M{1 + index}, 4×{side}×{side}", partial(_candidate_gmac, index, side)
            yield Figure(what, gmac, "GMAC", 0.01, CANDIDATES_SOURCE, count, CONVENTION)


def _decision_networks() -> Iterator[Figure]:
    for name, widths, gmac in DECISION_NETWORKS:
        what, count = f"cost of {name}, {WINDOWS} windows 4×128×128", partial(_decision_gmac, widths)
        yield Figure(what, gmac, "GMAC", 0.0005, "Table 5", count, CONVENTION)


def _transbts() -> Figure:
    what, count = "cost of TransBTS, which works in 3D, 4×128×128×128", partial(_transbts_gmac, TRANSBTS_VOLUME)
    return Figure(what, TRANSBTS_GMAC, "GMAC", 0.005, "Table 1", count, CONVENTION)


def _candidate_gmac(index: int, side: int) -> float:
    return costs(CHANNELS, LABELS, (1, side, side), 1.0, CONVENTION)[index]


def _decision_gmac(widths: Sequence[int]) -> float:
    with torch.device("meta"):
        return WINDOWS * flops(ShuffleNet(CHANNELS, 1 + len(CANDIDATES), widths), (CHANNELS, 1, 128, 128), CONVENTION)


def _transbts_gmac(volume: Shape) -> float:
    with torch.device("meta"):
        return flops(TransBTS(CHANNELS, LABELS, volume), (CHANNELS, *volume), CONVENTION)
