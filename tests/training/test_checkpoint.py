"""Checkpoints on disk: what earlier versions wrote is read or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voxtrace.errors import InputError
from voxtrace.training.checkpoint import FILE, load_checkpoint

WRITTEN_SINCE_THE_FIRST_VERSION = {
    "phase": 1,
    "iteration": 250,
    "network": {"weight": torch.ones(2)},
    "optimizer": {"state": {}, "param_groups": []},
    "history": [{"iteration": 5.0, "dice": 0.5}],
}


def test_a_checkpoint_of_the_first_version_is_read(tmp_path: Path) -> None:
    torch.save(WRITTEN_SINCE_THE_FIRST_VERSION, tmp_path / FILE)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.phase, checkpoint.iteration) == (1, 250)
    assert checkpoint.history == [{"iteration": 5.0, "dice": 0.5}]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04"], ids=["empty", "text", "half a zip"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_with_other_fields_is_refused(tmp_path: Path) -> None:
    torch.save({**WRITTEN_SINCE_THE_FIRST_VERSION, "colour": 1}, tmp_path / FILE)
    with pytest.raises(InputError, match="is not a checkpoint"):
        load_checkpoint(tmp_path)
