"""A CT of 512×512×1000 voxels with 14 labels under a memory cap of 4 GB, up to the written label map."""

from __future__ import annotations

import numpy as np

from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import make_models
from voxtrace.bench.outcome import Outcome
from voxtrace.bench.runner import RoundResults
from voxtrace.bench.scenarios.ct300 import WINDOW_QUICK
from voxtrace.bench.settings import BenchSettings, voxtrace_competitor
from voxtrace.errors import EngineError
from voxtrace.io import read_labels

CAP_MB = 4000.0
NAME = "voxtrace"


def run(settings: BenchSettings) -> Outcome:
    """Run ``voxtrace predict`` once under the cap.

    Raises
    ------
    EngineError
        It held more memory than the cap, or its label map has another shape than the scan.
    """
    slices, side = (60, 96) if settings.quick else (1000, 512)
    scan = abdomen(settings.inputs, slices, side, settings.seed)
    models = make_models(settings.folder / "models", WINDOW_QUICK if settings.quick else None)
    competitor = voxtrace_competitor(settings, "ct1000", NAME, [scan], models.unet)
    settings.echo(f"{NAME} on {scan.name} under {CAP_MB:.0f} MB …")
    took = competitor.run(cap_mb=CAP_MB)
    labels = read_labels(competitor.labels)
    # The cap alone proves nothing if the label map is incomplete.
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
