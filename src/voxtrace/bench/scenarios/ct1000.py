"""A CT of 512×512×1000 voxels with 14 labels under a cap of 4 GB, to the last label map."""

from __future__ import annotations

import numpy as np

from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import make_models
from voxtrace.bench.outcome import Outcome
from voxtrace.bench.runner import RoundResults
from voxtrace.bench.scenarios.ct300 import WINDOW_QUICK
from voxtrace.bench.settings import BenchSettings, ours
from voxtrace.errors import EngineError
from voxtrace.io import read_labels

CAP_MB = 4000.0
NAME = "voxtrace"


def run(settings: BenchSettings) -> Outcome:
    """Run ours once under the cap; an EngineError tells when it goes beyond."""
    slices, side = (60, 96) if settings.quick else (1000, 512)
    scan = abdomen(settings.inputs, slices, side, settings.seed)
    models = make_models(settings.folder / "models", WINDOW_QUICK if settings.quick else None)
    competitor = ours(settings, "ct1000", NAME, [scan], models.unet)
    settings.echo(f"{NAME} on {scan.name} under {CAP_MB:.0f} MB …")
    took = competitor.run(cap_mb=CAP_MB)
    labels = read_labels(competitor.labels)
    if labels.data.shape != (slices, side, side):
        raise EngineError(f"the label map has shape {labels.data.shape}, expected {(slices, side, side)}.")
    return Outcome(
        title=f"CT {side}×{side}×{slices}, 14 labels, under {CAP_MB / 1000:.0f} GB",
        results=RoundResults({NAME: [took]}),
        comparisons=(),
        facts={
            "cap_mb": CAP_MB,
            "peak_mb": round(took.peak_mb, 1),
            "seconds": round(took.seconds, 1),
            "slices_with_labels": int(np.count_nonzero(labels.data.any(axis=(1, 2)))),
            "labels": np.unique(labels.data).tolist(),
        },
    )
