"""Six ways through the window, each driven as a user would and pictured in docs/images/journeys.

Run it where there is a display, or under a made-up one, from the project's root::

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/journeys.py

======== ==============================================================================================================
``ct``    DICOM CT of a phantom: presets, segment, rulers, look here next, measure, DICOM-SEG
``mr``    hippocampus MR: every cycle of a real model in the film strip, settled, think longer, volumes with intervals
``slices`` glioma MR of three channels: which network each slice took, as strip and as layer; a skipped slice
``seeds`` diffusion on the CT phantom with five seeds: agreement, and a film
``edit``  correct a label, add the case to a training set, fine-tune for two minutes, read the receipt
``batch`` a folder of twelve scans: predict, worst first, open a case
======== ==============================================================================================================

``--data`` names the folder of real data, by default ``$VOXTRACE_REAL_DATA`` or ``../shared/data``; ``mr``,
``slices``, ``edit`` and ``batch`` need it. Each journey checks what it saw, so that it fails where the window no longer
leads there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QLabel, QWidget

import voxtrace
from voxtrace.film import write_film
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.trace import Trace, places

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 900
GREYS, GREY = 112, 4  # greys of a picture, and the largest difference of channels that counts as grey


def save_small(widget: QWidget, path: Path) -> Path:
    """Save a picture of a widget in 256 colours."""
    widget.grab().save(str(path))
    with Image.open(path) as whole:
        in_few_colours(whole).save(path, optimize=True)
    return path


def in_few_colours(picture: Image.Image) -> Image.Image:
    """Return a picture in 256 colours, which halves the file: 112 greys for the scan, the others for what is coloured.

    Without greys of their own a scan gets visible steps; without colours of their own those of a legend are lost.
    """
    rgb = np.asarray(picture.convert("RGB"))
    coloured = Image.fromarray(rgb[np.ptp(rgb, axis=2) > GREY][None])
    few = coloured.quantize(256 - GREYS, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys.tolist(), *few.getpalette()[: 3 * (256 - GREYS)]])
    return picture.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)


class Window:
    """A napari window with VoxTrace, and a folder for its pictures."""

    def __init__(self, name: str, out: Path, size: tuple[int, int]) -> None:
        self.name, self.out = name, out
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*size)
        self.state = viewer_state_of(self.viewer)
        self.panel = self.state.open_dock("segment")
        self.wait(0.5)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self.viewer.close()

    @property
    def current(self) -> Any:
        """The result that the window shows."""
        return self.state.current

    def wait(self, seconds: float) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)  # as a running event loop does
            time.sleep(0.005)

    def until(self, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        """Let the window work until something holds."""
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name}: waited {patience_s:.0f} s in vain; see {self.picture('stuck')}")
            self.wait(0.02)

    def picture(self, title: str) -> Path:
        """Save a picture of the whole window, once it is painted."""
        self.wait(1.0)
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{self.name}-{title}.png"
        return save_small(self.viewer.window._qt_window, path)

    def open(self, path: Path) -> None:
        """Open a scan."""
        self.viewer.open(str(path), plugin="voxtrace")
        self.wait(1.5)

    def use(self, bundle: str | Path) -> None:
        """Choose a model."""
        self.panel.controller.browse(bundle)
        self.wait(0.5)

    def segment(self) -> float:
        """Press Segment and wait for the result; return the seconds."""
        began, before = time.monotonic(), self.current.layer
        self.panel.view.state.start.click()
        self.until(lambda: self.current.layer is not None and self.current.layer is not before)
        self.until(lambda: not self.panel.runner.busy)
        self.wait(1.5)
        return time.monotonic() - began

    def dock(self, name: str) -> Any:
        """Open a dock."""
        widget = self.state.open_dock(name)
        self.wait(0.7)
        return widget

    def fullest_slice(self) -> None:
        """Go to the slice with most labelled voxels."""
        shown = self.current.shown().data > 0
        self.current.go_slice(int(shown.sum(axis=(1, 2)).argmax()))
        self.wait(0.5)


def ct(window: Window, data: Path, work: Path) -> None:
    """DICOM CT → presets → segment → rulers → look here next → measure → DICOM-SEG."""
    window.open(ROOT / "sample_data" / "abdomen_phantom_dicom")
    planes = window.dock("planes")
    for key in (3, 1):  # bone, then abdomen
        planes.contrast.apply(key)
        window.wait(0.3)
    window.picture("1-opened")
    window.use("abdomen-phantom-recyclenet")
    window.panel.view.form.steps.setValue(7)  # it takes two
    seconds = window.segment()
    assert window.current.steps == 7, window.current.steps
    window.fullest_slice()
    for step in range(7):
        window.current.go(step)
        window.wait(0.1)
    window.picture("2-rulers")
    look = window.dock("places")
    window.until(lambda: look.view.table.rowCount() > 0, 60)
    look.view.buttons["next"].click()
    window.picture("3-look-here-next")
    before = look.view.progress.text()
    look.view.buttons["accept"].click()
    window.until(lambda: look.view.progress.text() != before, 10)
    measure = window.dock("measure")
    measure.view.tools["line"].click()
    draw_line(window)
    measure.view.labels.click()
    window.until(lambda: measure.view.table.rowCount() >= 5, 60)
    window.picture("4-measure")
    path = work / "phantom.seg.dcm"
    window.state.open_dock("segment")
    window.panel.save.save(path)
    window.until(path.exists, 60)
    window.until(lambda: not window.panel.saver.busy, 60)
    window.picture("5-saved")
    saved = voxtrace.io.read_labels(path)
    assert np.array_equal(saved.data, window.current.shown().data), "the file differs from what is shown"
    print(f"ct: {seconds:.1f} s, {look.view.progress.text()}; DICOM-SEG as shown")


def draw_line(window: Window) -> None:
    """Draw a line of 60 mm on the slice that is shown, as the mouse would leave it."""
    layer = window.viewer.layers.selection.active
    point = list(window.viewer.dims.point)[-layer.ndim :]
    ends = np.asarray([point, point], float)
    ends[:, -1] += (-30.0, 30.0)
    layer.add_lines(np.asarray([layer.world_to_data(end) for end in ends]))
    window.wait(0.5)


def mr(window: Window, data: Path, work: Path) -> None:
    """Hippocampus MR → every cycle → film strip → settled → think longer → volumes with intervals."""
    window.open(data / "Dataset004_Hippocampus" / "imagesTr" / "hippocampus_033_0000.nii.gz")
    window.use("hippocampus-recyclenet")
    seconds = window.segment()
    window.fullest_slice()
    steps = window.current.steps
    assert steps > 1, "every cycle is a station"
    window.picture("1-film-strip")
    intervals = [text for one in window.panel.findChildren(QLabel) if "–" in (text := one.text()) and "mL" in text]
    rulers = window.dock("rulers")
    toggle(rulers.view.bar.overlays, "settled")
    window.picture("3-settled")
    toggle(rulers.view.bar.overlays, "settled")
    think = window.dock("think")
    think.view.place.setCurrentIndex(think.view.place.findData("visible"))
    think.view.state.start.click()
    window.until(think.view.keep.isVisible)
    window.picture("4-think-longer")
    think.view.keep.click()
    window.until(lambda: window.current.is_edited, 30)
    window.dock("segment")
    volumes = {window.current.trace.names[value]: ml for value, ml in window.current.volumes_ml().items()}

    window.picture("5-volumes")
    window.dock("what_if")
    window.wait(2)
    window.picture("6-what-if")
    print(f"mr: {seconds:.1f} s, {steps} cycles; {volumes}; {intervals}")


def toggle(button: Any, word: str) -> None:
    """Choose the entry of a button's menu whose text has a word."""
    action = next(one for one in button.menu().actions() if word in one.text().lower())
    action.trigger()


def slices(window: Window, data: Path, work: Path) -> None:
    """Three channels → routing strip and layer → jump to a skipped slice."""
    scans = [data / "Dataset110_LGG" / "imagesTr" / f"TCGA_DU_8162_{channel:04d}.nii.gz" for channel in range(3)]
    for scan in scans:
        window.open(scan)
    window.use("lgg-meddanet")
    seconds = window.segment()
    window.fullest_slice()
    window.picture("1-strip")
    rulers = window.dock("rulers")
    rows = places.along_slices(window.current.trace, 0)
    row = next(row for row in rows if row.value_names)
    skipped = np.flatnonzero(row.values == 0)
    toggle(rulers.view.bar.overlays, row.title.lower())
    head = voxtrace.read(scans[0]).data[0]
    chosen = int(skipped[head[skipped].mean(axis=(1, 2)).argmax()])  # one that shows much of the head
    rulers.place.go(len(row.values) - 1 - chosen)  # the ruler begins at the head
    window.wait(0.5)
    assert window.current.z == chosen
    window.picture("3-skipped")
    print(f"slices: {seconds:.1f} s, {len(skipped)} of {len(row.values)} slices skipped")


def seeds(window: Window, data: Path, work: Path) -> None:
    """Diffusion with five seeds → agreement → film."""
    window.open(ROOT / "sample_data" / "abdomen_phantom_ct.nii.gz")
    window.use("abdomen-phantom-diffusion")
    window.panel.view.form.others.fields["seeds"].write(5)
    seconds = window.segment()
    assert len(window.current.trace.members) == 5, list(window.current.trace.members)
    window.fullest_slice()
    rulers = window.dock("rulers")
    rulers.view.bar.rows.setChecked(True)
    window.picture("1-rows")
    look = window.dock("places")
    window.until(lambda: look.view.table.rowCount() > 0, 60)
    look.view.contours.click()
    look.view.buttons["next"].click()
    window.picture("2-agreement")
    trace = window.current.trace.save(work / "seeds.trace")
    film = write_film(
        Trace.load(trace),
        window.out / "seeds-film.gif",
        voxtrace.read(ROOT / "sample_data" / "abdomen_phantom_ct.nii.gz"),
    )
    print(f"seeds: {seconds:.1f} s, {look.view.progress.text()}; {film.stat().st_size / 1e3:.0f} kB of film")


def edit(window: Window, data: Path, work: Path) -> None:
    """Correct a label → add it to a training set → fine-tune for two minutes → receipt."""
    dataset = work / "Dataset900_Mine"
    shutil.copytree(data / "Dataset004_Hippocampus", dataset, ignore=few_cases(data / "Dataset004_Hippocampus", 10))
    window.open(data / "Dataset004_Hippocampus" / "imagesTr" / "hippocampus_033_0000.nii.gz")
    window.use("hippocampus-recyclenet")
    window.segment()
    window.fullest_slice()
    correct = window.dock("correct")
    layer, steps = window.current.layer, window.current.steps
    correct.view.buttons["paint"].click()
    z, y, x = (n // 2 for n in layer.data.shape[1:])
    layer.paint((window.current.step, z, y, x), 1)
    window.until(lambda: window.current.steps == steps + 1, 10)
    assert window.current.is_edited
    window.picture("1-corrected")
    window.panel.save.save(work / "corrected.nii.gz")
    window.until(lambda: not window.panel.saver.busy, 60)
    saved = voxtrace.io.read_labels(work / "corrected.nii.gz")
    assert np.array_equal(saved.data, window.current.shown().data), "the file differs from what is shown"
    correct.keep_view.name.setText("mine_001")
    correct.keep_view._folder = dataset
    correct.keep.add_case(add_request(dataset, "mine_001"))
    window.until((dataset / "labelsTr" / "mine_001.nii.gz").exists, 60)
    window.until(lambda: not correct.keeper.busy, 60)
    window.picture("2-added")
    train = window.dock("train")
    window.until(lambda: train.view.dataset.text() == str(dataset), 30)
    look_over(window, train)
    train.view.out.setText(str(work / "mine"))
    train.view.minutes.setValue(2)
    window.until(train.view.state.start.isEnabled, 60)
    train.view.state.start.click()
    window.until(lambda: train.view.chart.points.get("dice") and train.view.chart.points["dice"][0])
    window.picture("3-training")
    window.until(lambda: not train.runner.busy)
    window.picture("4-receipt")
    assert (work / "mine" / "bundle.json").is_file()
    print(f"edit: {train.view.state.message.text()}")


def look_over(window: Window, train: Any) -> None:
    """Look the dataset over and show the plan."""
    sections = (train.view.faults_section, train.view.plan_section)
    for section, button in zip(sections, (train.view.faults.state.start, train.view.plan.state.start), strict=True):
        section.title.setChecked(True)
        button.click()
        window.until(lambda: not train.reader.busy, 300)
    assert "0 faults" in sections[0].title.text(), sections[0].title.text()
    window.picture("5-looked-over")
    for section in sections:
        section.title.setChecked(False)


def few_cases(source: Path, count: int) -> Callable[[str, list[str]], list[str]]:
    """Return what to leave out of a copy of a dataset, so that it has only its first cases."""
    kept = {path.name.removesuffix(".nii.gz") for path in sorted((source / "labelsTr").glob("*.nii.gz"))[:count]}

    def ignored(folder: str, names: list[str]) -> list[str]:
        if Path(folder).name not in ("imagesTr", "labelsTr"):
            return [name for name in names if name == "splits_final.json"]
        return [name for name in names if name.removesuffix(".nii.gz").removesuffix("_0000") not in kept]

    return ignored


def add_request(dataset: Path, name: str) -> Any:
    """Return the request that the Correct dock makes when a folder was chosen."""
    from voxtrace.plugin.models.correct_form import AddRequest

    return AddRequest(dataset, name, False)


def batch(window: Window, data: Path, work: Path) -> None:
    """Twelve scans in a folder → batch → worst first → open a case."""
    folder = work / "twelve"
    folder.mkdir()
    for path in sorted((data / "Dataset004_Hippocampus" / "imagesTr").glob("*.nii.gz"))[:12]:
        shutil.copy(path, folder)
    panel = window.dock("batch")
    panel.controller.add_inputs([str(folder)])
    panel.controller.set_out(str(work / "answers"))
    names = [panel.view.bundle.itemText(k) for k in range(panel.view.bundle.count())]
    chosen = next(k for k, name in enumerate(names) if "hippocampus-recyclenet" in name)
    panel.view.bundle.setCurrentIndex(chosen)
    panel.view.bundle.activated.emit(chosen)
    window.wait(0.5)
    window.picture("1-chosen")
    panel.view.state.start.click()
    window.wait(1)
    window.until(lambda: not panel.runner.busy)
    assert panel.view.table.rowCount() == 12
    window.picture("2-worst-first")
    panel.controller.open_row(0)
    window.until(lambda: window.current.layer is not None, 60)
    window.fullest_slice()
    window.picture("3-opened")
    print(f"batch: {panel.view.state.message.text()}")


JOURNEYS: dict[str, Callable[[Window, Path, Path], None]] = {
    "ct": ct,
    "mr": mr,
    "slices": slices,
    "seeds": seeds,
    "edit": edit,
    "batch": batch,
}


def main() -> None:
    """Go through every journey, each in a window of its own."""
    arguments = _arguments()
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as work, Window(name, arguments.out, arguments.size) as window:
            JOURNEYS[name](window, arguments.data, Path(work))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real = Path(os.environ.get("VOXTRACE_REAL_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=real, help="folder of real data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "journeys", help="where pictures go")
    parser.add_argument("--only", nargs="+", choices=list(JOURNEYS), default=list(JOURNEYS), help="which journeys")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 1000), help="width and height of the window")
    return parser.parse_args()


if __name__ == "__main__":
    main()
