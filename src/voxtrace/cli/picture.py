"""A picture of the steps: one slice with the labels of a few steps, and how many voxels each step changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace import palette
from voxtrace.atomic import atomic_file
from voxtrace.trace import Trace
from voxtrace.volume import Array, Triple, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND, INK, FAINT = "#101418", "#e8edf2", "#8a96a3"
LINE, MARK = "#76b7b2", "#f28e2b"
CT_WINDOW_HU = (-160.0, 240.0)  # level 40, width 400: abdomen


def draw_steps(volume: Volume, trace: Trace, path: Path, shown: Sequence[int] = (1, 3, 7)) -> Path:
    """Write a PNG of the first channel with the labels of some steps (counted from 1) over it, and return its path.

    The slice is axial, front on top, the patient's left on the right, at true scale.
    """
    from matplotlib.figure import Figure

    steps = sorted({min(step, trace.n_steps) for step in shown})
    z = busiest_slice(np.asarray(trace.labels[-1]))
    figure = Figure(figsize=(4.0 * len(steps) + 4.6, 4.1), dpi=110, facecolor=BACKGROUND, layout="constrained")
    axes = figure.subplots(1, len(steps) + 1, width_ratios=[1.0] * len(steps) + [1.1])
    for axis, step in zip(axes, steps, strict=False):
        _draw_slice(axis, volume, np.asarray(trace.labels[step - 1, z]), z, _colours(trace))
        axis.set_title(f"{trace.step_word} {step} of {trace.n_steps}", color=INK, fontsize=13)
    _draw_changes(axes[-1], trace, steps)
    _draw_legend(figure, trace)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png", facecolor=BACKGROUND)
    return path


def busiest_slice(labels: Array) -> int:
    """Return the z of a label map (Z, Y, X) whose slice shows most of most labels; 0 for an empty map.

    It has the largest sum over labels of log(1 + voxels), so that a large organ does not outweigh several small ones.
    """
    scores = [float(np.log1p(np.bincount(plane.ravel())[1:]).sum()) for plane in labels]
    return int(np.argmax(scores))


def _draw_slice(axis: Axes, volume: Volume, labels: Array, z: int, colours: Mapping[int, Triple]) -> None:
    image = volume.data[0, z].astype(np.float32)
    low, high = CT_WINDOW_HU if volume.modality == "CT" else np.percentile(image, [1, 99])
    _, height_mm, width_mm = volume.geometry.spacing_mm
    axis.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=height_mm / width_mm, interpolation="bilinear")
    for value, colour in colours.items():
        if not np.any(labels == value):
            continue
        mask = (labels == value).astype(np.float32)
        axis.contourf(mask, levels=[0.5, 1.5], colors=[colour], alpha=0.30)
        axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.4)
    _zoom(axis, image > low + 0.05 * (high - low))
    axis.set_axis_off()
    for letter, x, y in (("A", 0.5, 0.965), ("P", 0.5, 0.035), ("R", 0.03, 0.5), ("L", 0.97, 0.5)):
        axis.text(x, y, letter, transform=axis.transAxes, color=FAINT, ha="center", va="center", fontsize=10)


def _zoom(axis: Axes, body: Array) -> None:
    """Limit the axis to the part of a slice (Y, X) with the body, and a margin for the letters."""
    if not body.any():
        return
    for along, limit in ((0, axis.set_xlim), (1, axis.set_ylim)):
        there = np.flatnonzero(body.any(axis=along))
        margin = 0.11 * (there[-1] - there[0] + 1)
        first, last = max(there[0] - margin, -0.5), min(there[-1] + margin, body.shape[1 - along] - 0.5)
        limit((first, last) if along == 0 else (last, first))  # rows run downwards


def _draw_changes(axis: Axes, trace: Trace, marked: Sequence[int]) -> None:
    """Draw the fraction of voxels that each step changed, against its number."""
    changed = [100.0 * (row["changed_fraction"] or 0.0) for row in trace.summary()]
    numbers = np.arange(1, len(changed) + 1)
    floor = min([value for value in changed if value > 0], default=1e-3) / 3
    heights = np.maximum(changed, floor)
    axis.plot(numbers, heights, color=LINE, linewidth=2, marker="o", markersize=5)
    axis.plot(marked, heights[np.asarray(marked) - 1], "o", color=MARK, markersize=9, zorder=3)
    for number, value, height in zip(numbers, changed, heights, strict=True):
        axis.annotate(f"{value:.2g} %", (number, height), (7, 7), textcoords="offset points", color=INK, fontsize=9)
    axis.set(yscale="log", facecolor=BACKGROUND, xticks=numbers, xlim=(0.5, len(changed) + 0.9))
    axis.set_ylim(floor / 2, heights.max() * 4)
    axis.set_title("voxels changed", color=INK, fontsize=13)
    axis.set_xlabel(trace.step_word, color=INK)
    axis.set_ylabel("% of the volume", color=INK)
    axis.tick_params(colors=FAINT, which="both")
    axis.grid(color=FAINT, alpha=0.15)
    for side, spine in axis.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def _draw_legend(figure: Figure, trace: Trace) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=trace.names[value]) for value, colour in _colours(trace).items()]
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, labelcolor=INK, fontsize=11
        )


def _colours(trace: Trace) -> Mapping[int, Triple]:
    """Return label value -> colour of every label but the background, as in every other picture."""
    names = {value: name for value, name in sorted(trace.names.items()) if value}
    return palette.colours(names, names=names)
