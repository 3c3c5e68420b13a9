from __future__ import annotations

import importlib
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from npe2 import PluginManifest

import voxtrace

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_napari_finds_the_manifest_that_lies_at_the_top() -> None:
    installed = PluginManifest.from_distribution("voxtrace").model_dump(exclude={"package_metadata"})
    written = PluginManifest.from_file(ROOT / "napari.yaml").model_dump(exclude={"package_metadata"})
    assert installed == written, "napari.yaml changed since it was installed: run make lint, or pip install -e . again"


@pytest.mark.parametrize("command", MANIFEST["contributions"]["commands"], ids=lambda command: str(command["id"]))
def test_each_command_of_the_manifest_is_there(command: dict[str, str]) -> None:
    module, name = command["python_name"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_version_is_stated_once() -> None:
    assert metadata.version("voxtrace") == voxtrace.__version__
    assert f"## [{voxtrace.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_engine_installs_without_a_window() -> None:
    required = " ".join(_project()["project"]["dependencies"]).lower()
    assert not [name for name in ("napari", "pyqt", "pyside", "qtpy", "superqt", "magicgui") if name in required]


def test_every_direct_requirement_is_pinned_for_the_checks() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = _project()["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    extras = (line for extra in project["optional-dependencies"].values() for line in extra)
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        if requirement.name == project["name"]:  # the extra that gathers others
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} has no pin in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow the pinned {pin}"
