"""Edits that were not saved survive, are offered for the same scan and model, and go when they are saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_layers import made_trace, made_volume
from voxtrace.plugin.controllers.autosave import AutosaveController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.layers import display
from voxtrace.plugin.work.trace_open import open_trace
from voxtrace.trace.edits import save_edits
from voxtrace.volume import LabelMap


def at_once(function: Callable[[], Any], on_result: Callable[[Any], None], on_error: Callable[[str], None]) -> None:
    on_result(function())


@pytest.fixture
def edits(model: Any) -> EditController:
    return EditController(model, CurrentResult(model))


@pytest.fixture
def autosave(model: Any, edits: EditController) -> AutosaveController:
    return AutosaveController(model, edits, at_once)


def shown(model: Any, value: int = 0) -> Any:
    volume = replace(made_volume(), data=made_volume().data + value)
    data, about, _ = display.image_layers(volume)[0]
    scan = model.add_image(data, **about)
    data, about, _ = display.trace_layer(made_trace(), "result", scan.unique_id)
    return model.add_labels(data, **about)


def painted(model: Any) -> Any:
    layer = shown(model)
    layer.brush_size = 1
    layer.paint((1, 0, 5, 0), 2)
    return layer


def test_unsaved_edits_are_offered_for_the_same_scan_and_restored(
    autosave: AutosaveController, model: Any, unsaved_edits: Path
) -> None:
    layer = painted(model)
    edited = layer.data.edited
    autosave.keep()
    assert not autosave.has_unsaved
    model.layers.clear()
    again = shown(model)
    assert autosave.sentence.startswith("Edits of ")
    assert "were not saved (1 edit on cycle 2). Restore them?" in autosave.sentence
    autosave.restore()
    np.testing.assert_array_equal(again.data[3], edited)
    assert [edit.station for edit in again.data.edits] == ["cycle 2"]
    assert autosave.sentence == ""
    assert len(list(unsaved_edits.iterdir())) == 1  # until they are saved


def test_they_are_kept_also_when_the_scan_closed_before(
    autosave: AutosaveController, model: Any, unsaved_edits: Path
) -> None:
    painted(model)
    model.layers.clear()
    autosave.keep_now()
    shown(model)
    assert autosave.sentence


def test_another_scan_is_offered_nothing(autosave: AutosaveController, model: Any) -> None:
    painted(model)
    autosave.keep()
    model.layers.clear()
    shown(model, 5)
    assert autosave.sentence == ""


def test_saving_and_discarding_remove_them(
    autosave: AutosaveController, edits: EditController, model: Any, unsaved_edits: Path
) -> None:
    layer = painted(model)
    autosave.keep()
    edits.saved.emit(layer)
    assert list(unsaved_edits.iterdir()) == []
    layer.paint((3, 0, 4, 0), 2)
    autosave.keep()
    model.layers.clear()
    shown(model)
    autosave.discard()
    assert autosave.sentence == ""
    assert list(unsaved_edits.iterdir()) == []


def test_who_draws_anew_is_offered_nothing_any_more(autosave: AutosaveController, model: Any) -> None:
    painted(model)
    autosave.keep()
    model.layers.clear()
    layer = shown(model)
    assert autosave.sentence
    layer.paint((0, 1, 1, 1), 1)
    assert autosave.sentence == ""


def scan_of(model: Any, value: int = 0) -> Any:
    volume = replace(made_volume(), data=made_volume().data + value)
    data, about, _ = display.image_layers(volume)[0]
    return model.add_image(data, **about)


def drawn_by_hand(model: Any) -> Any:
    """Labels as the new-labels button makes them, with a stroke."""
    scan = scan_of(model)
    place = {key: getattr(scan, key) for key in ("scale", "translate", "units", "axis_labels")}
    layer = model.add_labels(np.zeros(scan.data.shape, np.int32), name="drawn", **place)
    layer.brush_size = 1
    layer.paint((0, 5, 0), 3)
    return layer


def test_labels_drawn_by_hand_are_offered_with_their_scan_and_come_back_as_a_layer(
    autosave: AutosaveController, edits: EditController, model: Any, unsaved_edits: Path
) -> None:
    expected = drawn_by_hand(model).data.copy()
    assert np.count_nonzero(expected == 3) > 0
    autosave.keep()
    model.layers.clear()
    scan_of(model, 5)
    assert autosave.sentence == ""  # another scan
    scan_of(model)
    assert "were not saved" in autosave.sentence
    autosave.restore()
    restored = model.layers[-1]
    assert restored.name.endswith("restored labels")
    np.testing.assert_array_equal(restored.data, expected)
    assert np.allclose(restored.translate, model.layers[-2].translate)
    assert len(list(unsaved_edits.iterdir())) == 1
    edits.saved.emit(restored)
    assert list(unsaved_edits.iterdir()) == []


def test_labels_from_a_file_are_kept_with_the_scan_that_they_lie_on(autosave: AutosaveController, model: Any) -> None:
    scan = scan_of(model)
    labels = LabelMap(np.zeros(scan.data.shape, np.uint8), made_volume().geometry, {1: "liver"})
    data, about, _ = display.label_layer(labels)
    layer = model.add_labels(data, **about)
    layer.brush_size = 1
    layer.paint((0, 5, 0), 1)
    autosave.keep()
    model.layers.clear()
    scan_of(model)
    assert "Restore them?" in autosave.sentence
    autosave.discard()
    assert autosave.sentence == ""
    model.layers.clear()
    scan_of(model)
    assert autosave.sentence == ""


def test_who_draws_on_the_scan_anew_is_offered_nothing_any_more(autosave: AutosaveController, model: Any) -> None:
    drawn_by_hand(model)
    autosave.keep()
    model.layers.clear()
    drawn_by_hand(model)
    model.layers.selection.active = model.layers[0]
    assert autosave.sentence == ""


def test_labels_that_lie_on_no_open_scan_are_not_kept(autosave: AutosaveController, model: Any) -> None:
    layer = model.add_labels(np.zeros((4, 6, 5), np.uint8))
    layer.paint((0, 5, 0), 1)
    assert not autosave.has_unsaved


def test_a_full_disk_disturbs_nobody(
    autosave: AutosaveController, model: Any, unsaved_edits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted(model)
    [layer] = [x for x in model.layers if x.name == "result"]
    for folder in unsaved_edits.iterdir():
        folder.unlink()
    unsaved_edits.rmdir()
    unsaved_edits.write_text("in the way")
    autosave.keep()
    assert layer.data.edits


def test_a_traces_edits_are_there_when_it_is_opened_again(tmp_path: Path) -> None:
    folder = made_trace().save(tmp_path / "case.trace")
    corrected = made_trace().labels[1].copy()
    corrected[2, 2, 2] = 2
    save_edits(folder, corrected, (), 1)
    data, _, _ = open_trace(folder).layers()[-1]
    assert (data.stations, data.edited_from) == (4, 1)
    np.testing.assert_array_equal(data[3][::-1], corrected)
