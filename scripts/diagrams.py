"""Draw pictures of docs/images from what pages and cards say.

``stages.png`` from the headings of docs/stages.md, ``steps.png`` from the models' cards, ``benchmarks.png`` and
``kernels.png`` from the first table of their page.

From the project's root::

    python scripts/diagrams.py
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt

from voxtrace import bundle
from voxtrace.fit.model_facts import step_dice

ROOT = Path(__file__).resolve().parents[1]
PER_ROW = 5
COLOURS = ("#3f51b5", "#00796b")
WIDTH, HEIGHT, GAP_X, GAP_Y = 3.5, 0.95, 0.4, 0.5


def chapters() -> dict[str, list[tuple[str, str]]]:
    """Return the stages of each chapter of the page: name, and where its code is."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in (ROOT / "docs" / "stages.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            found[line[3:]] = []
        elif stage := re.fullmatch(r"### (.*?) · `(.*?)`.*", line):
            list(found.values())[-1].append((stage[1], stage[2].removeprefix("voxtrace.")))
    return found


def draw(out: Path) -> None:
    """Draw the chapters below each other, each in rows from left to right."""
    rows = sum(-(-len(stages) // PER_ROW) for stages in chapters().values()) + len(chapters())
    figure, axes = plt.subplots(figsize=(PER_ROW * (WIDTH + GAP_X) * 0.62, rows * (HEIGHT + GAP_Y) * 0.55))
    top = 0.0
    for (title, stages), colour in zip(chapters().items(), COLOURS, strict=True):
        axes.text(0, top, title, fontsize=13, weight="bold", color=colour, va="bottom")
        top -= 0.25
        for index, (name, code) in enumerate(stages):
            x, y = index % PER_ROW * (WIDTH + GAP_X), top - index // PER_ROW * (HEIGHT + GAP_Y)
            axes.add_patch(plt.Rectangle((x, y - HEIGHT), WIDTH, HEIGHT, facecolor=colour, alpha=0.92))
            axes.text(x + WIDTH / 2, y - 0.36, name, color="white", ha="center", va="center", fontsize=9, weight="bold")
            axes.text(x + WIDTH / 2, y - 0.7, code, color="white", ha="center", va="center", fontsize=6.5)
            if index + 1 < len(stages) and index % PER_ROW < PER_ROW - 1:
                arrow(axes, (x + WIDTH, y - HEIGHT / 2), (x + WIDTH + GAP_X, y - HEIGHT / 2), colour)
            elif index + 1 < len(stages):
                arrow(axes, (x + WIDTH / 2, y - HEIGHT), (WIDTH / 2, y - HEIGHT - GAP_Y), colour)
        top -= -(-len(stages) // PER_ROW) * (HEIGHT + GAP_Y) + 0.5
    axes.set(xlim=(-0.1, PER_ROW * (WIDTH + GAP_X)), ylim=(top + 0.4, 0.4))
    axes.axis("off")
    figure.savefig(out, dpi=110, bbox_inches="tight", facecolor="white")


def arrow(axes: plt.Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """Draw an arrow from one stage to the next."""
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4})


def draw_steps(out: Path) -> None:
    """Draw the mean Dice of held-back cases after each step, for the shipped models with several."""
    figure, axes = plt.subplots(figsize=(8, 4.2))
    for name, folder in bundle.shipped().items():
        curve = step_dice(bundle.card(folder))
        if len(curve) > 1:
            axes.plot(range(1, len(curve) + 1), curve, marker="o", label=name)
    axes.set(xlabel="step", ylabel="mean Dice of held-back cases")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(out, dpi=110, bbox_inches="tight", facecolor="white")


def draw_benchmarks(out: Path) -> None:
    """Draw seconds and memory of the large CT, of every program in the first table."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split("<!-- bench ct300: end -->")[0]
    found: dict[str, dict[str, float]] = {"time": {}, "memory": {}}
    for what, other, theirs, own, ours in re.findall(
        r"^\| CT .*? \| (time|memory) \| (.*?): ([\d.]+) \w+ \| (.*?): ([\d.]+) ", text, re.MULTILINE
    ):
        found[what] |= {other: float(theirs), own: float(ours)}
    figure, both = plt.subplots(1, 2, figsize=(9, 2.6))
    for axes, (what, unit) in zip(both, (("time", "s"), ("memory", "MB")), strict=True):
        bars = axes.barh(list(found[what]), list(found[what].values()), color=COLOURS[0])
        axes.bar_label(bars, fmt="%g", padding=3)
        axes.invert_yaxis()
        axes.set(xlabel=f"{what}, {unit}", xlim=(0, 1.35 * max(found[what].values())))
    figure.tight_layout()
    figure.savefig(out, dpi=110, facecolor="white")


def draw_kernels(out: Path) -> None:
    """Draw how many times faster the kernels are than other runtimes."""
    text = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    head = re.search(r"^\| kernel \| (.*) \| command \|$", text, re.MULTILINE)
    assert head is not None
    others, figure, axes = head[1].split(" | "), *plt.subplots(figsize=(9, 4))
    rows = re.findall(r"^\| ([^|]+) \| (.*) \| `python scripts/time_runtimes.py.*?` \|$", text, re.MULTILINE)
    for column, other in enumerate(others):
        values = [row[1].split(" | ")[column] for row in rows]
        numbers = [float(value) if re.fullmatch(r"[\d.]+", value) else 0.0 for value in values]
        axes.barh([k + 0.19 * (column - 1.5) for k in range(len(rows))], numbers, 0.18, label=other)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks(range(len(rows)), [row[0].split(", ")[0] + ", " + row[0].split(", ")[1] for row in rows])
    axes.invert_yaxis()
    axes.set(xlabel="times faster than the other runtime; below 1: slower")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=110, facecolor="white")


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "stages.png")
    draw_steps(ROOT / "docs" / "images" / "steps.png")
    draw_benchmarks(ROOT / "docs" / "images" / "benchmarks.png")
    draw_kernels(ROOT / "docs" / "images" / "kernels.png")
