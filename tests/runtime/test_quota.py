from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voxtrace.runtime.quota import keep_to_quota, processors_in_quota


def groups_of(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("content", "processors"),
    [("200000 100000\n", 2), ("150000 100000\n", 2), ("1000 100000\n", 1), ("max 100000\n", None), ("?\n", None)],
)
def test_a_quota_is_rounded_up(tmp_path: Path, content: str, processors: int | None) -> None:
    groups = groups_of(tmp_path, **{"g/cpu.max": content, "own": "0::/\n"})
    assert processors_in_quota(groups / "g", groups / "own") == processors


def test_the_smallest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"g/a/b/cpu.max": "max 100000", "g/a/cpu.max": "300000 100000", "g/cpu.max": "800000 100000"}
    groups = groups_of(tmp_path, **files, own="0::/a/b\n")
    assert processors_in_quota(groups / "g", groups / "own") == 3


def test_groups_of_the_first_version_are_read(tmp_path: Path) -> None:
    files = {"g/cpu/d/cpu.cfs_quota_us": "400000\n", "g/cpu/d/cpu.cfs_period_us": "100000\n"}
    groups = groups_of(tmp_path, **files, own="4:memory:/d\n3:cpu,cpuacct:/d\n")
    assert processors_in_quota(groups / "g", groups / "own") == 4
    groups_of(tmp_path, **{"g/cpu/d/cpu.cfs_quota_us": "-1\n"})
    assert processors_in_quota(groups / "g", groups / "own") is None


def test_a_system_without_groups_has_no_quota(tmp_path: Path) -> None:
    assert processors_in_quota(tmp_path / "none", tmp_path / "neither") is None


def test_torch_keeps_to_the_quota_unless_the_user_set_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = groups_of(tmp_path, **{"g/cpu.max": "200000 100000", "own": "0::/\n"})
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        monkeypatch.setenv("OMP_NUM_THREADS", "5")
        keep_to_quota(groups / "g", groups / "own")
        assert torch.get_num_threads() == 5
        monkeypatch.delenv("OMP_NUM_THREADS")
        keep_to_quota(groups / "g", groups / "own")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
