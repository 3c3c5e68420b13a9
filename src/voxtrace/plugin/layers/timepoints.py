"""Scans with frames over time: a layer with axes (frame, I, P, L), and one volume for each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import io
from voxtrace.passport import Finding, Passport
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import AXES, STEP_UNITS, displayed
from voxtrace.volume import LabelMap, Volume

WORD = "frame"


@dataclass(frozen=True, eq=False)
class FramesSource:
    """What a layer with frames shows.

    Attributes
    ----------
    volume
        The first frame; the others share its geometry.
    frames
        Every frame, canonical (T, Z, Y, X); a dask array where they are too large for memory.
    """

    volume: Volume
    frames: Any

    @property
    def count(self) -> int:
        """How many frames there are."""
        return int(self.frames.shape[0])

    def at(self, frame: int) -> display.ImageSource:
        """Return one frame, counted from 0, as a scan of its own."""
        found = Finding("frames", "fine", f"frame {frame} of 0 to {self.count - 1}")
        return display.ImageSource(
            replace(
                self.volume,
                data=np.asarray(self.frames[frame])[np.newaxis],
                name=f"{self.volume.name}_t{frame:03d}",
                passport=_with(self.volume.passport, found),
            )
        )


@dataclass(frozen=True, eq=False)
class FramesLabels:
    """What a labels layer with frames shows: which frames were segmented, and what each label is."""

    source: display.LabelSource
    frames: tuple[int, ...] = field(default=())


def read_frames(path: Path, count: int) -> FramesSource:
    """Return every frame of a file; above 512 MiB each is read from disk when it is shown.

    Raises
    ------
    ReadError
        When a frame cannot be read.
    """
    first = io.read(path, 0)
    name = first.name.removesuffix("_t000")
    told = Finding("frames", "fine", f"{count} frames over time")
    volume = replace(first, name=name, passport=_with(first.passport, told))
    if first.data.nbytes * count > display.IN_MEMORY_BYTES:
        return FramesSource(volume, _lazy(path, first, count))
    frames = np.empty((count, *first.geometry.shape), first.data.dtype)
    frames[0] = first.data[0]
    for frame in range(1, count):
        frames[frame] = io.read(path, frame).data[0]
    return FramesSource(volume, frames)


def frames_layer(source: FramesSource) -> display.LayerData:
    """Return ONE image layer with axes (frame, I, P, L); the frame axis has unit pixel."""
    [(_, about, kind)] = display.image_layers(source.volume)
    return displayed(source.frames), about | _over_time(about) | {"metadata": {display.KEY: source}}, kind


def frames_labels_layer(
    labels: Sequence[LabelMap], frames: Sequence[int], count: int, scan: str = "", name: str = ""
) -> display.LayerData:
    """Return ONE labels layer with axes (frame, I, P, L): a label map at each of ``frames``, the others empty."""
    data = np.zeros((count, *labels[0].geometry.shape), labels[0].data.dtype)
    for frame, one in zip(frames, labels, strict=True):
        data[frame] = one.data
    _, about, kind = display.label_layer(replace(labels[0], name=name or labels[0].name))
    source = replace(about["metadata"][display.KEY], scan=scan)
    about |= _over_time(about) | {"metadata": {display.KEY: FramesLabels(source, tuple(frames))}}
    return displayed(data), about, kind


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

    def frame(index: int) -> Any:
        return io.read(path, index).data[0]

    shape, dtype = first.geometry.shape, first.data.dtype
    parts = [dask.array.from_delayed(dask.delayed(frame)(i), shape, dtype) for i in range(count)]  # type: ignore[attr-defined,no-untyped-call]
    return dask.array.stack(parts)  # type: ignore[no-untyped-call]


def _with(passport: Passport, found: Finding) -> Passport:
    return Passport((*(f for f in passport.findings if f.what != found.what), found))
