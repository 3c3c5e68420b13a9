"""Med-DANet's networks on slices: layers, first weights and cost of the candidates and of the decision network."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import pytest
import torch
from torch import nn

from chance import chance, drawn
from tolerance import InFloat64, assert_close_to_float64
from voxtrace.methods import method
from voxtrace.nn.flops import CONVENTIONS, active_kernels, operations, parameters
from voxtrace.nn.model_bank import MedDANetNetwork, cost, costs
from voxtrace.nn.shufflenet import ShuffleNet, Unit
from voxtrace.nn.transbts import SelfAttention, SliceTransBTS, SliceUNet, Transformer
from voxtrace.plan import Plan

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def published() -> MedDANetNetwork:
    plan = method("meddanet").adapt(Plan.example(channels=4, labels=4, window=(128, 128, 128)))
    with torch.device("meta"):
        return cast(MedDANetNetwork, method("meddanet").build(plan))


def test_the_networks_have_the_parameters_they_always_had(published: MedDANetNetwork) -> None:
    assert [parameters(e) for _, e in published.candidates] == [907_540, 1_611_332, 6_518_596, 15_971_140]
    assert parameters(published.router) == 66_220
    with torch.device("meta"):
        assert parameters(ShuffleNet(4, 5, (24, 48, 96, 192, 1024))) == 347_128


@pytest.mark.parametrize("labels", [2, 4, 14])
def test_every_label_begins_with_a_hundredth_of_the_voxels(labels: int) -> None:
    """As the heads' biases say, where the features are 0."""
    plan = method("meddanet").adapt(Plan.example(labels=labels, window=(16, 16, 16), base_width=8))
    for _, candidate in cast(MedDANetNetwork, method("meddanet").build(plan)).candidates:
        shares = cast(Any, candidate).decode.head.bias.softmax(0)
        assert shares[1:].tolist() == pytest.approx([0.01] * (labels - 1), rel=1e-4)


def test_two_operations_a_multiply_add_cost_what_torch_counts() -> None:
    counted = costs(4, 4, (1, 128, 128), 1.0, "true")
    assert counted[:4] == pytest.approx((1.14819, 2.03424, 4.60954, 9.84403), abs=1e-5)


def test_counting_draws_no_number_that_others_would_draw() -> None:
    before = torch.get_rng_state()
    cost.__wrapped__(3, 1, 2, (1, 16, 16), 0.25, "true")
    assert torch.equal(torch.get_rng_state(), before)


def test_counting_does_not_load_torchs_compiler() -> None:
    """It takes two seconds, as long as a whole scan takes in narrow networks."""
    count = "costs(1, 2, (1, 16, 16), 0.25, 'true')"
    program = f"import sys; from voxtrace.nn.model_bank import costs; {count}; print('torch._dynamo' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def _mmac(network: nn.Module, shape: tuple[int, ...], *kinds: type[nn.Module]) -> float:
    """Millions that modules of some kinds count, as the paper does."""
    total = 0

    def add(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal total
        total += operations(module, inputs, output, CONVENTIONS["fvcore-old"], active_kernels(module))

    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(add)
    with torch.no_grad():
        network.eval()(torch.empty(shape, device="meta"))
    return total / 1e6


@pytest.mark.parametrize(
    ("kind", "expected"), [(nn.Conv2d, 1004.536), (nn.ConvTranspose2d, 50.332), (nn.BatchNorm2d, 12.452)]
)
def test_m2_spends_on_each_kind_of_layer_as_specified(kind: type[nn.Module], expected: float) -> None:
    with torch.device("meta"):
        m2 = SliceUNet(4, 4, 16)
    assert _mmac(m2, (1, 4, 1, 128, 128), kind) == pytest.approx(expected, abs=5e-4)


def test_a_transformer_layer_spends_as_specified() -> None:
    """256 tokens of 512: projections 4·512², perceptron 2·4·512², attention 2·256·512 each a token; two norms."""
    with torch.device("meta"):
        layer = Transformer(128, 512, 1, 8, (16, 16)).layers[0]
    assert _mmac(layer, (1, 256, 512), nn.Linear) == pytest.approx(268.4 + 536.9, abs=0.1)
    assert _mmac(layer, (1, 256, 512), SelfAttention) == pytest.approx(67.1, abs=0.05)
    assert _mmac(layer, (1, 256, 512), nn.LayerNorm) == pytest.approx(1.3, abs=0.05)


def test_a_slice_of_240_is_900_tokens() -> None:
    with torch.device("meta"):
        assert SliceTransBTS(4, 4, (240, 240)).transform.position.shape == (1, 900, 512)


@drawn()
def test_attention_is_softmax_of_scaled_products() -> None:
    attend, tokens = SelfAttention(8, 2).eval(), torch.randn(1, 5, 8, generator=chance())

    def written_out() -> Any:
        q, k, v = attend.queries_keys_values(tokens).chunk(3, dim=-1)
        heads = [slice(0, 4), slice(4, 8)]
        mixed = [(q[..., h] @ k[..., h].transpose(1, 2) / 2.0).softmax(-1) @ v[..., h] for h in heads]  # √(8/2) = 2
        return attend.project(torch.cat(mixed, -1))

    with torch.no_grad():
        found, expected = attend(tokens), written_out()
        with InFloat64():
            exact = written_out()
    # Linear layers of 8 numbers, scores of 4, means of 5 tokens; each rounds, and so does the softmax.
    assert_close_to_float64(found, expected, exact, torch.float32, products=8 + 4 + 5 + 8, roundings=5)


def test_a_unit_keeps_the_even_channels_and_works_on_the_odd() -> None:
    x = torch.randn(2, 8, 6, 6, generator=chance(2))
    answer = Unit(8, 8, 1).eval()(x)
    assert torch.equal(answer[:, :4], x[:, 0::2])
    assert answer.shape == x.shape


def test_the_bank_is_normalised_and_dropped_out_as_specified(published: MedDANetNetwork) -> None:
    candidates = [e for _, e in published.candidates]
    for unet in candidates[:2]:
        norms = [m for m in unet.modules() if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm))]
        assert {type(m) for m in norms} == {nn.BatchNorm2d}
    for transbts in candidates[2:]:
        encoder = [m for m in transbts.get_submodule("encode").modules() if isinstance(m, nn.GroupNorm)]
        assert len(encoder) == 18
        assert {m.num_groups for m in encoder} == {8}
        assert {m.p for m in transbts.modules() if isinstance(m, nn.Dropout)} == {0.1}
    for candidate in candidates:
        assert [m.p for m in candidate.modules() if isinstance(m, nn.Dropout2d)] == [0.2]


def test_positions_begin_at_zero() -> None:
    assert not Transformer(8, 16, 1, 8, (2, 3)).position.any()


@drawn()
def test_the_decision_network_begins_as_shufflenet_does() -> None:
    """First convolution and classifier: deviation 0.01; others 1/Cin (a depthwise one: 1); norms 1 and 1e-4."""
    router = ShuffleNet(4, 5)
    assert router.first.weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert router.classify.weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert [name for name, _ in router.classify.named_parameters()] == ["weight"]
    convolutions = [m for m in router.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is None for m in convolutions)
    for conv in convolutions[1:]:
        assert conv.weight.std().item() * conv.weight.shape[1] == pytest.approx(1.0, rel=0.25)
    norms = [m for m in router.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 1e-4).all() for m in norms)
