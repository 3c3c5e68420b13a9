"""Prepared cases on disk: what is damaged is made again before a run takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import ball, small_plan
from voxtrace.training.preprocessed import PreprocessedCase, preprocess_cases


def _prepared(folder: Path) -> PreprocessedCase:
    (case,) = preprocess_cases([ball(0)], small_plan(), folder, 0)
    return case


@pytest.mark.parametrize(
    "name", ["foreground.npy", "scan.json", "image.zarr/zarr.json", "labels.zarr/zarr.json", "checksums.json"]
)
def test_a_small_file_with_a_spoiled_byte_is_written_again(tmp_path: Path, name: str) -> None:
    first = _prepared(tmp_path)
    file, rng = first.folder / name, np.random.default_rng(0)
    held, labels, foreground = file.read_bytes(), first.labels[...], np.array(first.foreground)
    for place in rng.choice(len(held), 8, replace=False).tolist():
        spoiled = bytearray(held)
        spoiled[place] ^= int(rng.integers(1, 256))
        file.write_bytes(spoiled)
        again = _prepared(tmp_path)
        assert file.read_bytes() == held
        np.testing.assert_array_equal(again.labels[...], labels)
        np.testing.assert_array_equal(again.foreground, foreground)
