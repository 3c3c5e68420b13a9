"""The reliability diagram of a bundle: as SVG beside its card, and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SIDE, EDGE = 320, 56  # pixels of the square, and around it
_BEFORE, _AFTER, _INK, _FAINT = "#8a94a0", "#0b62d6", "#1c2127", "#c4cad1"
_X, _Y = "probability of the answer", "fraction right"
COLUMNS = ("probability", "voxels", "mean", "right", "voxels with T", "mean with T", "right with T")


def reliability_svg(calibration: Mapping[str, Any]) -> str:
    """Return the diagram of a card's ``calibration``: how often an answer of a probability is right, 0 to 1 both ways.

    Points below the diagonal are too sure. The area of a point grows with its voxels.
    """
    whole = SIDE + 2 * EDGE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" viewBox="0 0 {whole} {whole}" '
        'font-family="sans-serif" font-size="13">',
        f"<title>{_title(calibration)}</title>",
        f'<rect width="{whole}" height="{whole}" fill="#ffffff"/>',
        *_axes(),
        *_curve(calibration["reliability_before"], _BEFORE),
        *_curve(calibration["reliability_after"], _AFTER),
        *_legend(calibration),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def reliability_rows(calibration: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """Return a row for each bin with voxels, in the order of :data:`COLUMNS`."""
    pairs = list(zip(calibration["reliability_before"], calibration["reliability_after"], strict=True))
    rows = []
    for number, (before, after) in enumerate(pairs):
        if before[0] or after[0]:
            ends = f"{number / len(pairs):.2f} to {(number + 1) / len(pairs):.2f}"
            rows.append((ends, *_cells(before), *_cells(after)))
    return rows


def _cells(row: Sequence[float]) -> tuple[object, ...]:
    n, told, true = row
    return (int(n), f"{told:.3f}", f"{true:.3f}") if n else (0, "–", "–")


def _title(calibration: Mapping[str, Any]) -> str:
    return (
        f"Reliability: ECE {calibration['ece_before']:.3f}, with temperature {calibration['temperature']:.2f} "
        f"{calibration['ece_after']:.3f}"
    )


def _place(told: float, true: float) -> tuple[float, float]:
    return EDGE + SIDE * told, EDGE + SIDE * (1.0 - true)


def _axes() -> Iterator[str]:
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _place(part, part)
        yield f'<path d="M {x:.1f} {EDGE} V {EDGE + SIDE} M {EDGE} {y:.1f} H {EDGE + SIDE}" stroke="{_FAINT}"/>'
        yield f'<text x="{x:.1f}" y="{EDGE + SIDE + 18}" fill="{_INK}" text-anchor="middle">{part:g}</text>'
        yield f'<text x="{EDGE - 6}" y="{y + 4:.1f}" fill="{_INK}" text-anchor="end">{part:g}</text>'
    yield f'<path d="M {EDGE} {EDGE + SIDE} L {EDGE + SIDE} {EDGE}" stroke="{_INK}" stroke-dasharray="4 4"/>'
    middle = EDGE + SIDE / 2
    yield f'<text x="{middle}" y="{EDGE + SIDE + 40}" fill="{_INK}" text-anchor="middle">{_X}</text>'
    turned = f'transform="rotate(-90 16 {middle})"'
    yield f'<text x="16" y="{middle}" fill="{_INK}" text-anchor="middle" {turned}>{_Y}</text>'


def _curve(rows: Sequence[Sequence[float]], colour: str) -> Iterator[str]:
    total = sum(row[0] for row in rows) or 1
    points = [(_place(told, true), n / total) for n, told, true in rows if n]
    if points:
        path = " L ".join(f"{x:.1f} {y:.1f}" for (x, y), _ in points)
        yield f'<path d="M {path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    for (x, y), part in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 9 * part**0.5:.1f}" fill="{colour}" fill-opacity="0.7"/>'


def _legend(calibration: Mapping[str, Any]) -> Iterator[str]:
    told = (
        (_BEFORE, f"as the network says, ECE {calibration['ece_before']:.3f}"),
        (_AFTER, f"with temperature {calibration['temperature']:.2f}, ECE {calibration['ece_after']:.3f}"),
    )
    for line, (colour, words) in enumerate(told):
        y = 20 + 18 * line
        yield f'<circle cx="{EDGE + 5}" cy="{y - 4}" r="5" fill="{colour}"/>'
        yield f'<text x="{EDGE + 16}" y="{y}" fill="{_INK}">{words}</text>'
