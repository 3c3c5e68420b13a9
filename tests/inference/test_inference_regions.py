"""Regions in inference: probabilities of independent answers, painted by nnU-Net's rule, and what is told of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chance import chance, drawn
from fakes import Nearest, plan
from made_regions import NAMES, REGIONS, nested, region_plan
from voxtrace import methods
from voxtrace.bundle import Bundle, load, save
from voxtrace.errors import MethodError, UsageError
from voxtrace.inference import ops_numba, ops_torch, predict
from voxtrace.inference.ops import ops_for
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.method import Noise, Parts, Step
from voxtrace.plan import Plan, View
from voxtrace.plan.regions import LabelRegion, value_names
from voxtrace.preprocess import axis_weights
from voxtrace.trace import Trace
from voxtrace.volume import Array, Geometry, Volume

pytestmark = pytest.mark.numeric

EXACT: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}
PAINTS = tuple(region.paints for region in REGIONS)


def paint(probabilities: Array, paints: tuple[int, ...] = PAINTS) -> Array:
    """nnU-Net's convert_probabilities_to_segmentation of probabilities (R, …)."""
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    for p, value in zip(probabilities, paints, strict=True):
        labels[p > 0.5] = value
    return labels


class Levels(nn.Module):
    """Logits (B, R, Z, Y, X): region r is found above the intensity r + ½, the surer the brighter."""

    def __init__(self, n_regions: int) -> None:
        super().__init__()
        self.register_buffer("levels", torch.arange(n_regions, dtype=torch.float32) + 0.5)

    def forward(self, images: Tensor) -> Tensor:
        return 4.0 * (images[:, :1] - self.levels.view(1, -1, 1, 1, 1))


class LevelNetwork(nn.Module):
    def __init__(self, n_regions: int) -> None:
        super().__init__()
        self.score = Levels(n_regions)


@dataclass(frozen=True)
class Above(Nearest):
    """Finds region r above the intensity r + ½; an earlier step sees each voxel darker by ``drift``."""

    key: ClassVar[str] = "above"
    overlapping: ClassVar[bool] = True

    def build(self, plan: Plan) -> nn.Module:
        return LevelNetwork(plan.n_outputs)

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in range(self.n_steps):
            seen = images - self.drift * (self.n_steps - 1 - step)
            yield Step(parts["score"](seen), {"mean_intensity": images.mean((1, 2, 3, 4))})


def bundle(method: Above | None = None, regions: tuple[LabelRegion, ...] = REGIONS, **changes: Any) -> Bundle:
    chosen = method or Above()
    labels = {0: "background", **value_names(regions)}
    made = plan(**changes).model_copy(update={"labels": labels, "regions": regions})
    return Bundle(chosen, made, chosen.build(made).eval(), {"name": "regions"})


def steps(shape: tuple[int, int, int] = (20, 24, 28)) -> Volume:
    """Intensities 0, 1, 2, 3 in slanted stripes."""
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    data = ((z + y + x) // 3 % 4).astype(np.float32)
    return Volume(data[None], Geometry.from_spacing(shape, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("window", [(8, 16, 16), (1, 24, 28), (32, 32, 32)])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_labels_are_painted_whatever_the_window(window: tuple[int, int, int], average: str) -> None:
    view = None if average == "probabilities" else View(average="logits", crop=False)
    result = predict(bundle(window=window, view=view), steps(), **EXACT)
    assert np.array_equal(result.labels.data, steps().data[0])
    assert result.labels.names == NAMES


def test_a_later_region_is_painted_over_an_earlier_one_with_its_own_value() -> None:
    """A region's values need not ascend: edema 2 lies around necrosis 1 and enhancing 3."""
    regions = (
        LabelRegion(name="whole", values=(1, 2, 3), paints=2),
        LabelRegion(name="core", values=(1, 3), paints=1),
        LabelRegion(name="enhancing", values=(3,), paints=3),
    )
    labels = predict(bundle(regions=regions), steps(), **EXACT).labels.data
    assert np.array_equal(labels, np.array([0, 2, 1, 3], np.uint8)[steps().data[0].astype(int)])


def test_steps_changes_and_entropy_are_of_the_painted_label_map_and_of_independent_answers() -> None:
    volume = steps()
    result = predict(bundle(Above(n_steps=2, drift=1.0), window=(20, 24, 28)), volume, keep="labels", **EXACT)
    seen = volume.data[0]
    expected = [np.clip(seen - 1, 0, None), seen]
    assert np.array_equal(np.asarray(result.trace.labels), np.asarray(expected))
    inside = slice(None), slice(0, 1)
    levels = np.arange(3)[:, None, None, None] + 0.5
    for step, image in enumerate((seen - 1.0, seen)):
        p = 1 / (1 + np.exp(-4.0 * (image[None].astype(np.float64) - levels)))
        entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(0).mean()
        assert result.trace.facts["entropy"][inside][step] == pytest.approx(entropy, rel=1e-5)
    row = result.trace.summary()[-1]
    counts = {region.name: int(region.inside(expected[1]).sum()) / 1000 for region in REGIONS}
    assert row["region_ml"] == pytest.approx(counts)
    assert row["volume_ml"][1] == pytest.approx(counts["whole tumour"] - counts["tumour core"])
    changed = [float((expected[0] != 0).mean()), float((expected[1] != expected[0]).mean())]
    assert result.trace.facts["changed_fraction"][:, 0] == pytest.approx(changed, rel=1e-6)


def test_the_entropy_of_certain_answers_is_0_and_of_even_ones_log_2_each() -> None:
    ops = ops_for("cpu", PAINTS)
    for logit, expected in ((0.0, 3 * math.log(2)), (80.0, 0.0), (-80.0, 0.0)):
        entropy = ops.argmax_entropy(torch.full((1, 3, 2, 2, 2), logit), None)[3]
        assert float(entropy[0]) == pytest.approx(expected, abs=1e-6)
    assert not torch.isfinite(ops.argmax_entropy(torch.full((1, 3, 2, 2, 2), torch.nan), None)[3]).any()


@pytest.mark.parametrize("kind", ["linear", "nearest"])
@pytest.mark.parametrize("size", [(11, 13), (24, 40), (6, 7)])
def test_regions_are_painted_from_mixed_and_enlarged_planes(size: tuple[int, int], kind: str) -> None:
    below, above = (torch.rand(2, 3, 11, 13, generator=chance(seed)) for seed in (0, 1))
    y, x = (axis_weights(n, want, kind) for n, want in zip((11, 13), size, strict=True))  # type: ignore[arg-type]
    mixed = (0.75 * below.double() + 0.25 * above.double()).numpy()
    exact = x.apply(y.apply(mixed, 2), 3)
    planes = [ScorePlane(scores, np.arange(3, dtype=np.uint8)) for scores in (below, above)]
    paints = (1, 300, 2)
    for ops in (ops_numba, ops_torch):
        labels = ops.upsample_paint(*planes, 0.25, y, x, paints, 0.5)
        assert labels.dtype == np.uint16
        for step in range(2):
            expected = np.zeros(size, np.uint16)
            for p, value in zip(exact[step], paints, strict=True):
                expected[p > 0.5] = value
            sure = (np.abs(exact[step] - 0.5) > 1e-5).all(0)
            assert np.array_equal(labels[step][sure], expected[sure])
            assert sure.mean() > 0.99


def test_a_region_that_is_missing_on_a_plane_is_nowhere_found() -> None:
    scores = torch.full((1, 2, 4, 4), 0.9)
    below, above = ScorePlane(scores, np.array([0, 2], np.uint8)), ScorePlane(scores, np.array([0, 1], np.uint8))
    same = axis_weights(4, 4, "linear")
    for ops in (ops_numba, ops_torch):
        assert (ops.upsample_paint(below, above, 0.5, same, same, (1, 2, 3), 0.5) == 1).all()


def test_where_no_window_lies_no_region_is() -> None:
    for average in ("probabilities", "logits"):
        ops = ops_for("cpu", PAINTS, average)  # type: ignore[arg-type]
        sums, weights = torch.full((1, 3, 2, 4, 4), 8.0), torch.full((2, 4, 4), 2.0)
        weights[0, 0, 0] = 0.0
        plane = ops.take_plane(sums, weights, 0, np.arange(3, dtype=np.uint8))
        assert plane.scores[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0]
        assert (plane.scores[0, :, 1:] == 4.0).all()


@pytest.mark.parametrize("key", ["unet", "recyclenet", "e2enet", "cdlunet"])
def test_labels_of_every_method_are_those_of_its_probabilities(key: str) -> None:
    chosen = methods.method(key, **({"average": True, "cycles": 3} if key == "recyclenet" else {}))
    made = chosen.adapt(region_plan())
    with drawn(3):
        network = chosen.build(made).eval()
    case = nested(0)
    result = predict(Bundle(chosen, made, network), case.volume, mirror=False, overlap=0.0, **EXACT)
    image = case.volume.data
    images = torch.from_numpy((image - image.mean()) / image.std())[None]
    with torch.no_grad():
        decided = list(chosen.infer(dict(network.named_children()), images, None))  # type: ignore[arg-type]
    assert decided[-1].logits.shape == (1, 3, *image.shape[1:])
    p = torch.sigmoid(decided[-1].logits)[0].numpy()
    sure = (np.abs(p - 0.5) > 1e-4).all(0)
    assert len(np.unique(paint(p))) > 1
    assert np.array_equal(result.labels.data[sure], paint(p)[sure])
    if key == "cdlunet":
        assert float(decided[-1].facts["foreground_voxels"][0]) == np.count_nonzero((p > 0.5).any(0))


def test_the_mean_of_cycles_is_of_probabilities() -> None:
    chosen = methods.method("recyclenet", cycles=2)
    with drawn(3):
        network = chosen.build(region_plan()).eval()
    parts, images = dict(network.named_children()), torch.randn((1, 1, 16, 16, 16), generator=chance())
    with torch.no_grad():
        single = [torch.sigmoid(s.logits) for s in chosen.infer(parts, images, None)]  # type: ignore[arg-type]
        mean = list(replace(chosen, average=True).infer(parts, images, None))[-1].logits  # type: ignore[arg-type]
    assert (torch.sigmoid(mean) - (single[0] + single[1]) / 2).abs().max() < 1e-6


def test_a_bundle_keeps_its_regions(tmp_path: Any) -> None:
    chosen = methods.method("unet")
    with drawn():
        saved = Bundle(chosen, region_plan(), chosen.build(region_plan()).eval(), {"name": "r", "mirror": False})
    loaded = load(save(saved, tmp_path / "r"))
    assert loaded.plan.regions == REGIONS
    assert "regions" not in {name.split(".")[0] for name in loaded.network.state_dict()}
    volume = nested(1).volume
    one, other = (predict(b, volume, **EXACT).labels.data for b in (saved, loaded))
    assert np.array_equal(one, other)
    card = (tmp_path / "r" / "card.md").read_text()
    assert "regions, in the order of painting: whole tumour (1, 2, 3), painted 1; tumour core (2, 3)" in card


def test_bundles_of_other_regions_are_not_averaged() -> None:
    other = bundle(regions=(REGIONS[0], LabelRegion(name="tumour core", values=(2, 3), paints=3), REGIONS[2]))
    with pytest.raises(UsageError, match="has regions"):
        predict([bundle(), other], steps(), **EXACT)
    labels = predict([bundle(), bundle()], steps(), **EXACT).labels.data
    assert np.array_equal(labels, steps().data[0])


@pytest.mark.parametrize("key", ["diffusion", "meddanet"])
def test_a_method_without_regions_refuses_their_plan(key: str) -> None:
    with pytest.raises(MethodError, match=f"{key} cannot learn regions that overlap"):
        methods.method(key).adapt(region_plan())
    with pytest.raises(MethodError, match="nearest cannot learn regions"):
        predict(replace(bundle(), method=Nearest()), steps(), **EXACT)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_a_probe_is_shown_the_probability_of_each_region(average: str) -> None:
    planes: list[Array] = []
    view = None if average == "probabilities" else View(average="logits", crop=False)
    predict(bundle(view=view), steps(), probe=lambda z, p: planes.append(p), **EXACT)
    found = np.stack(planes, 1)
    expected = 1 / (1 + np.exp(-4.0 * (steps().data - (np.arange(3) + 0.5)[:, None, None, None])))
    assert np.abs(found - expected).max() < 1e-5


def test_pieces_of_labels_are_not_removed_where_labels_make_up_regions() -> None:
    with pytest.raises(UsageError, match="'largest' removes pieces of labels, and regions has regions"):
        predict(bundle(), steps(), post_processing="largest", **EXACT)
    labels = predict(bundle(), steps(), post_processing="none", **EXACT).labels.data
    assert np.array_equal(labels, steps().data[0])


def test_a_stored_trace_keeps_its_regions(tmp_path: Path) -> None:
    made = predict(bundle(), steps(), **EXACT).trace
    made.save(tmp_path / "t.trace")
    stored = Trace.load(tmp_path / "t.trace")
    assert dict(stored.provenance.regions) == {region.name: region.values for region in REGIONS}
    assert stored.summary()[-1]["region_ml"] == made.summary()[-1]["region_ml"]


def test_a_trace_without_regions_says_nothing_of_them() -> None:
    plain = Nearest()
    result = predict(Bundle(plain, plan(), plain.build(plan()).eval(), {"name": "plain"}), steps(), **EXACT)
    assert "region_ml" not in result.trace.summary()[-1]
