"""A trace as DICOM: what its run was, the label map of each step, where voxels settled, scalar maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtrace.io.export import Algorithm, ExportOptions, ScalarMap, Written
    from voxtrace.trace import Trace
    from voxtrace.volume import LabelMap

SETTLED = "settled_at"


def is_trace(path: Path) -> bool:
    """Return whether a path is the folder of a trace."""
    from voxtrace.trace.files import RECORD

    return (path / RECORD).is_file()


def algorithm_of(trace: Trace) -> Algorithm:
    """Return what computed a trace: bundle, method, steps, cost."""
    from voxtrace.io.export import Algorithm
    from voxtrace.trace.places import spent_gflop

    return Algorithm.of(trace.provenance, trace.n_steps, trace.step_word, spent_gflop(trace))


def answer_of(trace: Trace, name: str) -> LabelMap:
    """Return the label map of the last step."""
    return _labels(trace, int(trace.labels.shape[0]) - 1, name)


def write_steps(trace: Trace, folder: Path, options: ExportOptions, *, maps: bool) -> Written:
    """Write every kept step of a trace into a new folder as DICOM, with the step at which each voxel settled.

    With ``maps`` the scalar maps of the last step are written, too.
    """
    from voxtrace.io.export import export_steps

    counts = trace.counted().counts.sum(axis=0)
    values = [value for value, count in enumerate(counts.tolist()) if value and count]
    kept = int(trace.labels.shape[0])
    options = replace(options, algorithm=replace(algorithm_of(trace), steps=kept))
    steps = (_labels(trace, step, folder.name) for step in range(kept))
    return export_steps(steps, values, folder, options, _maps(trace, with_scalars=maps))


def _labels(trace: Trace, step: int, name: str) -> LabelMap:
    import numpy as np

    from voxtrace.volume import DEMONSTRATION, LabelMap

    names = {value: words for value, words in trace.names.items() if value}
    note = DEMONSTRATION if trace.provenance.demonstration else ""
    return LabelMap(np.asarray(trace.labels[step]), trace.geometry, names, name=name, note=note)


def _maps(trace: Trace, *, with_scalars: bool) -> Iterator[ScalarMap]:
    import numpy as np

    from voxtrace.io.export import ScalarMap

    if int(trace.labels.shape[0]) > 1:
        words = f"last {trace.step_word}, counted from 1, that changed the label"
        yield ScalarMap(
            trace.settled_at().astype(np.uint16) + np.uint16(1), trace.geometry, SETTLED, trace.step_word, words
        )
    for name, values in trace.maps.items() if with_scalars else ():
        yield ScalarMap(np.asarray(values[-1]), trace.geometry, name, trace.units.get(name, ""))
