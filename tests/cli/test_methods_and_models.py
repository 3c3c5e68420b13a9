from __future__ import annotations

from pathlib import Path

import pytest

from made import Run
from voxtrace import bundle as bundles


def test_methods_are_listed_with_their_options(run: Run) -> None:
    listed = {method["name"]: method for method in run("methods", "--no-figures", "--json").json["methods"]}
    assert {"recyclenet", "unet"} <= set(listed)
    cycles = next(option for option in listed["recyclenet"]["options"] if option["name"] == "cycles")
    assert (cycles["type"], cycles["default"], cycles["low"]) == ("int", 7, 1)
    assert listed["recyclenet"]["parameters"] > 0
    assert "--cycles" in run("methods", "--method", "recyclenet", "--no-figures").out


def test_shipped_models_are_listed(run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", bundle.parent)
    assert [model["name"] for model in run("models", "list", "--json").json["models"]] == [bundle.name]
    assert bundle.name in run("models", "list").out


def test_a_sound_bundle_is_verified(run: Run, bundle: Path) -> None:
    assert run("models", "verify", bundle).code == 0
    assert run("models", "verify", bundle, "--json").json["verified"] is True


def test_what_is_no_bundle_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("models", "verify", tmp_path).code == 3
