"""The package at the end of ``docs/add-a-method.md`` is built and installed from the page, and keeps every promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cases import ball_dataset
from made import Run
from voxtrace.bundle import load
from voxtrace.errors import BundleError
from voxtrace.testing import PROMISES
from voxtrace.trace import Trace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-method.md"
NAME, MOST_LINES = "smoothed", 80


def template() -> dict[str, str]:
    """Return the files of the package by name."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## A package of its own\n")[2]
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has built and installed the package, without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in template().items():
        (source / name).write_text(text, encoding="utf-8")
    words = ("--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *words, "--target", str(target), str(source)]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert told.returncode == 0, told.stderr
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)


def test_it_is_three_files_of_80_lines() -> None:
    files = template()
    assert set(files) == {"pyproject.toml", "voxtrace_smoothed.py", "test_promises.py"}
    assert sum(len(text.splitlines()) for text in files.values()) <= MOST_LINES


@pytest.mark.numeric
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps_the_promise(promise: str) -> None:
    PROMISES[promise](NAME)


def test_its_own_test_holds_it_to_every_promise() -> None:
    session: dict[str, object] = {}
    exec(template()["test_promises.py"], session)
    (mark,) = session["test_promise"].pytestmark  # type: ignore[attr-defined]
    assert list(mark.args[1]) == list(PROMISES)


@pytest.mark.usefixtures("installed")
def test_it_is_listed_trained_and_used(run: Run, tmp_path: Path) -> None:
    (listed,) = run("methods", "--json", "--method", NAME, "--size", "16").json["methods"]
    assert [option["name"] for option in listed["options"]] == ["blurs"]
    dataset, out = ball_dataset(tmp_path / "balls"), tmp_path / "bundle"
    small = ("--iterations", 4, "--batch-size", 2, "--device", "cpu", "--precision", "float32")
    trained = run("train", dataset, "--method", NAME, "--blurs", 3, "--out", out, *small)
    assert trained.code == 0, trained.err
    scan = dataset / "imagesTr" / "ball_000_0000.nii.gz"
    told = run("predict", scan, "-m", out, "-o", tmp_path / "results", "--keep", "labels", "--steps", 6)
    assert told.code == 0, told.err
    (written,) = (tmp_path / "results").glob("*.trace")
    assert Trace.load(written).labels.shape[0] == 6


def test_a_bundle_of_it_is_refused_where_the_package_is_missing(
    site: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, out = ball_dataset(tmp_path / "balls"), tmp_path / "bundle"
    with monkeypatch.context() as patch:
        patch.syspath_prepend(site)
        assert run("train", dataset, "--method", NAME, "--out", out, "--iterations", 2, "--device", "cpu").code == 0
    with pytest.raises(BundleError, match=f"there is no method '{NAME}'.* install the package that brings"):
        load(out)
