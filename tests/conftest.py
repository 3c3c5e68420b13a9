"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run; HYPOTHESIS_PROFILE=default (hypothesis's own) looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real CT and MR scans, or skip where it is missing.

    ``VOXTRACE_REAL_DATA`` names it; otherwise it is looked for beside the project.
    """
    folder = Path(os.environ.get("VOXTRACE_REAL_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not (folder / "README.md").is_file():
        pytest.skip(f"no real scans at {folder}; set VOXTRACE_REAL_DATA to their folder to run this test")
    return folder


@pytest.fixture(autouse=True)
def _config_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests away from the user's own napari settings."""
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path_factory.getbasetemp() / "napari.yaml"))


@pytest.fixture(autouse=True, scope="session")
def _kernels_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the kernels that the user has switched off."""
    from voxtrace.kernels import switches

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switches, "user_file", lambda: tmp_path_factory.getbasetemp() / "no-kernels.json")
        yield


@pytest.fixture(autouse=True, scope="session")
def _speed_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the speeds that the user's runs had."""
    from voxtrace.fit import machine_speed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_speed, "speed_file", lambda: tmp_path_factory.getbasetemp() / "speed.json")
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Compute on one thread: the networks of the tests are too small to share out, and answers repeat exactly."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_chance(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give each numeric test random numbers of its own: what ran before it changes nothing, and it changes nothing."""
    if request.node.get_closest_marker("numeric") is None:
        yield
        return
    from chance import drawn

    with drawn():
        yield


@pytest.fixture(autouse=True, scope="session")
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the tests compile and find away from the user's own cache."""
    from voxtrace.runtime.arithmetic import verdicts
    from voxtrace.runtime.openvino import cache
    from voxtrace.training import dataset_cache

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "user_folder", lambda: tmp_path_factory.getbasetemp() / "openvino")
        patch.setattr(verdicts, "user_folder", lambda: tmp_path_factory.getbasetemp() / "arithmetic")
        patch.setattr(dataset_cache, "user_folder", lambda: tmp_path_factory.getbasetemp() / "datasets")
        yield
