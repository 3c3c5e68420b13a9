"""A DICOM folder of several series: what the chooser shows, what it opens, and that it never blocks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import awkward_dicom as awkward
from made_layers import ImmediateRunner, Recorded
from voxtrace.io.dicom import find_series
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.chooser import ChooserController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.series_rows import channel_names, rows_of, series_choice
from voxtrace.plugin.npe2.reader import get_reader, load
from voxtrace.plugin.work.dicom_open import study_at


def series(folder: Path, number: int, description: str, **changes: Any) -> Path:
    """Write one good MR series into a folder."""
    uid = f"2.25.{number}0"
    files = awkward.images(
        awkward.place(), SeriesInstanceUID=uid, SeriesNumber=number, SeriesDescription=description, **changes
    )
    return awkward.save(folder, awkward.mr(files))


def with_gap(folder: Path, number: int = 8) -> Path:
    """Write a series whose middle is missing."""
    files = awkward.images(awkward.place(), SeriesInstanceUID=f"2.25.{number}0", SeriesNumber=number)
    return awkward.save(folder, [file for i, file in enumerate(files) if not 4 <= i < 12])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return a folder with two good series, a tilted one, a localizer and one with a gap, each in a folder."""
    folder = tmp_path / "study"
    awkward.save(folder / "a", awkward.localizer())
    series(folder / "b", 4, "T1 post")
    series(folder / "c", 5, "FLAIR")
    tilted = awkward.images(awkward.tilted(12.0), SeriesInstanceUID="2.25.60", SeriesNumber=6)
    awkward.save(folder / "d", tilted)
    with_gap(folder / "e")
    return folder


def controller_of(folder: Path, view: Recorded, runner: ImmediateRunner) -> tuple[ChooserController, list[Any]]:
    found, added = study_at([folder]), []
    assert found is not None
    return ChooserController(found, view, runner, added.extend), added  # type: ignore[arg-type]


def test_a_row_tells_what_a_series_is_and_what_is_wrong_with_it(study: Path) -> None:
    localizer, post, flair, tilted, gap = rows_of(find_series(study))
    assert [row.usable for row in (localizer, post, flair, tilted, gap)] == [False, True, True, True, False]
    assert post.title == "MR · T1 post"
    assert post.details == "16 images · 36 × 40 pixels · 1.25 × 1.5 × 3 mm · orientation LPS"
    assert post.remarks == ()
    assert [(r.mark, "12.0°" in r.text, bool(r.remedy)) for r in tilted.remarks] == [("⚠", True, True)]
    assert gap.remarks[0].mark == "✗"
    assert gap.remarks[0].remedy
    assert "localizer" in localizer.remarks[0].text


def test_what_can_be_pressed_follows_from_what_is_ticked(study: Path) -> None:
    rows = rows_of(find_series(study))
    none, one, two = series_choice(rows, []), series_choice(rows, [1]), series_choice(rows, [1, 2])
    assert (none.can_open, one.can_open, two.can_open) == (False, True, True)
    assert (none.can_stack, one.can_stack, two.can_stack) == (False, False, True)
    assert "T1 post" in two.sentence  # whose grid the others come onto
    assert "None of these" in series_choice(rows[:1], []).sentence


def test_channels_are_named_by_their_series_and_no_two_alike(tmp_path: Path) -> None:
    folders = [
        series(tmp_path / name, n, said) for n, (name, said) in enumerate((("a", "T2"), ("b", "T2"), ("c", "PD")), 1)
    ]
    found = [find_series(folder)[0] for folder in folders]
    assert channel_names(found) == ("T2 1", "T2 2", "PD")


def test_the_only_series_that_can_be_opened_is_ticked(tmp_path: Path, view: Recorded, runner: ImmediateRunner) -> None:
    series(tmp_path / "good", 2, "T2")
    with_gap(tmp_path / "gap")
    controller, added = controller_of(tmp_path, view, runner)
    assert view.last("show_choice")[0].can_open
    controller.open_each()
    assert [about["name"] for _, about, _ in added] == [f"{tmp_path.name}_1 · T2"]
    assert view.last("finish") == ()


def test_each_ticked_series_becomes_a_scan_and_a_refused_one_cannot_be_ticked(
    study: Path, view: Recorded, runner: ImmediateRunner
) -> None:
    controller, added = controller_of(study, view, runner)
    assert [index for name, (index, *_) in view.calls if name == "show_thumbnail"] == [0, 1, 2, 3, 4]
    controller.tick([0, 1, 2, 4])
    controller.open_each()
    assert [about["name"] for _, about, _ in added] == ["study_2 · T1 post", "study_3 · FLAIR"]
    for data, about, _ in added:
        source = about["metadata"][display.KEY]
        assert np.array_equal(data[::-1], awkward.values())
        assert len(source.volume.geometry.stored.sources) == awkward.PLANES


def test_ticked_series_become_the_channels_of_one_case(study: Path, view: Recorded, runner: ImmediateRunner) -> None:
    controller, added = controller_of(study, view, runner)
    controller.tick([1, 2])
    controller.open_stacked()
    assert [about["name"] for _, about, _ in added] == ["study · T1 post", "study · FLAIR"]
    sources = [about["metadata"][display.KEY] for _, about, _ in added]
    assert sources[0].volume is sources[1].volume
    assert [source.channel for source in sources] == [0, 1]
    assert [about["visible"] for _, about, _ in added] == [True, False]


def test_series_of_two_visits_are_not_stacked_and_the_dialog_says_why(
    tmp_path: Path, view: Recorded, runner: ImmediateRunner
) -> None:
    series(tmp_path / "a", 1, "T1")
    series(tmp_path / "b", 2, "T2", FrameOfReferenceUID="2.25.999")
    controller, added = controller_of(tmp_path, view, runner)
    controller.tick([0, 1])
    controller.open_stacked()
    assert added == []
    assert view.state.level == "error"
    assert "frames of reference" in view.state.message
    assert view.last("finish") is None  # it stays open: the series can still be opened one by one
    controller.open_each()
    assert len(added) == 2


def test_pictures_that_a_failed_opening_cut_short_are_fetched_again(
    tmp_path: Path, view: Recorded, runner: ImmediateRunner
) -> None:
    series(tmp_path / "a", 1, "T1")
    series(tmp_path / "b", 2, "T2", FrameOfReferenceUID="2.25.999")
    runner.held = True
    controller, _ = controller_of(tmp_path, view, runner)
    controller.tick([0, 1])
    controller.open_stacked()  # takes the place of the pictures, none of which has come
    runner.let_go()
    runner.let_go()
    assert [index for name, (index, *_) in view.calls if name == "show_thumbnail"] == [0, 1]


def test_a_file_stands_for_its_own_series(study: Path, tmp_path: Path) -> None:
    other = awkward.images(awkward.place(), SeriesInstanceUID="2.25.70", SeriesNumber=7)
    awkward.save(study / "b", other, name="OTHER{:04d}")  # two series lie in one folder
    found = study_at([study / "b" / "IM0003"])
    assert found is not None
    assert found.only is not None
    assert found.only.description == "T1 post"
    assert study_at([study / "nothing.nii.gz"]) is None


def test_a_file_of_a_refused_series_shows_what_else_is_there(tmp_path: Path) -> None:
    folder = series(tmp_path, 2, "T2")
    for index, image in enumerate(awkward.localizer()):
        awkward.save(folder, [image], name=f"scout{index}{{}}")
    found = study_at([folder / "scout00"])
    assert found is not None
    assert found.only is None
    assert [one.usable for one in found.series] == [False, True]


def test_a_folder_whose_images_lie_deeper_is_ours_and_one_of_documents_is_not(study: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents" / "letters"
    documents.mkdir(parents=True)
    (documents / "letter.txt").write_text("Dear colleague")
    assert get_reader(str(study)) is not None
    assert get_reader(str(tmp_path / "documents")) is None


def test_without_a_window_several_series_are_the_readers_error(study: Path) -> None:
    from voxtrace.errors import ReadError

    with pytest.raises(ReadError, match="series"):
        load([study])


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any) -> Any:
    pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")
    return make_napari_viewer_proxy()


def open_chooser(viewer: Any, folder: Path, qtbot: Any) -> Any:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer.open(str(folder), plugin="voxtrace")
    [chooser] = viewer_state_of(viewer).choosers
    qtbot.waitUntil(lambda: not chooser.controller._missing, timeout=30_000)
    return chooser


def test_the_dialog_opens_what_is_ticked(viewer: Any, study: Path, qtbot: Any) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    chooser = open_chooser(viewer, study, qtbot)
    view = chooser.view
    assert [row.box.isEnabled() for row in view.rows] == [False, True, True, True, False]
    assert not view.each.isEnabled()
    assert view.rows[1].thumbnail.pixmap().width() > 50
    view.rows[1].box.click()
    view.rows[2].box.click()
    assert view.stacked.isEnabled()
    viewer.open(str(study), plugin="voxtrace")  # dropped twice: the dialog that asks already is enough
    assert viewer_state_of(viewer).choosers == [chooser]
    view.stacked.click()
    qtbot.waitUntil(lambda: not viewer_state_of(viewer).choosers, timeout=30_000)
    assert [layer.name for layer in viewer.layers] == ["study · T1 post", "study · FLAIR"]
    assert compat._overlays(viewer)["voxtrace_left"].text == "R"


def test_cancel_opens_nothing(viewer: Any, study: Path, qtbot: Any) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    chooser = open_chooser(viewer, study, qtbot)
    chooser.view.rows[1].box.click()
    chooser.view.leave.click()
    assert viewer_state_of(viewer).choosers == []
    qtbot.wait(100)
    assert len(viewer.layers) == 0


def test_one_series_alone_opens_at_once_and_its_files_do_not_open_it_again(
    viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    images = awkward.mr(awkward.images(awkward.place(), SeriesDescription="T1"))
    folder = awkward.save(tmp_path / "one", images, name="IM{:04d}.dcm")
    viewer.open(str(folder), plugin="voxtrace")
    assert viewer_state_of(viewer).choosers == []
    assert [layer.name for layer in viewer.layers] == ["one"]
    viewer.open([str(path) for path in sorted(folder.iterdir())[:3]], plugin="voxtrace")
    assert len(viewer.layers) == 1


def test_the_window_goes_on_while_headers_are_read(
    viewer: Any, study: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qtpy.QtCore import QTimer

    from voxtrace.plugin.work import dicom_open

    def slow(folder: Path) -> Any:
        time.sleep(0.5)
        return find_series(folder)

    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    monkeypatch.setattr(dicom_open, "find_series", slow)
    timer.start(20)
    began = time.perf_counter()
    chooser = open_chooser(viewer, study, qtbot)
    timer.stop()
    assert len([beat for beat in beats if beat - began < 0.5]) > 5
    chooser.view.reject()


def test_a_study_of_five_real_series_is_listed_and_each_can_be_opened(real_data: Path, view: Recorded) -> None:
    controller, added = controller_of(real_data / "dicom_mixed_study", view, ImmediateRunner())
    name, rows = view.last("show_rows")
    assert (name, len(rows), [row.usable for row in rows]) == ("dicom_mixed_study", 5, [True] * 5)
    controller.tick(range(5))
    controller.open_each()
    assert len(added) == 5
    assert all(min(about["scale"]) > 0 and about["axis_labels"] == ("I", "P", "L") for _, about, _ in added)
