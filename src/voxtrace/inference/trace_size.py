"""How much memory the trace of a prediction takes, before it is made."""

from __future__ import annotations

from voxtrace.inference.options import PredictOptions
from voxtrace.method import Method
from voxtrace.plan import Plan


def trace_bytes(method: Method, plan: Plan, options: PredictOptions, voxels: int, bundles: int = 1) -> int:
    """Return the bytes of all arrays of a trace in memory, members included, for a scan of so many voxels.

    While members run their own traces are held as well; that is counted, too.
    """
    steps = 1 if options.keep == "last" else options.steps or method.steps
    everything = options.keep == "all"
    label_bytes = 1 if plan.n_labels <= 256 else 2
    extras = len(method.extras) if everything else 0
    maps = len(method.maps) + (len(method.label_maps) * (plan.n_labels - 1) if everything else 0)
    one = label_bytes * (1 + extras) + 4 * maps  # scalar maps are float32
    runs = options.seeds * (bundles if options.members else 1)
    together = one + 4 + label_bytes * runs if runs > 1 else 0  # the agreement, and each member
    second = 0 if options.keep == "last" or plan.regions else label_bytes * runs
    return voxels * (steps * (runs * one + together) + second)
