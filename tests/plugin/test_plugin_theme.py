"""Text can be read in napari's dark and light theme, and follows a change of theme."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.plugin.models.theme_colours import (
    GRAPHIC_CONTRAST,
    TEXT_CONTRAST,
    ThemeColours,
    contrast,
    luminance,
    readable,
    theme_colours,
)

DARK, LIGHT = ("#23242b", "#f0f1f2"), ("#ebe7e6", "#1e1e21")  # background and text of napari's two themes
TEXTS = ("text", "dimmed", "accent", "good", "warning", "error")
FILLS = ("accent_fill", "good_fill", "warning_fill", "error_fill")


@pytest.fixture(params=[DARK, LIGHT], ids=["dark", "light"])
def made(request: pytest.FixtureRequest) -> ThemeColours:
    return theme_colours(*request.param)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # the lightest grey that passes on white
    assert luminance("#808080") == pytest.approx(0.2159, abs=1e-4)


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_readable_on_the_panel(made: ThemeColours, name: str) -> None:
    assert contrast(getattr(made, name), made.background) >= TEXT_CONTRAST


@pytest.mark.parametrize("name", FILLS)
def test_text_is_readable_on_a_fill(made: ThemeColours, name: str) -> None:
    assert contrast(made.on_fill, getattr(made, name)) >= TEXT_CONTRAST


def test_lines_and_curves_are_seen(made: ThemeColours) -> None:
    for colour in (made.line, made.mark, *made.curves):
        assert contrast(colour, made.background) >= GRAPHIC_CONTRAST
    assert len(set(made.curves)) == len(made.curves) == 8


def test_the_hint_in_an_empty_field_is_readable_on_the_field() -> None:
    for background, text, field in ((*DARK, "#424a54"), (*LIGHT, "#c5c3c1")):
        made = theme_colours(background, text, field)
        assert contrast(made.hint, made.field) >= TEXT_CONTRAST


def test_dimmed_text_is_less_striking_than_text(made: ThemeColours) -> None:
    assert contrast(made.dimmed, made.background) < contrast(made.text, made.background)


def test_a_readable_colour_is_left_as_it_is() -> None:
    assert readable("#ffffff", "#000000") == "#ffffff"
    assert contrast(readable("#808080", "#7f7f7f"), "#7f7f7f") >= TEXT_CONTRAST


def test_the_two_themes_are_those_of_napari() -> None:
    theme = pytest.importorskip("napari.utils.theme", reason="the extra 'gui' is not installed")
    for name, (background, text) in (("dark", DARK), ("light", LIGHT)):
        shown = theme.get_theme(name)
        assert [c.as_hex("long") for c in (shown.background, shown.text)] == [background, text]


def shown_contrast(label: Any) -> float:
    """Return the contrast of a label as it is drawn: its palette after the style sheets."""
    palette = label.palette()
    text, ground = (
        palette.color(role(label)).name() for role in (type(label).foregroundRole, type(label).backgroundRole)
    )
    return contrast(text, ground)


def test_a_panel_follows_the_theme(make_napari_viewer_proxy: Any, qtbot: Any) -> None:
    from qtpy.QtWidgets import QLabel

    from voxtrace.plugin.views.theme import colours, set_tone
    from voxtrace.plugin.views.widgets import Panel, heading, note

    tones = ("dimmed", "heading", "accent", "good", "warning", "error", "good box", "warning box", "error box")
    labels = [QLabel(tone) for tone in tones]
    for label, tone in zip(labels, tones, strict=True):
        set_tone(label, tone)
    viewer = make_napari_viewer_proxy()
    panel = Panel(*labels, note(), heading("Heading"))
    viewer.window.add_dock_widget(panel, name="panel")
    for theme in ("dark", "light", "dark"):
        viewer.theme = theme
        assert colours(panel).is_dark == (theme == "dark")
        for label in panel.findChildren(QLabel):
            assert shown_contrast(label) >= TEXT_CONTRAST, f"{label.text()} in the {theme} theme"
