"""Label maps on the network grid."""

from __future__ import annotations

import numpy as np

from voxtrace.errors import InputError
from voxtrace.plan import Plan
from voxtrace.preprocess.axis import axis_weights
from voxtrace.preprocess.grid import NetworkGrid, network_grid
from voxtrace.volume import Array, LabelMap


def network_labels(labels: LabelMap, plan: Plan, grid: NetworkGrid | None = None) -> Array:
    """Return the label map on the network grid, (Z', Y', X') uint8 (uint16 above 255 labels), without padding.

    A plan with an ignored label keeps its value, ``plan.ignored``.

    ``grid`` is that of the volume beside it; without it the label map is not cropped. Each label's mask is
    resampled linearly and the strongest label wins (the lower value in a tie); a grid that is the network's already is
    returned unchanged.

    Raises
    ------
    InputError
        The map holds a label value that the plan does not name.
    """
    _check_labels(labels, plan)
    kind = np.uint8 if plan.n_labels + plan.ignore <= 256 else np.uint16
    grid = grid or network_grid(labels.geometry, plan)
    data = grid.crop_order.view(labels.data)
    if grid.identity:
        return data.astype(kind)
    axes = [axis_weights(a, b, "linear") for a, b in zip(grid.input_shape, grid.shape, strict=True)]
    strongest = np.full(grid.shape, -1.0, np.float32)
    winner = np.zeros(grid.shape, kind)
    for value in [0, *labels.values]:
        mask = (data == value).astype(np.float32)
        for axis, weights in enumerate(axes):
            mask = weights.apply(mask, axis)
        # strictly greater: of two equal labels the lower value stays
        better = mask > strongest
        np.copyto(strongest, mask, where=better)
        winner[better] = value
    return winner


def _check_labels(labels: LabelMap, plan: Plan) -> None:
    unknown = [value for value in labels.values if value not in plan.labels and value != plan.ignored]
    if unknown:
        raise InputError(
            f"{labels.name} holds label values {unknown} that the plan does not name; it has "
            f"{', '.join(f'{value} {name}' for value, name in plan.labels.items())}."
        )
