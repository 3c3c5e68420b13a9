"""The report: one page, nothing loaded from elsewhere, pictures the right way up, text that cannot break it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from voxtrace.io.export.report import Report, html
from voxtrace.io.export.report_pictures import fullest_slice, plane_pictures
from voxtrace.io.export.table import measure
from voxtrace.volume import Geometry, LabelMap, Volume

SHAPE = (20, 30, 40)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0), (10.0, -20.0, 5.0))


def scan(modality: str = "CT") -> Volume:
    return Volume(np.full((1, *SHAPE), -200, np.int16), GEOMETRY, modality, (), "scan")


def labelled(box: Any, colour: Any = (1.0, 0.0, 0.0)) -> LabelMap:
    data = np.zeros(SHAPE, np.uint8)
    data[box] = 1
    return LabelMap(data, GEOMETRY, {1: "liver"}, {1: colour})


def pixels(png: bytes) -> Any:
    return imread(io.BytesIO(png))[..., :3]


def red_centre(png: bytes) -> tuple[float, float]:
    """Return where the label lies in a picture, as fractions from the top and from the left."""
    image = pixels(png)
    where = np.argwhere((image[..., 0] > image[..., 1] + 0.15) & (image[..., 2] < 0.1) & (image[..., 1] < 0.1))
    down, right = where.mean(axis=0) / image.shape[:2]
    return float(down), float(right)


def test_pictures_are_the_right_way_up() -> None:
    # superior, anterior, right of the patient: high z, low y, low x
    labels = labelled((slice(15, 19), slice(3, 7), slice(4, 9)))
    axial, coronal, sagittal = plane_pictures(scan(), labels)
    assert [p.plane for p in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    assert red_centre(axial.png) == pytest.approx((5 / 30, 6.5 / 40), abs=0.03)  # anterior up, right on the left
    assert red_centre(coronal.png) == pytest.approx((3 / 20, 6.5 / 40), abs=0.03)  # superior up
    assert red_centre(sagittal.png) == pytest.approx((3 / 20, 5 / 30), abs=0.03)  # anterior on the left


def test_pictures_have_the_proportions_of_the_patient() -> None:
    _, coronal, _ = plane_pictures(scan(), labelled((slice(5, 9), slice(3, 7), slice(4, 9))))
    assert coronal.width_px / coronal.height_px == pytest.approx(40.0 / 60.0, rel=0.02)  # mm, not voxels
    assert pixels(coronal.png).shape[:2] == (coronal.height_px, coronal.width_px)


def test_the_slice_that_shows_most_is_shown_and_its_place_is_told() -> None:
    labels = labelled((slice(2, 3), slice(3, 20), slice(4, 30)))
    assert fullest_slice(labels.data, 0) == 2
    axial, *_ = plane_pictures(scan(), labels)
    assert axial.position == "S 16.0 mm"
    empty = LabelMap(np.zeros(SHAPE, np.uint8), GEOMETRY)
    assert fullest_slice(empty.data, 1) == 15
    assert len(plane_pictures(scan("MR"), empty)) == 3


def test_the_page_tells_volumes_intervals_facts_and_edits_and_loads_nothing() -> None:
    labels = labelled((slice(0, 10), slice(0, 10), slice(0, 10)), (0.2, 0.4, 0.6))
    report = Report(
        "case 7",
        labels,
        measure(labels, scan()),
        scan(),
        shown="cycle 3 of 7",
        intervals_ml={1: (2.5, 3.75)},
        facts={"Model": "abdomen"},
        notes=["tilt: 12.0°"],
        edits=["10:02 paint liver, 132 voxels"],
        warning="Demonstration model",
        patient={},
    )
    page = html(report)
    text = re.sub(r"<[^>]*>", " ", page)
    for told in ("case 7", "cycle 3 of 7", "3.00", "2.50 to 3.75", "abdomen", "12.0°", "132 voxels", "Demonstration"):
        assert told in text
    assert "#336699" in page  # the label's colour
    assert "Patient" not in text
    assert not re.search(r'(src|href)="(?!data:)', page)
    for data in re.findall(r'src="data:image/png;base64,([^"]*)"', page):
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_names_cannot_break_the_page() -> None:
    labels = replace(labelled((slice(0, 2), slice(0, 2), slice(0, 2))), names={1: "<b>&liver"})
    page = html(Report("<script>alert(1)</script>", labels, measure(labels), facts={"<i>": "a < b"}))
    assert "<script" not in page
    assert "&lt;b&gt;&amp;liver" in page
    assert "a &lt; b" in page


def test_without_labels_it_says_so() -> None:
    empty = LabelMap(np.zeros(SHAPE, np.uint8), GEOMETRY)
    assert "No label occurs" in html(Report("empty", empty, measure(empty)))


def test_a_scan_of_few_slices_keeps_its_axial_picture_large() -> None:
    flat = Geometry.from_spacing((6, 60, 60), (2.0, 2.0, 2.0))
    volume = Volume(np.zeros((1, 6, 60, 60), np.int16), flat, "CT", (), "scan")
    labels = LabelMap(np.ones((6, 60, 60), np.uint8), flat, {1: "all"})
    page = html(Report("flat", labels, measure(labels), volume))
    widths = [int(width) for width in re.findall(r'<img width="(\d+)"', page)]
    assert len(widths) == 3
    assert min(widths) >= 290
    tall = html(Report("tall", labelled((slice(2, 9), slice(3, 20), slice(4, 30))), (), scan()))
    assert sum(int(width) for width in re.findall(r'<img width="(\d+)"', tall)) <= 640
