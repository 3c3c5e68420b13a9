"""The last stage of a prediction: small pieces of labels are removed, as the bundle or the user says.

It acts on the answer alone, the last step of the trace: what is shown, saved and counted stays one thing. Steps before
it are as the network gave them. What was removed stands in the trace's provenance and in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bundle import Bundle
from voxtrace.errors import UsageError
from voxtrace.fit.pieces import NONE, PieceRule, parse_rules, remove_pieces
from voxtrace.inference.options import PredictOptions
from voxtrace.trace import Recorder

AUTO = "auto"
STAGE = "post-processing"
KEY = "post_processing"  # in a bundle's card, the facts of a result and a trace's provenance


def piece_rules(bundles: Sequence[Bundle], options: PredictOptions) -> dict[int, PieceRule]:
    """Return label value -> which of its pieces stay, for labels of which some may go.

    With ``auto`` those of the bundle's card; of several bundles, those on which all cards agree.

    Raises
    ------
    UsageError
        The option has a rule or a label that does not exist, or a rule for a model of regions.
    """
    if bundles[0].plan.regions and options.post_processing not in (AUTO, NONE):
        # a piece of a label that goes would be a hole in every region around it
        raise UsageError(
            f"post-processing {options.post_processing!r} removes pieces of labels, and {bundles[0].name} has regions "
            "that overlap; leave it out."
        )
    labels = {value: name for value, name in bundles[0].plan.labels.items() if value}
    if bundles[0].plan.regions:
        return {}
    if options.post_processing != AUTO:
        return parse_rules(options.post_processing, labels)
    cards = [(bundle.card.get(KEY) or {}).get("labels", {}) for bundle in bundles]
    common = {name: word for name, word in cards[0].items() if all(card.get(name) == word for card in cards)}
    found = {value: PieceRule.of(common.get(name, NONE)) for value, name in labels.items()}
    return {value: rule for value, rule in found.items() if rule not in (None, PieceRule())}


def remove_from_answer(
    recorder: Recorder, rules: Mapping[int, PieceRule], names: Mapping[int, str], voxel_mm3: float
) -> dict[str, Any]:
    """Remove pieces from the answer of a recorder that has all planes; return label name -> what went.

    See :func:`voxtrace.fit.pieces.remove_pieces`.
    """
    labels, report = remove_pieces(recorder.answer, rules, voxel_mm3)
    recorder.replace_answer(labels)
    return {names[value]: found for value, found in report.items()}
