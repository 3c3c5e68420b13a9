"""Where a network runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from chance import chance
from fakes import FakeNetwork
from voxtrace.errors import EngineError, UsageError
from voxtrace.nn.masked import MaskedConv3d
from voxtrace.runtime import auto_runtime, open_runtime
from voxtrace.runtime.torch import cpu_has_bfloat16

pytestmark = pytest.mark.numeric


def two_parts() -> nn.Module:
    network = nn.Module()
    network.first = nn.Conv3d(1, 4, 3, padding=1)
    network.second = nn.Conv3d(4, 2, 1)
    return network.eval()


def test_the_network_s_children_become_parts() -> None:
    assert list(open_runtime(two_parts(), device="cpu").parts) == ["first", "second"]


def test_float32_parts_compute_what_the_modules_compute() -> None:
    network, images = two_parts(), torch.randn(1, 1, 8, 8, 8, generator=chance())
    opened = open_runtime(network, device="cpu", precision="float32")
    assert torch.equal(opened.parts["first"](images), network.first(images))
    assert (opened.device, opened.precision, opened.runtime) == ("cpu", "float32", "torch")


def test_bfloat16_parts_compute_in_bfloat16() -> None:
    opened = open_runtime(two_parts(), device="cpu", precision="bfloat16")
    assert opened.parts["first"](torch.randn(1, 1, 8, 8, 8, generator=chance(2))).dtype is torch.bfloat16


def test_auto_takes_bfloat16_where_the_processor_has_it() -> None:
    opened = open_runtime(two_parts(), device="cpu")
    assert opened.precision == ("bfloat16" if cpu_has_bfloat16() else "float32")
    assert "bfloat16" in opened.reason


def test_parts_leave_no_graph() -> None:
    opened = open_runtime(two_parts(), device="cpu", precision="float32")
    assert not opened.parts["first"](torch.randn(1, 1, 4, 4, 4, generator=chance(3))).requires_grad


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"runtime": "openvino", "device": "cuda"}, "device 'cuda' was asked for; use device='cpu'"),
        ({"runtime": "openvino", "precision": "float16"}, "not for the CPU"),
        ({"runtime": "tpu"}, "unknown"),
        ({"device": "toaster"}, "unknown"),
        ({"precision": "float8"}, "unknown"),
        ({"device": "cpu", "precision": "float16"}, "not for the CPU"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(asked: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        open_runtime(FakeNetwork(2), **asked)


def masked() -> nn.Module:
    network = two_parts()
    network.second = MaskedConv3d(4, 2, (1, 1, 1), 0.5)
    return network.eval()


@pytest.mark.parametrize(
    ("network", "calls", "chosen", "reason"),
    [
        (two_parts, auto_runtime.LEAST_CALLS, "openvino", "pays for compiling"),
        (two_parts, auto_runtime.LEAST_CALLS - 1, "torch", "over before compiling pays"),
        (two_parts, None, "torch", "unknown length"),
        (masked, 10_000, "torch", "kernels of this network are off"),
    ],
)
def test_auto_compiles_for_long_runs_on_a_cpu(
    network: Callable[[], nn.Module], calls: int | None, chosen: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_runtime, "has_openvino", lambda: True)
    monkeypatch.setattr("voxtrace.runtime.processor.processor_kind", lambda: "other")
    choice = auto_runtime.choose_runtime(network(), "cpu", "auto", calls)
    assert choice.runtime == chosen
    assert reason in choice.reason


def test_without_the_package_auto_takes_torch_and_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_runtime, "has_openvino", lambda: False)
    monkeypatch.setattr("voxtrace.runtime.processor.processor_kind", lambda: "other")
    opened = open_runtime(two_parts(), device="cpu", calls=10_000)
    assert opened.runtime == "torch"
    assert "voxtrace[openvino]" in opened.reason


def test_without_the_package_openvino_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.runtime.has_openvino", lambda: False)
    with pytest.raises(UsageError, match=r'pip install "voxtrace\[openvino\]"'):
        open_runtime(two_parts(), runtime="openvino")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(EngineError, match="cuda was asked for; this machine has none"):
        open_runtime(FakeNetwork(2), device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_another_device_gets_a_copy() -> None:
    network = two_parts()
    opened = open_runtime(network, device="cuda", precision="float32")
    images = torch.randn(1, 1, 8, 8, 8, generator=chance(4))
    there = opened.parts["first"](images.cuda()).cpu()
    assert network.first.weight.device.type == "cpu"
    assert torch.allclose(there, network.first(images), atol=1e-4)
