"""CDL-UNet as published: size and cost, plain initialisation, two courses, and what it refuses."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chance import drawn
from tolerance import rounding
from voxtrace.errors import DatasetError, MethodError, PlanError
from voxtrace.method import Batch, Optimiser, Phase, TrainState, changed_after_training
from voxtrace.methods import method
from voxtrace.methods.cdlunet import CDLUNet, CDLUNetNetwork
from voxtrace.nn.flops import flops, parameters
from voxtrace.nn.losses import dice_loss
from voxtrace.plan import Plan
from voxtrace.windows import Adaptive, everything, regular

pytestmark = pytest.mark.numeric


SMALL = CDLUNet().adapt(Plan.example(labels=3, window=(8, 16, 16)))
PUBLISHED = Plan.example(labels=14, window=(32, 128, 192))


@pytest.fixture(scope="module")
def published() -> CDLUNetNetwork:
    with torch.device("meta"):
        return cast(CDLUNetNetwork, CDLUNet().build(CDLUNet().adapt(PUBLISHED)))


@pytest.fixture
@drawn()
def network() -> CDLUNetNetwork:
    return cast(CDLUNetNetwork, CDLUNet().build(SMALL))


def test_it_has_exactly_the_published_parameters(published: CDLUNetNetwork) -> None:
    assert parameters(published) == 1_396_464


def test_it_costs_what_the_paper_counts(published: CDLUNetNetwork) -> None:
    """Convolutions 57.249, transposed ones on the output grid 6.442, norms 4 × 82,575,360 elements."""
    by_hand = 57.249 + 6.442 + 4 * 82_575_360 / 1e9
    assert flops(published, (1, 32, 128, 192), "thop") == pytest.approx(by_hand, abs=1e-3)
    assert flops(published, (1, 32, 128, 192), "thop") == pytest.approx(64.021856, abs=1e-6)


def test_it_costs_so_many_true_multiply_adds_with_all_heads(published: CDLUNetNetwork) -> None:
    assert flops(published, (1, 32, 128, 192)) / 2 == pytest.approx(58.2557, abs=5e-5)


@pytest.mark.parametrize("figure", CDLUNet.figures(), ids=lambda figure: figure.what)
def test_our_figures_are_the_papers(figure: Any) -> None:
    assert figure.ours() == pytest.approx(figure.value, abs=figure.tolerance)


def test_maps_have_the_published_sizes() -> None:
    with torch.device("meta"):
        network = cast(CDLUNetNetwork, CDLUNet().build(PUBLISHED))
        heads = network.counted(torch.empty(1, 1, 32, 128, 192))
    assert [tuple(h.shape[1:]) for h in heads] == [(14, 32, 128, 192), (14, 32, 64, 96), (14, 16, 32, 48)]


def test_transposed_convolutions_and_heads_have_no_bias(network: CDLUNetNetwork) -> None:
    without = {name for name, m in network.named_modules() if isinstance(m, nn.Conv3d) and m.bias is None}
    assert without == {f"segment.heads.{i}" for i in range(3)}
    transposed = [m for m in network.modules() if isinstance(m, nn.ConvTranspose3d)]
    assert len(transposed) == 3
    assert all(m.bias is None for m in transposed)


@drawn(1)
def test_weights_begin_as_torch_has_them() -> None:
    """Uniform within ±1/√fan-in, biases too; nnU-Net's He-normal weights would go beyond, its biases be 0."""
    network = CDLUNet().build(SMALL)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d) and m.bias is not None]
    for conv in convolutions:
        bound = 1 / math.sqrt(conv.in_channels * math.prod(conv.kernel_size))
        assert conv.weight.abs().max() <= bound + 1e-6
        assert cast(Tensor, conv.bias).any()


def test_the_loss_weighs_heads_8_4_2_and_sums_dice_over_the_batch(network: CDLUNetNetwork) -> None:
    images = torch.randn(2, 1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (2, 8, 16, 16), generator=torch.Generator().manual_seed(1))
    state = TrainState(Phase("easy", 10), 0, torch.Generator())
    with torch.no_grad():
        terms = CDLUNet().loss(network, Batch(images, labels), state)
        heads = network.counted(images)
    dice = cross_entropy = 0.0
    for weight, logits in zip((8 / 15, 4 / 15, 2 / 15), heads, strict=True):
        target = F.interpolate(labels[:, None].float(), size=logits.shape[2:], mode="nearest-exact")[:, 0].long()
        dice += weight * dice_loss(logits, target, over_batch=True).item()
        cross_entropy += weight * F.cross_entropy(logits, target).item()
    allowed = rounding(torch.float32, products=3)
    assert terms["dice"].item() == pytest.approx(dice, rel=allowed)
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropy, rel=allowed)


def test_each_window_tells_how_much_foreground_it_shows() -> None:
    def segment(images: Tensor) -> Tensor:
        return torch.cat([0.5 - images, images - 0.5], dim=1)

    images = torch.zeros(2, 1, 4, 8, 8)
    images[0, 0, 0, 0, :5] = 1
    (step,) = CDLUNet().infer({"segment": segment}, images, cast(Any, None))
    assert step.facts["foreground_voxels"].tolist() == [5.0, 0.0]


def _drawn(phase: Phase, *difficulties: float, key: str = "difficulty") -> list[float]:
    return [phase.case_weight({key: d}, 0.5) for d in difficulties]


def test_the_hard_course_contains_the_easy_cases_and_drops_the_wrong_ones() -> None:
    easy, hard = CDLUNet().phases(SMALL)
    assert _drawn(easy, 0.95, 0.90, 0.85, 0.80, 0.5) == [1, 0, 0, 0, 0]
    assert _drawn(hard, 0.95, 0.90, 0.85, 0.80, 0.5) == [1, 1, 1, 0, 0]


def test_easy_cases_can_be_left_out_of_the_hard_course() -> None:
    _, hard = CDLUNet(hard_only=True).phases(SMALL)
    assert _drawn(hard, 0.95, 0.90, 0.85, 0.80) == [0, 1, 1, 0]


def test_the_smallest_dice_can_be_compared_instead_of_the_mean() -> None:
    scores = {"difficulty": 0.93, "difficulty_min": 0.89}  # easy by the mean, hard by the smallest
    for score, expected in (("mean", [1, 1]), ("min", [0, 1])):
        m = method("cdlunet", score=score)
        assert [phase.case_weight(scores, 0.0) for phase in m.phases(SMALL)] == expected


def test_cases_without_scores_are_learned_in_both_courses() -> None:
    assert [phase.case_weight({}, 0.0) for phase in CDLUNet().phases(SMALL)] == [1, 1]


def test_a_curriculum_without_a_case_is_refused(tmp_path: Path) -> None:
    from voxtrace.training.preprocessed import PreprocessedCase
    from voxtrace.training.sampling import MiniBatches

    easy, _ = CDLUNet().phases(SMALL)
    windows = MiniBatches([PreprocessedCase(tmp_path, {"difficulty": 0.85})], SMALL, easy, [0])
    with pytest.raises(DatasetError, match="'easy'"):
        windows[0]


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [(2500, [("easy", 1000), ("hard", 1500)]), (5, [("easy", 2), ("hard", 3)]), (1, [("hard", 1)])],
)
def test_courses_share_the_run_two_to_three(iterations: int, expected: list[tuple[str, int]]) -> None:
    plan = SMALL.model_copy(update={"iterations": iterations})
    assert [(phase.name, phase.iterations) for phase in CDLUNet().phases(plan)] == expected


def test_each_course_starts_at_the_full_learning_rate_and_trains_everything() -> None:
    for phase in CDLUNet().phases(SMALL):
        assert phase.optimiser == Optimiser()
        assert phase.optimiser.rate * phase.optimiser.schedule(0, phase.iterations) == 0.01
        assert phase.trains == ""


def test_windows_are_bent_and_turned_but_not_mirrored() -> None:
    for phase in CDLUNet().phases(SMALL):
        assert phase.augmentation.elastic_p == 0.2
        assert phase.augmentation.flat_rotation_degrees == 180
        assert not phase.augmentation.mirror


def test_phases_travel_to_other_processes() -> None:
    phases = CDLUNet().phases(SMALL)
    easy, hard = pickle.loads(pickle.dumps(phases))
    assert _drawn(easy, 0.95, 0.85) == [1, 0]
    assert _drawn(hard, 0.95, 0.85) == [1, 1]


def test_the_published_shape_replaces_the_planned_one() -> None:
    planned = Plan.example(labels=3, window=(30, 100, 41))
    plan = CDLUNet().adapt(planned)
    assert plan.window == (32, 104, 48)
    assert plan.mirror_axes == ()
    assert plan.topology.widths == (16, 32, 64, 128)
    assert plan.topology.divisor == (4, 8, 8)
    assert plan.spacing_mm == planned.spacing_mm
    assert CDLUNet().adapt(plan) == plan


def test_the_published_window_stays() -> None:
    assert CDLUNet().adapt(PUBLISHED).window == (32, 128, 192)


def test_a_window_too_small_for_the_coarsest_map_is_refused() -> None:
    with pytest.raises(PlanError, match=r"\(4, 8, 8\) leaves cdlunet a coarsest map of one voxel"):
        CDLUNet().adapt(Plan.example(window=(4, 8, 8)))


def test_a_tube_that_is_no_label_is_refused() -> None:
    with pytest.raises(MethodError, match="tube_labels has 10, expected values of 1 to 2"):
        CDLUNet(tube_labels="1 10").adapt(SMALL)


@pytest.mark.parametrize("words", ["aorta", "0", "5 -6", "1.5"])
def test_tubes_that_are_no_label_values_are_refused(words: str) -> None:
    with pytest.raises(MethodError, match="expected label values from 1"):
        CDLUNet(tube_labels=words)


def test_a_hard_threshold_above_the_easy_one_is_refused() -> None:
    with pytest.raises(MethodError, match=r"hard_above is 0\.95, above easy_above 0\.9"):
        CDLUNet(hard_above=0.95)


def test_options_reach_the_schedule() -> None:
    m = CDLUNet(empty_below=7, tube_labels="2, 1", central_only=True)
    windowing = m.windowing(SMALL)
    assert windowing.schedule == Adaptive(7, frozenset({1, 2}), central_only=True)
    assert CDLUNet(rule="code").windowing(SMALL).schedule == Adaptive(rule="code")
    assert windowing.keeps is not everything


def test_the_even_lattice_can_be_chosen() -> None:
    windowing = CDLUNet(windows="regular").windowing(SMALL)
    assert windowing.schedule is regular
    assert windowing.keeps is everything


@pytest.mark.parametrize(("rule", "z_starts"), [("paper", [0, 4, 8, 12]), ("code", [0, 8])])
def test_a_scan_of_nothing_costs_its_centres(network: CDLUNetNetwork, rule: str, z_starts: list[int]) -> None:
    """Background wins everywhere, so only centres run, by the published code every other one of them."""
    from voxtrace.bundle import Bundle
    from voxtrace.inference import predict
    from voxtrace.volume import Geometry, Volume

    with torch.no_grad():
        for head in network.segment.heads:
            nn.init.zeros_(cast(nn.Conv3d, head).weight)  # equal logits: the background is the first of equals
    shape = (20, 16, 40)
    data = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).numpy()
    bundle = Bundle(CDLUNet(rule=cast(Any, rule)), SMALL, network.eval(), {})
    result = predict(bundle, Volume(data, Geometry.from_spacing(shape, (1.0, 1.0, 1.0))), precision="float32")
    assert [tuple(box[:3]) for box in result.trace.windows] == [(z, 0, 12) for z in z_starts]
    assert not result.labels.data.any()


@pytest.mark.parametrize(
    ("course", "learned"),
    [
        ("easy_then_hard", ["e", "eh"]),
        ("only_easy", ["e", "e"]),
        ("only_hard", ["h", "h"]),
        ("all_at_once", ["eh", "eh"]),
    ],
)
def test_each_course_learns_its_cases_over_the_same_updates(course: str, learned: list[str]) -> None:
    cases = {
        "e": {"difficulty": 0.95},
        "h": {"difficulty": 0.85},
        "d": {"difficulty": 0.5},
        "n": {"difficulty": math.nan},
    }
    phases = CDLUNet(course=cast(Any, course)).phases(SMALL)
    found = ["".join(name for name, scores in cases.items() if phase.case_weight(scores, 0.5)) for phase in phases]
    assert found == learned
    assert [phase.iterations for phase in phases] == [p.iterations for p in CDLUNet().phases(SMALL)]


@pytest.mark.parametrize("course", ["only_easy", "only_hard", "all_at_once"])
def test_another_course_with_hard_only_is_refused(course: Any) -> None:
    """It would be ignored, and easy cases learned in spite of it."""
    with pytest.raises(MethodError, match=f"hard_only=true does nothing, as course={course} does not read it"):
        method("cdlunet", course=course, hard_only=True)


@pytest.mark.parametrize(("course", "score"), [("only_easy", "easy_above"), ("all_at_once", "hard_above")])
def test_a_course_that_reads_one_score_takes_any(course: Any, score: str) -> None:
    """The other one would have to lie on its side, and may not be given."""
    low, high = {"easy_above": (0.3, 0.9), "hard_above": (0.8, 0.95)}[score]
    assert getattr(method("cdlunet", course=course, **{score: low}), score) == low
    assert getattr(method("cdlunet", course=course, **{score: high}), score) == high


def test_rules_of_windows_are_refused_where_all_windows_run() -> None:
    with pytest.raises(MethodError, match="rule=code does nothing, as windows=regular does not read it"):
        changed_after_training(CDLUNet(), windows="regular", rule="code")
    assert changed_after_training(CDLUNet(rule="code"), windows="regular").rule == "code"  # the bundle's


def test_a_case_whose_kept_labels_are_empty_is_never_learned() -> None:
    scores = {"difficulty": 1.0, "foreground_voxels": 0.0}
    assert [phase.case_weight(scores, 0.0) for phase in CDLUNet().phases(SMALL)] == [0, 0]
