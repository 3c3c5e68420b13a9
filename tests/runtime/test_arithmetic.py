"""Layers whose 16-bit arithmetic is wrong on this machine are found, remembered, computed in float32 and recorded."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function

from cases import ball, drain, small_plan
from chance import chance, drawn
from tolerance import distance, rounding
from voxtrace.inference import predict
from voxtrace.methods import method
from voxtrace.nn.masked import MaskedConv3d, MaskedConvTranspose3d
from voxtrace.runtime.arithmetic import ArithmeticCheck, CheckedLayer, remembered, verdicts, watch
from voxtrace.runtime.arithmetic.compare import disagreements
from voxtrace.runtime.arithmetic.layers import LAYERS, layer_call
from voxtrace.runtime.arithmetic.verdicts import Verdicts
from voxtrace.training import train

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
Harm = Callable[[Tensor], Tensor]


class _Harmed(torch.autograd.Function):
    """A value that is harmed on its way forward, and a gradient on its way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward_harm: Harm, harm: Harm) -> Tensor:
        ctx.harm = harm
        return forward_harm(x.clone(memory_format=torch.preserve_format))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return ctx.harm(gradient.clone()), None, None


def unchanged(x: Tensor) -> Tensor:
    return x


def plant(monkeypatch: pytest.MonkeyPatch, low: torch.dtype = torch.bfloat16, **harms: Harm) -> Callable[..., Tensor]:
    """Put a 3D convolution in the place of torch's that harms what ``harms`` names when it computes in ``low``."""

    def planted(input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        if has_torch_function((input, weight)):
            return handle_torch_function(planted, (input, weight), input, weight, bias, *args, **kwargs)
        if input.dtype is not low and not torch.is_autocast_enabled("cpu"):
            return torch.conv3d(input, weight, bias, *args, **kwargs)
        given = harmed(input, "input"), harmed(weight, "weight"), None if bias is None else harmed(bias, "bias")
        output = torch.conv3d(*given, *args, **kwargs)
        return _Harmed.apply(output, harms.get("output", unchanged), unchanged)  # type: ignore[no-any-return, no-untyped-call]

    def harmed(x: Tensor, what: str) -> Tensor:
        return _Harmed.apply(x, unchanged, harms.get(what, unchanged))  # type: ignore[no-any-return, no-untyped-call]

    monkeypatch.setitem(LAYERS, planted, LAYERS[torch.conv3d])
    monkeypatch.setattr(F, "conv3d", planted)
    return planted


def first_half_huge(gradient: Tensor) -> Tensor:
    gradient[..., : gradient.shape[-1] // 2 + 1] = 1e30
    return gradient


def one_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[(-1,) * x.ndim] = torch.nan
    return x


def last_slice_lost(x: Tensor) -> Tensor:
    """Harm the last slice of a map or of a weight."""
    x = x.clone()
    x[:, :, -1] = 0
    return x


def last_channel_doubled(x: Tensor) -> Tensor:
    x = x.clone()
    x[-1] *= 2
    return x


def called(function: Callable[..., Tensor], dtype: torch.dtype, *args: Any, **kwargs: Any) -> tuple[str, ...]:
    call = layer_call(function, args, kwargs, dtype)
    assert call is not None
    return disagreements(function, call, CPU, backward=True)


def randn(*size: int) -> Tensor:
    return torch.randn(size, generator=chance())


LAYER_CASES = [
    (F.linear, (randn(2, 7, 5), randn(6, 5), randn(6)), {}),
    (F.linear, (randn(3000, 5), randn(6, 5)), {}),
    (torch.conv1d, (randn(2, 4, 9), randn(3, 4, 3)), {"padding": 1}),
    (torch.conv2d, (randn(2, 4, 9, 8), randn(6, 2, 3, 3), randn(6)), {"groups": 2, "stride": 2}),
    (torch.conv3d, (randn(2, 4, 5, 6, 7), randn(6, 4, 3, 3, 3), randn(6), 1, 1), {}),
    (torch.conv3d, (randn(2, 4, 5, 6, 7), randn(6, 4, 1, 3, 3)), {"stride": (1, 2, 2), "padding": (0, 1, 1)}),
    (torch.conv3d, (randn(1, 4, 9, 20, 21), randn(6, 4, 2, 3, 3)), {"padding": "same", "dilation": 2}),
    (torch.conv3d, (randn(4, 5, 6, 7), randn(6, 4, 3, 3, 3)), {"padding": "valid"}),
    (torch.conv_transpose1d, (randn(2, 4, 9), randn(4, 3, 2)), {"stride": 2}),
    (torch.conv_transpose2d, (randn(2, 4, 9, 8), randn(4, 3, 2, 2), randn(6)), {"stride": 2, "groups": 2}),
    (
        torch.conv_transpose3d,
        (randn(2, 4, 5, 6, 7), randn(4, 3, 3, 3, 3), randn(3)),
        {"stride": 2, "padding": 1, "output_padding": 1},
    ),
    (torch.conv_transpose3d, (randn(2, 4, 3, 8, 9), randn(4, 3, 1, 2, 2)), {"stride": (1, 2, 2)}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), LAYER_CASES)
def test_every_kind_of_layer_agrees_with_float64_in_float32(
    function: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    assert called(function, torch.float32, *args, **kwargs) == ()


@pytest.mark.parametrize(
    ("what", "harm"),
    [
        ("output", one_nan),
        ("output", last_slice_lost),
        ("input gradient", one_nan),
        ("input gradient", first_half_huge),
        ("input gradient", last_slice_lost),
        ("weight gradient", one_nan),
        ("weight gradient", first_half_huge),
        ("weight gradient", last_slice_lost),
        ("weight gradient", last_channel_doubled),
        ("bias gradient", one_nan),
        ("bias gradient", last_channel_doubled),
    ],
)
@pytest.mark.parametrize("size", [(2, 4, 5), (7, 20, 19)])
def test_what_a_kernel_computes_wrongly_is_named(
    what: str, harm: Harm, size: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = plant(monkeypatch, torch.float32, **{what.split(maxsplit=1)[0]: harm})
    found = called(planted, torch.float32, randn(2, 4, *size), randn(6, 4, 3, 3, 3), randn(6), 1, 1)
    assert found == (what,)


def test_a_layer_on_this_machine_that_forgets_to_write_is_found_again_in_every_process() -> None:
    """Where a library reads memory that nobody wrote, a check finds it each time or never: the answer is the same."""
    call = layer_call(torch.conv3d, (randn(2, 16, 2, 8, 12), randn(32, 16, 3, 3, 3), None, 1, 1), {}, torch.bfloat16)
    assert call is not None
    assert len({disagreements(torch.conv3d, call, CPU, backward=True) for _ in range(5)}) == 1


def forward(network: nn.Module, images: Tensor, check: ArithmeticCheck) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16), check.watching():
        result: Tensor = network(images)
    return result


def two_layers() -> nn.Module:
    with drawn():
        return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.LeakyReLU(), MaskedConv3d(4, 2, (1, 3, 3), 0.5))


def test_a_bad_layer_is_computed_in_float32_forward_and_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, weight=first_half_huge)
    network, images = two_layers(), randn(2, 1, 5, 6, 7)
    check = ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(None))
    found = forward(network, images, check)
    assert found.dtype is torch.bfloat16  # as autocast would give it
    found.float().square().sum().backward()
    exact = copy.deepcopy(network).double()
    exact.zero_grad()
    exact(images.double()).square().sum().backward()
    for ours, theirs in zip(network.parameters(), exact.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert distance(ours.grad, theirs.grad) <= rounding(torch.bfloat16, products=2 * 5 * 6 * 7, roundings=4)
    assert [layer.wrong for layer in check.in_float32] == [("weight gradient",)] * 2
    assert check.sentence() == (
        "2 of 2 layers are computed in float32: the weight gradient in bfloat16 is wrong on this machine"
    )


def test_the_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, weight=first_half_huge)
    network = two_layers()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}, [*map(type, network.modules())]
    forward(network, randn(2, 1, 5, 6, 7), ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(None)))
    assert [*map(type, network.modules())] == before[1]
    assert network.state_dict().keys() == before[0].keys()
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())


def test_functional_calls_and_masked_layers_are_seen() -> None:
    check = ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(None))

    class Calls(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.conv3d(x, randn(4, 1, 3, 3, 3), padding=1)
            x = MaskedConv3d(4, 4, (1, 3, 3), 0.5)(x)
            x = MaskedConvTranspose3d(4, 3, (1, 2, 2), 0.5)(x)
            return F.linear(x.movedim(1, -1), weight=randn(2, 3))

    forward(Calls(), randn(2, 1, 5, 6, 7), check)
    assert [call.name for call in check._seen] == ["conv3d", "conv3d", "conv_transpose3d", "linear"]


def test_a_good_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "disagreements", lambda *args, **kwargs: ())
    network, images = two_layers(), randn(2, 1, 5, 6, 7)
    check = ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(None))
    state = torch.get_rng_state()
    watched = forward(network, images, check)
    with torch.autocast("cpu", torch.bfloat16):
        plain = network(images)
    assert torch.equal(watched, plain)
    assert torch.equal(torch.get_rng_state(), state)
    assert (check.sentence(), check.to_json(), check.in_float32) == ("", {}, [])


def test_checking_draws_nothing_from_torch_s_random_state() -> None:
    state = torch.get_rng_state()
    forward(two_layers(), randn(2, 1, 5, 6, 7), ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(None)))
    assert torch.equal(torch.get_rng_state(), state)


def test_float32_is_not_checked() -> None:
    check = ArithmeticCheck("float32", backward=True, verdicts=Verdicts(None))
    with check.watching():
        two_layers()(randn(2, 1, 5, 6, 7))
    assert not check._seen


def test_what_was_found_is_remembered_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, weight=first_half_huge)
    file, about, images = tmp_path / "a.json", {"processor": "some"}, randn(2, 1, 5, 6, 7)
    forward(two_layers(), images, ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(file, about)))
    told = json.loads(file.read_text("utf-8"))
    assert told["processor"] == "some"
    assert list(told["layers"].values()) == [["weight gradient"]] * 2
    monkeypatch.setattr(watch, "disagreements", lambda *args, **kwargs: pytest.fail("it was checked again"))
    again = ArithmeticCheck("bfloat16", backward=True, verdicts=Verdicts(file, about))
    forward(two_layers(), images, again)
    assert len(again.in_float32) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"layers": 3}', '{"layers": {"a": 3}}', '{"processor": "another"}'])
def test_a_damaged_file_or_that_of_another_machine_is_not_used(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    known = Verdicts(tmp_path / "a.json", {"processor": "some"})
    assert known.of("a", lambda: ("output",)) == ("output",)
    known.write()
    assert Verdicts(tmp_path / "a.json", {"processor": "some"}).layers == {"a": ("output",)}


def test_a_file_that_cannot_be_written_costs_checks_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known = Verdicts(tmp_path / "file" / "a.json")
    assert known.of("a", lambda: ("output",)) == ("output",)
    known.write()
    assert known.of("a", tuple) == ("output",)


def test_what_another_process_found_is_kept(tmp_path: Path) -> None:
    ours, theirs = Verdicts(tmp_path / "a.json"), Verdicts(tmp_path / "a.json")
    theirs.of("a", lambda: ("output",))
    ours.of("b", tuple)
    theirs.write()
    ours.write()
    assert Verdicts(tmp_path / "a.json").layers == {"a": ("output",), "b": ()}


def test_everything_remembered_is_listed_wrong_layers_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "user_folder", lambda: tmp_path)
    assert remembered() == []
    verdicts.machine_verdicts.cache_clear()
    known = verdicts.machine_verdicts(CPU)
    known.of("a layer, bfloat16", tuple)
    known.of("another, bfloat16, channels first", lambda: ("weight gradient",))
    known.of("another, bfloat16, channels last", tuple)
    known.write()
    verdicts.machine_verdicts.cache_clear()
    assert remembered() == [CheckedLayer("another", ("weight gradient",)), CheckedLayer("a layer", ())]


@pytest.fixture
def _own_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this test find and remember for itself."""
    monkeypatch.setattr(watch, "machine_verdicts", lambda device: Verdicts(tmp_path / "verdicts.json"))


@pytest.mark.usefixtures("_own_verdicts")
def test_training_goes_on_and_the_bundle_says_what_was_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, weight=first_half_huge)
    cases = [ball(0), ball(1)]
    bundle = drain(
        train(method("unet"), small_plan(iterations=2), cases, out=tmp_path / "b", device="cpu", precision="bfloat16")
    )
    assert all(tensor.isfinite().all() and tensor.abs().max() < 10 for tensor in bundle.network.state_dict().values())
    told = bundle.card["provenance"]["arithmetic"]
    assert told["precision"] == "bfloat16"
    assert told["checked"] > len(told["in_float32"]) > 0  # transposed convolutions are not harmed
    assert all(wrong == ["weight gradient"] for name, wrong in told["in_float32"].items() if name.startswith("conv3d"))


@pytest.mark.usefixtures("_own_verdicts")
def test_on_a_good_machine_the_bundle_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "disagreements", lambda *args, **kwargs: ())
    plan = small_plan(iterations=1)
    bundle = drain(train(method("unet"), plan, [ball(0)], out=tmp_path / "b", device="cpu", precision="bfloat16"))
    assert "arithmetic" not in bundle.card["provenance"]


@pytest.mark.usefixtures("_own_verdicts")
def test_a_prediction_is_not_harmed_and_says_what_was_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = drain(train(method("unet"), small_plan(iterations=1), [ball(0)], out=tmp_path / "b", device="cpu"))
    volume = ball(1).volume
    good = predict(bundle, volume, device="cpu", runtime="torch", precision="float32")
    plant(monkeypatch, output=one_nan)
    found = predict(bundle, volume, device="cpu", runtime="torch", precision="bfloat16")
    agree = (found.trace.labels[:] == good.trace.labels[:]).mean()
    assert agree > 0.9
    assert "computed in float32: the output in bfloat16 is wrong on this machine" in found.facts["reason"]
    assert "float32:" not in good.facts["reason"]
