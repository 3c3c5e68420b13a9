"""Parts that OpenVINO compiled answer as the modules they were made from."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chance import drawn
from tolerance import InFloat64, distance, rounding
from voxtrace.errors import EngineError, UsageError
from voxtrace.runtime import LoadedNetwork, open_runtime

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from voxtrace.runtime.openvino import open_openvino, part
from voxtrace.runtime.openvino.cache import Cache
from voxtrace.runtime.openvino.compiled import CompileSettings
from voxtrace.runtime.openvino.structure import flatten, unflatten
from voxtrace.runtime.torch import cpu_has_bfloat16, isa_without_bfloat16

pytestmark = pytest.mark.numeric


PRODUCTS = 2 * 27  # summed by the convolution of a fork


class Fork(nn.Module):
    """Several tensors in, one of them optional; nested tensors, a constant and whole numbers out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(2, 3, 3, padding=1)
        self.register_buffer("counts", torch.tensor([1, 2, 5]))

    def forward(self, x: Tensor, more: Tensor | None = None, *, times: int = 1) -> Any:
        y = self.conv(x) * times
        if more is not None:
            y = y + more
        return y, [y.argmax(1), {"share": (self.counts / self.counts.sum()).expand(len(x), 3)}]


@drawn()
def forked() -> nn.Module:
    network = nn.Module()
    network.fork = Fork()
    network.plain = nn.Identity()
    return network.eval()


def opened(network: nn.Module, tmp_path: Path, precision: str = "float32") -> LoadedNetwork:
    return open_openvino(network, "cpu", precision, Cache(tmp_path / "cache"))


def images(batch: int = 1, seed: int = 1, shape: tuple[int, int, int] = (4, 6, 8)) -> Tensor:
    return torch.randn(batch, 2, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((None,), {}), ((torch.ones(2, 3, 4, 6, 8),), {}), ((), {"times": 3})]
)
def test_arguments_and_answers_keep_their_form(args: tuple[Any, ...], kwargs: dict[str, Any], tmp_path: Path) -> None:
    network, x = forked(), images(2)
    y, [labels, shares] = opened(network, tmp_path).parts["fork"](x, *args, **kwargs)
    with torch.no_grad(), InFloat64():
        exact, [exact_labels, exact_shares] = network.fork(x, *args, **kwargs)
    assert distance(y, exact) <= rounding(torch.float32, products=PRODUCTS, roundings=2)
    top = exact.topk(2, dim=1).values
    clear = top[:, 0] - top[:, 1] > 2 * exact.abs().max() * rounding(torch.float32, products=PRODUCTS, roundings=2)
    assert torch.equal(labels[clear], exact_labels[clear])
    assert clear.float().mean() > 0.99
    assert labels.dtype is torch.int64
    assert distance(shares["share"], exact_shares["share"].double()) <= rounding(torch.float32, products=1)


def test_a_form_gives_back_what_it_was_made_of() -> None:
    a, b = torch.zeros(1), torch.ones(2)
    value = (a, [b, None, 2.5], {"c": (a,), "d": "word"})
    tensors: list[Tensor] = []
    form = flatten(value, tensors)
    assert unflatten(form, tensors) == value


def test_shapes_may_change_from_call_to_call(tmp_path: Path) -> None:
    network = forked()
    run = opened(network, tmp_path).parts["fork"]
    for shape in [(4, 6, 8), (2, 4, 4), (4, 6, 8)]:
        x = images(shape=shape)
        with torch.no_grad(), InFloat64():
            exact = network.fork(x)[0]
        assert distance(run(x)[0], exact) <= rounding(torch.float32, products=PRODUCTS)


def test_a_window_is_answered_alike_in_any_batch(tmp_path: Path) -> None:
    run, x = opened(forked(), tmp_path).parts["fork"], images(5)
    together = run(x)[0]
    assert all(torch.equal(together[b : b + 1], run(x[b : b + 1])[0]) for b in range(5))


def test_no_window_at_all_gives_an_empty_answer(tmp_path: Path) -> None:
    assert opened(forked(), tmp_path).parts["fork"](images(0))[0].shape == (0, 3, 4, 6, 8)


def test_an_answer_outlives_the_next_call(tmp_path: Path) -> None:
    run = opened(forked(), tmp_path).parts["fork"]
    first = run(images(seed=1))[0]
    copy = first.clone()
    run(images(seed=2))
    assert torch.equal(first, copy)


def test_views_that_are_not_contiguous_are_read_in_their_own_order(tmp_path: Path) -> None:
    run, x = opened(forked(), tmp_path).parts["fork"], images()
    turned = x.to(memory_format=torch.channels_last_3d)
    assert torch.equal(run(turned)[0], run(x)[0])
    assert torch.equal(run(x.flip(-1).flip(-1)[:, :, :, ::1])[0], run(x)[0])


def test_answers_in_several_threads_do_not_mix(tmp_path: Path) -> None:
    run = opened(forked(), tmp_path).parts["fork"]
    inputs = [images(1 + seed % 3, seed) for seed in range(12)]
    alone = [run(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = [answer[0] for answer in pool.map(run, inputs)]
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_children_without_weights_stay_in_torch(tmp_path: Path) -> None:
    network = forked()
    assert opened(network, tmp_path).parts["plain"] is network.plain


def test_float32_is_computed_in_float32(tmp_path: Path) -> None:
    network = nn.Module()
    network.add_module("conv", nn.Conv3d(1, 1, 1, bias=False))
    nn.init.ones_(network.conv.weight)
    x = torch.full((1, 1, 2, 2, 2), 1.0 + 2.0**-20)  # bfloat16 and float16 have 8 and 11 bits
    assert torch.equal(opened(network.eval(), tmp_path).parts["conv"](x), x)


def test_bfloat16_that_the_environment_forbids_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert not cpu_has_bfloat16()
    assert opened(forked(), tmp_path, "auto").precision == "float32"
    with pytest.raises(UsageError, match="use precision 'float32'"):
        opened(forked(), tmp_path, "bfloat16")


@pytest.mark.skipif(bool(isa_without_bfloat16()), reason="ONEDNN_MAX_CPU_ISA forbids the instructions for bfloat16")
def test_bfloat16_is_close(tmp_path: Path) -> None:
    network, x = forked(), images()
    run = opened(network, tmp_path, "bfloat16")
    assert run.precision == "bfloat16"
    with torch.no_grad(), InFloat64():
        exact = network.fork(x)[0]
    assert distance(run.parts["fork"](x)[0], exact) <= rounding(torch.bfloat16, products=PRODUCTS, roundings=3)


@pytest.mark.parametrize(("windows", "threads", "streams"), [(1, 8, 1), (2, 8, 2), (7, 8, 4), (16, 6, 4), (0, 4, 1)])
def test_a_batch_shares_the_threads(windows: int, threads: int, streams: int) -> None:
    assert CompileSettings("float32", threads).streams_for(windows) == streams


def test_a_model_gets_the_threads_and_the_precision_it_was_asked_for() -> None:
    import openvino
    from openvino import opset15

    x = opset15.parameter([1, 2])
    compiled = openvino.Core().compile_model(
        openvino.Model([opset15.relu(x)], [x]), "CPU", CompileSettings("float32", 2).for_streams(2)
    )
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compiled.get_property("NUM_STREAMS") == 2
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert not compiled.get_property("ENABLE_CPU_PINNING")


def test_what_cannot_be_compiled_is_named(tmp_path: Path) -> None:
    class Undecided(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    network = nn.Module()
    network.add_module("undecided", Undecided(2, 2))
    with pytest.raises(EngineError, match=r"cannot take over part 'undecided'.*Use runtime='torch'"):
        opened(network.eval(), tmp_path).parts["undecided"](torch.ones(1, 2))


def test_tensors_of_different_batches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"shapes \(1, 2, 4, 6, 8\), \(2, 3, 4, 6, 8\); expected one batch size"):
        opened(forked(), tmp_path).parts["fork"](images(1), torch.ones(2, 3, 4, 6, 8))


def test_other_devices_are_refused() -> None:
    with pytest.raises(UsageError, match="device 'cuda' was asked for; use device='cpu'"):
        open_runtime(forked(), runtime="openvino", device="cuda")


def test_why_names_runtime_and_precision() -> None:
    found = open_runtime(forked(), runtime="openvino", precision="float32")
    assert found.runtime == "openvino"
    assert found.reason.startswith("openvino was asked for; ")
    assert found.reason.endswith("float32 was asked for")


def test_nothing_is_reported_over_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino_telemetry

    def sent(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("OpenVINO's converter was about to send a report")

    monkeypatch.setattr(openvino_telemetry.Telemetry, "init", sent)
    monkeypatch.setattr(openvino_telemetry.Telemetry, "send_event", sent)
    opened(forked(), tmp_path).parts["fork"](images())


def test_openvino_is_loaded_when_a_part_runs_and_not_before() -> None:
    code = "import sys, voxtrace, voxtrace.runtime, voxtrace.inference.engine; sys.exit('openvino' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_for_shapes_long_past_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "MOST_SHAPES", 1)
    run = opened(forked(), tmp_path).parts["fork"]
    for shape in [(4, 6, 8), (2, 4, 4)]:
        run(images(shape=shape))
    assert len(run._shapes) == 1  # type: ignore[attr-defined]
