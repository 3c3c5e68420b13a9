"""A film as a page: one file, both sliders' pictures in it, within its size."""

from __future__ import annotations

import base64
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from made_layers import made_trace
from voxtrace.cli import app
from voxtrace.errors import UsageError
from voxtrace.film import FilmOptions, page, write_film
from voxtrace.trace import Provenance, Trace
from voxtrace.volume import DEMONSTRATION, Geometry, Volume

SHAPE = (6, 20, 30)


@pytest.fixture
def trace() -> Trace:
    """Three steps; slices 1 to 4 have a label, slice 3 most of it."""
    labels = np.zeros((3, *SHAPE), np.uint8)
    for step in range(3):
        labels[step, 1:5, 2 : 6 + step, 3:13] = 1
        labels[step, 3, 2 : 10 + step, 3:13] = 1
    geometry = Geometry.from_spacing(SHAPE, (4.0, 2.0, 1.0), (0.0, 0.0, 0.0))
    return Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, {0: "background", 1: "</script><b>"}, "cycle")


def document(text: str) -> dict[str, Any]:
    """Return what the page's script reads."""
    line = next(line for line in text.splitlines() if line.startswith("const film = "))
    found: dict[str, Any] = json.loads(line.removeprefix("const film = ").removesuffix(";"))
    return found


def picture(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_every_labelled_slice_has_the_scan_and_a_picture_of_every_step(trace: Trace) -> None:
    found = document(page(trace, None, FilmOptions()))
    assert [one["index"] for one in found["slices"]] == [1, 2, 3, 4]
    assert found["slices"][found["first"]]["index"] == 3
    assert all(len(one["labels"]) == 3 for one in found["slices"])
    assert found["steps"] == ["cycle 1 of 3", "cycle 2 of 3", "cycle 3 of 3"]
    assert found["changed"] == [row["changed_voxels"] for row in trace.summary()]
    ml = [row["volume_ml"][1] for row in trace.summary()]
    assert found["labels"][0]["ml"] == pytest.approx(ml)


def test_labels_lie_at_true_proportions_and_are_clear_elsewhere(trace: Trace) -> None:
    found = document(page(trace, None, FilmOptions(height=200)))
    shown = np.asarray(picture(found["slices"][2]["labels"][0]).convert("RGBA"))
    assert (found["height"], found["width"]) == (200, 150) == shown.shape[:2]
    rows, columns = np.nonzero(shown[..., 3])
    assert (rows.min(), rows.max() + 1) == (20, 100)  # voxels 2 to 9 of 20 along Y, 10 pixels each
    assert (columns.min(), columns.max() + 1) == (15, 65)


def test_the_page_asks_for_no_other_file_and_a_name_cannot_end_its_script(trace: Trace) -> None:
    text = page(trace, None, FilmOptions())
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert text.count("</script>") == 1
    assert document(text)["labels"][0]["name"] == "</script><b>"


def test_a_name_that_looks_like_a_place_to_fill_stays_a_name(trace: Trace) -> None:
    found = page(
        replace(trace, provenance=Provenance(method="m", bundle="@DATA@ @TITLE@ @OTHER@")), None, FilmOptions()
    )
    assert "<title>m · @DATA@ @TITLE@ @OTHER@</title>" in found
    assert found.count('"slices"') == 1


def test_one_slice_alone_and_the_other_planes(trace: Trace) -> None:
    assert [s["index"] for s in document(page(trace, None, FilmOptions(index=2)))["slices"]] == [2]
    coronal = document(page(trace, None, FilmOptions("coronal")))
    assert [s["index"] for s in coronal["slices"]] == list(range(2, 12))
    top = np.asarray(picture(coronal["slices"][0]["labels"][0]).convert("RGBA"))[..., 3]
    assert not top[: top.shape[0] // 7].any()  # the last slice, which has no label, is on top


def test_a_trace_without_labels_shows_one_slice(trace: Trace) -> None:
    assert len(document(page(replace(trace, labels=np.zeros_like(trace.labels)), None, FilmOptions()))["slices"]) == 1


def test_slices_are_left_out_evenly_where_the_page_would_get_too_large(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["voxtrace.film.page"]
    whole = document(page(trace, None, FilmOptions()))["slices"]
    size = sum(len(one["grey"]) + sum(map(len, one["labels"])) for one in whole)
    monkeypatch.setattr(module, "MOST_BYTES", size - 1)
    assert [one["index"] for one in document(page(trace, None, FilmOptions()))["slices"]] == [1, 3]
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(UsageError, match="--height"):
        page(trace, None, FilmOptions())
    monkeypatch.undo()
    monkeypatch.setattr(module, "MOST_SLICES", 3)
    assert [one["index"] for one in document(page(trace, None, FilmOptions()))["slices"]] == [1, 3, 4]


def test_all_slices_have_one_contrast(trace: Trace) -> None:
    data = np.zeros((1, *SHAPE), np.int16)
    data[0] = np.linspace(0, 200, SHAPE[0])[:, None, None]
    found = document(page(trace, Volume(data, trace.geometry, "CT", ("CT",), "scan"), FilmOptions()))
    shades = [np.asarray(picture(one["grey"])).mean() for one in found["slices"]]
    assert shades == sorted(shades)
    assert shades[-1] - shades[0] > 50


def test_a_demonstration_model_is_told(trace: Trace) -> None:
    shown = replace(trace, provenance=Provenance(method_title="A <method>", demonstration=True))
    text = page(shown, None, FilmOptions())
    assert DEMONSTRATION.split(".")[0] in text
    assert "A &lt;method&gt;" in text
    assert "@" not in text.split("const film")[0].replace("@media", "")


def test_the_command_writes_it(tmp_path: Path) -> None:
    made_trace().save(tmp_path / "a.trace")
    result = CliRunner().invoke(app, ["film", str(tmp_path / "a.trace"), str(tmp_path / "a.html")])
    assert result.exit_code == 0, result.output
    assert document((tmp_path / "a.html").read_text(encoding="utf-8"))["slices"]
    with pytest.raises(UsageError, match=r"in \.html for a page"):
        write_film(made_trace(), tmp_path / "film.mp4")
