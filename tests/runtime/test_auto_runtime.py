"""What auto takes, by kind of processor, family of networks, length of run, extras and switches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from voxtrace.kernels import switches
from voxtrace.nn.masked import MaskedConv3d
from voxtrace.runtime import auto_runtime, open_runtime, speeds
from voxtrace.runtime.auto_runtime import LEAST_CALLS, LEAST_WINOGRAD, RuntimeChoice, choose_runtime
from voxtrace.runtime.families import FAMILIES, family_of
from voxtrace.runtime.processor import KINDS, processor_kind

SECONDS = {
    "winograd float32": 0.14,
    "openvino bfloat16": 0.20,
    "torch bfloat16": 0.22,
    "openvino float32": 0.35,
    "torch float32": 0.48,
}
PLANAR = {"openvino float32": 0.1, "openvino bfloat16": 0.2, "torch bfloat16": 0.3, "torch float32": 0.4}
SMOOTH = {"torch bfloat16": 0.1, "openvino bfloat16": 0.2, "winograd float32": 0.3, "torch float32": 0.4}
TABLE = {
    "avx512_bf16": {
        "leaky": {"seconds": {"unet": SECONDS}},
        "planar": {"seconds": {"slices": PLANAR}},
        "smooth": {"seconds": {"gelu": SMOOTH}},
    },
    "avx2": {"leaky": {"order": ["winograd float32", "openvino float32", "torch float32"]}},
    "arm64": {},
}
LONG = 10_000
Machine = Callable[..., None]


def leaky() -> nn.Module:
    block = [nn.Conv3d(8, 8, 3, padding=1), nn.InstanceNorm3d(8), nn.LeakyReLU()]
    return nn.Sequential(nn.Sequential(*block), nn.Sequential(nn.Conv3d(8, 8, 3, padding=1))).eval()


def smooth() -> nn.Module:
    return nn.Sequential(leaky(), nn.GELU()).eval()


def planar() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU()).eval()


def masked() -> nn.Module:
    return nn.Sequential(MaskedConv3d(8, 8, (3, 3, 3), 0.2), nn.LeakyReLU()).eval()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a function that makes this machine one of a kind, by the table above."""

    def become(kind: str, *, openvino: bool = True, disabled: tuple[str, ...] = ()) -> None:
        bfloat16 = kind in ("avx512_bf16", "amx")
        monkeypatch.setattr(speeds, "table", lambda: TABLE)
        monkeypatch.setattr("voxtrace.runtime.processor.processor_kind", lambda: kind)
        monkeypatch.setattr("voxtrace.runtime.torch.cpu_has_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(auto_runtime, "has_openvino", lambda: openvino)
        monkeypatch.setattr(switches, "disabled", lambda: disabled)

    return become


def chosen(network: nn.Module, precision: str = "auto", calls: int | None = LONG) -> RuntimeChoice:
    return choose_runtime(network, "cpu", precision, calls)


def test_networks_fall_into_families() -> None:
    assert [family_of(network()) for network in (leaky, smooth, planar, masked)] == list(FAMILIES)


def test_the_fastest_way_of_the_row_is_taken(machine: Machine) -> None:
    machine("avx512_bf16")
    assert chosen(leaky())[:2] == ("winograd", "auto")
    assert chosen(planar())[:2] == ("openvino", "float32")  # not what OpenVINO takes by itself here
    assert chosen(smooth())[:2] == ("torch", "auto")
    assert "winograd float32 is fastest (measured on avx512_bf16)" in chosen(leaky()).reason


@pytest.mark.parametrize(
    ("precision", "runtime"), [("float32", "winograd"), ("bfloat16", "openvino"), ("auto", "winograd")]
)
def test_a_precision_that_was_asked_for_is_kept(precision: str, runtime: str, machine: Machine) -> None:
    machine("avx512_bf16")
    assert chosen(leaky(), precision)[:2] == (runtime, precision)


@pytest.mark.parametrize(
    ("calls", "disabled", "runtime"),
    [
        (LEAST_WINOGRAD - 1, (), "torch"),
        (LEAST_WINOGRAD, (), "winograd"),
        (LEAST_WINOGRAD, ("winograd",), "torch"),
        (LEAST_CALLS, ("winograd",), "openvino"),
        (None, (), "torch"),
    ],
)
def test_short_runs_are_over_before_compiling_pays(
    calls: int | None, disabled: tuple[str, ...], runtime: str, machine: Machine
) -> None:
    machine("avx512_bf16", disabled=disabled)
    assert chosen(leaky(), calls=calls).runtime == runtime


def test_without_openvino_the_next_way_is_taken_and_the_extra_is_named(machine: Machine) -> None:
    machine("avx512_bf16", openvino=False)
    assert chosen(leaky())[:2] == ("winograd", "auto")
    assert "voxtrace[openvino]" not in chosen(leaky()).reason
    assert chosen(planar()).runtime == "torch"
    assert "voxtrace[openvino]" in chosen(planar()).reason


def test_avx512_without_bfloat16_is_taken_as_avx2(machine: Machine) -> None:
    machine("avx512")
    assert chosen(leaky()).runtime == "winograd"
    assert "measured on avx2" in chosen(leaky()).reason


@pytest.mark.parametrize(
    ("kind", "network", "runtime"),
    [
        ("arm64", leaky, "winograd"),
        ("arm64", planar, "openvino"),
        ("amx", leaky, "openvino"),
        ("other", smooth, "openvino"),
    ],
)
def test_what_was_not_measured_follows_the_rule_and_says_so(
    kind: str, network: Callable[[], nn.Module], runtime: str, machine: Machine
) -> None:
    machine(kind)
    assert chosen(network()).runtime == runtime
    assert "by rule; not measured on this kind of processor" in chosen(network()).reason


def test_masked_networks_run_in_torch_unless_the_sparse_kernels_are_off(machine: Machine) -> None:
    machine("avx512_bf16")
    assert chosen(masked()).runtime == "torch"
    machine("avx512_bf16", disabled=("sparse",))
    assert chosen(masked()).runtime == "openvino"


def test_the_chosen_precision_is_the_one_it_opens_with(machine: Machine) -> None:
    machine("avx512_bf16")
    loaded = open_runtime(leaky(), device="cpu", calls=LONG)
    assert (loaded.runtime, loaded.precision) == ("winograd", "float32")
    assert "2 of 2 convolutions as Winograd convolutions" in loaded.reason


def test_the_shipped_table_knows_every_kind_and_names_ways_that_exist() -> None:
    rows = speeds.table()
    assert set(rows) == set(KINDS) - {"other"}
    for kind, row in rows.items():
        for family, measured in row.items():
            assert measured["source"]
            backends, _ = speeds.ranking(kind, family)
            assert family in FAMILIES
            assert {backend.runtime for backend in backends} <= set(auto_runtime.LEAST)
            assert {backend.precision for backend in backends} <= {"float32", "bfloat16"}
            assert "torch" in {backend.runtime for backend in backends}


def test_this_processor_is_of_a_known_kind() -> None:
    assert processor_kind() in KINDS
