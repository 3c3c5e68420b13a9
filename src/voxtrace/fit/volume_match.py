"""Calibration in the large: an offset per label with which the total volume of held-back cases is the true one.

The offset b_k is added to the logits of label k, so that it wins more voxels (b_k > 0) or fewer; that of the background
is 0. A voxel of label i with the runner-up j, log p_i − log p_j = m apart, becomes j where b_j − b_i > m. The volumes
by winner, runner-up and margin therefore tell what an offset moves, to first order: a third label is left out, and
windows and mirror images whose probabilities are averaged need not agree. Whoever uses it predicts again with the
offsets and corrects what is left.

References
----------
Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 17:230, 2019 (calibration in
the large).
Bertels et al., "Optimization with soft Dice can lead to a volumetric bias", MICCAI BrainLes 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtrace.fit.calibration import LEAST
from voxtrace.volume import Array

MATCHED = "volumes_matched"  # in a card's provenance
FEWEST_SUBJECTS = 10  # held back, and of these with the label
REACH = 3.0  # nat; no offset goes further
_BINS, _SWEEPS, _HALVINGS, _RESAMPLES, _SPLITS = 600, 20, 30, 2000, 1000

Double = npt.NDArray[np.float64]


@dataclass(eq=False)
class MarginVolumes:
    """Volume in mL by winner, runner-up and the margin between them, taken while planes of probabilities pass by.

    Attributes
    ----------
    voxel_ml
        Of the case.
    known
        (Z, Y, X) bool, voxels that were annotated; None for all.
    ml
        (winner, runner-up) -> mL in each of 600 bins of the margin, from 0 to 3 nat.
    """

    voxel_ml: float = 1.0
    known: Array | None = None
    ml: dict[tuple[int, int], Double] = field(default_factory=dict)

    def __call__(self, z: int, probabilities: Array) -> None:
        """Take a plane: its number, and probabilities (K, Y, X), NaN where the network did not look."""
        taken = np.isfinite(probabilities).all(0)
        if self.known is not None:
            taken &= self.known[z]
        values = probabilities[:, taken]  # (K, n)
        runner, winner = np.argsort(values, axis=0, kind="stable")[-2:]
        logs = np.log(np.maximum(np.take_along_axis(values, np.stack([winner, runner]), 0), LEAST))
        bins = ((logs[0] - logs[1]) * (_BINS / REACH)).astype(np.int64)
        near = bins < _BINS
        pair = winner[near] * len(values) + runner[near]
        for code in np.unique(pair):
            counts = np.bincount(bins[near][pair == code], minlength=_BINS)
            self._add(divmod(int(code), len(values)), np.asarray(counts * self.voxel_ml, np.float64))

    def _add(self, pair: tuple[int, int], ml: Double) -> None:
        self.ml[pair] = self.ml.get(pair, 0.0) + ml

    @classmethod
    def summed(cls, cases: Iterable[MarginVolumes]) -> MarginVolumes:
        """Return the volumes of several cases together."""
        whole = cls()
        for case in cases:
            for pair, ml in case.ml.items():
                whole._add(pair, ml)
        return whole


class _Moves:
    """What changed offsets move, from the volumes by margin."""

    def __init__(self, margins: MarginVolumes) -> None:
        edges = np.linspace(0.0, REACH, _BINS + 1)
        self._edges = edges
        self._below = {pair: np.concatenate([[0.0], np.cumsum(ml)]) for pair, ml in margins.ml.items()}

    def gained_ml(self, label: int, offsets: Double) -> float:
        """Return how many mL a label gains; rises with its own offset."""
        gained = 0.0
        for (winner, runner), below in self._below.items():
            if label in (winner, runner):
                moved = float(np.interp(offsets[runner] - offsets[winner], self._edges, below))
                gained += moved if label == runner else -moved
        return gained


def offset_changes(margins: MarginVolumes, missing_ml: Mapping[int, float], n_labels: int) -> Double:
    """Return the changes of offsets (K,) by which each label gains its ``missing_ml``; 0 for labels not named.

    One label after another is solved by bisection, in turns: the smallest change, up or down, that does it. One beyond
    ±3 nat ends there.
    """
    moves, changes = _Moves(margins), np.zeros(n_labels)
    for _ in range(_SWEEPS):
        for label, ml in missing_ml.items():
            changes[label] = 0.0
            sign = np.sign(ml - moves.gained_ml(label, changes))
            low, high = 0.0, REACH
            for _ in range(_HALVINGS if sign else 0):
                changes[label] = sign * (low + high) / 2
                short = sign * (ml - moves.gained_ml(label, changes)) > 0
                low, high = ((low + high) / 2, high) if short else (low, (low + high) / 2)
    return changes


def total_bias(predicted_ml: Sequence[float], reference_ml: Sequence[float], seed: int) -> dict[str, Any]:
    """Return Σ predicted / Σ reference − 1 over cases, with its 95 % percentile-bootstrap interval.

    Examples
    --------
    >>> total_bias([1.1, 2.2], [1.0, 2.0], seed=0)
    {'mean': 0.1, 'ci95': [0.1, 0.1]}
    """
    pairs = np.stack([np.asarray(predicted_ml, float), np.asarray(reference_ml, float)], axis=1)  # (n, 2)
    drawn = pairs[np.random.default_rng(seed).integers(0, len(pairs), (_RESAMPLES, len(pairs)))].sum(1)
    resampled = [p / r - 1.0 for p, r in drawn if r > 0]
    predicted, reference = pairs.sum(0)
    ends = np.percentile(resampled, [2.5, 97.5])
    return {"mean": round(float(predicted / reference - 1.0), 5), "ci95": [round(float(end), 5) for end in ends]}


def bias_of_halves(predicted_ml: Sequence[float], reference_ml: Sequence[float], seed: int) -> float:
    """Return how far from 0 the bias of half of the cases is with the offsets of the other half, to first order.

    The mean over 1000 random halves, since two may lie close by chance. To first order an offset multiplies all volumes
    of a label, so that nothing is predicted: p(one half) / p(other half) − 1, p the ratio of predicted to true total.

    Examples
    --------
    >>> round(bias_of_halves([1.1, 0.9], [1.0, 1.0], seed=0), 1)  # 1.1 / 0.9 − 1 or 1 − 0.9 / 1.1
    0.2
    """
    pairs = np.stack([np.asarray(predicted_ml, float), np.asarray(reference_ml, float)], axis=1)  # (n, 2)
    rng, half, found = np.random.default_rng(seed), len(pairs) // 2, []
    for _ in range(_SPLITS):
        drawn = pairs[rng.permutation(len(pairs))]
        (p, r), (q, s) = drawn[:half].sum(0), drawn[half:].sum(0)
        if q * r * s > 0:
            found.append(abs(p * s / (q * r) - 1.0))
    return round(float(np.mean(found)), 5) if found else 0.0


def is_matched(record: Mapping[str, Any]) -> bool:
    """Return whether a bundle's volumes were matched to those of its held-back cases."""
    return bool(_told(record))


def without_bias(intervals: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return ``intervals`` without the bias, which is none to tell of the cases that volumes were matched on."""
    if intervals is None:
        return None
    parts = {part: intervals[part] for part in ("labels", "regions") if part in intervals}
    return {**intervals, **{part: dict(_unbiased(entries)) for part, entries in parts.items()}}


def _unbiased(entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, entry in entries.items():
        yield name, {key: value for key, value in entry.items() if key != "bias"}


def match_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what card.md says of matched volumes; nothing where they were not."""
    told = _told(record)
    if not told:
        return
    yield from ("## Matched volumes", "")
    yield "An offset was added to the last layer's bias of each label, with which its total volume over the"
    yield f"{told['cases']} held-back cases is that of their references. The volume bias on these cases is thus no"
    yield "finding, and is left out of this card. Bias here is Σ predicted / Σ true − 1, with its 95 % bootstrap"
    yield f"interval over subjects: before; on each half (drawn with seed {told['seed']}) with offsets from the other;"
    yield "its mean distance from 0 over 1000 random halves, to first order; and, last, between what it may lie on"
    yield "other cases like these with the offsets of all."
    yield ""
    yield "| label | offset, nat | before | one half | other half | random halves | other cases |"
    yield f"|{'---|' * 7}"
    for name, row in told["labels"].items():
        cells = " | ".join(map(_percent, (row["before"], *row["halves"])))
        low, high = row["other_cases"]
        usual = f"{100 * row['random_halves']:.1f} %"
        yield f"| {name} | {row['offset']:+.4f} | {cells} | {usual} | {100 * low:+.1f} to {100 * high:+.1f} % |"
    dice = told["dice"]
    yield ""
    yield f"Mean Dice {dice['before']:.4f} before, {dice['after']:.4f} with the offsets of the other half: difference"
    yield f"{dice['difference']:+.4f} [{dice['ci95'][0]:+.4f}, {dice['ci95'][1]:+.4f}]."
    yield ""


def matched_words(told: Mapping[str, Any]) -> str:
    """Return in a sentence what matching did, for the log."""
    dice = told["dice"]
    labels = "; ".join(map(_in_words, told["labels"].items()))
    return (
        f"volumes matched on {told['cases']} held-back cases: {labels}; Dice "
        f"{dice['before']:.4f} before, {dice['after']:.4f} with the offsets of the other half"
    )


def _in_words(entry: tuple[str, Mapping[str, Any]]) -> str:
    name, row = entry
    halves = " and ".join(f"{100 * half['mean']:+.1f} %" for half in row["halves"] if half)
    before, usual = f"{100 * row['before']['mean']:+.1f} %", f"{100 * row['random_halves']:.1f} %"
    low, high = row["other_cases"]
    return (
        f"{name} {row['offset']:+.3f} nat, bias {before} before, {halves} on halves that gave no offsets ({usual} off "
        f"is usual), {100 * low:+.1f} to {100 * high:+.1f} % on other cases"
    )


def _percent(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "–"
    low, high = found["ci95"]
    return f"{100 * found['mean']:+.1f} % [{100 * low:+.1f}, {100 * high:+.1f}]"


def _told(record: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (record.get("provenance") or {}).get(MATCHED) or {}
    return found
