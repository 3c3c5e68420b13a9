"""Draw the figures of the papers from traces, and from what `evidence.py --json` kept.

    python scripts/figures.py dice FIGURE STEPS.json ...           Dice at each step (RecycleNet, Fig. 2)
    python scripts/figures.py contours FIGURE TRACE [--scan FILE]  outlines of several steps (RecycleNet, Fig. 3)
    python scripts/figures.py choices FIGURE TRACE                 choice for each slice, shares (Med-DANet, Figs. 5, 6)
    python scripts/figures.py windows FIGURE TRACE                 windows visited and skipped (CDL-UNet, Fig. 3)
    python scripts/figures.py steps FIGURE TRACE                   the answer and what was denoised (diffusion, Fig. 1)
    python scripts/figures.py flow FIGURE TRACE                    sources of each node's features (E2ENet, Fig. 6)
    python scripts/figures.py flow-over-training FIGURE BUNDLE     the same over a training, and its log (Figs. 6, 11)

FIGURE is a file that matplotlib can write (.png, .svg, .pdf). TRACE is a folder that `voxtrace predict` wrote; for
`steps` with `--keep all`. Slices are the fullest; `--slice N` takes another. `--dpi N` is the resolution.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from flow_over_training import flow_over_training as over_training
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from voxtrace import palette
from voxtrace.io import read
from voxtrace.trace import Trace
from voxtrace.trace.places import along_slices, shares, window_groups
from voxtrace.volume import Array

MOST_STEPS = 10  # side by side


def dice(given: argparse.Namespace) -> Figure:
    """Draw the mean Dice of each step with its 95 % bootstrap interval over cases, a line for each file."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for path in given.sources:
        table = np.asarray(
            [case["dice"] for case in json.loads(Path(path).read_text(encoding="utf-8"))["cases"]], float
        )
        steps = np.arange(1, table.shape[1] + 1)
        drawn = np.nanmean(table[rng.integers(0, len(table), (1000, len(table)))], axis=1)
        axes.plot(steps, np.nanmean(table, axis=0), marker="o", label=f"{Path(path).stem}, {len(table)} cases")
        axes.fill_between(steps, *np.percentile(drawn, (2.5, 97.5), axis=0), alpha=0.2)
    axes.set(xlabel="step", ylabel="mean Dice")
    axes.legend()
    return figure


def contours(given: argparse.Namespace) -> Figure:
    """Draw the outlines of every step on one slice, early ones pale."""
    trace, index = _opened(given)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    _scan(axes, given, trace, index)
    kept = int(trace.labels.shape[0])
    if kept < 2:
        raise SystemExit("this trace keeps one step; expected one of a method of several steps, with all of them.")
    for step in range(kept):
        shade = 0.25 + 0.75 * (step + 1) / kept
        for value in trace.names:
            plane = np.asarray(trace.labels[step, index]) == value
            if value and plane.any():
                colour = palette.colours({value: trace.names[value]})[value]
                axes.contour(plane, [0.5], colors=[colour], alpha=shade, linewidths=0.6 + shade)
    axes.set_title(f"slice {index}, {trace.step_word} 1 to {kept}")
    return figure


def choices(given: argparse.Namespace) -> Figure:
    """Draw what was chosen for each slice, and the share of each choice."""
    trace, _ = _opened(given)
    rows = [row for row in along_slices(trace, trace.n_steps - 1) if row.unit == "index"]
    if not rows:
        raise SystemExit("this trace tells of no choice for a slice; expected one of a method that routes.")
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    row = rows[0]
    left.scatter(np.arange(len(row.values)), row.values, s=8)
    left.set(xlabel="slice", ylabel=row.title)
    left.set_yticks(range(len(row.value_names)), row.value_names)
    left.set_ylim(-0.5, len(row.value_names) - 0.5)
    found = shares(row)
    right.barh([one.name for one in found], [100 * one.fraction for one in found])
    right.set(xlabel="% of slices")
    return figure


def windows(given: argparse.Namespace) -> Figure:
    """Draw boxes of the windows seen from the front, by what became of them, over the labelled voxels."""
    trace, _ = _opened(given)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    depth_mm, _, width_mm = trace.geometry.spacing_mm
    labelled = (np.asarray(trace.labels[-1]) > 0).any(1)
    axes.imshow(labelled, origin="lower", cmap="Greys", alpha=0.5, aspect=depth_mm / width_mm)
    for number, group in enumerate(window_groups(trace)):
        for place, (z0, _, x0, z1, _, x1) in enumerate(group.boxes):
            inset = 0.3 + 0.35 * (place % 5)  # boxes overlap by half and more, so that edges would hide one another
            size = (x1 - x0 - 2 * inset, z1 - z0 - 2 * inset)
            at = (x0 - 0.5 + inset, z0 - 0.5 + inset)
            axes.add_patch(Rectangle(at, *size, fill=False, edgecolor=f"C{number}", linewidth=0.9))
        axes.plot([], [], color=f"C{number}", label=f"{group.name}: {len(group.boxes)}")
    axes.set(xlabel="x", ylabel="z (slice)")
    axes.legend(loc="upper right")
    return figure


def steps(given: argparse.Namespace) -> Figure:
    """Draw the answer of each step, above its extra outputs and maps."""
    trace, index = _opened(given)
    kept = int(trace.labels.shape[0])
    taken = np.unique(np.linspace(0, kept - 1, min(kept, MOST_STEPS)).round().astype(int))
    rows: dict[str, Any] = {row.name: row.labels for row in trace.rows} | dict(trace.maps)
    figure = Figure(figsize=(1.8 * len(taken), 1.9 * len(rows)), layout="constrained")
    table = figure.subplots(len(rows), len(taken), squeeze=False)
    for line, (name, values) in zip(table, rows.items(), strict=True):
        planes = [np.asarray(values[step, index]) for step in taken]
        limits = _limits(planes)
        for axes, plane in zip(line, planes, strict=True):
            axes.imshow(
                plane, cmap="nipy_spectral" if plane.dtype.kind == "u" else "gray", interpolation="nearest", **limits
            )
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=8)
    for axes, step in zip(table[0], taken, strict=True):
        axes.set_title(f"{trace.step_word} {step + 1}", fontsize=9)
    return figure


def flow(given: argparse.Namespace) -> Figure:
    """Draw from where each node takes its features, a bar for each node of the triangle."""
    trace, _ = _opened(given)
    if not trace.charts:
        raise SystemExit("this trace has no chart of nodes; expected one of a network that states its connections.")
    chart = trace.charts[0]
    figure = Figure(figsize=(2 * len(chart.columns), 1.7 * len(chart.rows)), layout="constrained")
    table = figure.subplots(len(chart.rows), len(chart.columns), squeeze=False, sharey=True)
    for line, row, values in zip(table, chart.rows, chart.values, strict=True):
        for axes, column, one in zip(line, chart.columns, values, strict=True):
            if np.isnan(one).all():
                axes.axis("off")
                continue
            axes.bar(chart.series, np.nan_to_num(one), color=[f"C{k}" for k in range(len(one))])
            axes.set_title(f"{row}, {column}", fontsize=8)
            axes.tick_params(axis="x", labelrotation=60, labelsize=7)
    figure.suptitle(f"{chart.title} ({chart.unit})")
    return figure


def flow_over_training(given: argparse.Namespace) -> Figure:
    """Draw from where each node took its features in the course of a training, of a bundle's events."""
    return over_training(Path(given.sources[0]))


KINDS = (dice, contours, choices, windows, steps, flow, flow_over_training)


def _limits(planes: Sequence[Array]) -> dict[str, float]:
    finite = np.concatenate([plane[np.isfinite(plane)].ravel() for plane in planes])
    return {"vmin": float(finite.min()), "vmax": float(finite.max())} if finite.size else {}


def _opened(given: argparse.Namespace) -> tuple[Trace, int]:
    """Return the trace, and the slice to draw."""
    trace = Trace.load(given.sources[0])
    return trace, int(trace.label_areas()[-1, :, 1:].sum(1).argmax()) if given.slice is None else given.slice


def _scan(axes: Any, given: argparse.Namespace, trace: Trace, index: int) -> None:
    _, height_mm, width_mm = trace.geometry.spacing_mm
    shape = trace.geometry.shape[1:]
    plane = np.zeros(shape) if given.scan is None else np.asarray(read(given.scan).data[0, index], float)
    low, high = np.percentile(plane, (0.5, 99.5))
    axes.imshow(plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=height_mm / width_mm)
    axes.set(xticks=[], yticks=[])


def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {kind.__name__.replace("_", "-"): kind for kind in KINDS}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("figure", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--slice", type=int)
    parser.add_argument("--dpi", type=int, default=150)
    given = parser.parse_args()
    kinds[given.kind](given).savefig(given.figure, dpi=given.dpi)
    print(f"wrote {given.figure}")


if __name__ == "__main__":
    main()
