"""Figures that lie on a scan: outlines of the steps, windows, and what was denoised; `figures.py` draws them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke

from voxtrace import palette
from voxtrace.film.planes import check_grid, chosen_slice, contrast, label_colours
from voxtrace.io import read
from voxtrace.trace import Trace
from voxtrace.trace.places import WindowGroup, window_groups
from voxtrace.volume import Array, Shape, Triple

MOST_STEPS = 10  # side by side
BARS_MM = (2, 5, 10, 20, 50, 100)
MOST_TALL = 7.0  # inches
THICK_MM = 25.0  # thinner parts of a structure are not outlined in a projection
GROUP_COLOURS = [palette.colour(place) for place in (2, 3, 1, 5)]  # sky, yellow, vermilion, mint: seen on a dark scan
SKIPPED, SKIPPED_COLOUR = "skipped", (1.0, 1.0, 1.0)
Crop = tuple[slice, slice]


def contours(given: argparse.Namespace) -> Figure:
    """Draw the outlines of every step on one slice, early ones pale."""
    trace, index = opened(given)
    kept = int(trace.labels.shape[0])
    if kept < 2:
        raise SystemExit("this trace keeps one step; expected one of a method of several steps, with all of them.")
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    axes = figure.subplots()
    planes = np.asarray(trace.labels[:, index])
    crop = _around(planes, trace)
    _picture(axes, given, trace, index, crop)
    colours = label_colours(trace)
    for step, plane in enumerate(planes):
        shade = 0.25 + 0.75 * (step + 1) / kept
        for value, colour in colours.items():
            if (plane == value).any():
                axes.contour(plane == value, [0.5], colors=[colour], alpha=shade, linewidths=0.7 + 1.1 * shade)
    axes.set_title(f"slice {index}: {trace.step_word} 1 (pale, thin) to {kept}", fontsize=11)
    _scale_bar(axes, trace, crop)
    _legend(figure, trace, np.unique(planes))
    return figure


def windows(given: argparse.Namespace) -> Figure:
    """Draw the windows from the front and from below: a dot at the centre of each, by what became of it."""
    trace, _ = opened(given)
    depth_mm, height_mm, width_mm = trace.geometry.spacing_mm
    depth, height, width = (n * mm for n, mm in zip(trace.geometry.shape, trace.geometry.spacing_mm, strict=True))
    tall = min(MOST_TALL, 5 * max(depth, height) / width)  # inches of the panels
    narrow = min(1.0, tall * width / (5 * depth))  # of the front panel, where it is the taller one
    figure = Figure(figsize=(6 + 5 * narrow, 1.7 + tall), layout="constrained")
    front, below = figure.subplots(1, 2, width_ratios=(narrow, 1))
    scan = None if given.scan is None else np.asarray(_scan_of(given, trace).data[0], float)
    labels, colours = np.asarray(trace.labels[-1]), label_colours(trace)
    outlined: set[int] = set()
    for axes, axis, extent in ((front, 1, (0, width, 0, depth)), (below, 0, (0, width, height, 0))):
        _projection(axes, scan, labels.shape, axis, extent)
        outlined |= _structures(axes, labels, colours, axis, trace.geometry.spacing_mm[axis], extent)
    groups = window_groups(trace)
    for group, colour in zip(groups, _group_colours(groups), strict=True):
        _dots(front, group, (0, 2), (depth_mm, width_mm), colour)
        _dots(below, group, (1, 2), (height_mm, width_mm), colour)
    z0, y0, x0, z1, y1, x1 = groups[0].boxes[0]
    for axes, low, tall, mm in ((front, z0, z1 - z0, depth_mm), (below, y0, y1 - y0, height_mm)):
        corner, size = ((x0 + 0.5) * width_mm, (low + 0.5) * mm), ((x1 - x0) * width_mm, tall * mm)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linestyle="--", linewidth=1.2))
    front.set(title="from the front", xlabel="patient's right to left, mm", ylabel="towards the head, mm")
    below.set(title="from below", xlabel="patient's right to left, mm", ylabel="towards the back, mm")
    _window_legend(figure, groups, trace, outlined)
    return figure


def steps(given: argparse.Namespace) -> Figure:
    """Draw the answer of each step, above its extra outputs and maps."""
    trace, index = opened(given)
    kept = int(trace.labels.shape[0])
    taken = np.unique(np.linspace(0, kept - 1, min(kept, MOST_STEPS)).round().astype(int))
    rows: dict[str, Any] = {row.name: row.labels for row in trace.rows} | dict(trace.maps)
    crop = _around(np.asarray(trace.labels[:, index]), trace, margin=0.6)
    tall = 1.9 * _aspect(trace) * (crop[0].stop - crop[0].start) / (crop[1].stop - crop[1].start)
    figure = Figure(figsize=(1.9 * len(taken) + 0.4, (tall + 0.1) * len(rows) + 0.6), layout="constrained")
    table = figure.subplots(len(rows), len(taken), squeeze=False)
    black = argparse.Namespace(scan=None)
    for number, (line, (name, values)) in enumerate(zip(table, rows.items(), strict=True)):
        planes = [np.asarray(values[step, index]) for step in taken]
        limits = _limits(planes)
        for axes, plane in zip(line, planes, strict=True):
            if plane.dtype.kind == "u":
                _picture(axes, black if number else given, trace, index, crop)
                filled = _coloured(plane, label_colours(trace), 1.0 if number else 0.6)
                axes.imshow(filled, interpolation="nearest", aspect=_aspect(trace))
            else:
                axes.imshow(plane, cmap="gray", interpolation="nearest", aspect=_aspect(trace), **limits)
            _cut(axes, crop)
        line[0].set_ylabel(name.replace(" · ", "\n"), fontsize=10)
    for axes, step in zip(table[0], taken, strict=True):
        axes.set_title(f"{trace.step_word} {step + 1}", fontsize=10)
    _scale_bar(table[0][0], trace, crop)
    _legend(figure, trace, np.unique(np.asarray(trace.labels[:, index])))
    return figure


def opened(given: argparse.Namespace) -> tuple[Trace, int]:
    """Return the trace, and the slice to draw: the fullest, where none was asked for."""
    trace = Trace.load(given.sources[0])
    return trace, chosen_slice(trace, 0, given.slice)


def _scan_of(given: argparse.Namespace, trace: Trace) -> Any:
    volume = read(given.scan)
    check_grid(trace, volume)
    return volume


def _picture(axes: Any, given: argparse.Namespace, trace: Trace, index: int, crop: Crop) -> None:
    """Draw the slice of the scan, front up and the patient's left at the right; black without a scan."""
    plane, low, high = np.zeros(trace.geometry.shape[1:]), 0.0, 1.0
    if given.scan is not None:
        volume = _scan_of(given, trace)
        plane = np.asarray(volume.data[0, index], float)
        low, high = contrast(volume, np.asarray(volume.data[0]))
    axes.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=_aspect(trace))
    _cut(axes, crop)


def _aspect(trace: Trace) -> float:
    _, height_mm, width_mm = trace.geometry.spacing_mm
    return height_mm / width_mm


def _around(planes: Array, trace: Trace, margin: float = 0.35) -> Crop:
    """Return rows and columns around 98 % of what is labelled in planes (S, Y, X), with a margin; all where none is."""
    cuts = []
    for axis, size in enumerate(trace.geometry.shape[1:]):
        there = np.nonzero(planes)[1 + axis]
        low, high = (int(place) for place in np.percentile(there, (1, 99))) if there.size else (0, size)
        more = max(6, round(margin * (high - low)))
        cuts.append(slice(max(0, low - more), min(size, high + 1 + more)))
    return cuts[0], cuts[1]


def _cut(axes: Any, crop: Crop) -> None:
    rows, columns = crop
    axes.set(xlim=(columns.start - 0.5, columns.stop - 0.5), ylim=(rows.stop - 0.5, rows.start - 0.5))
    axes.set(xticks=[], yticks=[])


def _scale_bar(axes: Any, trace: Trace, crop: Crop) -> None:
    """Draw a bar of a round number of mm, at most a third of the width, in the lower left corner."""
    rows, columns = crop
    width_mm = trace.geometry.spacing_mm[2]
    wide = columns.stop - columns.start
    bar = max((mm for mm in BARS_MM if mm <= wide * width_mm / 3), default=BARS_MM[0])
    x, y = columns.start + 0.05 * wide, rows.stop - 1 - 0.05 * (rows.stop - rows.start)
    axes.plot([x, x + bar / width_mm], [y, y], color="white", linewidth=3, path_effects=[withStroke(linewidth=5)])
    axes.annotate(
        f"{bar} mm", (x, y), (0, 4), textcoords="offset points", color="white", fontsize=9,
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip


def _legend(figure: Figure, trace: Trace, values: Iterable[int]) -> None:
    there = {int(value) for value in values}
    marks = [Patch(color=colour, label=trace.names[v]) for v, colour in label_colours(trace).items() if v in there]
    if marks:
        figure.legend(handles=marks, loc="outside lower center", ncols=min(6, len(marks)), frameon=False)


def _coloured(plane: Array, colours: dict[int, Triple], opacity: float) -> Array:
    """Return a label map as red, green, blue, opacity; the background is clear."""
    out = np.zeros((*plane.shape, 4), np.float32)
    for value, colour in colours.items():
        out[plane == value] = (*colour, opacity)
    return out


def _limits(planes: Sequence[Array]) -> dict[str, float]:
    finite = np.concatenate([plane[np.isfinite(plane)].ravel() for plane in planes])
    return {"vmin": float(finite.min()), "vmax": float(finite.max())} if finite.size else {}


def _projection(axes: Any, scan: Array | None, shape: Shape, axis: int, extent: tuple[float, ...]) -> None:
    """Draw the scan's mean along an axis in mm."""
    origin = "lower" if axis == 1 else "upper"
    drawn = np.zeros([n for a, n in enumerate(shape) if a != axis]) if scan is None else scan.mean(axis)
    low, high = np.percentile(drawn, (1, 99.8))
    axes.imshow(drawn, cmap="gray", origin=origin, extent=extent, vmin=low, vmax=max(high, low + 1e-6))


def _structures(
    axes: Any, labels: Array, colours: dict[int, Triple], axis: int, mm: float, extent: tuple[float, ...]
) -> set[int]:
    """Outline each structure where it is at least `THICK_MM` thick along an axis of mm a voxel; return which are."""
    origin, outlined = "lower" if axis == 1 else "upper", set()
    for value, colour in colours.items():
        thick = (labels == value).sum(axis) * mm >= THICK_MM
        if thick.any():
            outlined.add(value)
            around = np.pad(thick, 1).astype(float)  # so that an outline at the border is closed
            rows, columns = thick.shape
            x0, x1, first, last = extent
            step_x, step_y = (x1 - x0) / columns, (last - first) / rows
            wider = (x0 - step_x, x1 + step_x, first - step_y, last + step_y)
            style = {"colors": [colour], "linewidths": 1.4, "path_effects": [withStroke(linewidth=2.6)]}
            axes.contour(around, [0.5], origin=origin, extent=wider, **style)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    return outlined


def _dots(axes: Any, group: WindowGroup, kept: tuple[int, int], spacing_mm: tuple[float, float], colour: Any) -> None:
    """Draw a dot for the centres of windows that lie behind one another, larger for more of them."""
    middle = (group.boxes[:, list(kept)] + group.boxes[:, [k + 3 for k in kept]] + 1) / 2
    places, times = np.unique((middle * spacing_mm).round(1), axis=0, return_counts=True)
    above = 3 if group.name == SKIPPED else 4
    style = {"color": [colour], "edgecolors": "black", "linewidths": 0.6, "zorder": above}
    axes.scatter(places[:, 1], places[:, 0], s=26 * times, **style)


def _group_colours(groups: Sequence[WindowGroup]) -> list[Triple]:
    ran = iter(GROUP_COLOURS * len(groups))
    return [SKIPPED_COLOUR if group.name == SKIPPED else next(ran) for group in groups]


def _window_legend(figure: Figure, groups: Sequence[WindowGroup], trace: Trace, outlined: set[int]) -> None:
    dot = {"marker": "o", "linestyle": "", "markeredgecolor": "black"}
    marks: list[Any] = [
        Line2D([], [], color=colour, label=f"{group.name}: {len(group.boxes)}", **dot)
        for group, colour in zip(groups, _group_colours(groups), strict=True)
    ]
    marks.append(Line2D([], [], color="0.5", linestyle="--", label="borders of one window"))
    marks += [Patch(color=c, label=trace.names[v]) for v, c in label_colours(trace).items() if v in outlined]
    title = (
        "windows, a dot at the centre of each; larger where several lie behind one another\n"
        f"structures outlined where they are at least {THICK_MM:g} mm thick"
    )
    figure.legend(handles=marks, loc="outside lower center", ncols=5, title=title, frameon=False)
