"""The panel says what was found when a scan was read, with a verdict that is visible without unfolding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import awkward_dicom as awkward
from made_layers import Recorded, made_trace, made_volume
from voxtrace.passport import Finding, Passport
from voxtrace.plugin.controllers.passport import PassportController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.passports import card, headline, lines
from voxtrace.plugin.npe2.reader import load
from voxtrace.volume import Volume

FINE = Finding("units", "fine", "mm")
TILT = Finding("tilt", "corrected", "12.0°", "slices were shifted back")
GAP = Finding("missing slices", "corrected", "1 of 16", "filled in")
WRONG = Finding("orientation", "refused", "none", "export the series again")


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ((), "Geometry: not checked"),
        ((FINE,), "Geometry: fine"),
        ((FINE, TILT), "Geometry: 1 correction"),
        ((TILT, GAP), "Geometry: 2 corrections"),
        ((TILT, WRONG), "Geometry: refused"),
    ],
)
def test_the_headline_is_the_gravest_verdict(findings: tuple[Finding, ...], expected: str) -> None:
    assert headline(Passport(findings)) == expected


def test_the_gravest_finding_comes_first_with_its_mark_and_remedy() -> None:
    shown = [(line.mark, line.text, line.remedy) for line in lines((FINE, TILT, WRONG))]
    assert shown == [
        ("✗", "Orientation: none", "export the series again"),
        ("⚠", "Tilt: 12.0°", "slices were shifted back"),
        ("✓", "Units: mm", ""),
    ]


def test_the_grid_is_told_in_the_files_own_order() -> None:
    assert card(made_volume()).grid == "5 × 6 × 4 voxels of 1 × 2 × 3 mm, axes towards L, P, S"


def with_findings(name: str, *findings: Finding) -> Volume:
    return replace(made_volume(), name=name, passport=Passport(findings))


def add(model: Any, volume: Volume) -> Any:
    [(data, about, _)] = display.image_layers(volume)
    return model.add_image(data, **about)


def test_the_passport_of_the_selected_scan_is_shown(model: Any, view: Recorded) -> None:
    controller = PassportController(model, view)
    assert view.last("show_passport") == (None,)
    first, second = add(model, with_findings("a", TILT)), add(model, with_findings("b", FINE))
    assert view.last("show_passport")[0].headline == "Geometry: fine"
    model.layers.selection.active = first
    assert view.last("show_passport")[0].headline == "Geometry: 1 correction"
    data, about, _ = display.trace_layer(made_trace(), "prediction", first.unique_id)
    model.add_labels(data, **about)  # a prediction shows the passport of its scan, not of the scan on top
    assert view.last("show_passport")[0].headline == "Geometry: 1 correction"
    model.layers.selection.active = second
    assert view.last("show_passport")[0].headline == "Geometry: fine"
    model.layers.clear()
    assert view.last("show_passport") == (None,)
    controller.close()
    calls = len(view.calls)
    add(model, with_findings("c", FINE))
    assert len(view.calls) == calls


def test_a_tilted_series_is_told_in_the_window(make_napari_viewer_proxy: Any, tmp_path: Path) -> None:
    pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")
    from voxtrace.plugin.npe2.segment import SegmentWidget

    viewer = make_napari_viewer_proxy()
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="segment")
    view = widget.view.passport
    assert view.isHidden()
    folder = awkward.save(tmp_path / "tilted", awkward.images(awkward.tilted(12.0)))
    for data, about, _ in load([folder]):
        viewer.add_image(data, **about)
    assert not view.isHidden()
    assert "⚠ Geometry: 1 correction" in view.title.text()
    assert view.content.isHidden()
    view.title.click()
    assert not view.content.isHidden()
    assert view.texts[0].startswith("⚠ Tilt: ")
    assert "12.0°" in view.texts[0]
    viewer.layers.clear()
    assert view.isHidden()
