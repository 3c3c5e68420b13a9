"""Prepared cases on disk: what is damaged is made again before a run takes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from cases import ball, small_plan
from voxtrace.training import preprocessed
from voxtrace.training.preprocessed import PreprocessedCase, preprocess_cases


def _prepared(folder: Path) -> PreprocessedCase:
    (case,) = preprocess_cases([ball(0)], small_plan(), folder, 0)
    return case


@pytest.mark.parametrize(
    "name",
    ["foreground.npy", "scan.json", "body.json", "image.zarr/zarr.json", "labels.zarr/zarr.json", "checksums.json"],
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


def _shared(folder: Path) -> list[PreprocessedCase]:
    return list(preprocess_cases([ball(0)], small_plan(), folder, 0, shared=True))


def test_a_sound_case_that_another_run_made_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, made = preprocessed.network_labels, list[PreprocessedCase]()

    def while_another_is_faster(*given: Any) -> Any:
        monkeypatch.setattr(preprocessed, "network_labels", true)
        made.extend(preprocess_cases([ball(0)], small_plan(), tmp_path, 0, shared=True))
        inodes.append(made[0].folder.stat().st_ino)
        return true(*given)

    inodes = list[int]()
    monkeypatch.setattr(preprocessed, "network_labels", while_another_is_faster)
    (own,) = preprocess_cases([ball(0)], small_plan(), tmp_path, 0, shared=True)
    assert own.folder == made[0].folder
    assert [own.folder.stat().st_ino] == inodes


def test_runs_that_prepare_the_same_cases_at_once_all_find_them(tmp_path: Path) -> None:
    runs = 4
    together = Barrier(runs)

    def one(_: int) -> list[PreprocessedCase]:
        together.wait()
        return _shared(tmp_path)

    with ThreadPoolExecutor(runs) as pool:
        found = list(pool.map(one, range(runs)))
    assert all([case.folder for case in cases] == [case.folder for case in found[0]] for cases in found)
    assert len(list(tmp_path.iterdir())) == 1  # and nothing half written


def test_a_case_that_is_being_replaced_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true, looks = preprocessed._stored, list[int]()

    def away_at_first(*given: Any) -> Any:
        looks.append(1)
        return None if len(looks) < 3 else true(*given)

    monkeypatch.setattr(preprocessed, "_stored", away_at_first)
    assert _prepared(tmp_path).scan.cases == 1
