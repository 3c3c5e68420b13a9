"""Scans with frames over time: one layer, a run on the frame that is shown or on each, a file for each result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded, made_volume
from voxtrace import io
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.io.child import guarded
from voxtrace.plugin.controllers.layers import known_source, source_of, timepoint_count
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.timepoints import TimepointsSource, timepoint_labels_layer, timepoints_layer
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.reader import load
from voxtrace.plugin.work import jobs
from voxtrace.volume import LabelMap

COUNT, SIZE = 4, (9, 8, 7)  # frames; x, y, z
RAS = np.diag([-2.0, 1.5, 3.0, 1.0])  # x towards the left, y towards the front, z towards the head


def film(path: Path, dtype: Any = np.int16) -> np.ndarray:
    """Write a film whose voxels tell their frame and place, and return them (x, y, z, t)."""
    voxels = np.arange(np.prod(SIZE)).reshape(SIZE)[..., None] + 1000 * np.arange(COUNT)
    image = nibabel.Nifti1Image(voxels.astype(dtype), RAS)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return voxels


def add(model: Any, layers: Any) -> Any:
    for data, about, kind in layers:
        layer = getattr(model, f"add_{kind}")(data, **about)
    return layer


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_film_is_one_layer_with_its_frames_first(tmp_path: Path, ending: str) -> None:
    voxels = film(tmp_path / f"film{ending}")
    [(data, about, kind)] = load([tmp_path / f"film{ending}"])
    assert (kind, data.shape, about["name"]) == ("image", (COUNT, 7, 8, 9), "film")
    assert about["axis_labels"] == ("frame", "I", "P", "L")
    assert about["scale"] == pytest.approx((1.0, 3.0, 1.5, 2.0))
    assert about["units"] == ("pixel", "mm", "mm", "mm")
    for timepoint in range(COUNT):  # x runs to the left, y to the front, z to the head: I and P run against z and y
        assert np.array_equal(data[timepoint], voxels[:, ::-1, ::-1, timepoint].T)


def test_a_film_in_nrrd_and_mha_opens_the_same_way(tmp_path: Path) -> None:
    import SimpleITK

    arrays = np.random.default_rng(0).integers(0, 500, (COUNT, 5, 6, 7)).astype(np.int16)
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(one) for one in arrays])
    for ending in (".nrrd", ".mha"):
        SimpleITK.WriteImage(image, tmp_path / f"film{ending}")
        [(data, about, _)] = load([tmp_path / f"film{ending}"])
        assert about["axis_labels"][0] == "frame"
        assert np.array_equal(data[:, ::-1], arrays)  # L, P, S in the file; only the first axis is turned for display


def test_a_film_too_large_for_memory_is_read_frame_by_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = film(tmp_path / "film.nii")
    monkeypatch.setattr(display, "IN_MEMORY_BYTES", 100)
    read: list[int] = []
    original = guarded.read
    monkeypatch.setattr(
        guarded, "read", lambda path, timepoint=None: read.append(timepoint) or original(path, timepoint)
    )
    [(data, _, _)] = load([tmp_path / "film.nii"])
    assert read == [0]
    assert not isinstance(data, np.ndarray)
    assert np.array_equal(np.asarray(data[2]), voxels[:, ::-1, ::-1, 2].T)
    assert read == [0, 2]


def test_each_frame_is_a_scan_of_its_own(tmp_path: Path, model: Any) -> None:
    film(tmp_path / "film.nii.gz")
    layer = add(model, load([tmp_path / "film.nii.gz"]))
    assert timepoint_count(layer) == COUNT
    for timepoint in range(COUNT):
        expected = io.read(tmp_path / "film.nii.gz", timepoint)
        source = source_of(layer, timepoint)
        assert np.array_equal(source.volume.data, expected.data)
        assert source.volume.geometry == expected.geometry
        assert source.volume.name == expected.name == f"film_t{timepoint:03d}"
    told = [f.found for f in known_source(layer).volume.passport.findings if f.what == "frames"]  # type: ignore[union-attr]
    assert told == ["4 frames over time"]


def test_results_of_two_frames_are_one_layer_on_which_the_others_are_empty() -> None:
    volume = made_volume()
    answers = [LabelMap(np.full(volume.geometry.shape, k, np.uint8), volume.geometry, {1: "a", 2: "b"}) for k in (1, 2)]
    data, about, kind = timepoint_labels_layer(answers, (1, 3), 4, "id", "beats")
    assert (kind, data.shape, about["name"]) == ("labels", (4, *volume.geometry.shape), "beats")
    assert [int(timepoint.max()) for timepoint in data] == [0, 1, 0, 2]
    assert about["axis_labels"] == ("frame", "I", "P", "L")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put an engine in its place that labels every voxel whose value is in its frame's upper half."""
    seen: list[Any] = []

    def predicted(model: Any, request: Any, cancel: Callable[[], bool]) -> Any:
        yield jobs.JobStage("Segmenting: 1 of 1", 1, 1)
        seen.append(request)
        volume = jobs.stack_channels(request.channels, ("channel 0",))
        answer = LabelMap((volume.data[0] > np.median(volume.data[0])).astype(np.uint8), volume.geometry, {1: "high"})
        return type("Result", (), {"labels": answer, "seconds": 0.5})(), None

    monkeypatch.setattr(jobs, "_predict", predicted)
    return seen


@pytest.fixture
def controller(model: Any, bundle: Path, view: Recorded, runner: ImmediateRunner) -> SegmentController:
    made = SegmentController(
        model, BundleRegistry([bundle]), view, runner, lambda *result: pytest.fail("no steps to show")
    )
    made.pick_bundle(0)
    return made


def test_the_frame_under_the_slider_is_segmented(
    tmp_path: Path, controller: SegmentController, model: Any, view: Recorded, asked: list[Any]
) -> None:
    film(tmp_path / "film.nii.gz")
    add(model, load([tmp_path / "film.nii.gz"]))
    assert view.last("set_timepoints") == (COUNT,)
    assert "the frame under the slider, one of 4" in view.state.message
    model.dims.set_current_step(0, 2)
    controller.start(PredictOptions(steps=3, keep="all"))
    assert [request.channels[0].volume.name for request in asked] == ["film_t002"]
    assert asked[0].options.keep == "last"
    result = model.layers[-1]
    assert result.data.shape == (COUNT, 7, 8, 9)
    assert [bool(timepoint.any()) for timepoint in result.data] == [False, False, True, False]
    assert model.dims.current_step[0] == 2
    assert "frame 3 of 4" in view.state.message
    assert result.name.startswith("film_t002 · ")


def test_every_frame_is_segmented_in_turn_with_one_result_for_each(
    tmp_path: Path, controller: SegmentController, model: Any, view: Recorded, asked: list[Any]
) -> None:
    film(tmp_path / "film.nii.gz")
    scan = add(model, load([tmp_path / "film.nii.gz"]))
    controller.start(KEEP_EVERY_STEP, every_timepoint=True)
    assert [request.channels[0].volume.name for request in asked] == [f"film_t{k:03d}" for k in range(COUNT)]
    result = model.layers[-1]
    for timepoint in range(COUNT):
        assert np.array_equal(result.data[timepoint], scan.data[timepoint] > np.median(scan.data[timepoint]))
    assert result.name.startswith("film · ")
    assert "4 frames, a result at each" in view.state.message


def test_progress_says_which_frame_is_at_work(bundle: Path, asked: list[Any]) -> None:
    volume = made_volume()
    source = TimepointsSource(volume, np.repeat(volume.data, 4, 0))
    each = jobs.SegmentRequest(bundle, (source.at(0),), "id", "film")
    run = jobs.segment_timepoints(jobs.TimepointsRequest(each, (source,), (1, 3), 4), lambda: False)
    told = [stage.text for stage in run]
    assert told[1:-1] == ["Frame 2 of 4 · Segmenting: 1 of 1", "Frame 4 of 4 · Segmenting: 1 of 1"]


def test_films_of_different_length_are_not_segmented_together(
    tmp_path: Path, model: Any, view: Recorded, runner: ImmediateRunner, asked: list[Any]
) -> None:
    from made import bundle_folder

    controller = SegmentController(
        model, BundleRegistry([bundle_folder(tmp_path / "two", channels=2)]), view, runner, lambda *result: None
    )
    controller.pick_bundle(0)
    volume = made_volume()
    for count in (3, 4):
        add(
            model,
            [
                timepoints_layer(
                    TimepointsSource(replace(volume, name=f"film{count}"), np.repeat(volume.data, count, 0))
                )
            ],
        )
    model.dims.set_current_step(0, 3)  # a frame that the shorter one lacks
    controller.start(KEEP_EVERY_STEP)
    controller.help("anyway")  # one image as both channels does not fit
    assert asked == []
    assert view.state.level == "error"
    assert "3 and 4 frames" in view.state.message


def test_a_single_volume_asks_for_no_frame(controller: SegmentController, model: Any, view: Recorded) -> None:
    add(model, display.image_layers(made_volume()))
    assert view.last("set_timepoints") == (1,)
    assert view.state.message.startswith("Ready. Press Segment. Check: ")  # no word of frames


def test_the_end_of_a_run_on_frames_says_where_to_look() -> None:
    assert "--frame 3" in panel_state.finished_timepoints((3,), 10, 1.0).message
    assert "Move the slider" in panel_state.finished_timepoints((0, 1), 2, 1.0).message


def test_the_engine_itself_segments_a_frame(
    tmp_path: Path, model: Any, bundle: Path, view: Recorded, runner: ImmediateRunner
) -> None:
    film(tmp_path / "film.nii.gz", np.float32)
    add(model, load([tmp_path / "film.nii.gz"]))
    controller = SegmentController(model, BundleRegistry([bundle]), view, runner, lambda *result: None)
    controller.pick_bundle(0)
    controller.start(KEEP_EVERY_STEP, every_timepoint=True)
    assert view.state.level == "done", view.state.message
    assert model.layers[-1].data.shape == (COUNT, 7, 8, 9)
