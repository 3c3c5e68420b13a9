"""Kernels that are switched off on a machine: kept on disk, honoured, and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import voxtrace
from made import bundle_folder, volume
from voxtrace.errors import UsageError
from voxtrace.inference import ops_numba, ops_torch
from voxtrace.inference.ops import ops_for
from voxtrace.kernels import skip_masked, switches
from voxtrace.nn.masked import MaskedConv3d
from voxtrace.runtime import open_runtime


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a user who has switched nothing off yet."""
    path = tmp_path / "config" / "kernels.json"
    monkeypatch.setattr(switches, "user_file", lambda: path)
    return path


def test_groups_are_left_out_while_a_block_runs_and_nothing_is_kept(file: Path) -> None:
    with switches.without("voxelwise"):
        assert not switches.is_enabled("voxelwise")
        assert switches.is_enabled("winograd")
        assert ops_for("cpu") is ops_torch
        with switches.without("winograd"):
            assert [switches.is_enabled(group) for group in ("winograd", "sparse", "voxelwise")] == [False, True, False]
        assert switches.is_enabled("winograd")
    assert ops_for("cpu") is ops_numba
    with pytest.raises(KeyError), switches.without("sparse"):
        raise KeyError
    assert switches.is_enabled("sparse")
    assert switches.disabled() == ()
    assert not file.exists()


def test_everything_is_on_at_first() -> None:
    assert switches.disabled() == ()


def test_what_is_switched_off_stays_off_until_it_is_switched_on(file: Path) -> None:
    assert switches.switch(disable=["winograd", "voxelwise"]) == ("winograd", "voxelwise")
    assert switches.disabled() == ("winograd", "voxelwise")
    assert switches.switch(enable=["winograd"], disable=["sparse"]) == ("sparse", "voxelwise")
    assert [path.name for path in file.parent.iterdir()] == [file.name]  # nothing temporary is left


@pytest.mark.parametrize("text", ["", "{", "[]", '{"disabled": "winograd"}', '{"disabled": ["turbo"]}'])
def test_a_damaged_file_switches_nothing_off(text: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(text)
    assert switches.disabled() == ()


def test_unknown_and_contradicting_switches_are_refused() -> None:
    with pytest.raises(UsageError, match="use one of 'winograd', 'sparse', 'voxelwise'"):
        switches.switch(disable=["turbo"])
    with pytest.raises(UsageError, match="both enabled and disabled"):
        switches.switch(["sparse"], ["sparse"])


def test_a_runtime_that_is_off_is_refused_with_how_to_switch_it_on() -> None:
    switches.switch(disable=["winograd"])
    with pytest.raises(UsageError, match="voxtrace doctor --enable winograd"):
        open_runtime(nn.Sequential(nn.Conv3d(8, 8, 3, padding=1)), runtime="winograd")


def test_masked_networks_run_as_they_are_while_sparse_kernels_are_off() -> None:
    network = nn.Sequential(MaskedConv3d(4, 4, (3, 3, 3), 0.25))
    assert skip_masked(network)[0] is not network
    switches.switch(disable=["sparse"])
    assert skip_masked(network) == (network, "")


def test_torch_stands_in_for_the_voxel_wise_loops_with_the_same_labels(tmp_path: Path) -> None:
    bundle, scan = voxtrace.load(bundle_folder(tmp_path / "bundle")), volume()
    assert ops_for("cpu") is ops_numba
    compiled = voxtrace.predict(bundle, scan, runtime="torch", precision="float32")
    switches.switch(disable=["voxelwise"])
    assert ops_for("cpu") is ops_torch
    plain = voxtrace.predict(bundle, scan, runtime="torch", precision="float32")
    assert np.mean(compiled.labels.data != plain.labels.data) < 1e-3  # ties to rounding
    assert plain.facts["reason"].endswith("kernels switched off on this machine: voxelwise")
