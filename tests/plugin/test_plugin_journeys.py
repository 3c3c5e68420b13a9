"""The six journeys of docs/window.md lead where the page says; each runs in a window and a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ON_REAL_DATA = ("mr", "edit", "batch")

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", ["ct", "mr", "slices", "seeds", "edit", "batch"])
def test_a_journey_leads_to_its_end(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "journeys.py"), "--only", name, "--out", str(tmp_path)]
    if name in ON_REAL_DATA:
        command += ["--data", str(request.getfixturevalue("real_data"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name}: ")
    assert len(list(tmp_path.glob(f"{name}-*.png"))) >= 2
