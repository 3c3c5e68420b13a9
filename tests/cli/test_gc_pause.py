from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from voxtrace.cli.gc_pause import gc_paused


def test_garbage_is_collected_again_after_loading() -> None:
    with gc_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_garbage_is_collected_again_when_loading_fails() -> None:
    with pytest.raises(ImportError), gc_paused():
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_torch_brings_is_not_looked_through_again() -> None:
    asked = "import gc\nfrom voxtrace.cli.gc_pause import gc_paused\nwith gc_paused():\n    import torch\n"
    line = [sys.executable, "-c", f"{asked}print(gc.get_freeze_count())"]
    assert int(subprocess.run(line, capture_output=True, text=True, check=True).stdout) > 100_000


def test_nothing_is_frozen_where_torch_was_there_before() -> None:
    import torch  # noqa: F401

    before = gc.get_freeze_count()
    with gc_paused():
        pass
    assert gc.get_freeze_count() == before
