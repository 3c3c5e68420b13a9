"""Scalar maps and numbers per slice: from the windows of a method to the grid of the input."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fakes
from memory import peak_mib
from tolerance import assert_close_to_float64, rounding, strayed
from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError
from voxtrace.inference import accumulator, ops_torch, predict, resample_back, sliding_window
from voxtrace.method import Noise, Parts, Step
from voxtrace.plan import Normalisation, View
from voxtrace.trace import Trace
from voxtrace.volume import Array, Geometry, Grid, Shape, Triple, Volume
from voxtrace.windows import Windowing, gaussian

pytestmark = pytest.mark.numeric


EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}
NAN = float("nan")


def along(values: Array, axis: int, shape: Shape) -> Array:
    """Return values (n,) spread over a volume of ``shape`` along one axis."""
    view = [1, 1, 1]
    view[axis] = -1
    return np.broadcast_to(np.asarray(values, np.float32).reshape(view), shape).copy()


def steps_of(maps: Any) -> list[list[float]]:
    """Return the different values of each step of a map, rounded: means of weighted sums are exact to 1e-6 or so."""
    return [np.unique(np.round(values, 4)).tolist() for values in maps]


def scan(data: Array, spacing_mm: Triple = (1.0, 1.0, 1.0)) -> Volume:
    return Volume(data[None], Geometry.from_spacing(data.shape, spacing_mm), name="scan")


@dataclass(frozen=True)
class Mapped(fakes.Nearest):
    """Shows the image it sees as a map, and the mean and the largest value of each slice."""

    key: ClassVar[str] = "mapped"
    maps: ClassVar[dict[str, str]] = {"seen": "HU", "step_number": ""}
    slice_facts: ClassVar[dict[str, str]] = {"level": "HU", "largest": "index"}

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for number, step in enumerate(super().infer(parts, images, rng)):
            seen = images[:, 0]
            yield replace(
                step,
                maps={"seen": seen, "step_number": torch.full_like(seen, number)},
                slice_facts={"level": seen.mean((2, 3)), "largest": seen.amax((2, 3))},
            )


@dataclass(frozen=True)
class FirstVoxel(Mapped):
    """Shows one number for a whole window: the value of its first voxel."""

    key: ClassVar[str] = "firstvoxel"

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            first = images[:, 0, :1, :1, :1]
            per_slice = first[:, :, 0, 0].expand(-1, images.shape[2])
            maps = {name: first.expand_as(images[:, 0]) for name in self.maps}
            yield replace(step, maps=maps, slice_facts=dict.fromkeys(self.slice_facts, per_slice))


def run(method: fakes.Nearest, volume: Volume, *, keep: str = "labels", plan: Any = None, **options: Any) -> Trace:
    bundle = fakes.bundle(method, **(plan or {"window": (4, 4, 4)}))
    return predict(bundle, volume, keep=keep, **EXACT, **options).trace


# --- blending -------------------------------------------------------------------------------------------------------


def test_maps_of_two_windows_are_blended_by_their_weights() -> None:
    """Windows at x = 0 and 2 say 1 and 5; weights of a window of 4 (σ = 0.5): e⁻⁸, e⁻², 1, e⁻² about its voxel 2."""
    volume = scan(along(np.array([1, 9, 5, 9, 9, 9]), 2, (1, 1, 6)))
    trace = run(FirstVoxel(), volume, plan={"window": (1, 1, 4)})
    far = math.exp(-8)
    assert np.allclose(trace.maps["seen"][0, 0, 0], [1, 1, (1 + 5 * far) / (1 + far), 3, 5, 5], rtol=1e-6)
    assert trace.maps["seen"].dtype == np.float32
    assert np.allclose(trace.map_ranges()["seen"], [[1.0, 5.0]])


def test_slice_facts_of_two_windows_are_weighted_means_and_numbers_that_name_something_are_chosen() -> None:
    volume = scan(along(np.array([1, 9, 5, 9, 9, 9]), 0, (6, 4, 4)))
    trace = run(FirstVoxel(), volume)
    far = math.exp(-8)
    assert np.allclose(trace.slice_facts["level"], [[1, 1, (1 + 5 * far) / (1 + far), 3, 5, 5]], rtol=1e-6)
    assert trace.slice_facts["largest"].tolist() == [[1, 1, 1, 1, 5, 5]]  # slice 3: a tie, the lower one
    assert {name: trace.units[name] for name in ("level", "largest", "seen")} == {
        "level": "HU",
        "largest": "index",
        "seen": "HU",
    }


def test_a_map_of_single_voxels_is_the_same_however_windows_lie() -> None:
    data = np.random.default_rng(0).normal(size=(11, 13, 17)).astype(np.float32)
    for window, overlap in (((4, 4, 4), 0.5), ((1, 13, 17), 0.0), ((16, 16, 32), 0.5)):
        trace = run(Mapped(), scan(data), plan={"window": window}, overlap=overlap)
        assert np.allclose(trace.maps["seen"][0], data, atol=1e-6)
        if window[0] == 1:
            level, exact = trace.slice_facts["level"][0], data.astype(np.float64).mean((1, 2))
            allowed = np.abs(data).max() * rounding(torch.float32, products=strayed(13 * 17))
            assert np.abs(level - exact).max() <= allowed


@dataclass(frozen=True)
class Positions(Mapped):
    """Shows where a voxel lies in its window: along x in the map, along z in the slice fact."""

    key: ClassVar[str] = "positions"

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            x, z = (torch.arange(images.shape[axis]).float() for axis in (4, 2))
            positions = {"level": z.expand(len(images), -1), "largest": z.expand(len(images), -1)}
            yield replace(step, maps={**step.maps, "step_number": x.expand_as(images[:, 0])}, slice_facts=positions)


def test_mirror_images_are_mirrored_back() -> None:
    """A window of 4 along x says 0 1 2 3, and mirrored back 3 2 1 0: 1.5 on average. What is seen stays in place."""
    data = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    plan = {"window": (4, 4, 4), "mirror_axes": (0, 2)}
    trace = run(Positions(), scan(data), plan=plan, mirror=True)
    assert np.allclose(trace.maps["seen"][0], data, atol=1e-6)
    assert steps_of(trace.maps["step_number"]) == [[1.5]]
    assert trace.slice_facts["level"].tolist() == [[1.5] * 4]
    assert trace.slice_facts["largest"].tolist() == [[0, 1, 1, 0]]  # of 0 and 3, 1 and 2 …: a tie, the lower one
    plain = run(Positions(), scan(data), plan=plan)
    assert plain.slice_facts["level"].tolist() == [[0, 1, 2, 3]]


@dataclass(frozen=True)
class ShowsLogits(Mapped):
    """Shows the logit of label 1."""

    key: ClassVar[str] = "showslogits"

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            level = step.logits[:, 1].mean((2, 3))
            maps = {"seen": step.logits[:, 1], "step_number": step.logits[:, 0]}
            yield replace(step, maps=maps, slice_facts={"level": level, "largest": level})


class Fixed(nn.Module):
    """Logits of label 1 are ``value`` everywhere, those of label 0 are 0."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(images), torch.full_like(images, self.value)], 1)


def fixed(value: float) -> Bundle:
    network = nn.Module()
    network.score = Fixed(value)
    return fakes.bundle(ShowsLogits(), network=network, window=(4, 4, 4))


def test_members_are_averaged() -> None:
    trace = predict([fixed(2.0), fixed(-1.0)], scan(np.zeros((4, 4, 6), np.float32)), **EXACT).trace
    assert steps_of(trace.maps["seen"]) == [[0.5]]
    assert trace.slice_facts["level"].tolist() == [[0.5] * 4]


def test_maps_and_slice_facts_do_not_depend_on_the_batch() -> None:
    data = np.random.default_rng(0).normal(size=(10, 12, 14)).astype(np.float32)
    one, many = (run(FirstVoxel(n_steps=2), scan(data), batch=batch) for batch in (1, 5))
    assert np.array_equal(one.maps["seen"], many.maps["seen"])
    for name in one.slice_facts:
        assert np.array_equal(one.slice_facts[name], many.slice_facts[name])


def test_torchs_own_loops_give_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops for devices, run on the CPU."""
    data = np.random.default_rng(0).normal(size=(10, 12, 14)).astype(np.float32)
    by_numba = run(FirstVoxel(n_steps=2), scan(data))
    for module in (accumulator, resample_back, sliding_window):
        monkeypatch.setattr(module, "ops_for", lambda *_: ops_torch)
    by_torch = run(FirstVoxel(n_steps=2), scan(data))
    sums, weights, blend = np.zeros(data.shape), np.zeros(data.shape), gaussian((4, 4, 4)).astype(np.float64)
    for z, y, x, *end in by_numba.windows:
        box = tuple(slice(lo, hi) for lo, hi in zip((z, y, x), end, strict=True))
        sums[box] += data[z, y, x] * blend
        weights[box] += blend
    exact = torch.from_numpy(sums / weights)
    for ours, theirs in zip(by_numba.maps["seen"], by_torch.maps["seen"], strict=True):
        maps = torch.from_numpy(ours), torch.from_numpy(theirs)
        assert_close_to_float64(*maps, exact, torch.float32, products=2 * 3**3, roundings=1)  # of windows at a voxel
    assert np.array_equal(by_numba.labels, by_torch.labels)


# --- which steps and windows ----------------------------------------------------------------------------------------


def test_maps_are_kept_by_the_rule_of_the_labels() -> None:
    volume = scan(np.zeros((4, 4, 4), np.float32))
    every, last = (run(Mapped(n_steps=3), volume, keep=keep) for keep in ("labels", "last"))
    assert steps_of(every.maps["step_number"]) == [[0], [1], [2]]
    assert every.slice_facts["level"].shape == (3, 4)
    assert last.maps["step_number"].shape == (1, 4, 4, 4)
    assert steps_of(last.maps["step_number"]) == [[2]]
    assert set(last.slice_facts) == {"level", "largest"}  # the voxels that the last of three steps changed are unknown
    assert (last.n_steps, last.slice_facts["level"].shape) == (3, (1, 4))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_converged_window_carries_its_last_map_forward(batch: int) -> None:
    """The left window reads 0 and never changes: it stops after step 1. The right one changes at every step."""

    @dataclass(frozen=True)
    class Creeping(Mapped):
        def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
            column = torch.arange(images.shape[4])
            for number in range(self.n_steps):
                moves = images.flatten(1).amax(1).view(-1, 1, 1, 1, 1) > 0
                logits = parts["score"](((column <= number) & moves).float().expand_as(images))
                shown = torch.full_like(images[:, 0], number)
                per_slice = shown[:, :, 0, 0]
                yield Step(logits, {}, {}, dict.fromkeys(self.slice_facts, per_slice), dict.fromkeys(self.maps, shown))

    data = along(np.array([0] * 4 + [1] * 4), 2, (4, 4, 8))
    trace = run(Creeping(n_steps=4), scan(data), settle=0.0, overlap=0.0, batch=batch)
    shown = trace.maps["step_number"]
    assert steps_of(shown[..., :4]) == [[0], [1], [1], [1]]
    assert steps_of(shown[..., 4:]) == [[0], [1], [2], [3]]
    assert trace.slice_facts["level"][:, 0].tolist() == [0, 1, 1.5, 2]


def test_a_method_that_stops_early_carries_its_map_forward() -> None:
    trace = run(Mapped(n_steps=4, stops_after=2), scan(np.zeros((4, 4, 4), np.float32)))
    assert steps_of(trace.maps["step_number"]) == [[0], [1], [1], [1]]


@dataclass(frozen=True)
class Discarding(Mapped):
    """Keeps the windows at z = 0 only."""

    key: ClassVar[str] = "discarding"

    def windowing(self, plan: Any) -> Windowing:
        return Windowing(keeps=lambda decision: decision.window.z == 0)


def test_windows_that_a_schedule_discards_leave_no_value() -> None:
    trace = run(Discarding(), scan(np.ones((8, 4, 4), np.float32)), overlap=0.0)
    assert np.allclose(trace.maps["seen"][0, :4], 1)
    assert np.isnan(trace.maps["seen"][0, 4:]).all()
    assert np.array_equal(trace.slice_facts["level"], [[1] * 4 + [NAN] * 4], equal_nan=True)
    assert np.array_equal(trace.slice_facts["largest"], [[1] * 4 + [NAN] * 4], equal_nan=True)
    assert np.allclose(trace.map_ranges()["seen"], [[1, 1]])


def test_voxels_and_slices_to_which_a_method_gives_no_value_have_none() -> None:
    @dataclass(frozen=True)
    class Partial(Mapped):
        def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
            for step in super().infer(parts, images, rng):
                maps = {name: values.where(images[:, 0] < 5, NAN) for name, values in step.maps.items()}
                facts = {name: v.where(v < 5, NAN) for name, v in step.slice_facts.items()}
                yield replace(step, maps=maps, slice_facts=facts)

    data = along(np.arange(8), 0, (8, 4, 4))
    trace = run(Partial(), scan(data))
    expected = np.array([0, 1, 2, 3, 4, NAN, NAN, NAN])
    assert np.allclose(trace.maps["seen"][0], along(expected, 0, (8, 4, 4)), equal_nan=True)
    for name in ("level", "largest"):
        assert np.allclose(trace.slice_facts[name][0], expected, equal_nan=True)


# --- the way to the input's grid ------------------------------------------------------------------------------------


def test_maps_and_slice_facts_return_to_the_input_grid() -> None:
    """Input 1 mm, network 2 mm along z: plane i of the network is the mean of z = 2i and 2i + 1, so 2i + ½.

    Input plane z lies at (z + ½)/2 − ½ network planes; linear in between, and as the border beyond it.
    """
    data = along(np.arange(8), 0, (8, 4, 4))
    plan = {"window": (4, 4, 4), "spacing_mm": (2.0, 1.0, 1.0)}
    trace = run(Mapped(), scan(data), plan=plan)
    expected = [0.5, 1, 2, 3, 4, 5, 6, 6.5]
    assert np.allclose(trace.maps["seen"][0], along(np.array(expected), 0, (8, 4, 4)), atol=1e-5)
    assert np.allclose(trace.slice_facts["level"], [expected], atol=1e-5)
    assert trace.slice_facts["largest"].tolist() == [[0.5, 0.5, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5]]


def test_maps_are_interpolated_in_plane() -> None:
    data = along(np.arange(8), 2, (4, 6, 8)) + along(10 * np.arange(6), 1, (4, 6, 8))
    plan = {"window": (4, 3, 4), "spacing_mm": (1.0, 2.0, 2.0)}
    seen = run(Mapped(), scan(data), plan=plan).maps["seen"][0]
    x, y = np.array([0.5, 1, 2, 3, 4, 5, 6, 6.5]), 10 * np.array([0.5, 1, 2, 3, 4, 4.5])
    assert np.allclose(seen, x + y[:, None], atol=1e-5)


def test_padding_is_cut_off() -> None:
    data = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    trace = run(Mapped(), scan(data), plan={"window": (8, 16, 16)})
    assert np.allclose(trace.maps["seen"][0], data, atol=1e-6)
    assert trace.slice_facts["level"].shape == (1, 3)


def test_maps_have_no_value_outside_the_box_of_the_body() -> None:
    data = np.full((4, 60, 60), -1000, np.float32)
    data[:, 25:35, 20:40] = 0
    rule = Normalisation(scheme="ct", lower=-1000.0, upper=1000.0, mean=-1000.0, std=1000.0)
    trace = run(Mapped(), scan(data), plan={"window": (4, 16, 16), "normalisation": (rule,)})
    seen = trace.maps["seen"][0]
    inside = np.zeros((4, 60, 60), bool)
    inside[:, 15:45, 10:50] = True  # 10 mm around the body
    assert np.array_equal(~np.isnan(seen), inside)
    assert np.allclose(seen[inside], (data[inside] + 1000) / 1000, atol=1e-6)


@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("orientation", ["stored", "ras"])
def test_maps_return_to_the_canonical_axes(axes: tuple[int, int, int], orientation: Any) -> None:
    """The network sees the axes in another order, mirrored, and only the box of what is not 0."""
    data = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    data[:2], data[:, :, 7:] = 0, 0
    plain = Geometry.from_spacing((6, 7, 8), (1.0, 1.0, 1.0))
    stored = Grid((8, 7, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    volume = Volume(data[None], Geometry(plain.shape, plain.affine, stored if orientation == "stored" else None))
    view = View(orientation=orientation, axes=axes)
    trace = run(Mapped(), volume, plan={"window": (4, 4, 4), "view": view}, overlap=0.0)
    seen = trace.maps["seen"][0]
    assert np.isnan(seen[:2]).all()
    assert np.isnan(seen[:, :, 7:]).all()
    assert np.allclose(seen[2:, :, :7], data[2:, :, :7], atol=1e-6)
    largest = trace.slice_facts["largest"][0]
    if axes[0] == 0:
        assert np.isnan(largest[:2]).all()
        assert set(np.round(largest[2:], 5)) <= set(np.round(data, 5).ravel())
    else:
        assert np.isnan(largest).all()  # the network's slices are not slices of the input


def test_slices_that_are_stored_upside_down_keep_their_place() -> None:
    plain = Geometry.from_spacing((6, 4, 4), (1.0, 1.0, 1.0))
    stored = Grid((4, 4, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 5.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    volume = Volume(along(np.arange(6), 0, (6, 4, 4))[None], Geometry(plain.shape, plain.affine, stored))
    plan = {"window": (1, 4, 4), "view": View(crop=False)}
    trace = run(Mapped(), volume, plan=plan)
    assert trace.slice_facts["level"].tolist() == [[0, 1, 2, 3, 4, 5]]
    assert np.allclose(trace.maps["seen"][0, :, 0, 0], [0, 1, 2, 3, 4, 5])


# --- declarations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda step: {"maps": {**step.maps, "heat": step.maps["seen"]}}, r"'heat' among its maps.*Broken\.maps"),
        (lambda step: {"facts": {"cost": step.facts["mean_intensity"]}}, r"'cost' among its facts.*Broken\.facts"),
        (lambda step: {"maps": {"seen": step.maps["seen"]}}, r"lacks 'step_number' of Broken\.maps; give it at every"),
        (lambda step: {"slice_facts": {"level": step.slice_facts["level"]}}, r"lacks 'largest' of Broken\.slice_facts"),
        (lambda step: {"maps": {n: v[:, 0] for n, v in step.maps.items()}}, r"\(1, 4, 4\); expected \(1, 4, 4, 4\)"),
        (
            lambda step: {"slice_facts": {n: v[:, :2] for n, v in step.slice_facts.items()}},
            r"'level' of shape \(1, 2\); expected \(1, 4\)",
        ),
    ],
)
def test_steps_that_are_not_as_declared_are_refused(change: Callable[[Step], Any], sentence: str) -> None:
    @dataclass(frozen=True)
    class Broken(Mapped):
        def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
            for step in super().infer(parts, images, rng):
                yield replace(step, **change(step))

    with pytest.raises(MethodError, match=rf"step 1 of mapped.*{sentence}"):
        run(Broken(), scan(np.zeros((4, 4, 4), np.float32)))


def test_a_name_has_one_unit_and_can_be_a_file() -> None:
    @dataclass(frozen=True)
    class TwoUnits(fakes.Nearest):
        maps: ClassVar[dict[str, str]] = {"mean_intensity": "fraction"}

    @dataclass(frozen=True)
    class BadName(fakes.Nearest):
        slice_facts: ClassVar[dict[str, str]] = {"../x": "HU"}

    with pytest.raises(MethodError, match="'mean_intensity' in HU and in fraction; use one unit"):
        TwoUnits()
    with pytest.raises(MethodError, match="letters, digits and underscores"):
        BadName()


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured in kilobytes on Linux only")
def test_memory_of_stored_maps_does_not_grow_with_the_scan(tmp_path: Path) -> None:
    """A scan three times as long needs its own voxels and labels more, and nothing for the maps of its steps.

    Two steps of a map are 2 × 4 bytes a voxel: 80 MiB more, if they were held.
    """
    short, long = (peak_mib(n, "labels", exact=True, maps=tmp_path / f"{n}.trace") for n in (80, 240))
    voxels = 160 * 256 * 256 / 2**20
    assert long - short <= 2 * voxels + voxels + 6.0
    stored = Trace.load(tmp_path / "240.trace")
    assert stored.maps["seen"].shape == (2, 240, 256, 256)
    assert np.allclose(stored.map_ranges()["seen"], [[0.0, 2.0]] * 2)


@dataclass(frozen=True)
class _Continuous(fakes.Nearest):
    """Shows a continuous score of every label: the image plus the label's value."""

    key: ClassVar[str] = "continuous"
    maps: ClassVar[dict[str, str]] = {"seen": "HU"}
    label_maps: ClassVar[dict[str, str]] = {"score": "HU"}

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in range(self.n_steps):
            logits = parts["score"](images)
            values = torch.arange(logits.shape[1]).view(1, -1, 1, 1, 1)
            yield Step(logits, maps={"seen": images[:, 0]}, label_maps={"score": images + 10 * values + step})


def test_maps_of_labels_are_kept_as_a_scalar_map_for_each_label_when_all_is_kept(tmp_path: Path) -> None:
    volume = fakes.ball((12, 20, 20))
    bundle = fakes.bundle(_Continuous(n_steps=2), labels=3)
    names = [bundle.plan.labels[value] for value in (1, 2)]
    trace = predict(bundle, volume, keep="all", mirror=True, store=tmp_path / "a.trace", **EXACT).trace
    assert list(trace.maps) == ["seen", *(f"score · {name}" for name in names)]
    assert trace.units[f"score · {names[0]}"] == "HU"
    for value, name in enumerate(names, start=1):
        for step in range(2):
            found = Trace.load(tmp_path / "a.trace").maps[f"score · {name}"][step]
            assert np.allclose(found, volume.data[0] + 10 * value + step, atol=1e-4)


def test_maps_of_labels_are_not_kept_otherwise() -> None:
    trace = predict(fakes.bundle(_Continuous()), fakes.ball((8, 16, 16)), keep="labels", **EXACT).trace
    assert list(trace.maps) == ["seen"]


def test_a_step_without_a_declared_map_of_labels_is_refused() -> None:
    @dataclass(frozen=True)
    class Forgetful(_Continuous):
        def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
            for step in super().infer(parts, images, rng):
                yield replace(step, label_maps={})

    with pytest.raises(MethodError, match=r"lacks 'score' of Forgetful\.label_maps"):
        predict(fakes.bundle(Forgetful()), fakes.ball((8, 16, 16)), **EXACT)
