"""The triangle of flow over a training, and its log, as a figure (E2ENet, Figs. 6 and 11); `figures.py` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from voxtrace import palette
from voxtrace.training.events import EVENTS, read_events
from voxtrace.volume import Array

SOURCE_COLOURS = [palette.colour(place) for place in (1, 10, 4)]  # vermilion, green, violet: dark enough on white
LEAST_GAP = 0.085  # between two numbers at the right edge of a panel, as a fraction of its height
Events = Sequence[dict[str, Any]]


def flow_over_training(bundle: Path) -> Figure:
    """Draw shares and densities of each node's sources over the iterations, and f_decay, density and updates beside.

    Densities, the active fraction of each source, are dotted; logs of before version 0.3.0 are without.
    """
    events = list(read_events(bundle / EVENTS))
    charts = [event for event in events if event["event"] == "charts"]
    updates = [event for event in events if event["event"] == "update" and "f_decay" in event.get("method", {})]
    if not charts or not updates:
        raise SystemExit(
            f"{bundle / EVENTS} has no connections over a training; expected a bundle that was trained here by a "
            "method that exchanges connections (e2enet)."
        )
    first = charts[0]["charts"][0]
    shares = np.asarray([event["charts"][0]["values"] for event in charts], float)  # (T, rows, columns, sources)
    rows, columns = shares.shape[1:3]
    if np.isfinite(shares[0, rows - rows // 2 :, columns - columns // 2 :]).any():
        raise SystemExit(
            f"the chart {first['title']!r} is no triangle; expected one whose lower right corner is empty."
        )
    densities = None
    if all(len(event["charts"]) > 1 for event in charts):
        densities = np.asarray([event["charts"][1]["values"] for event in charts], float)
    figure = Figure(figsize=(max(8, 2.75 * columns), max(6, 1.85 * rows + 0.6)), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    _nodes(figure, grid, [event["done"] for event in charts], shares, densities, first)
    _log(figure, grid[rows - rows // 2 :, columns - columns // 2 :], updates)
    dotted = "" if densities is None else "; dotted: % of the kernels of each source that are on"
    name_sources(figure, first["title"], first["series"], dotted)
    return figure


def name_sources(figure: Figure, title: str, series: Sequence[str], more: str = "") -> None:
    """Put the title of a chart and the colours of the sources above it."""
    lines = [Line2D([], [], color=colour, linewidth=3) for colour in SOURCE_COLOURS[: len(series)]]
    title = f"{title}: % of the active kernels of each node{more}"
    figure.legend(lines, series, loc="outside upper center", ncols=len(lines), title=title, frameon=False)


def _nodes(
    figure: Figure, grid: Any, at: Sequence[int], shares: Array, densities: Array | None, chart: dict[str, Any]
) -> None:
    """Draw a panel for each node: level down, stage to the right."""
    top = np.ceil(10 * np.nanmax(shares)) / 10
    for row, level in enumerate(chart["rows"]):
        for column, stage in enumerate(chart["columns"]):
            node = shares[:, row, column]
            if not np.isfinite(node).any():
                continue
            axes = figure.add_subplot(grid[row, column])
            _node(axes, at, node, chart["series"], top)
            if densities is not None:
                _dotted(axes, at, densities[:, row, column])
            axes.set_title(f"{level}, {stage}", fontsize=9)
            if row + column + 1 < len(chart["rows"]):
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("iteration", fontsize=8)
            if column == 0:
                axes.set_ylabel("share, %", fontsize=8)
            else:
                axes.tick_params(labelleft=False)


def _node(axes: Any, at: Sequence[int], node: Array, series: Sequence[str], top: float) -> None:
    """Draw the shares of one node in %, the last of each as a number; sources that it lacks are left out."""
    here = [k for k in range(len(series)) if np.nanmax(node[:, k]) > 0]
    for k in here:
        axes.plot(at, 100 * node[:, k], color=SOURCE_COLOURS[k % 3], linewidth=1.6, label=series[k])
    places = spread([float(node[-1, k]) / top for k in here], LEAST_GAP)
    for k, place in zip(here, places, strict=True):
        axes.text(
            1.02, place, f"{100 * node[-1, k]:.0f}", transform=axes.transAxes, va="center", fontsize=8,
            color=SOURCE_COLOURS[k % 3], weight="bold",
        )  # fmt: skip
    axes.set(ylim=(0, 100 * top), xlim=(0, at[-1]))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)


def _dotted(axes: Any, at: Sequence[int], densities: Array) -> None:
    """Draw the densities of one node's sources in %; sources that it lacks are left out."""
    for k in np.flatnonzero(np.nanmax(densities, axis=0) > 0):
        axes.plot(at, 100 * densities[:, k], color=SOURCE_COLOURS[k % 3], linewidth=1.1, linestyle=":")


def _log(figure: Figure, place: Any, updates: Events) -> None:
    """Draw f_decay beside the fraction that is on, and below them how often the connections were exchanged."""
    above, below = place.subgridspec(2, 1, height_ratios=(3, 2)).subplots(sharex=True)
    at = [event["done"] for event in updates]
    told = {name: [event["method"][name] for event in updates] for name in ("f_decay", "density", "topology_updates")}
    above.plot(
        at,
        100 * np.asarray(told["f_decay"]),
        color="black",
        label="f_decay: of the active kernels, exchanged at an update",
    )
    above.plot(
        at,
        100 * np.asarray(told["density"]),
        color="0.55",
        linestyle="--",
        label="density: active, of all kernels of F and U",
    )
    above.set(ylabel="%", ylim=(0, 70), xlim=(0, at[-1]))
    above.legend(fontsize=8, loc="upper right", frameon=False)
    below.plot(at, told["topology_updates"], color="black")
    below.set(xlabel="iteration", ylabel="updates of\nconnections", ylim=(0, None))
    for axes in (above, below):
        axes.grid(axis="y", linewidth=0.4, alpha=0.6)
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return places at least ``gap`` apart, in the same order of height, moved as little as pairs allow."""
    order = np.argsort(places, kind="stable")
    out = np.asarray(places, float)
    for low, high in pairwise(order):
        lacking = gap - (out[high] - out[low])
        if lacking > 0:
            out[low] -= lacking / 2
            out[high] += lacking / 2
    return [float(place) for place in out]
