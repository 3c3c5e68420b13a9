"""Voxels that nobody annotated: never learned, never sampled, never scored."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import ball, ball_dataset
from voxtrace.errors import InputError
from voxtrace.io import read_labels, write
from voxtrace.method import Phase
from voxtrace.metrics import dice, without_ignored
from voxtrace.plan import Plan
from voxtrace.preprocess import network_labels
from voxtrace.training import open_dataset
from voxtrace.training.planning import combine, measure_case, plan_dataset
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.training.sampling import MiniBatches, _centre
from voxtrace.volume import Case, LabelMap

IGNORED = 2


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """Five balls whose upper half nobody annotated."""
    folder = ball_dataset(tmp_path / "balls")
    for file in (folder / "labelsTr").iterdir():
        labels = read_labels(file)
        data = labels.data.copy()
        data[8:] = IGNORED
        write(replace(labels, data=data), file)
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "labels": {**record["labels"], "ignore": IGNORED}}))
    return folder


def plan_of(folder: Path) -> Plan:
    dataset = open_dataset(folder)
    cases = dataset.cases([files.name for files in dataset.files])
    found = combine([measure_case(case, ignored=dataset.ignored) for case in cases])
    return plan_dataset(dataset, found)


def test_the_network_has_no_output_for_the_ignore_label(balls: Path) -> None:
    plan = plan_of(balls)
    assert plan.labels == {0: "background", 1: "ball"}
    assert (plan.n_labels, plan.ignore, plan.ignored) == (2, True, IGNORED)


def test_intensities_of_ignored_voxels_are_no_foreground(balls: Path) -> None:
    case = open_dataset(balls).files[0].load()
    measured = measure_case(case, ignored=IGNORED)
    assert measured.samples.shape[1] == int((case.labels.data == 1).sum())


def test_a_plan_without_an_ignore_label_refuses_its_value(balls: Path) -> None:
    labels = read_labels(balls / "labelsTr" / "ball_000.nii.gz")
    plan = plan_of(balls)
    assert set(np.unique(network_labels(labels, plan))) == {0, 1, IGNORED}
    with pytest.raises(InputError, match=r"label values \[2\] that the plan does not name"):
        network_labels(labels, plan.model_copy(update={"ignore": False}))


def test_windows_are_centred_on_annotated_voxels(balls: Path, tmp_path: Path) -> None:
    dataset, plan = open_dataset(balls), plan_of(balls)
    (case,) = preprocess_cases(dataset.cases(["ball_001"]), plan, tmp_path / "cases", 0)
    assert set(case.foreground[:, 0]) == {0, 1}
    rng = np.random.default_rng(0)
    for forced in (True, False):
        centres = [_centre(case, forced, rng) for _ in range(50)]
        values = {int(case.labels[tuple(centre)]) for centre in centres if centre is not None}
        assert values == ({1} if forced else {0, 1})


def test_the_centre_of_an_unforced_window_is_any_annotated_voxel_alike(tmp_path: Path) -> None:
    """The ball is 525 of 41,997 annotated voxels; drawn as often as the background it would be half of the centres."""
    case, plan = _two_labels(48), Plan.example(labels=3, window=(16, 16, 16)).model_copy(update={"ignore": True})
    data = case.labels.data.copy()
    data[:30][data[:30] == 0] = plan.ignored  # the ball is annotated, and what lies beyond it
    some = replace(case, labels=LabelMap(data, case.labels.geometry))
    (prepared,) = preprocess_cases([some], plan, tmp_path, 0)
    rng = np.random.default_rng(0)
    centres = [_centre(prepared, False, rng) for _ in range(4000)]
    values = np.bincount([data[tuple(centre)] for centre in centres if centre is not None], minlength=4)
    assert values.sum() == 4000
    assert values[plan.ignored] == 0
    expected = np.bincount(data.ravel())[:3] / (data != plan.ignored).sum()
    np.testing.assert_allclose(values[:3] / 4000, expected, atol=0.01)


@pytest.mark.parametrize("ignore", [False, True])
def test_windows_of_cases_without_ignored_voxels_stay_where_they_were(tmp_path: Path, ignore: bool) -> None:
    plan = Plan.example(labels=3, window=(16, 16, 16)).model_copy(update={"augmentation": 0.0, "ignore": ignore})
    (prepared,) = preprocess_cases([_two_labels(24)], plan, tmp_path, 0)
    windows, rng = MiniBatches([prepared], plan, Phase("train", 10), (0, 0)), np.random.default_rng(0)
    places = [windows._place(prepared, forced, rng)[0] for forced in (False, True, True, False, True, False)]
    assert places == [[3, 1, 0], [-1, -4, -1], [4, 1, 0], [1, 4, 0], [-1, 1, 1], [0, 1, 4]]


def _two_labels(size: int) -> Case:
    """A ball whose right part is another label."""
    case = ball(0, size)
    data = case.labels.data.astype(np.uint8)
    data[:, :, size // 2 + 1 :][data[:, :, size // 2 + 1 :] > 0] = 2
    return Case("two", case.volume, LabelMap(data, case.labels.geometry))


def test_without_an_ignore_label_only_forced_windows_have_a_centre(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls")
    (case,) = preprocess_cases(open_dataset(folder).cases(["ball_001"]), plan_of(folder), tmp_path / "cases", 0)
    assert set(case.foreground[:, 0]) == {1}
    assert _centre(case, False, np.random.default_rng(0)) is None
    assert _centre(case, True, np.random.default_rng(0)) is not None


def test_ignored_voxels_count_neither_for_nor_against_a_prediction() -> None:
    truth = ball(0).labels
    data = truth.data.copy()
    data[8:] = IGNORED
    reference = LabelMap(data, truth.geometry, {1: "ball", IGNORED: "ignore"})
    wrong = truth.data.copy()
    wrong[8:] = 1 - wrong[8:]
    prediction, shown = without_ignored(LabelMap(wrong, truth.geometry), reference, IGNORED)
    assert dice(prediction, shown, 1) == 1.0
    assert dict(shown.names) == {1: "ball"}
    assert without_ignored(truth, reference, None) == (truth, reference)
