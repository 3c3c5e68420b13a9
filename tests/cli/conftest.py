"""The console entry, run in this process, and what its commands work on."""

from __future__ import annotations

from pathlib import Path

import pytest

import made
from made import Outcome, Run
from voxtrace.cli import main


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the console entry with the given words."""

    def run_words(*words: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Outcome(int(leaving.value.code or 0), out, err)

    return run_words


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained bundle of one channel that decides in three cycles."""
    return made.bundle_folder(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="session")
def two_channel_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for two channels."""
    return made.bundle_folder(tmp_path_factory.mktemp("bundles") / "pair", channels=2)
