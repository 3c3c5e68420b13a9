"""Draw the figures of the papers from traces, and from what `evidence.py --json` kept.

    python scripts/figures.py dice FIGURE STEPS.json ...           Dice at each step (RecycleNet, Fig. 2)
    python scripts/figures.py contours FIGURE TRACE [--scan FILE]  outlines of several steps (RecycleNet, Fig. 3)
    python scripts/figures.py choices FIGURE TRACE [--reference FILE]  choice for each slice (Med-DANet, Figs. 5, 6)
    python scripts/figures.py windows FIGURE TRACE [--scan FILE]   windows visited and skipped (CDL-UNet, Fig. 3)
    python scripts/figures.py steps FIGURE TRACE [--scan FILE]     the answer and what was denoised (diffusion, Fig. 1)
    python scripts/figures.py flow FIGURE TRACE                    sources of each node's features (E2ENet, Fig. 6)
    python scripts/figures.py flow-over-training FIGURE BUNDLE     the same over a training, and its log (Figs. 6, 11)

FIGURE is a file that matplotlib can write (.png, .svg, .pdf). TRACE is a folder that `voxtrace predict` wrote; for
`steps` with `--keep all`. BUNDLE is a folder that `voxtrace train` wrote, with its `events.jsonl`. Slices are the
fullest; `--slice N` takes another. With `--reference`, a label map, the slices that hold a label of it are shaded.
`--dpi N` is the resolution.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from figures_on_scans import contours, opened, steps, windows
from flow_over_training import SOURCE_COLOURS, name_sources
from flow_over_training import flow_over_training as over_training
from matplotlib.figure import Figure

from voxtrace import palette
from voxtrace.io import read_labels
from voxtrace.trace.places import along_slices, shares
from voxtrace.volume import Array

LINE_COLOURS = [palette.colour(place) for place in (1, 10, 4, 6, 12)]  # dark enough on white


def dice(given: argparse.Namespace) -> Figure:
    """Draw the mean Dice of each step, a panel a file, and by subject what each step adds, with a 95 % interval.

    Other bundles that a file compares with, as the U-Net, are lines at their mean Dice.
    """
    count = len(given.sources)
    figure = Figure(figsize=(4.4 * (count + 1), 4), layout="constrained")
    *means, gains = figure.subplots(1, count + 1)
    rng = np.random.default_rng(0)
    for number, (axes, path) in enumerate(zip(means, given.sources, strict=True)):
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        table = np.asarray([case["dice"] for case in found["cases"]], float)
        at, colour = np.arange(1, table.shape[1] + 1), LINE_COLOURS[number % len(LINE_COLOURS)]
        axes.plot(at, np.nanmean(table, axis=0), "o-", color=colour, label=Path(path).stem)
        for dashes, (name, of) in zip(("--", ":", "-."), found.get("arms", {}).items(), strict=False):
            axes.axhline(float(np.nanmean(of)), color="0.25", linestyle=dashes, label=name.removeprefix("the "))
        axes.set(title=f"mean of {len(table)} cases", xlabel="step", ylabel="Dice", xticks=at)
        axes.legend()
        gain, interval = gain_of(by_subject(table, found.get("subjects", range(len(table)))), rng)
        shifted = at + 0.12 * (number - (count - 1) / 2)  # bars of several files stand side by side
        gains.errorbar(shifted, gain, np.abs(interval - gain), color=colour, marker="o", capsize=3)
    gains.axhline(0, color="0.4", linewidth=0.8)
    gains.set(title="gain over the first, 95 % interval", xlabel="step", ylabel="difference of Dice", xticks=at)
    for axes in (*means, gains):
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
    return figure


def by_subject(table: Array, subjects: Iterable[Hashable]) -> Array:
    """Return the mean Dice of each subject's cases (M, S) from that of the cases (N, S)."""
    rows: dict[Hashable, list[Array]] = {}
    for subject, row in zip(subjects, table, strict=True):
        rows.setdefault(subject, []).append(row)
    return np.stack([np.nanmean(of, axis=0) for of in rows.values()])


def gain_of(table: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return what each of S steps adds to the first in Dice (N, S), the mean (S,), and its interval (2, S)."""
    gain = table - table[:, :1]
    drawn = np.nanmean(gain[rng.integers(0, len(gain), (1000, len(gain)))], axis=1)
    return np.nanmean(gain, axis=0), np.percentile(drawn, (2.5, 97.5), axis=0)


def choices(given: argparse.Namespace) -> Figure:
    """Draw what was chosen for each slice, and the share of each choice."""
    trace, _ = opened(given)
    rows = [row for row in along_slices(trace, trace.n_steps - 1) if row.unit == "index"]
    if not rows:
        raise SystemExit("this trace tells of no choice for a slice; expected one of a method that routes.")
    row = rows[0]
    names = row.value_names
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    left.scatter(np.arange(len(row.values)), row.values, s=14, color=[palette.colour(4)])
    left.set(xlabel="slice, from the feet", ylabel=row.title, ylim=(-0.5, len(names) - 0.5))
    left.set_yticks(range(len(names)), names)
    left.grid(axis="y", linewidth=0.4, alpha=0.6)
    if given.reference is not None:
        _shade(left, labelled_slices(given.reference, len(row.values)))
    found = {one.name: 100 * one.fraction for one in shares(row)}
    percent = [found.get(name, 0.0) for name in names]
    bars = right.barh(range(len(names)), percent, color=palette.colour(4), height=0.6)
    right.bar_label(bars, [f"{value:.0f} %" for value in percent], padding=3, fontsize=9)
    right.set(xlabel="% of slices", xlim=(0, 115))
    right.tick_params(left=False)
    return figure


def labelled_slices(file: Path, slices: int) -> Array:
    """Return which slices of a label map have a label, (Z,) boolean."""
    there = np.asarray(read_labels(file).data).any(axis=(1, 2))
    if len(there) != slices:
        raise SystemExit(
            f"{file} has {len(there)} slices; expected {slices}, as the trace. Give the labels of its scan."
        )
    return there


def _shade(axes: Any, there: Array) -> None:
    for number, index in enumerate(np.flatnonzero(there)):
        label = "a label in the reference" if not number else None
        axes.axvspan(index - 0.5, index + 0.5, color="0.85", linewidth=0, zorder=0, label=label)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False, fontsize=9)


def flow(given: argparse.Namespace) -> Figure:
    """Draw from where each node takes its features, a bar for each source in a panel for each node of the triangle."""
    trace, _ = opened(given)
    if not trace.charts:
        raise SystemExit("this trace has no chart of nodes; expected one of a network that states its connections.")
    chart = trace.charts[0]
    figure = Figure(figsize=(2 * len(chart.columns), 1.5 * len(chart.rows) + 0.6), layout="constrained")
    table = figure.subplots(len(chart.rows), len(chart.columns), squeeze=False, sharey=True)
    for line, row, values in zip(table, chart.rows, chart.values, strict=True):
        for axes, column, one in zip(line, chart.columns, values, strict=True):
            if np.isnan(one).all():
                axes.axis("off")
                continue
            percent = 100 * np.nan_to_num(one)
            bars = axes.bar(chart.series, percent, color=SOURCE_COLOURS[: len(one)])
            axes.bar_label(bars, [f"{value:.0f}" if value else "" for value in percent], padding=1, fontsize=9)
            axes.set_title(f"{row}, {column}", fontsize=9)
            axes.set(xticks=[], ylim=(0, 100))
            axes.tick_params(labelsize=8)
    name_sources(figure, chart.title, chart.series)
    return figure


def flow_over_training(given: argparse.Namespace) -> Figure:
    """Draw from where each node took its features in the course of a training, of a bundle's events."""
    return over_training(Path(given.sources[0]))


KINDS = (dice, contours, choices, windows, steps, flow, flow_over_training)


def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {kind.__name__.replace("_", "-"): kind for kind in KINDS}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("figure", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--scan", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--slice", type=int)
    parser.add_argument("--dpi", type=int, default=150)
    given = parser.parse_args()
    kinds[given.kind](given).savefig(given.figure, dpi=given.dpi)
    print(f"wrote {given.figure}")


if __name__ == "__main__":
    main()
