"""File > Open Sample > VoxTrace: synthetic scans with their true labels in a layer that opens hidden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voxtrace.plugin.layers.display import image_layers, label_layer
from voxtrace.volume import Case


def abdomen_ct() -> list[Any]:
    """Return an abdominal CT with liver, spleen, kidneys, aorta and spine."""
    from voxtrace.phantoms import abdomen_ct as make

    return _layers(make(seed=1))


def brain_tumour_mr() -> list[Any]:
    """Return a four-channel brain MR with a tumour of three labels."""
    from voxtrace.phantoms import brain_tumour_mr as make

    return _layers(make(seed=1))


def _layers(case: Case) -> list[Any]:
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        from voxtrace.plugin.npe2.viewer_state import viewer_state_of

        viewer_state_of(viewer)  # adds orientation letters and the scale bar
    truth = replace(case.labels, name=f"{case.volume.name} · truth")
    return [*image_layers(case.volume), label_layer(truth, visible=False)]
