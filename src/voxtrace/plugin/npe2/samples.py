"""File > Open Sample > VoxTrace: real scans, and made-up ones with their true labels in a layer that opens hidden.

The sample of a shipped bundle, called as its folder with ``_`` for ``-``, opens a scan of the kind that the bundle was
trained on, which it has not seen, and the Segment panel with that bundle chosen. So does a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtrace import bundle
from voxtrace.phantoms.named import UNSEEN, phantom_named
from voxtrace.plugin.layers.display import image_layers, label_layer
from voxtrace.samples import sample
from voxtrace.volume import Case


def hippocampus_right() -> list[Any]:
    """Return the right hippocampus of a volunteer, and choose the bundle for it."""
    return _open_real("hippocampus_right")


def hippocampus_left() -> list[Any]:
    """Return the left hippocampus of a volunteer, and choose the bundle for it."""
    return _open_real("hippocampus_left")


def abdomen_ct() -> list[Any]:
    """Return an abdominal CT with liver, spleen, kidneys, aorta and spine."""
    return _open("abdomen_ct")


def brain_tumour_mr() -> list[Any]:
    """Return a four-channel brain MR with a tumour of three labels."""
    return _open("brain_tumour_mr")


def __getattr__(name: str) -> Callable[[], list[Any]]:
    """Return the sample of a shipped bundle."""
    folder = bundle.shipped().get(name.replace("_", "-"))
    if folder is None or phantom_of(folder) is None:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return partial(_open_with, folder)


def phantom_of(folder: Path) -> str | None:
    """Return the name of the phantom that a bundle was trained on; None for one trained on other scans."""
    return phantom_named(bundle.card(folder))


def _open_real(name: str) -> list[Any]:
    scan = sample(name)
    return _choosing(bundle.find(scan.bundle), _unfrozen(partial(_read, scan.path)))


def _open_with(folder: Path) -> list[Any]:
    phantom = phantom_of(folder)
    assert phantom is not None
    return _choosing(folder, _open(phantom))


def _choosing(folder: Path, layers: list[Any]) -> list[Any]:
    """Return the layers of a scan; once napari has added them, the Segment panel opens with a bundle chosen."""
    if (viewer := _viewer()) is not None:
        from qtpy.QtCore import QTimer

        QTimer.singleShot(0, partial(choose_bundle, viewer, folder))
    return layers


def choose_bundle(viewer: Any, folder: Path) -> None:
    """Open the Segment panel and choose a bundle in it."""
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer_state_of(viewer).open_dock("segment").controller.browse(folder)


def _open(phantom: str) -> list[Any]:
    return _layers(_unfrozen(partial(_make, phantom)))


def _unfrozen(make: Callable[[], Any]) -> Any:
    """Return what a function makes while the window keeps painting."""
    from voxtrace.plugin.work.threads import without_freezing

    if (viewer := _viewer()) is not None:
        from voxtrace.plugin.npe2.viewer_state import viewer_state_of

        viewer_state_of(viewer)  # adds orientation letters and the scale bar
    return without_freezing(make)


def _make(phantom: str) -> Case:
    from voxtrace import phantoms

    case: Case = getattr(phantoms, phantom)(seed=UNSEEN)
    return case


def _read(path: Path) -> list[Any]:
    from voxtrace.io import read

    return list(image_layers(read(path)))


def _viewer() -> Any:
    from napari import current_viewer

    return current_viewer()


def _layers(case: Case) -> list[Any]:
    truth = replace(case.labels, name=f"{case.volume.name} · truth")
    return [*image_layers(case.volume), label_layer(truth, visible=False)]
