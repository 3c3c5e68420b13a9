"""The first page: what it says of models, of the version and of its film is so."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image, ImageSequence

import voxtrace
from voxtrace.fit.model_facts import dice_words

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILM = ROOT / "docs" / "images" / "hippocampus.gif"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_models", ROOT / "scripts" / "readme_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_models_says_what_their_cards_say() -> None:
    command = [sys.executable, "-c", "from voxtrace.cli import main; main()", "models", "list", "--json"]
    told = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    script, listed = _script(), json.loads(told.stdout)["models"]
    records = {record["name"]: record for record in listed}
    costs = json.loads(script.COSTS.read_text("utf-8"))
    again = "a shipped model changed: run scripts/readme_models.py measure"
    assert {n: cost["weights"] for n, cost in costs.items()} == {n: script.weights(r) for n, r in records.items()}, (
        again
    )
    assert script.written(README, script.table(records, costs)) == README, again
    for name, record in records.items():
        (line,) = [line for line in README.splitlines() if line.startswith(f"| `{name}` |")]
        assert line.split("| ")[-1].startswith("demonstration" if record.get("demonstration") else "**real scans**")
        assert ("non-commercial" in line) == ("NC" in record["licence"])
        assert dice_words(record).replace(", n ", ", ") in line


def test_the_wheel_that_is_installed_is_that_of_this_version() -> None:
    wheels = set(re.findall(r"voxtrace-[\w.]+-py3-none-any\.whl", README))
    assert wheels == {f"voxtrace-{voxtrace.__version__}-py3-none-any.whl"}


def test_the_film_has_six_seconds_and_comes_quickly() -> None:
    with Image.open(FILM) as film:
        seconds = sum(frame.info["duration"] for frame in ImageSequence.Iterator(film)) / 1000
        assert film.n_frames == 7
    assert 5.5 < seconds < 6.5
    assert FILM.stat().st_size < 2 << 20


def test_a_reader_of_scans_meets_one_line_to_install_and_one_to_begin_before_any_make() -> None:
    for shell in ("powershell", "sh"):
        for block in re.findall(rf"^```{shell}\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
            environment, install, begin = block.strip().splitlines()
            assert "-m venv" in environment
            assert re.search(r'pip install "voxtrace-.*whl\[all\]"', install)
            assert begin.endswith("voxtrace demo --window")
            assert "'" not in block  # a letter to the command prompt of Windows
    assert README.index("voxtrace demo --window") < README.index("make demo") < README.index("make test")
    assert README.index("Not a medical device") < README.index("## Install")
