"""The tutorial on training is run from its first block to its last, with fewer iterations."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "train-tutorial.md"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LAST = "phantoms-tuned"  # is fine-tuned on cases that the reader corrected


def _run(line: str) -> None:
    from voxtrace.cli import app

    words = shlex.split(line.replace("--iterations 600", "--iterations 4"))
    result = CliRunner().invoke(app, words[1:])
    assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"


def test_each_block_of_the_tutorial_runs_after_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    session = ModuleType("tutorial")
    monkeypatch.setitem(sys.modules, "tutorial", session)
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    for language, block in blocks:
        if language == "python":
            exec(compile(block, PAGE.name, "exec", dont_inherit=True), vars(session))
            continue
        for line in block.splitlines():
            if LAST not in line:
                _run(line)
    assert (tmp_path / "phantoms-unet" / "card.md").is_file()
    assert (tmp_path / "results" / "phantom_04.trace").is_dir()


def test_the_curves_of_the_tutorial_can_be_drawn(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("training_curves", ROOT / "scripts" / "training_curves.py")
    assert spec is not None
    assert spec.loader is not None
    training_curves = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(training_curves)
    events = [
        {"event": "update", "done": 1, "loss": {"dice": -0.1}, "rate": 0.01},
        {"event": "validation", "done": 1, "dice": 0.5, "dice_per_label": {"liver": 0.5}},
    ]
    figure = training_curves.curves(events)
    assert [axes.get_title() for axes in figure.axes][1] == "Dice of the held-back cases"
    assert figure.axes[1].lines[0].get_ydata()[0] == 0.5
    with pytest.raises(SystemExit, match="does not exist"):
        training_curves.read_events(tmp_path)
