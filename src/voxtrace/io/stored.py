"""Canonical voxels, turned into the orientation of the grid they are written onto."""

from __future__ import annotations

from voxtrace.errors import OutputError
from voxtrace.volume import Array, Geometry


def as_stored(data: Array, geometry: Geometry, name: str = "the label map") -> Array:
    """Return canonical voxels (Z, Y, X) as a view in the orientation of the grid they are written onto.

    Raises
    ------
    OutputError
        When the stored grid has another shape than the voxels; ``name`` is what the sentence calls them.
    """
    stored = geometry.stored
    if stored is None:
        return data
    turned = stored.layout.to_stored(data)
    if turned.shape != stored.size[::-1]:
        raise OutputError(
            f"{name} has {turned.shape} voxels where the grid to write onto has {stored.size[::-1]}; "
            "expected equal shapes. Give a cropped or resampled array a geometry of its own (Geometry.part for a crop)."
        )
    return turned
