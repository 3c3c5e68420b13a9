"""A report of a segmentation as one HTML page with its pictures in it: what was found, how, and how sure.

The page has no script and loads nothing. Its markup is of the kind that Qt's text documents print, so that the window
can make a PDF of the same page.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from voxtrace.atomic import atomic_file
from voxtrace.io.export.label_style import colour_of, name_of
from voxtrace.io.export.report_pictures import ReportPicture, plane_pictures
from voxtrace.io.export.table import LabelRow
from voxtrace.volume import LabelMap, Triple, Volume

_PICTURES_PX, _TALLEST_PX = 640, 300  # the three pictures together fill the width of an A4 page
_LEAST_PX, _HALF_PX = 130, 310
_STYLE = """
body { font-family: Helvetica, Arial, sans-serif; font-size: 10pt; color: #202428; background: #ffffff; }
h1 { font-size: 17pt; margin-bottom: 2px; } h2 { font-size: 12pt; margin-top: 14px; margin-bottom: 4px; }
td, th { padding: 3px 10px 3px 3px; } th { text-align: left; color: #525a63; font-weight: normal; }
.dim { color: #525a63; } .warning { background-color: #fdecc8; color: #5a3c00; padding: 6px; }
"""


@dataclass(frozen=True, eq=False)
class Report:
    """What a report tells.

    Attributes
    ----------
    title
        E.g. the name of the scan.
    labels, rows
        The label map, and what was measured of it.
    scan
        One channel on the labels' grid, for the pictures; None leaves them out.
    shown
        Which labels these are: ``cycle 3 of 7``, ``the edited labels (12 edits on cycle 7)``.
    intervals_ml
        Label value -> lowest and highest plausible volume in mL, where known.
    facts
        Name -> value: method, bundle, version, hashes, options, seconds.
    notes
        Sentences on the scan and its passport.
    edits
        A line for each edit.
    warning
        Told at the top, e.g. that the model is for demonstration.
    patient
        Name -> value; empty unless the user wants it in.
    """

    title: str
    labels: LabelMap
    rows: Sequence[LabelRow]
    scan: Volume | None = None
    shown: str = ""
    intervals_ml: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    edits: Sequence[str] = ()
    warning: str = ""
    patient: Mapping[str, str] = field(default_factory=dict)


def html(report: Report) -> str:
    """Return the report as an HTML page, its pictures inside."""
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="dim">{escape(report.shown)}</p>' if report.shown else "",
        f'<p class="warning">{escape(report.warning)}</p>' if report.warning else "",
        _facts("Patient", report.patient),
        _pictures(report),
        _volumes(report),
        _list("Edits by hand", report.edits),
        _facts("How it was made", report.facts),
        _list("About the scan", report.notes),
        '<p class="dim">Made by VoxTrace for research. Not a medical device; a person must check every finding.</p>',
    ]
    head = f'<head><meta charset="utf-8"><title>{escape(report.title)}</title><style>{_STYLE}</style></head>'
    body = "\n".join(part for part in parts if part)
    return f"<!DOCTYPE html>\n<html>{head}<body>\n{body}\n</body></html>\n"


def write_html(report: Report, path: Path) -> Path:
    """Write the report as an HTML page, whole or not at all, and return its path."""
    with atomic_file(path) as temporary:
        temporary.write_text(html(report), encoding="utf-8")
    return path


def _pictures(report: Report) -> str:
    if report.scan is None:
        return ""
    pictures = plane_pictures(report.scan, report.labels)
    height = _PICTURES_PX / sum(_aspect(picture) for picture in pictures)
    if height >= _LEAST_PX:
        cells = [_picture(picture, _aspect(picture) * min(height, _TALLEST_PX)) for picture in pictures]
        return "<table><tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr></table>"
    # a scan of few slices is flat from the front and the side: these two stand one above the other
    axial, *others = (_picture(picture, min(_HALF_PX, _aspect(picture) * _TALLEST_PX)) for picture in pictures)
    return f"<table><tr><td>{axial}</td><td>{''.join(others)}</td></tr></table>"


def _picture(picture: ReportPicture, width: float) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    image = f'<img width="{round(width)}" alt="{picture.plane}" src="data:image/png;base64,{data}">'
    return f'<p>{image}<br><span class="dim">{picture.plane}, {escape(picture.position)}</span></p>'


def _aspect(picture: ReportPicture) -> float:
    return picture.width_px / picture.height_px


def _volumes(report: Report) -> str:
    if not report.rows:
        return "<h2>Volumes</h2><p>No label occurs.</p>"
    unit = report.rows[0].unit or "intensity"
    has_means = any(row.mean is not None for row in report.rows)
    heads = ["", "label", "mL", *(["plausible mL"] if report.intervals_ml else []), "pieces"]
    heads += [f"mean {unit}", f"SD {unit}"] if has_means else []
    lines = [_volume_cells(report, row, has_means) for row in report.rows]
    return "<h2>Volumes</h2>" + _table(heads, lines)


def _volume_cells(report: Report, row: LabelRow, has_means: bool) -> list[str]:
    colour = _css(colour_of(report.labels, row.label))
    cells = [
        f'<span style="color: {colour}; font-size: 11pt;">&#9632;</span>',
        escape(name_of(report.labels, row.label)),
    ]
    cells.append(f"<b>{row.volume_ml:.2f}</b>")
    if report.intervals_ml:
        interval = report.intervals_ml.get(row.label)
        cells.append(f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else "not known")
    cells.append(str(row.components))
    if has_means:
        cells += [f"{row.mean:.1f}", f"{row.sd:.1f}"] if row.mean is not None else ["", ""]
    return cells


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{head}</th>" for head in heads)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f'<table cellspacing="0"><tr>{top}</tr>{rows}</table>'


def _facts(title: str, facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items())
    return f'<h2>{title}</h2><table cellspacing="0">{rows}</table>'


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{title}</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _css(colour: Triple) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
