"""An imported model folder of nnU-Net: labels of ``voxtrace`` in float32 against nnU-Net's own."""

from __future__ import annotations

from typing import Any

from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import make_models
from voxtrace.bench.outcome import Outcome
from voxtrace.bench.results import equal_fraction
from voxtrace.bench.runner import Competitor, RoundResults, run_rounds
from voxtrace.bench.scenarios.ct300 import WINDOW_QUICK
from voxtrace.bench.settings import BenchSettings, nnunet, voxtrace_competitor
from voxtrace.io import read_labels
from voxtrace.metrics import dice

NAME = "voxtrace, imported, float32"
TITLE = "labels of an imported nnU-Net model"


def run(settings: BenchSettings) -> Outcome:
    """Run all once and compare labels: with nnU-Net as it is, and with its sums in 32 bits, as here."""
    slices, side = (40, 96) if settings.quick else (120, 320)
    scan = abdomen(settings.inputs, slices, side, settings.seed)
    models = make_models(settings.folder / "models", WINDOW_QUICK if settings.quick else None)
    peers = [peer for bits in (16, 32) if (peer := nnunet(settings, "imported", scan, models, bits)) is not None]
    if not peers:
        return Outcome(TITLE, RoundResults({}), (), left_out=("Imported labels need nnU-Net; give --peer.",))
    mine = voxtrace_competitor(
        settings, "imported", NAME, [scan], models.unet, "--runtime", "torch", "--precision", "float32"
    )
    # One round: labels do not change from run to run, and time is not compared.
    results = run_rounds([*peers, mine], 1, settings.echo)
    facts: dict[str, Any] = {
        "equal_voxels": {peer.name: round(equal_fraction(mine.labels, peer.labels), 7) for peer in peers}
    }
    for peer in peers:
        facts[f"dice_of_each_label, {peer.name}"] = _dice(mine, peer)
    return Outcome(TITLE, results, (), facts=facts)


def _dice(mine: Competitor, peer: Competitor) -> dict[str, float]:
    one, other = read_labels(mine.labels), read_labels(peer.labels)
    return {str(k): round(dice(one, other, k), 5) for k in sorted(set(other.data.ravel().tolist()) - {0})}
