"""The parts of napari that moved between 0.8 and 0.9, by one name each.

napari 0.9 keeps the old names with a DeprecationWarning; asking for the new ones first avoids it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

GIVE_UP = "_abort_stroke"  # of a labels layer since 0.9: takes a stroke back that encircles a region, by Escape
_EDGES = {"left": "middle_left", "right": "middle_right", "top": "top_center", "bottom": "bottom_center"}
EDGES = tuple(_EDGES)
_BEFORE_0_9 = {"left": "bottom_left", "right": "top_right", "top": "top_center", "bottom": "bottom_center"}
_BOX = (0.0, 0.0, 0.0, 0.6)  # behind text, which is then readable on a white canvas too
_LETTER, _WORDS = "#ffd54a", "#f2f4f7"


def unwrapped(viewer: Any) -> Any:
    """Return the viewer behind the proxy that panels get; layers taken from a proxy are new proxies each time."""
    return getattr(viewer, "__wrapped__", viewer)


def scale_bar(viewer: Any) -> Any:
    """Return the scale bar's model."""
    return viewer.canvas.overlays.scale_bar if _is_new(viewer) else viewer.scale_bar


def camera(viewer: Any) -> Any:
    """Return the camera's model."""
    return viewer.scene.camera if _is_new(viewer) else viewer.camera


def is_grid(viewer: Any) -> bool:
    """Tell whether layers are drawn side by side."""
    return bool((viewer.canvas.grid if _is_new(viewer) else viewer.grid).enabled)


def axis_names(viewer: Any) -> tuple[str, ...]:
    """Return the names of the viewer's axes; before 0.9 they are taken from the layer with the most axes."""
    names = tuple(viewer.dims.axis_labels)
    if _is_new(viewer):
        return names
    widest = max(viewer.layers, key=lambda layer: layer.ndim, default=None)
    return tuple(widest.axis_labels) if widest is not None and widest.ndim == len(names) else names


def set_edge_letters(viewer: Any, letters: dict[str, str]) -> None:
    """Write letters at each edge of the canvas; edges that are not named are cleared."""
    overlays = _overlays(viewer)
    for edge, position in (_EDGES if _is_new(viewer) else _BEFORE_0_9).items():
        key = f"voxtrace_{edge}"
        if key not in overlays:
            overlays[key] = _text(position, 15, _LETTER)
        overlays[key].text = letters.get(edge, "")
        overlays[key].visible = edge in letters


def set_corner_text(viewer: Any, name: str, position: str, text: str) -> None:
    """Write a line in a corner of the canvas, e.g. ``"bottom_left"``; ``""`` hides it."""
    overlays, key = _overlays(viewer), f"voxtrace_{name}"
    if key not in overlays:
        if not text:
            return
        overlays[key] = _text(position, 8, _WORDS)
    overlays[key].text = text
    overlays[key].visible = bool(text)


def show_colour_bar(layer: Any) -> None:
    """Show the colour bar of an image layer beside the image whenever the layer is visible."""
    layer.colorbar.visible = True


def push_undo(layer: Any, atom: tuple[Any, Any, Any]) -> None:
    """Add a change that was made to what a labels layer can undo: index, values before and values after."""
    layer._save_history(atom)


def remeasure(layer: Any) -> None:
    """Let a viewer ask anew how large a layer is, whose data grew or shrank in place; its history stays."""
    layer._clear_extent()
    layer.events.translate()  # what a viewer listens to; setting the translation would also draw the slice anew


def strokes(layer: Any) -> int:
    """Return how many times a labels layer can undo."""
    return len(layer._undo_history)


def history_lengths(layer: Any) -> tuple[int, int]:
    """Return how many times a labels layer can undo, and redo."""
    return len(layer._undo_history), len(layer._redo_history)


def undoable(layer: Any) -> list[Any]:
    """Return the changes that a labels layer can undo, in order."""
    return [atom for item in layer._undo_history for atom in item]


def replace_method(layer: Any, name: str, callback: Callable[[Any], None]) -> None:
    """Let a callback act in place of a method of one layer, where there is one; it gets the method of the class."""
    method = getattr(type(layer), name, None)
    if method is not None:
        vars(layer)[name] = partial(callback, method)


def replace_wheel(viewer: Any, callback: Callable[[Any, Any], None]) -> None:
    """Let a callback take the mouse wheel before napari; what it does not handle scrolls as napari does.

    napari scrolls the slider used last, which may be that of the steps.
    """
    from napari.components._viewer_mouse_bindings import dims_scroll

    def wheel(scrolled: Any, event: Any) -> None:
        callback(scrolled, event)
        if not event.handled:
            dims_scroll(scrolled, event)

    kept = [one for one in viewer.mouse_wheel_callbacks if one is not dims_scroll]
    viewer.mouse_wheel_callbacks[:] = [wheel, *kept]


def bind_in_pan_zoom(layer: Any, key: str, action: Callable[[], None]) -> None:
    """Bind a key of one layer while it is panned and zoomed; with a tool in use, napari's own binding acts."""

    def press(pressed: Any) -> Any:
        if str(pressed.mode) == "pan_zoom":
            return action()
        own = _class_binding(pressed, key)
        return own(pressed) if own is not None else None

    layer.bind_key(key, press, overwrite=True)


def look_along(viewer: Any, view_direction: Sequence[float], up_direction: Sequence[float]) -> None:
    """Turn the camera of a 3-D view; both directions are along the viewer's three axes."""
    camera(viewer).set_view_direction(tuple(view_direction), tuple(up_direction))


def _class_binding(layer: Any, key: str) -> Callable[[Any], Any] | None:
    """Return what napari, or the user's settings, bind to a key for this kind of layer; None for nothing."""
    from napari.utils.key_bindings import coerce_keybinding

    bound = coerce_keybinding(key)
    maps = (vars(kind).get("class_keymap", {}) for kind in type(layer).__mro__)
    return next((found[bound] for found in maps if bound in found), None)


def _overlays(viewer: Any) -> Any:
    return viewer.canvas.overlays if _is_new(viewer) else unwrapped(viewer)._overlays


def _text(position: str, size: int, colour: str) -> Any:
    from napari.components.overlays import TextOverlay

    return TextOverlay(position=position, box=True, box_color=_BOX, font_size=size, color=colour)


def _is_new(viewer: Any) -> bool:
    return hasattr(viewer, "scene")  # since 0.9


def canvas_size(viewer: Any) -> tuple[float, float]:
    """Return height and width of the canvas in pixels."""
    height, width = viewer.canvas.size if _is_new(viewer) else viewer._canvas_size
    return float(height), float(width)


def grid(viewer: Any) -> Any:
    """Return the model of the grid of views."""
    return viewer.canvas.grid if _is_new(viewer) else viewer.grid
