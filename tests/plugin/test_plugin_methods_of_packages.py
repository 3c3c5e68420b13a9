"""A method of another package that cannot be used is told in the window, and the others are offered."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from made_layers import ImmediateRunner, Recorded
from voxtrace.methods import METHODS
from voxtrace.methods.unet import UNet
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.npe2.viewer_state import _offer_methods


def test_what_is_left_out_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", told.append)
    registry = MethodRegistry()
    _offer_methods(registry, (METHODS, {"edge": "the method 'edge' of edges 1.0 cannot be used."}))
    assert registry.classes == METHODS
    assert told == ["the method 'edge' of edges 1.0 cannot be used."]


@dataclass(frozen=True)
class Strict(UNet):
    """A method of another package that keeps the U-Net's title and refuses values in its own way."""

    key = "strict"
    width: int = 3

    def __post_init__(self) -> None:
        if self.width != 3:
            raise ValueError("three only")


def test_one_that_refuses_a_value_in_its_own_way_says_so_and_is_told_apart() -> None:
    view = Recorded()
    registry = MethodRegistry({"unet": UNet, "strict": Strict})
    controller = TrainController(BundleRegistry([]), view, ImmediateRunner(), registry)
    assert [start.title for start in controller.starts] == [
        "U-Net (unet), from scratch",
        "U-Net (strict), from scratch",
    ]
    controller.pick_start(1)
    controller.edit(TrainForm(options={"width": 4}))
    assert view.state.level == "error"
    assert view.state.message == "strict refuses these options (three only); choose other values."
