"""Scans over time: one layer with axes (frame, I, P, L), and one volume for each time point.

The window, the command line (``--frame``) and the files' passports call a time point a frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.io.child import guarded
from voxtrace.passport import Finding, Passport
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import AXES, STEP_UNITS, flip_z
from voxtrace.volume import LabelMap, Volume

WORD = "frame"  # the slider's name


@dataclass(frozen=True, eq=False)
class TimepointsSource:
    """The source of an image layer over time.

    Attributes
    ----------
    volume
        The first time point; the others share its geometry.
    timepoints
        Every time point, canonical (T, Z, Y, X); a dask array where they are too large for memory.
    """

    volume: Volume
    timepoints: Any

    @property
    def count(self) -> int:
        """The number of time points."""
        return int(self.timepoints.shape[0])

    def at(self, timepoint: int) -> display.ImageSource:
        """Return one time point, counted from 0, as a scan of its own."""
        found = Finding("frames", "fine", f"frame {timepoint} of 0 to {self.count - 1}")
        return display.ImageSource(
            replace(
                self.volume,
                data=np.asarray(self.timepoints[timepoint])[np.newaxis],
                name=f"{self.volume.name}_t{timepoint:03d}",
                passport=_with(self.volume.passport, found),
            )
        )


@dataclass(frozen=True, eq=False)
class TimepointsLabels:
    """The source of a labels layer over time: which time points were segmented, and what each label is."""

    source: display.LabelSource
    timepoints: tuple[int, ...] = field(default=())


def read_timepoints(path: Path, count: int) -> TimepointsSource:
    """Return every time point of a file; above 512 MiB each is read from disk when it is shown.

    Raises
    ------
    ReadError
        When a time point cannot be read.
    """
    first = guarded.read(path, 0)
    name = first.name.removesuffix("_t000")
    finding = Finding("frames", "fine", f"{count} frames over time")
    volume = replace(first, name=name, passport=_with(first.passport, finding))
    if first.data.nbytes * count > display.IN_MEMORY_BYTES:
        return TimepointsSource(volume, _lazy(path, first, count))
    timepoints = np.empty((count, *first.geometry.shape), first.data.dtype)
    timepoints[0] = first.data[0]
    for timepoint in range(1, count):
        timepoints[timepoint] = guarded.read(path, timepoint).data[0]
    return TimepointsSource(volume, timepoints)


def timepoints_layer(source: TimepointsSource) -> display.LayerData:
    """Return one image layer with axes (frame, I, P, L); the frame axis has unit pixel."""
    [(_, about, kind)] = display.image_layers(source.volume)
    return flip_z(source.timepoints), about | _over_time(about) | {"metadata": {display.KEY: source}}, kind


def timepoint_labels_layer(
    labels: Sequence[LabelMap], timepoints: Sequence[int], count: int, scan: str = "", name: str = ""
) -> display.LayerData:
    """Return one labels layer with axes (frame, I, P, L): a label map at each of ``timepoints``, the others empty."""
    data = np.zeros((count, *labels[0].geometry.shape), labels[0].data.dtype)
    for timepoint, one in zip(timepoints, labels, strict=True):
        data[timepoint] = one.data
    _, about, kind = display.label_layer(replace(labels[0], name=name or labels[0].name))
    source = replace(about["metadata"][display.KEY], scan=scan)
    about |= _over_time(about) | {"metadata": {display.KEY: TimepointsLabels(source, tuple(timepoints))}}
    return flip_z(data), about, kind


def _over_time(about: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "scale": (1.0, *about["scale"]),
        "translate": (0.0, *about["translate"]),
        "units": STEP_UNITS,
        "axis_labels": (WORD, *AXES),
    }


def _lazy(path: Path, first: Volume, count: int) -> Any:
    import dask
    import dask.array

    def timepoint(index: int) -> Any:
        return guarded.read(path, index).data[0]

    shape, dtype = first.geometry.shape, first.data.dtype
    parts = [dask.array.from_delayed(dask.delayed(timepoint)(i), shape, dtype) for i in range(count)]  # type: ignore[attr-defined,no-untyped-call]
    return dask.array.stack(parts)  # type: ignore[no-untyped-call]


def _with(passport: Passport, found: Finding) -> Passport:
    return Passport((*(f for f in passport.findings if f.what != found.what), found))
