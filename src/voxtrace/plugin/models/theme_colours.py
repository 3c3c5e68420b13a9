"""Colours for text, fills and curves that can be read on a theme's background; contrast as in WCAG 2.2."""

from __future__ import annotations

from dataclasses import dataclass

TEXT_CONTRAST = 4.5  # WCAG's AA level for text
GRAPHIC_CONTRAST = 3.0  # and for lines and marks
ON_FILL = "#ffffff"
_MARGIN = 0.1  # so that rounding to eight bits keeps the promise
_STEPS = 50

# Hues told apart by readers with the common colour-vision deficiencies (Okabe and Ito, 2008).
_ACCENT, _GOOD, _WARNING, _ERROR = "#4596e6", "#009e73", "#e69f00", "#e0503a"
_CURVES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#b39ddb", "#9ccc65", "#0072b2")

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class ThemeColours:
    """Colours as ``#rrggbb``.

    ``text``, ``dimmed``, ``accent``, ``good``, ``warning`` and ``error`` have a contrast of at least 4.5 on
    ``background``; so have ``hint`` on ``field``, and ``on_fill`` on the four fills. ``line``, ``mark`` and ``curves``
    have at least 3.
    """

    background: str
    text: str
    dimmed: str
    accent: str
    good: str
    warning: str
    error: str
    accent_fill: str
    good_fill: str
    warning_fill: str
    error_fill: str
    line: str
    mark: str
    curves: tuple[str, ...]
    field: str
    hint: str
    on_fill: str = ON_FILL

    @property
    def is_dark(self) -> bool:
        """Whether the background is darker than the text."""
        return luminance(self.background) < luminance(self.text)


def theme_colours(background: str, text: str, field: str = "") -> ThemeColours:
    """Return the colours for a background and the colour of its text; ``field`` is the background of input fields."""
    field = field or background
    text = readable(text, background)

    def tone(colour: str) -> str:
        return readable(colour, background)

    def fill(colour: str) -> str:
        return readable(colour, ON_FILL)

    return ThemeColours(
        background,
        text,
        dimmed=readable(blended(text, background, 0.35), background),
        accent=tone(_ACCENT),
        good=tone(_GOOD),
        warning=tone(_WARNING),
        error=tone(_ERROR),
        accent_fill=fill(_ACCENT),
        good_fill=fill(_GOOD),
        warning_fill=fill(_WARNING),
        error_fill=fill(_ERROR),
        line=readable(blended(text, background, 0.7), background, GRAPHIC_CONTRAST),
        mark=readable(_WARNING, background, GRAPHIC_CONTRAST),
        field=field,
        hint=readable(blended(text, field, 0.35), field),
        curves=tuple(readable(colour, background, GRAPHIC_CONTRAST) for colour in _CURVES),
    )


def readable(colour: str, background: str, contrast_at_least: float = TEXT_CONTRAST) -> str:
    """Return the colour, mixed with as much black or white as it needs for a contrast on a background."""
    end = "#ffffff" if luminance(background) < 0.18 else "#000000"  # at 0.18 both give 4.5
    for step in range(_STEPS + 1):
        mixed = blended(colour, end, step / _STEPS)
        if contrast(mixed, background) >= contrast_at_least + _MARGIN:
            return mixed
    return end


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 (the same) to 21 (black and white)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance, from 0 (black) to 1 (white)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def blended(one: str, other: str, fraction: float) -> str:
    """Return a mixture of two colours with this fraction of the second."""
    pairs = zip(rgb(one), rgb(other), strict=True)
    return hex_colour(*(round(a + (b - a) * fraction) for a, b in pairs))


def rgb(colour: str) -> Rgb:
    """Return red, green and blue, 0 to 255, of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def hex_colour(red: int, green: int, blue: int) -> str:
    """Return ``#rrggbb``."""
    return f"#{red:02x}{green:02x}{blue:02x}"
