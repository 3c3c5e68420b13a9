from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import made
from voxtrace.batch.evaluation import Pair, Scored, match, score_pairs, summarise
from voxtrace.errors import InputError


def test_files_match_by_case_name_whatever_their_format(tmp_path: Path) -> None:
    for path in ("made/a.nrrd", "made/x.nii.gz", "true/a.nii.gz", "true/b.nii.gz"):
        made.labels(tmp_path / path)
    matched = match(tmp_path / "made", tmp_path / "true")
    assert [pair.case for pair in matched.pairs] == ["a"]
    assert (matched.missing, matched.extra) == (("b",), ("x",))


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    made.labels(tmp_path / "made" / "a.nii.gz")
    made.labels(tmp_path / "true" / "b.nii.gz")
    with pytest.raises(InputError):
        match(tmp_path / "made", tmp_path / "true")


def test_an_unreadable_pair_has_a_sentence_in_place_of_scores(tmp_path: Path) -> None:
    good, bad = made.labels(tmp_path / "good.nii.gz"), tmp_path / "bad.nii.gz"
    bad.write_bytes(b"bad")
    [scored] = score_pairs([Pair("case", bad, good)])
    assert scored.labels == {}
    assert "bad.nii.gz" in scored.error
    assert summarise([scored], {})["failed"][0]["case"] == "case"


def test_a_missed_label_counts_as_zero(tmp_path: Path) -> None:
    made_map, reference = made.labels(tmp_path / "p.nii.gz", block=0), made.labels(tmp_path / "r.nii.gz")
    [scored] = score_pairs([Pair("case", made_map, reference)])
    assert scored.labels[1].dice == 0.0
    assert scored.mean("dice") == pytest.approx(0.5)
    assert summarise([scored], {})["labels"]["1"]["hd95_mm_n"] == 0


def test_a_case_without_scores_has_no_mean() -> None:
    assert np.isnan(Scored("case").mean("dice"))
