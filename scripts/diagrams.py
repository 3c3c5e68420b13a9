"""Draw the stages of docs/stages.md, from its headings, into docs/images/stages.png.

From the project's root::

    python scripts/diagrams.py
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt

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


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "stages.png")
