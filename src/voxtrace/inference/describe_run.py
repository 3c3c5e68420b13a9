"""What a run tells of itself in its trace: provenance, names and costs of values, charts, sets of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxtrace.bundle import JSON, WEIGHTS, Bundle, verdict
from voxtrace.inference.sliding_window import SlidingWindow
from voxtrace.inference.window_boxes import canonical_boxes
from voxtrace.safe_text import read_json
from voxtrace.trace import Provenance, RunDescription
from voxtrace.version import __version__
from voxtrace.volume import Volume


def describe_run(
    run: SlidingWindow, bundles: Sequence[Bundle], scan: Volume, seconds: float, removed: Mapping[str, Any]
) -> RunDescription:
    """Return the description of a run that has visited every window, after so many seconds.

    ``removed`` is what post-processing took from the answer.
    """
    boxes = {name: canonical_boxes(found, run.grid)[0] for name, found in run.window_sets().items()}
    return RunDescription(
        run.method.value_names,
        run.method.value_costs(run.plan),
        run.method.charts(bundles[0].network),
        boxes,
        replace(_provenance(run, bundles, scan, seconds), post_processing=removed),
    )


def _provenance(run: SlidingWindow, bundles: Sequence[Bundle], scan: Volume, seconds: float) -> Provenance:
    used = {**run.options.to_json(), "options": run.method.to_json()["options"]}
    record = run.record()
    used |= {name: record[name] for name in ("steps", "runtime", "device", "precision", "batch", "overlap", "mirror")}
    return Provenance(
        method=run.method.key,
        method_title=run.method.title,
        bundle=" + ".join(bundle.name for bundle in bundles),
        weights_sha256=" + ".join(filter(None, map(_weights_sha256, bundles))),
        version=__version__,
        options=used,
        seconds=round(seconds, 3),
        stage_seconds=record["seconds"],
        demonstration=any(bool(getattr(bundle, "demonstration", False)) for bundle in bundles),
        seed=run.options.seed,
        scan=scan.name,
        regions={region.name: region.values for region in run.plan.regions},
        fit=verdict(bundles, scan).sentence,
        temperatures=tuple(record["temperatures"]) if run.options.calibrate else (),
    )


def _weights_sha256(bundle: Bundle) -> str:
    """Return the hash that the bundle's folder states, which was checked when it was loaded; "" without a folder."""
    if bundle.path is None or not (bundle.path / JSON).is_file():
        return ""
    return str(read_json(bundle.path / JSON)["files"][WEIGHTS])
