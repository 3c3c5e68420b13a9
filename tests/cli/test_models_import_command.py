from __future__ import annotations

from pathlib import Path

import made_nnunet
from made import Run


def test_an_nnunet_model_becomes_a_bundle_that_is_sound(run: Run, tmp_path: Path) -> None:
    made_nnunet.model(tmp_path / "model")
    done = run("models", "import", tmp_path / "model", "--out", tmp_path / "bundle", "--json")
    (written,) = done.json["bundles"]
    assert run("models", "verify", written["path"], "--json").json["digest"] == written["digest"]
    assert "Dataset900_Made" in run("models", "import", tmp_path / "model", "--out", tmp_path / "b", "--fold", "0").err


def test_a_folder_that_is_no_model_is_refused(run: Run, tmp_path: Path) -> None:
    refused = run("models", "import", tmp_path, "--out", tmp_path / "bundle")
    assert refused.code == 3
    assert "plans.json cannot be read" in refused.sentence
    assert not (tmp_path / "bundle").exists()
