"""Scores from candidates that a person can draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cases import ball_dataset, drain
from voxtrace import io
from voxtrace.errors import Cancelled, DatasetError, UsageError
from voxtrace.training import open_dataset
from voxtrace.training.reliability import CaseScore, cleaned, pairwise_dice, reliability_scores, score_dataset
from voxtrace.volume import Array, Geometry, LabelMap, Volume

pytestmark = pytest.mark.numeric


SIDE = 4


def _row(*labels: int) -> Array:
    return np.array(labels, np.uint8).reshape(1, 1, -1)


def _symmetric(d12: float, d13: float, d23: float) -> Array:
    return np.array([[1, d12, d13], [d12, 1, d23], [d13, d23, 1]])


def test_the_most_reliable_candidate_is_kept_and_tells_the_difficulty() -> None:
    score = reliability_scores(_symmetric(0.97, 0.89, 0.82))
    assert score.reliabilities == pytest.approx((0.93, 0.895, 0.855))
    assert score.chosen == 0
    assert score.reliability == score.difficulty == pytest.approx(0.93)
    assert score.difficulty_min == pytest.approx(0.89)


def test_the_example_is_easy_by_the_mean_and_hard_by_the_smallest() -> None:
    from voxtrace.methods.cdlunet import CDLUNet
    from voxtrace.plan import Plan

    score = reliability_scores(_symmetric(0.97, 0.89, 0.82))
    scores = {"difficulty": score.difficulty, "difficulty_min": score.difficulty_min}
    plan = Plan.example()
    assert [p.case_weight(scores, 0.0) for p in CDLUNet(score="mean").phases(plan)] == [1, 1]
    assert [p.case_weight(scores, 0.0) for p in CDLUNet(score="min").phases(plan)] == [0, 1]


def test_candidates_that_disagree_make_a_case_that_is_dropped() -> None:
    from voxtrace.methods.cdlunet import CDLUNet
    from voxtrace.plan import Plan

    score = reliability_scores(_symmetric(0.75, 0.70, 0.60))
    assert score.reliabilities == pytest.approx((0.725, 0.675, 0.65))
    assert score.difficulty == pytest.approx(0.725)
    scores = {"difficulty": score.difficulty}
    assert [p.case_weight(scores, 0.0) for p in CDLUNet().phases(Plan.example())] == [0, 0]


def test_of_equally_reliable_candidates_the_first_is_kept() -> None:
    assert reliability_scores(_symmetric(0.8, 0.8, 0.8)).chosen == 0
    assert reliability_scores(_symmetric(0.1, 0.1, 0.8)).chosen == 1


def test_four_candidates_are_judged_by_three_others_each() -> None:
    dice = np.array([[1, 0.6, 0.6, 0.6], [0.6, 1, 0.9, 0.9], [0.6, 0.9, 1, 0.6], [0.6, 0.9, 0.6, 1]])
    score = reliability_scores(dice)
    assert score.chosen == 1
    assert score.difficulty == pytest.approx((0.6 + 0.9 + 0.9) / 3)
    assert score.difficulty_min == pytest.approx(0.6)


def test_dice_is_the_mean_over_foreground_labels() -> None:
    """Label 1: 2·1 / (2 + 1); label 2: 2·1 / (1 + 2); label 3 on neither side takes no part."""
    dice = pairwise_dice([_row(0, 1, 1, 2), _row(0, 1, 2, 3)], n_labels=5)
    assert dice[0, 1] == dice[1, 0] == pytest.approx((2 / 3 + 0 + 0) / 3)
    dice = pairwise_dice([_row(0, 1, 1, 2), _row(0, 1, 2, 2)], n_labels=4)
    assert dice[0, 1] == dice[1, 0] == pytest.approx(2 / 3)
    assert dice[0, 0] == 1


def test_maps_that_are_all_empty_do_not_agree() -> None:
    """Three empty maps have no score; of two empty ones and a full one, the full one disagrees with both."""
    nothing = reliability_scores(pairwise_dice([_row(0, 0)] * 3, 2))
    assert nothing.chosen == 0
    assert np.isnan([nothing.reliability, nothing.difficulty, nothing.difficulty_min]).all()
    one = reliability_scores(pairwise_dice([_row(0, 0), _row(0, 0), _row(0, 1)], 2))
    assert [one.chosen, one.difficulty, one.difficulty_min] == [0, 0.0, 0.0]


def test_the_background_takes_part_if_asked_for() -> None:
    """Background agrees in 2 of 2 + 3 voxels: 4/5; label 1 in 1 of 2 + 1: 2/3."""
    maps = [_row(0, 0, 1, 1), _row(0, 0, 0, 1)]
    assert pairwise_dice(maps, 2)[0, 1] == pytest.approx(2 / 3)
    assert pairwise_dice(maps, 2, background=True)[0, 1] == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_a_label_on_one_side_alone_counts_nothing() -> None:
    assert pairwise_dice([_row(0, 1), _row(0, 0)], 2)[0, 1] == 0


def test_values_that_name_no_label_become_background() -> None:
    assert cleaned(np.array([-3, 0, 2, 3, 200]), n_labels=3).tolist() == [0, 0, 2, 0, 0]
    assert cleaned(np.array([300.0]), n_labels=400).dtype == np.uint16


def test_the_value_after_the_last_label_stays_where_it_is_ignored() -> None:
    assert cleaned(np.array([-3, 0, 2, 3, 4]), n_labels=3, ignore=True).tolist() == [0, 0, 2, 3, 0]
    assert cleaned(np.array([256]), n_labels=256, ignore=True).tolist() == [256]


def test_voxels_that_either_map_ignores_are_in_no_dice() -> None:
    """Of five voxels the last two are ignored: label 1 has 2·1 / (2 + 1), the background 2·1 / (1 + 2)."""
    maps = [_row(0, 1, 1, 2, 1), _row(0, 1, 0, 1, 2)]
    assert pairwise_dice(maps, 2)[0, 1] == pairwise_dice(maps, 2)[1, 0] == pytest.approx(2 / 3)
    assert pairwise_dice(maps, 2, background=True)[0, 1] == pytest.approx((2 / 3 + 2 / 3) / 2)


@pytest.fixture
def unlabelled(tmp_path: Path) -> tuple[Path, list[Path]]:
    """Two balls without reference labels; candidates a and b are alike, c has another ball; one value is no label."""
    folder = ball_dataset(tmp_path / "balls", n=2)
    candidates = [tmp_path / name for name in "cab"]
    for file in sorted((folder / "labelsTr").iterdir()):
        truth = io.read_labels(file)
        for place in candidates:
            data = truth.data.astype(np.int16)
            if place.name == "c":
                data = np.roll(data, 2, axis=0)
            if place.name == "a":
                data[0, 0, 0] = 9
                data[0, 0, 1] = -1
            place.mkdir(exist_ok=True)
            io.write(Volume(data[None], truth.geometry), place / file.name)
        file.unlink()
    (folder / "labelsTr").rmdir()
    return folder, candidates


def test_scores_and_chosen_labels_are_written_and_read_by_training(unlabelled: tuple[Path, list[Path]]) -> None:
    folder, candidates = unlabelled
    scoring = drain(score_dataset(folder, candidates))
    record = json.loads((folder / "scores.json").read_text())
    assert record["labels"] == [str(c) for c in candidates]
    assert record["background"] is False
    assert record["cases"]["ball_000"]["chosen"] == 1  # a agrees with b, and comes first
    case = open_dataset(folder).cases(["ball_000"])[0]
    b = io.read_labels(candidates[2] / "ball_000.nii.gz")
    assert np.array_equal(case.labels.data, b.data)  # a, cleaned
    assert case.labels.names == {1: "ball"}
    score = scoring.cases["ball_000"]
    assert case.scores == {
        "reliability": score.reliability,
        "difficulty": score.difficulty,
        "difficulty_min": score.difficulty_min,
        "foreground_voxels": np.count_nonzero(b.data),
    }
    overlap = 2 * np.count_nonzero(b.data & np.roll(b.data, 2, axis=0)) / (2 * np.count_nonzero(b.data))
    assert score.difficulty_min == pytest.approx(overlap)
    assert score.difficulty == pytest.approx((1 + overlap) / 2)


def test_voxels_that_nobody_annotated_are_neither_scored_nor_learned(unlabelled: tuple[Path, list[Path]]) -> None:
    """The upper half of every candidate is ignored."""
    folder, candidates = unlabelled
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "labels": {**record["labels"], "ignore": 2}}))
    file = "ball_000.nii.gz"
    truth = io.read_labels(candidates[2] / file)
    data = truth.data.astype(np.int16)
    data[8:] = 2
    for place in candidates:
        io.write(Volume(data[None], truth.geometry), place / file)
    score = drain(score_dataset(folder, candidates)).cases["ball_000"]
    case, dataset = open_dataset(folder).cases(["ball_000"])[0], open_dataset(folder)
    assert dataset.ignored == 2
    assert np.array_equal(case.labels.data, data)
    assert score.foreground_voxels == np.count_nonzero(data == 1) > 0
    assert score.difficulty == 1.0


def test_scores_reach_the_prepared_case(unlabelled: tuple[Path, list[Path]], tmp_path: Path) -> None:
    from cases import small_plan
    from voxtrace.training.preprocessed import preprocess_cases

    folder, candidates = unlabelled
    score = drain(score_dataset(folder, candidates)).cases["ball_001"]
    cases = open_dataset(folder).cases(["ball_001"])
    (prepared,) = preprocess_cases(cases, small_plan(), tmp_path / "prepared", seed=0)
    assert prepared.scores["difficulty"] == score.difficulty


def test_reference_labels_are_preferred_and_never_touched(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", n=1)
    reference = folder / "labelsTr" / "ball_000.nii.gz"
    before = reference.read_bytes()
    truth = io.read_labels(reference)
    candidates = [tmp_path / name for name in "abc"]
    for place in candidates:
        io.write(LabelMap(np.roll(truth.data, 3, axis=1), truth.geometry), _made(place) / "ball_000.nii.gz")
    drain(score_dataset(folder, candidates))
    assert reference.read_bytes() == before
    assert open_dataset(folder).files[0].labels == reference
    assert open_dataset(folder).files[0].scores["difficulty"] == 1.0
    assert open_dataset(folder, "labelsChosen").files[0].labels == folder / "labelsChosen" / "ball_000.nii.gz"


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_a_case_on_another_grid_fails_alone(unlabelled: tuple[Path, list[Path]]) -> None:
    folder, candidates = unlabelled
    other = LabelMap(np.zeros((8, 8, 8), np.uint8), Geometry.from_spacing((8, 8, 8), (1.0, 1.0, 1.0)))
    io.write(other, candidates[0] / "ball_001.nii.gz")
    scoring = drain(score_dataset(folder, candidates))
    assert set(scoring.cases) == {"ball_000"}
    assert "does not lie on the grid of its image (16, 16, 16)" in scoring.failed["ball_001"]


def test_fractions_are_no_labels(unlabelled: tuple[Path, list[Path]]) -> None:
    folder, candidates = unlabelled
    for name in ("ball_000", "ball_001"):
        halves = Volume(np.full((1, 16, 16, 16), 0.5, np.float32), Geometry.from_spacing((16, 16, 16), (1.0, 1.0, 1.0)))
        io.write(halves, candidates[0] / f"{name}.nii.gz")
    with pytest.raises(DatasetError, match=r"none of 2 cases could be scored; the first: .*holds fractions"):
        drain(score_dataset(folder, candidates))
    assert not (folder / "labelsChosen").exists()


def test_cases_that_lack_a_candidate_take_no_part(unlabelled: tuple[Path, list[Path]]) -> None:
    folder, candidates = unlabelled
    (candidates[1] / "ball_000.nii.gz").unlink()
    scoring = drain(score_dataset(folder, candidates))
    assert (set(scoring.cases), scoring.missing) == ({"ball_001"}, ("ball_000",))


def test_stopping_leaves_what_was_there(unlabelled: tuple[Path, list[Path]]) -> None:
    folder, candidates = unlabelled
    drain(score_dataset(folder, candidates, background=True))
    before = (folder / "scores.json").read_bytes()
    with pytest.raises(Cancelled, match="stopped after 1 of 2 cases"):
        drain(score_dataset(folder, candidates, cancel=lambda: True))
    assert (folder / "scores.json").read_bytes() == before
    assert len(list((folder / "labelsChosen").iterdir())) == 2
    assert not list(folder.glob(".*"))


def test_two_candidates_or_the_same_one_twice_are_refused(tmp_path: Path) -> None:
    a, b = _made(tmp_path / "a"), _made(tmp_path / "b")
    with pytest.raises(UsageError, match="2 label folder"):
        drain(score_dataset(tmp_path, [a, b]))
    with pytest.raises(UsageError, match="is given twice"):
        drain(score_dataset(tmp_path, [a, b, a]))
    with pytest.raises(UsageError, match="is not a folder"):
        drain(score_dataset(tmp_path, [a, b, tmp_path / "c"]))


def test_candidates_of_other_names_are_refused(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", n=1)
    candidates = [_made(tmp_path / name) for name in "abc"]
    with pytest.raises(DatasetError, match=r"in every label folder; name the files like the cases"):
        drain(score_dataset(folder, candidates))


def test_scores_that_are_none_are_refused(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", n=1)
    (folder / "scores.json").write_text("[]")
    with pytest.raises(DatasetError, match="holds no scores of cases"):
        open_dataset(folder)


def test_a_score_is_made_of_plain_numbers() -> None:
    score = reliability_scores(_symmetric(0.5, 0.5, 0.5))
    assert isinstance(score, CaseScore)
    assert json.dumps([score.reliability, score.chosen, score.reliabilities]) == "[0.5, 0, [0.5, 0.5, 0.5]]"
