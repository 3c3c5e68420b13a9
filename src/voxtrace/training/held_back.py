"""ValidatedCase: measures of one held-back case, as the network answered and by each rule of post-processing."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from voxtrace.fit import case_features
from voxtrace.fit.calibration import VoxelSample
from voxtrace.fit.piece_choice import CANDIDATES
from voxtrace.fit.pieces import NONE, PieceRule, Pieces, remove_pieces
from voxtrace.fit.volume_match import MarginVolumes
from voxtrace.metrics import Scores, evaluate_label, finite_mean, in_either, without_ignored
from voxtrace.trace import Trace
from voxtrace.volume import Array, LabelMap

TOLERANCE_MM = 1.0  # of the NSD in the card; beside it stands that at 2 mm


@dataclass(frozen=True, eq=False)
class ValidatedCase:
    """One held-back case.

    Attributes
    ----------
    name
        Of the case.
    dice
        (steps, foreground labels, or regions); NaN where a label is in neither map.
    predicted_ml, reference_ml
        Volume of each foreground label by value, at the last step and in the reference.
    features
        Of the trace; see :func:`voxtrace.fit.case_features`.
    scores
        Label value -> every measure at the last step, of the labels in either map; empty where only Dice was asked for.
        Of a plan with regions, these are numbered from 1 instead.
    regions_ml
        Name of each region -> its volume at the last step and in the reference.
    pieces
        Label value -> word of a rule -> scores with that rule, of the labels in either map: ``none`` and those rules
        that remove something. Empty for a plan with regions.
    voxels
        What is known of probabilities; None where they were not asked for.
    margins
        Volumes by the margin between the two likeliest labels; None where they were not asked for.
    trace
        With its labels packed, where a rule removes something.
    answered
        Dice (foreground labels,) of the last step before a rule removed something; None where none did.
    gflop, windows
        Sum over its windows of the GFLOP that the method says it ran, and their number; None and 0 of a method that
        does not say so.
    seconds, gigabytes, device
        What its prediction took, the memory that one is estimated to take, and where it ran; not known where only Dice
        was asked for.
    """

    name: str
    dice: Array
    predicted_ml: Mapping[int, float]
    reference_ml: Mapping[int, float]
    features: Mapping[str, float]
    scores: Mapping[int, Scores] = field(default_factory=dict)
    regions_ml: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    pieces: Mapping[int, Mapping[str, Scores]] = field(default_factory=dict)
    voxels: VoxelSample | None = None
    margins: MarginVolumes | None = None
    trace: Trace | None = None
    answered: Array | None = None
    gflop: float | None = None
    windows: int = 0
    seconds: float = 0.0
    gigabytes: float = 0.0
    device: str = ""

    @property
    def mean_dice(self) -> float:
        """Mean Dice at the last step over the labels, or regions, in either map; NaN where there is none."""
        return finite_mean(self.dice[-1])

    @property
    def network_dice(self) -> Array:
        """Dice (foreground labels, or regions) of the network's answer, before rules of post-processing."""
        return self.dice[-1] if self.answered is None else self.answered

    def with_rules(self, words: Mapping[int, str]) -> ValidatedCase:
        """Return the case as a prediction with rules of post-processing (label value -> word) would be measured."""
        found = {value: self.pieces.get(value, {}).get(word) for value, word in words.items()}
        changed = {value: scores for value, scores in found.items() if scores is not None}
        if self.trace is None or not changed:
            return self
        dice, columns = self.dice.copy(), {value: k for k, value in enumerate(self.predicted_ml)}
        for value, scores in changed.items():
            dice[-1, columns[value]] = scores.dice if in_either({value: scores}) else np.nan
        volumes = {value: scores.volume_ml for value, scores in changed.items()}
        return replace(
            self,
            dice=dice,
            predicted_ml={**self.predicted_ml, **volumes},
            scores=in_either({**self.scores, **changed}),
            answered=self.dice[-1],
            features=case_features(_processed(self.trace, words)),
        )


class PackedLabels:
    """Labels (S, Z, Y, X) of a trace, compressed in memory."""

    def __init__(self, labels: Array) -> None:
        self.shape, self.dtype, self.ndim = labels.shape, labels.dtype, labels.ndim
        self._packed = zlib.compress(np.ascontiguousarray(labels).tobytes(), 1)

    def __getitem__(self, key: Any) -> Array:
        whole: Array = np.frombuffer(zlib.decompress(self._packed), self.dtype).reshape(self.shape)
        return np.asarray(whole[key])


def packed(trace: Trace) -> Trace:
    """Return a trace with labels and facts alone, the labels packed."""
    labels: Any = PackedLabels(np.asarray(trace.labels[:]))
    nothing: dict[str, Any] = {
        "maps": {},
        "extras": {},
        "members": {},
        "ranges": {},
        "areas": None,
        "settled": None,
        "second": None,
    }
    return replace(trace, labels=labels, **nothing)


def scores_by_rule(
    answer: LabelMap, reference: LabelMap, scores: Mapping[int, Scores], ignored: int | None
) -> dict[int, dict[str, Scores]]:
    """Return label value -> word of a rule -> scores, of the labels in ``scores``, those of the answer as it is.

    Rules that remove nothing are left out. ``ignored`` is the value of voxels that nobody annotated, in the reference.
    """
    return {value: {NONE: own, **_by_rule(answer, reference, value, ignored)} for value, own in scores.items()}


def _by_rule(answer: LabelMap, reference: LabelMap, value: int, ignored: int | None) -> dict[str, Scores]:
    voxel_mm3, pieces = answer.geometry.voxel_ml * 1000.0, Pieces.of(answer.data, value)
    found: dict[str, Scores] = {}
    known: dict[bytes, Scores] = {}  # rules that leave the same pieces are measured once
    for rule in CANDIDATES:
        stays = rule.staying(pieces.voxels, voxel_mm3)
        if pieces.box is None or stays.all():
            continue
        if stays.tobytes() not in known:
            data = answer.data.copy()
            data[pieces.box][pieces.removed(rule, voxel_mm3)] = 0
            pair = without_ignored(replace(answer, data=data), reference, ignored)
            known[stays.tobytes()] = evaluate_label(*pair, value, TOLERANCE_MM)
        found[rule.word] = known[stays.tobytes()]
    return found


def _processed(trace: Trace, words: Mapping[int, str]) -> Trace:
    """Return a packed trace whose last step has lost what rules remove."""
    labels = np.array(trace.labels[:])
    rules = {value: rule for value, word in words.items() if (rule := PieceRule.of(word)) is not None}
    labels[-1] = remove_pieces(labels[-1], rules, trace.geometry.voxel_ml * 1000.0)[0]
    return replace(trace, labels=labels, step_counts=None)
