"""Fine-tuning on real scans: what the bundle knows keeps its Dice to two points, and what is new is learned.

Each of the runs takes minutes: `make test-slow`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fine_tune.py"
MOST_LOST = 0.02  # of Dice

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def fine_tuned(situation: str, dataset: Path, out: Path, *options: object) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), situation, str(dataset), str(out / situation), *map(str, options)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_third_label_is_learned_beside_the_two(real_data: Path, tmp_path: Path) -> None:
    found = fine_tuned("third-label", real_data / "Dataset004_Hippocampus", tmp_path, "--updates", 400)
    assert found["difference"] >= -MOST_LOST
    assert found["after"]["ball"] > 0.4


def test_a_plain_unet_goes_on_as_recyclenet(real_data: Path, tmp_path: Path) -> None:
    found = fine_tuned("recyclenet", real_data / "Dataset004_Hippocampus", tmp_path, "--updates", 80)
    assert found["difference"] >= -MOST_LOST
    assert found["told"] == ["from unet to recyclenet with feedback 0.125"]


def test_labels_of_mr_are_learned_from_a_bundle_of_ct(real_data: Path, tmp_path: Path) -> None:
    found = fine_tuned("mr", real_data / "Dataset027_ACDC", tmp_path, "--updates", 80, "--new", 6, "--cases", 8)
    assert any("is normalised as the new data ask (zscore" in sentence for sentence in found["told"])
    assert found["after"]["LV"] > 0.15


def test_exchanged_channels_change_nothing(tmp_path: Path) -> None:
    found = fine_tuned("channels", tmp_path, tmp_path, "--updates", 20, "--batch", 8, "--new", 4, "--cases", 6)
    assert found["difference"] >= -MOST_LOST
    assert "channels continue the bundle's: t1ce its t1ce, flair its flair" in found["told"][0]
