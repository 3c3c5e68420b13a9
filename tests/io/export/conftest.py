"""The label maps that the exports are tested on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import voxtrace
from exported import PLACES, Made, make
from voxtrace.volume import LabelMap


@pytest.fixture(scope="session")
def axial(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Axial images and their label map."""
    return make(tmp_path_factory.mktemp("axial") / "images")


@pytest.fixture(scope="session", params=PLACES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The same in each of several orientations."""
    return make(tmp_path_factory.mktemp(request.param) / "images", PLACES[request.param])


@pytest.fixture(scope="session")
def real_labels(real_data: Path) -> LabelMap:
    """31 labels on the grid of a real CT series, from NIfTI."""
    folder = real_data / "ct_abdomen"
    names = json.loads((folder / "dicom_labels.json").read_text())
    named = {int(value): name for value, name in names.items() if value != "0"}
    return replace(voxtrace.read_labels(folder / "dicom_labels.nii.gz"), names=named)
