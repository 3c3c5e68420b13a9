"""Take the pictures of the pages that explain the window, from real windows, into docs/images/pages.

Run it where there is a display, or under a made-up one, from the project's root::

    xvfb-run -a -s "-screen 0 1600x1000x24" python scripts/pictures.py

=========== ===========================================================================================================
``first``   the first scan: an empty window, a sample that was opened, its result at two cycles
``window``  the window with numbers on its parts, which docs/window.md explains
``open``    the chooser of a DICOM folder, and the passport of a scan
``planes``  a real CT in three planes, and in 3-D
``traces``  a trace that comes to rest, one that is undecided, and one of a model on a scan that is not its kind
``models``  the list of models over a hippocampus MR, with what fits
``compare`` two models on a hippocampus MR side by side, and their scores against its label map
``methods`` the first head of E2ENet, and the windows of CDL-UNet
=========== ===========================================================================================================

``--data`` names the folder of real data, by default ``$VOXTRACE_REAL_DATA`` or ``../shared/data``; ``first``, ``open``
and ``methods`` do without.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from journeys import ROOT, Window, in_few_colours, save_small, toggle
from npe2 import PluginManager, PluginManifest
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import generate_uid
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QWidget

import voxtrace
from voxtrace.metrics import dice

SIZE = (1280, 800)  # what a page shows in full
RESTS, UNDECIDED = "hippocampus_034", "hippocampus_070"  # held-back cases of the shipped model


def first(window: Window, data: Path, work: Path) -> None:
    """Show an empty window, a sample, and its result at the first and last cycle."""
    window.picture("1-empty")
    open_sample(window, "hippocampus_right")
    window.picture("2-opened")
    seconds = window.segment()
    window.fullest_slice()
    window.current.go(0)
    window.picture("3-first-cycle")
    window.current.go(window.current.steps - 1)
    window.picture("4-last-cycle")
    print(f"first: {seconds:.1f} s")


def open_sample(window: Window, key: str) -> None:
    """Open a sample of the menu; the manifest is the one of this tree, whatever is installed."""
    manager = PluginManager.instance()
    if "voxtrace" in manager:
        manager.unregister("voxtrace")
    manager.register(PluginManifest.from_file(ROOT / "napari.yaml"))
    window.viewer.open_sample("voxtrace", key)
    window.wait(2)


def annotated(window: Window, data: Path, work: Path) -> None:
    """Draw numbers on the parts of a window that shows a result."""
    window.viewer.window.resize(1600, 1000)  # so that the panel shows all of its parts
    window.open(hippocampus(data, RESTS))
    window.use("hippocampus-recyclenet")
    window.segment()
    window.fullest_slice()
    path = window.picture("annotated")
    view, rulers, qt = window.panel.view, window.state.opened("rulers").view, window.viewer.window._qt_viewer
    number(
        path,
        window.viewer.window._qt_window,
        {
            1: view.open,
            2: view.bundle,
            3: view.state.start,
            4: qt.canvas.native,
            5: qt.dims.slider_widgets[1],
            6: rulers.film,
            7: rulers.lanes,
            8: rulers.place,
            9: window.panel.steps_view.legend,
            10: view.docks["places"],
            11: window.panel.save_view.button,
            12: qt.layers,
            13: rulers.bar,
        },
    )


def number(path: Path, window: QWidget, parts: Mapping[int, QWidget]) -> None:
    """Draw a number at the left edge of each part."""
    with Image.open(path) as few:
        whole = few.convert("RGB")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(17)
    for digit, part in parts.items():
        at = part.mapTo(window, QPoint(0, min(part.height() // 2, 60)))
        x, y = max(at.x() - 6, 14), at.y()
        draw.ellipse((x - 13, y - 13, x + 13, y + 13), fill="#ffd54a", outline="black", width=2)
        draw.text((x, y), str(digit), fill="black", font=font, anchor="mm")
    in_few_colours(whole).save(path, optimize=True)


def opening(window: Window, data: Path, work: Path) -> None:
    """Open a folder of three series, take a picture of the chooser, and open one of them."""
    window.viewer.open(str(mixed_folder(work / "study")), plugin="voxtrace")
    window.until(lambda: window.state.choosers and window.state.choosers[-1].view.isVisible(), 60)
    chooser = window.state.choosers[-1].view
    window.until(lambda: all(row.thumbnail.text() != "…" for row in chooser.rows), 60)
    next(row for row in chooser.rows if "5 mm" in row.title.text()).box.setChecked(True)
    window.wait(0.5)
    save_small(chooser, window.out / "open-1-chooser.png")
    chooser.each.click()
    window.until(lambda: len(window.viewer.layers) > 0, 60)
    window.panel.view.passport.title.setChecked(True)
    window.picture("2-passport")


def mixed_folder(out: Path) -> Path:
    """Write three series of the abdomen phantom into one folder: as it is, every second slice, and a localizer."""
    out.mkdir()
    paths = sorted((ROOT / "sample_data" / "abdomen_phantom_dicom").iterdir())
    copy_series(paths, out, 2, "Abdomen venous 5 mm", ["ORIGINAL", "PRIMARY", "AXIAL"])
    copy_series(paths[::2], out, 3, "Abdomen venous thick", ["DERIVED", "SECONDARY", "AXIAL"])
    copy_series(paths[12:13], out, 1, "Topogram", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    return out


def copy_series(paths: list[Path], out: Path, series: int, description: str, image_type: list[str]) -> None:
    """Write a copy of images as a series of its own."""
    uid = generate_uid()
    for image, path in enumerate(paths, 1):
        file = pydicom.dcmread(path)
        file.SeriesInstanceUID, file.SeriesNumber, file.SeriesDescription = uid, series, description
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        file.ImageType, file.InstanceNumber = image_type, image
        file.save_as(out / f"IM{series}{image:03}")


def planes(window: Window, data: Path, work: Path) -> None:
    """Show a real CT in three planes, as bone, and in 3-D."""
    window.viewer.window.resize(1600, 1000)
    window.open(data / "ct_abdomen" / "trunk_3mm_ct.nii.gz")
    dock = window.dock("planes")
    window.picture("1-three")
    window.state.canvas.navigation.show_plane(1)
    dock.contrast.apply(3)
    window.picture("2-coronal-bone")


def traces(window: Window, data: Path, work: Path) -> None:
    """Show a trace that comes to rest, an undecided one, a failing one, and the question where a model does not fit."""
    turned = turned_scan(hippocampus(data, UNDECIDED), work)
    for title, path in (
        ("1-rests", hippocampus(data, RESTS)),
        ("2-undecided", hippocampus(data, UNDECIDED)),
        ("3-fails", turned),
    ):
        window.viewer.layers.clear()
        window.wait(0.5)
        window.open(path)
        window.use("hippocampus-recyclenet")
        window.segment()
        window.fullest_slice()
        window.picture(title)
        print(title, window.current.volumes_ml(), dices(window, data, path))
    window.viewer.layers.clear()
    window.open(data / "ct_abdomen" / "mr_3mm.nii.gz")
    window.use("hippocampus-recyclenet")
    window.panel.view.state.start.click()  # asks, because the model does not fit
    window.picture("4-asks")


def turned_scan(path: Path, work: Path) -> Path:
    """Write a scan whose header is wrong: its slices lie upside down in it, as after a careless conversion."""
    scan = voxtrace.read(path)
    turned = replace(scan, data=np.ascontiguousarray(scan.data[:, :, ::-1]))
    out = work / "wrong_header.nii.gz"
    voxtrace.write(turned, out)
    return out


def dices(window: Window, data: Path, path: Path) -> list[str]:
    """Return the mean Dice of each step, where the labels by hand are known."""
    truth_path = data / "Dataset004_Hippocampus" / "labelsTr" / path.name.replace("_0000", "")
    if not truth_path.exists():
        return []
    truth, found = voxtrace.io.read_labels(truth_path), []
    for step in range(window.current.steps):
        window.current.go(step)
        answer = window.current.shown()
        found.append(f"{np.mean([dice(answer, truth, value) for value in (1, 2)]):.3f}")
    return found


def models(window: Window, data: Path, work: Path) -> None:
    """Unfold the list of models over a hippocampus MR."""
    window.open(hippocampus(data, RESTS))
    window.panel.view.show_models()
    window.wait(1.5)
    popup = QApplication.activePopupWidget()
    save_small(popup if popup is not None else window.panel.view.bundle.view(), window.out / "models-list.png")
    window.panel.view.bundle.hidePopup()


def compare(window: Window, data: Path, work: Path) -> None:
    """Show two results side by side, and the table of their scores."""
    window.open(hippocampus(data, RESTS))
    for name in ("hippocampus-recyclenet", "hippocampus-unet"):
        window.use(name)
        window.segment()
    window.open(data / "Dataset004_Hippocampus" / "labelsTr" / f"{RESTS}.nii.gz")
    window.fullest_slice()
    dock = window.dock("compare")
    view, names = dock.view, [dock.view.reference.itemText(i) for i in range(dock.view.reference.count())]
    dock.controller.pick_reference(names.index(RESTS))
    view.score.click()
    window.until(lambda: view.table.rowCount() > 0)
    view.side.click()
    window.wait(2)
    window.picture("1-scores")


def methods(window: Window, data: Path, work: Path) -> None:
    """Show what is particular to E2ENet, its heads, and to CDL-UNet, its windows."""
    open_sample(window, "heads")
    window.segment()
    window.fullest_slice()
    window.current.go(0)
    window.picture("1-first-head")
    window.viewer.layers.clear()
    open_sample(window, "windows")
    window.segment()
    window.fullest_slice()
    toggle(window.dock("rulers").view.bar.overlays, "window")
    window.picture("2-windows")


def hippocampus(data: Path, case: str) -> Path:
    """Return the scan of a case of the hippocampus dataset."""
    return data / "Dataset004_Hippocampus" / "imagesTr" / f"{case}_0000.nii.gz"


SCENES: dict[str, Callable[[Window, Path, Path], None]] = {
    "first": first,
    "window": annotated,
    "open": opening,
    "planes": planes,
    "traces": traces,
    "models": models,
    "compare": compare,
    "methods": methods,
}


def main() -> None:
    """Take every picture, each scene in a window of its own."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as work, Window(name, arguments.out, SIZE) as window:
            SCENES[name](window, arguments.data, Path(work))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real = Path(os.environ.get("VOXTRACE_REAL_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=real, help="folder of real data")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "pages", help="where pictures go")
    parser.add_argument("--only", nargs="+", choices=list(SCENES), default=list(SCENES), help="which scenes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
