"""File > Open Sample > VoxTrace: made-up scans with their true labels in a layer that opens hidden.

The sample of a shipped bundle, called as its folder with ``_`` for ``-``, opens a scan of the kind that the bundle was
trained on, which it has not seen, and the Segment panel with that bundle chosen.
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
from voxtrace.volume import Case


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


def _open_with(folder: Path) -> list[Any]:
    """Return the layers of a scan; once napari has added them, the Segment panel opens with the bundle chosen."""
    phantom = phantom_of(folder)
    assert phantom is not None
    layers = _open(phantom)
    if (viewer := _viewer()) is not None:
        from qtpy.QtCore import QTimer

        QTimer.singleShot(0, partial(choose_bundle, viewer, folder))
    return layers


def choose_bundle(viewer: Any, folder: Path) -> None:
    """Open the Segment panel and choose a bundle in it."""
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    viewer_state_of(viewer).open_dock("segment").controller.browse(folder)


def _open(phantom: str) -> list[Any]:
    """Make a phantom while the window keeps painting, and return its layers."""
    from voxtrace.plugin.work.threads import without_freezing

    if (viewer := _viewer()) is not None:
        from voxtrace.plugin.npe2.viewer_state import viewer_state_of

        viewer_state_of(viewer)  # adds orientation letters and the scale bar
    return _layers(without_freezing(partial(_make, phantom)))


def _make(phantom: str) -> Case:
    from voxtrace import phantoms

    case: Case = getattr(phantoms, phantom)(seed=UNSEEN)
    return case


def _viewer() -> Any:
    from napari import current_viewer

    return current_viewer()


def _layers(case: Case) -> list[Any]:
    truth = replace(case.labels, name=f"{case.volume.name} · truth")
    return [*image_layers(case.volume), label_layer(truth, visible=False)]
