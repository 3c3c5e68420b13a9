"""Think longer here: what can be asked for, which window, and the second answer kept or dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made import volume as noisy_volume
from made_layers import ImmediateRunner, Recorded, made_trace
from voxtrace.declaration import OptionInfo
from voxtrace.inference.options import PredictOptions
from voxtrace.method import changed_after_training
from voxtrace.methods import METHODS
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.controllers.think import NOT_HERE, ThinkController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.correction import Correction
from voxtrace.plugin.models.messages import REQUEST
from voxtrace.plugin.models.methods import MethodRegistry, capabilities
from voxtrace.plugin.models.region import Box
from voxtrace.plugin.models.think_longer import (
    LargestNetwork,
    ThinkChoice,
    ThinkOffer,
    changes_inside,
    display_slices,
    largest_network,
    longer,
    offer,
    window_at,
)

FORCE = OptionInfo("force", str, "router", "", choices=("router", "one", "two"), live=True)


def test_the_largest_network_is_found_by_the_names_of_what_is_routed_to() -> None:
    assert largest_network([FORCE], {"network": ("skip", "S", "L")}) == LargestNetwork("force", "two", "L")
    assert largest_network([FORCE], {"side": ("left",)}) is None  # fewer names than choices
    assert largest_network([replace(FORCE, live=False)], {"network": ("skip", "S", "L")}) is None


def test_every_method_is_offered_what_it_has() -> None:
    offers = {key: offer(capabilities(kind()), kind().steps) for key, kind in METHODS.items()}
    assert any(found.largest is not None for found in offers.values())
    assert any(found.random for found in offers.values())
    assert any(found.most_steps > found.steps for found in offers.values())
    assert [dict(found.every_window) for found in offers.values() if found.every_window] == [{"windows": "regular"}]
    for key, found in offers.items():
        assert (found.largest is not None) == bool(METHODS[key].value_names)


def test_what_is_asked_for_becomes_options_and_all_else_stays() -> None:
    asked = ThinkOffer("cycle", 3, 64, True, LargestNetwork("force", "two", "L"))
    before = PredictOptions(overlap=0.25, settle=0.01, method_options={"alpha": 1})
    after = longer(before, asked, ThinkChoice(6, 5, True))
    assert (after.steps, after.seeds, after.settle, after.keep, after.overlap) == (6, 5, None, "labels", 0.25)
    assert after.method_options == {"alpha": 1, "force": "two"}
    plain = longer(before, ThinkOffer(), ThinkChoice(6, 5, True))
    assert (plain.steps, plain.seeds, plain.method_options) == (None, 1, {"alpha": 1})


def test_where_windows_are_skipped_thinking_longer_skips_none() -> None:
    asked = ThinkOffer(every_window={"windows": "regular"})
    assert asked.possible
    before = PredictOptions(method_options={"alpha": 1})
    assert longer(before, asked, ThinkChoice()).method_options == {"alpha": 1, "windows": "regular"}


def test_what_every_window_leaves_unread_is_left_out() -> None:
    able = capabilities(METHODS["cdlunet"]())
    before = PredictOptions(method_options={"rule": "code", "empty_below": 10})
    assert longer(before, offer(able, 1), ThinkChoice()).method_options == {"windows": "regular"}
    changed_after_training(METHODS["cdlunet"](), windows="regular")  # and that is no refusal


def test_a_window_that_was_skipped_can_be_taken() -> None:
    visited, skipped = np.array([[0, 0, 0, 4, 3, 5]]), np.array([[0, 3, 0, 4, 6, 5]])
    trace = replace(made_trace(), windows=visited, network_shape=(4, 6, 5), facts={"cost": np.ones((3, 1))})
    trace = replace(trace, window_sets={"skipped": skipped, "discarded": visited})
    assert window_at(trace, (1, 5, 2)) == Box((0, 3, 0), (4, 6, 5))
    assert window_at(trace, (1, 1, 2)) == Box((0, 0, 0), (4, 3, 5))


def test_the_window_whose_centre_is_nearest_is_taken() -> None:
    windows = np.array([[0, 0, 0, 4, 4, 5], [0, 2, 0, 4, 6, 5]])
    trace = replace(made_trace(), windows=windows, network_shape=(4, 6, 5), facts={"cost": np.ones((3, 2))})
    assert window_at(trace, (1, 0, 0)) == Box((0, 0, 0), (4, 4, 5))
    assert window_at(trace, (1, 3, 2)) == Box((0, 2, 0), (4, 6, 5))
    assert window_at(made_trace(), (1, 3, 2)) is None


def test_changes_inside_a_box_are_indices_of_the_whole_grid_in_display_space() -> None:
    shape, box = (4, 6, 5), Box((0, 2, 1), (2, 4, 4))
    canonical = np.zeros(shape, np.uint8)
    canonical[1, 3, 2] = 7
    shown = canonical[::-1]
    part = shown[display_slices(box, shape)]
    where, values = changes_inside(np.zeros_like(part), part, box, shape)
    assert where.tolist() == np.flatnonzero(shown).tolist()
    assert values.tolist() == [7]


class Session:
    """A viewer without a window in which a scan was segmented by the engine itself."""

    def __init__(self, model: Any, bundle: Path) -> None:
        self.model, self.view, self.runner = model, Recorded(), ImmediateRunner()
        registry, methods = BundleRegistry([bundle]), MethodRegistry(METHODS)
        self.current = CurrentResult(model)
        self.edits = EditController(model, self.current)
        [(data, about, _)] = display.image_layers(noisy_volume(shape=(16, 32, 32)))
        model.add_image(data, **about)
        segment = SegmentController(model, registry, Recorded(), self.runner, lambda *result: None, methods)
        segment.pick_bundle(0)
        segment.start(PredictOptions(keep="labels"))
        if segment._state.remedy is not None:
            segment.help("anyway")
        self.base = self.current.layer
        self.think = ThinkController(model, self.current, self.edits, registry, methods, self.view, self.runner)

    def another(self) -> Any:
        """Show the same result once more, as a layer of its own, and select it."""
        data, about, _ = self.base.as_layer_data_tuple()
        return self.model.add_labels(StepArray(data.steps), **{**about, "name": "another"})


@pytest.fixture
def session(model: Any, bundle: Path) -> Session:
    return Session(model, bundle)


def test_a_second_answer_is_a_layer_of_the_part_alone(session: Session) -> None:
    assert session.view.last("set_offer")[0].most_steps == 64
    session.think.think("window", ThinkChoice(5, 1, False))
    second = session.current.layer
    assert second.name.endswith("think longer")
    assert second.data.n_steps == 5
    assert second.data.shape[1:] == (8, 16, 16)  # one window of 16³ mm
    assert session.base.visible
    sentence, can_keep = session.view.last("set_outcome")
    assert can_keep
    assert "differ" in sentence or sentence == "The answer is the same."


def test_keeping_it_is_one_edit_of_the_result_and_can_be_undone(session: Session) -> None:
    session.think.think("window", ThinkChoice(5, 1, False))
    second = session.current.layer
    answer = second.data.station(4).copy()
    answer[:] = 2
    second.data.steps[4] = 2  # an answer that surely differs
    session.think.keep()
    assert second not in session.model.layers
    assert [edit.what for edit in session.edits.edits(session.base)] == ["think longer"]
    before = session.base.data.station(2)
    after = session.base.data.station(3)
    assert session.base.data.is_edited(3)
    assert np.count_nonzero(after == 2) >= answer.size
    assert np.array_equal(before, session.base.data.station(2))
    session.base.undo()
    assert np.array_equal(session.base.data.station(3), before)


def test_the_difference_is_to_what_the_result_holds_now(session: Session) -> None:
    session.think.think("window", ThinkChoice(5, 1, False))
    second = session.current.layer
    before = session.view.last("set_outcome")
    box = second.metadata[REQUEST].shown
    shape = session.base.data.shape[1:]
    part = display_slices(box, shape)
    alike = np.argwhere(session.base.data.station(2)[part] == second.data.station(4))[0]
    voxel = tuple(int(index) + along.start for index, along in zip(alike, part, strict=True))
    correction = Correction(np.array([np.ravel_multi_index(voxel, shape)]), np.array([9], np.uint8))
    session.edits.apply(session.base, correction, "fill", 9, 2)
    assert session.view.last("set_outcome") != before
    session.base.undo()
    assert session.view.last("set_outcome") == before


def test_dropping_it_leaves_the_result_as_it_was(session: Session) -> None:
    before = session.base.data.station(2).copy()
    session.think.think("window", ThinkChoice(5, 1, False))
    session.think.drop()
    assert [layer for layer in session.model.layers if "think longer" in layer.name] == []
    assert session.base.data.stations == 3
    assert np.array_equal(session.base.data.station(2), before)


def test_a_second_answer_stays_with_the_result_that_it_was_made_for(session: Session) -> None:
    other = session.another()
    session.model.layers.selection.active = session.base
    session.think.think("window", ThinkChoice(5, 1, False))
    session.current.layer.data.steps[4] = 2  # an answer that surely differs
    outcome = session.view.last("set_outcome")
    session.model.layers.selection.active = other
    assert session.view.last("set_offer")[1] == other.name
    assert session.view.last("set_outcome") == ("", False)
    session.model.layers.selection.active = session.base
    assert session.view.last("set_outcome") == outcome
    session.model.layers.selection.active = other
    session.think.keep()
    assert [edit.what for edit in session.edits.edits(session.base)] == ["think longer"]
    assert session.edits.edits(other) == ()


def test_another_result_selected_while_it_runs_is_not_written_into(session: Session) -> None:
    other = session.another()
    session.model.layers.selection.active = session.base
    session.runner.held = True
    session.think.think("window", ThinkChoice(5, 1, False))
    session.model.layers.selection.active = other
    session.runner.let_go()
    assert session.view.last("set_offer")[1] == session.base.name
    assert session.view.last("set_outcome")[1]
    session.current.layer.data.steps[4] = 2
    session.think.keep()
    assert len(session.edits.edits(session.base)) == 1
    assert session.edits.edits(other) == ()


def test_a_second_answer_whose_result_is_removed_is_not_offered(session: Session) -> None:
    other = session.another()
    session.model.layers.selection.active = session.base
    session.think.think("window", ThinkChoice(5, 1, False))
    session.model.layers.remove(session.base)
    assert session.view.last("set_outcome") == ("", False)
    session.model.layers.selection.active = other
    session.think.keep()
    assert session.edits.edits(other) == ()


def test_without_a_result_of_this_session_it_says_what_to_do(model: Any) -> None:
    view, current = Recorded(), CurrentResult(model)
    edits = EditController(model, current)
    ThinkController(model, current, edits, BundleRegistry([]), MethodRegistry(), view, ImmediateRunner())
    assert view.state.message == NOT_HERE
    assert not view.state.can_start
