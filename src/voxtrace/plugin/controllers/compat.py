"""The parts of napari that moved between 0.8 and 0.9, by one name each.

napari 0.9 keeps the old names with a DeprecationWarning; asking for the new ones first avoids it.
"""

from __future__ import annotations

from typing import Any

_EDGES = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center"}
_BEFORE_0_9 = {"left": "bottom_left", "right": "top_right", "top": "top_center", "bottom": "bottom_center"}


def scale_bar(viewer: Any) -> Any:
    """Return the scale bar's model."""
    return viewer.canvas.overlays.scale_bar if _is_new(viewer) else viewer.scale_bar


def camera(viewer: Any) -> Any:
    """Return the camera's model."""
    return viewer.scene.camera if _is_new(viewer) else viewer.camera


def set_edge_letters(viewer: Any, letters: dict[str, str]) -> None:
    """Write a letter at each edge of the canvas; edges that are not named are cleared."""
    overlays = viewer.canvas.overlays if _is_new(viewer) else getattr(viewer, "__wrapped__", viewer)._overlays
    for edge, position in (_EDGES if _is_new(viewer) else _BEFORE_0_9).items():
        key = f"voxtrace_{edge}"
        if key not in overlays:
            overlays[key] = _letter(position)
        overlays[key].text = letters.get(edge, "")
        overlays[key].visible = edge in letters


def show_colour_bar(layer: Any) -> None:
    """Show the colour bar of an image layer beside the image whenever the layer is visible."""
    layer.colorbar.visible = True


def _letter(position: str) -> Any:
    from napari.components.overlays import TextOverlay

    return TextOverlay(position=position, box=False, font_size=15, color="#ffd54a")


def _is_new(viewer: Any) -> bool:
    return hasattr(viewer, "scene")  # since 0.9


def canvas_size(viewer: Any) -> tuple[float, float]:
    """Return height and width of the canvas in pixels."""
    height, width = viewer.canvas.size if _is_new(viewer) else viewer._canvas_size
    return float(height), float(width)


def grid(viewer: Any) -> Any:
    """Return the model of the grid of views."""
    return viewer.canvas.grid if _is_new(viewer) else viewer.grid
