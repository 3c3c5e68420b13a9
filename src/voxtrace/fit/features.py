"""Features of one prediction, from its trace: what tells an easy case from a difficult one without a reference.

================  =========  ==================================================================================
feature           unit       meaning
================  =========  ==================================================================================
``volume_ml``     mL         all labels together at the last step
``entropy``       nat        entropy of the last step without temperature, mean over windows, for each foreground
                             fraction of the scan
``last_change``   fraction   voxels that the last step changed, as a fraction of the foreground
``undecided``     fraction   voxels whose label changed after the first step, as a fraction of the foreground
================  =========  ==================================================================================

The last two need several steps and the labels of each of them.
"""

from __future__ import annotations

import numpy as np

from voxtrace.trace import Trace

UNITS = {"volume_ml": "mL", "entropy": "nat", "last_change": "fraction", "undecided": "fraction"}
TITLES = {
    "volume_ml": "the volume of all labels",
    "entropy": "the entropy of the answer",
    "last_change": "what the last step changed",
    "undecided": "what changed after the first step",
}


def case_features(trace: Trace) -> dict[str, float]:
    """Return the features of a trace by name; those that it cannot tell are left out, all of them without foreground.

    Reads the labels of every step where the trace does not know yet when each voxel settled.
    """
    rows = trace.summary()
    volume_ml = float(sum(rows[-1]["volume_ml"].values()))
    scan_ml = float(np.prod(trace.geometry.shape)) * trace.geometry.voxel_ml
    if not volume_ml:
        return {}
    found = {"volume_ml": volume_ml}
    entropy = rows[-1].get("raw_entropy", rows[-1].get("entropy"))
    if entropy is not None:
        found["entropy"] = float(entropy) * scan_ml / volume_ml
    if trace.complete and trace.n_steps > 1:
        foreground = volume_ml / trace.geometry.voxel_ml
        found["last_change"] = rows[-1]["changed_voxels"] / foreground
        found["undecided"] = float(np.count_nonzero(trace.settled_at())) / foreground
    return found
