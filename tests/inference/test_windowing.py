"""How a method's own windowing reaches the engine: order, blending, what is thrown away, what is shown beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fakes
from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError
from voxtrace.inference import predict, sliding_window
from voxtrace.inference.common_answer import CommonAnswer
from voxtrace.inference.score_plane import Average
from voxtrace.inference.step_runner import Logits
from voxtrace.method import Noise, Parts, Step, option
from voxtrace.plan import Plan
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Volume
from voxtrace.windows import Decision, Schedule, Window, Windowing, by_slices, regular, strided, uniform

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}


def volume(shape: tuple[int, int, int]) -> Volume:
    data = np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)
    return Volume(data[None], Geometry.from_spacing(shape, (1.0, 1.0, 1.0)), name="noise")


@dataclass(frozen=True)
class Windowed(fakes.Nearest):
    """The fake method with a windowing of the test's choice."""

    key: ClassVar[str] = "windowed"
    how: Windowing | None = option(None, "A Windowing.")  # noqa: RUF009 (option is dataclasses.field)

    def windowing(self, plan: Plan) -> Windowing:
        assert self.how is not None
        return self.how


def run(how: Windowing, window: tuple[int, int, int], scan: Volume, **options: Any) -> Any:
    bundle = fakes.bundle(Windowed(how=how), window=window)
    return predict(bundle, scan, **options)


def test_slices_in_one_row_give_what_slices_one_by_one_give() -> None:
    scan = volume((11, 16, 20))
    one = run(Windowing(regular, uniform), (1, 16, 16), scan)
    many = run(Windowing(by_slices(4), uniform, slices=4), (1, 16, 16), scan, batch=3)
    assert np.array_equal(one.labels.data, many.labels.data)
    assert np.array_equal(one.labels.data, scan.data[0])
    assert np.array_equal(one.trace.windows, many.trace.windows)


def test_a_schedule_sees_the_labels_of_the_windows_that_ran() -> None:
    seen: list[Decision] = []

    def schedule(shape: Any, window: Any, overlap: float) -> Schedule:
        seen.extend((yield [Window(0, 0, 0)]))
        seen.extend((yield [Window(8, 0, 0)]))

    scan = volume((16, 16, 16))
    run(Windowing(schedule), (8, 16, 16), scan)
    assert [d.window.z for d in seen] == [0, 8]
    assert np.array_equal(seen[1].labels, scan.data[0, 8:])
    assert seen[1].facts["mean_intensity"] == pytest.approx(scan.data[0, 8:].mean(), abs=1e-6)


def test_a_window_that_is_not_kept_leaves_background_but_stays_among_the_facts() -> None:
    scan = volume((16, 16, 16))
    how = Windowing(keeps=lambda decision: decision.window.z == 0)
    result = run(how, (8, 16, 16), scan, overlap=0.0, mirror=True, batch=1)
    assert np.array_equal(result.labels.data[:8], scan.data[0, :8])
    assert not result.labels.data[8:].any()
    assert len(result.trace.windows) == 2


def test_uniform_blending_averages_what_overlaps() -> None:
    """Window starts 0 and 2 of length 4 over 6 voxels; each answers its own first voxel's value everywhere."""
    assert np.array_equal(uniform((1, 2, 3)), np.ones((1, 2, 3)))
    scan = volume((4, 4, 6))
    by_gauss = run(Windowing(), (4, 4, 4), scan).labels.data
    assert np.array_equal(run(Windowing(blend=uniform), (4, 4, 4), scan).labels.data, by_gauss)


@dataclass(frozen=True)
class Showing(fakes.Nearest):
    """Shows the inverse of its answer beside it."""

    key: ClassVar[str] = "showing"
    extras: ClassVar[tuple[str, ...]] = ("inverse",)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            yield Step(step.logits, step.facts, {"inverse": torch.flip(step.logits, [1])})


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_a_step_shows_beside_its_answer_is_kept_when_asked_for(on_disk: bool, tmp_path: Path) -> None:
    scan = volume((12, 16, 16))
    bundle = fakes.bundle(Showing(n_steps=3), window=(8, 16, 16))
    store = tmp_path / "case.trace" if on_disk else None
    trace = predict(bundle, scan, keep="all", store=store).trace
    assert trace.labels.shape == trace.extras["inverse"].shape == (3, 12, 16, 16)
    assert np.array_equal(np.asarray(trace.extras["inverse"][:]), 1 - np.asarray(trace.labels[:]))
    saved = Trace.load(trace.save(tmp_path / "copy.trace"))
    assert np.array_equal(np.asarray(saved.extras["inverse"][:]), 1 - np.asarray(trace.labels[:]))


def test_extras_are_left_out_unless_asked_for() -> None:
    bundle = fakes.bundle(Showing(n_steps=2), window=(8, 16, 16))
    assert predict(bundle, volume((8, 16, 16)), keep="labels").trace.extras == {}


@dataclass(frozen=True)
class Adjustable(fakes.Nearest):
    """An option that may change after training, and (inherited) ones that may not."""

    key: ClassVar[str] = "adjustable"
    lift: float = option(0.0, "What is added to each voxel.", live=True)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        yield from super().infer(parts, images + self.lift, rng)


def test_an_option_that_no_weight_depends_on_can_be_changed_in_a_prediction() -> None:
    bundle, scan = fakes.bundle(Adjustable(), window=(8, 16, 16)), volume((8, 16, 16))
    assert predict(bundle, scan, options={"lift": 5.0}).labels.data.all()
    assert np.array_equal(predict(bundle, scan).labels.data, scan.data[0])


def test_an_option_that_was_fixed_in_training_is_refused_with_those_that_may_change() -> None:
    bundle = fakes.bundle(Adjustable(), window=(8, 16, 16))
    with pytest.raises(MethodError, match=r"drift of adjustable was fixed in training.*lift"):
        predict(bundle, volume((8, 16, 16)), options={"drift": 1.0})
    with pytest.raises(MethodError, match="no option 'lfit'"):
        predict(bundle, volume((8, 16, 16)), options={"lfit": 1.0})


# What decides where several networks or mirrorings answer


class Constant(nn.Module):
    """Logits (B, 2, Z, Y, X): 0 for the background, for the label one number for each half along x."""

    def __init__(self, left: float, right: float) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, images: Tensor) -> Tensor:
        label = torch.full_like(images[:, :1], self.left)
        label[..., images.shape[-1] // 2 :] = self.right
        return torch.cat([torch.zeros_like(label), label], 1)


def constant(how: Windowing, left: float, right: float | None = None) -> Bundle:
    network = nn.Module()
    network.score = Constant(left, left if right is None else right)
    return fakes.bundle(Windowed(how=how), network, window=(8, 16, 16))


def _asking(seen: list[Decision], keeps: bool) -> Windowing:
    """A windowing that notes the decisions it is sent, and may discard windows by them."""

    def schedule(shape: Any, window: Any, overlap: float) -> Schedule:
        seen.extend((yield [Window(0, 0, 0)]))
        return ()

    return Windowing(schedule, keeps=lambda decision: bool(decision.labels.any())) if keeps else Windowing(schedule)


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(
    ("logits", "label"),
    [((1, -4), 0), ((4, -1), 1), ((1, 1, -8), 0)],  # the mean of 0.73 and 0.02; 0.98 and 0.27; 0.73, 0.73 and 0.00
)
def test_the_average_of_several_bundles_decides_in_any_order(
    logits: tuple[float, ...], label: int, keeps: bool
) -> None:
    scan = volume((8, 16, 16))
    for ordered in set(permutations(logits)):
        seen: list[Decision] = []
        how = _asking(seen, keeps)
        result = predict([constant(how, logit) for logit in ordered], scan, mirror=False, **EXACT)
        assert len(seen) == 1
        assert set(np.unique(seen[0].labels)) == {label}
        assert set(np.unique(result.labels.data)) == {label}
        assert len(result.trace.window_sets.get("discarded", ())) == (keeps and not label)


@pytest.mark.parametrize("keeps", [False, True])
def test_the_average_over_mirror_images_decides(keeps: bool) -> None:
    """0.73 in one half and 0.02 in the other are 0.37 in both."""
    for mirror, expected in ((False, {0, 1}), (True, {0})):
        seen: list[Decision] = []
        result = predict(constant(_asking(seen, keeps), 1.0, -4.0), volume((8, 16, 16)), mirror=mirror, **EXACT)
        assert set(np.unique(seen[0].labels)) == set(np.unique(result.labels.data)) == expected


def test_a_common_answer_is_worked_out_only_where_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, asked = volume((8, 16, 16)), list[int]()

    def noted(*given: Any) -> CommonAnswer:
        asked.append(1)
        return CommonAnswer(*given)

    monkeypatch.setattr(sliding_window, "CommonAnswer", noted)
    predict(constant(_asking([], True), 1.0), scan, mirror=False, **EXACT)
    for even in map(Windowing, (regular, by_slices(1), strided())):
        predict([constant(even, logit) for logit in (1.0, 2.0)], scan, mirror=True, **EXACT)
    assert not asked
    how = _asking([], False)
    predict([constant(how, logit) for logit in (1.0, 2.0)], scan, mirror=False, **EXACT)
    assert asked == [1]


def _logits(*voxels: tuple[float, float]) -> Logits:
    """Two regions, or labels, at each of a few voxels."""
    values = torch.tensor(voxels).T.reshape(1, 2, 1, 1, -1)
    return Logits(values, values.logsumexp(1))


@pytest.mark.parametrize(("average", "expected"), [("probabilities", [1, 1, 2]), ("logits", [1, 2, 0])])
def test_regions_are_painted_where_their_average_is_above_one_half(average: Average, expected: list[int]) -> None:
    """The second region at the last two voxels: logits 10 − 4 − 4 and 3 + 3 − 10, probabilities 0.35 and 0.64."""
    common = CommonAnswer(average, (1, 2))
    common.add(_logits((2.0, -1.0), (2.0, 10.0), (-1.0, 3.0)))
    common.add(_logits((2.0, -1.0), (2.0, -4.0), (-1.0, 3.0)))
    common.add(_logits((-1.0, -1.0), (2.0, -4.0), (-1.0, -10.0)))
    assert common.labels().ravel().tolist() == expected


@pytest.mark.parametrize(("average", "expected"), [("probabilities", 0), ("logits", 1)])
def test_labels_are_those_of_what_is_averaged(average: Average, expected: int) -> None:
    """Probabilities of label 1: 0.99995, 0.02 and 0.02; logits: 10 − 4 − 4."""
    common, given = CommonAnswer(average, ()), [_logits((0.0, logit)) for logit in (10.0, -4.0, -4.0)]
    before = [one.values.clone() for one in given]
    for one in given:
        common.add(one)
    assert common.labels().ravel().tolist() == [expected]
    assert all(torch.equal(one.values, held) for one, held in zip(given, before, strict=True))
