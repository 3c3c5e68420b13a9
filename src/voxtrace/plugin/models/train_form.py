"""The form of the training panel: its values, what training can start from, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtrace.fit import Fit
from voxtrace.plugin.models import panel_state


@dataclass(frozen=True)
class TrainForm:
    """The values of the form.

    ``iterations`` 0 means as planned, ``options`` are the method's, ``minutes`` None is no limit.
    """

    dataset: str = ""
    fold: int = 0
    iterations: int = 0
    out: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    minutes: float | None = None


@dataclass(frozen=True)
class DatasetFit:
    """Verdicts of bundles on a dataset, by folder, and the folder of the one to start from; None if none fits."""

    dataset: str
    suggested: Path | None = None
    fits: Mapping[Path, Fit] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainStart:
    """What training can start from: a bundle's weights, or a method with random weights (``bundle`` None)."""

    title: str
    method: str
    bundle: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)


def has_listing(dataset: str) -> bool:
    """Tell whether a folder holds a dataset in nnU-Net's raw layout."""
    return bool(dataset) and (Path(dataset) / "dataset.json").is_file()


def resumable(out: str) -> bool:
    """Tell whether there is an unfinished run for an output folder."""
    return bool(out) and Path(out).with_name(f"{Path(out).name}.work").is_dir()


def ready(form: TrainForm) -> panel_state.PanelState:
    """Return what is missing in a form, or that training can start."""
    if not form.dataset:
        return panel_state.PanelState("Choose a dataset folder: nnU-Net's raw layout, with dataset.json and imagesTr.")
    if not has_listing(form.dataset):
        return panel_state.PanelState(f"{form.dataset} has no dataset.json; choose a folder that has one.", "error")
    if not form.out:
        return panel_state.PanelState("Choose where the new bundle should go: a folder that does not exist yet.")
    if resumable(form.out):
        return panel_state.PanelState(
            "There is an unfinished run. Press Resume to continue where it stopped.", can_start=True
        )
    if Path(form.out).exists():
        return panel_state.PanelState(f"{form.out} exists already; choose a folder that does not exist yet.", "error")
    return panel_state.PanelState("Ready. Press Start.", can_start=True)
