from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from made import Run
from voxtrace import bundle as bundles
from voxtrace.cli.machine import processor

CPUINFO = "model name\t: Some Processor\nflags\t\t: fpu avx2 avx512f amx_bf16\n"


def test_everything_is_looked_at(run: Run) -> None:
    findings = run("doctor", "--json").json["findings"]
    looked_at = {finding["what"] for finding in findings}
    assert {
        "python",
        "packages",
        "processor",
        "memory",
        "disk",
        "cuda",
        "runtimes",
        "arithmetic",
        "napari",
        "display",
    } <= looked_at
    assert {finding["verdict"] for finding in findings} <= {"good", "note", "bad"}


def test_a_damaged_shipped_model_is_bad(
    run: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = shutil.copytree(bundle, tmp_path / "shipped" / "damaged")
    (damaged / "card.md").write_text("another card")
    monkeypatch.setattr(bundles, "SHIPPED", damaged.parent)
    outcome = run("doctor")
    assert outcome.code == 3
    assert "bad    model" in outcome.out


def test_the_processors_instructions_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    found = processor(tmp_path / "cpuinfo")
    assert found["name"] == "Some Processor"
    assert found["instructions"] == ["avx2", "avx512f", "amx_bf16"]


@pytest.mark.parametrize(
    ("there", "found"), [(True, "Winograd from 8 windows × steps on, OpenVINO from 24"), (False, "voxtrace[openvino]")]
)
def test_the_runtimes_are_told(there: bool, found: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.cli.diagnostics.accelerators", list)
    monkeypatch.setattr("voxtrace.runtime.auto_runtime.has_openvino", lambda: there)
    (line,) = [line for line in run("doctor").out.splitlines() if " runtimes " in line]
    assert found in line


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        ([], "good   arithmetic      no layer checked yet; each is when a network first runs in 16 bits"),
        ([("conv3d 4→8", ())], "good   arithmetic      1 layer checked, all agree with float64"),
        (
            [("conv3d 4→8", ("output", "weight gradient")), ("linear 3→2", ())],
            "note   arithmetic      1 of 2 layers checked disagree with float64 "
            "(conv3d 4→8: output and weight gradient)"
            " → nothing to do: they are computed in float32",
        ),
        (
            [(f"layer {n}", ("output",)) for n in range(5)],
            "note   arithmetic      5 of 5 layers checked disagree with float64 (layer 0: output; layer 1: output; "
            "layer 2: output; …) → nothing to do: they are computed in float32",
        ),
    ],
)
def test_layers_that_are_computed_in_float32_are_told(
    layers: list[tuple[str, tuple[str, ...]]], line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxtrace.runtime.arithmetic.remembered", lambda: layers)
    assert line in run("doctor").out.splitlines()


def test_kernels_are_switched_off_and_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.kernels.switches.user_file", lambda: tmp_path / "kernels.json")
    monkeypatch.setattr("voxtrace.cli.diagnostics.accelerators", list)

    def told(*options: str) -> dict[str, str]:
        findings = run("doctor", "--json", *options).json["findings"]
        return {finding["what"]: finding["found"] for finding in findings}

    assert told("--disable", "winograd", "--disable", "voxelwise")["kernels"] == "winograd, voxelwise off; sparse on"
    assert "winograd" not in told()["auto"]
    assert told("--enable", "winograd", "--enable", "voxelwise")["kernels"] == "winograd, sparse, voxelwise on"


def test_unknown_kernels_are_refused(run: Run) -> None:
    outcome = run("doctor", "--disable", "turbo")
    assert outcome.code == 2
    assert "use one of 'winograd', 'sparse', 'voxelwise'" in outcome.err


def test_what_auto_takes_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.cli.diagnostics.accelerators", list)
    monkeypatch.setattr("voxtrace.runtime.processor.processor_kind", lambda: "avx2")
    monkeypatch.setattr("voxtrace.runtime.torch.cpu_has_bfloat16", lambda: False)
    monkeypatch.setattr("voxtrace.runtime.auto_runtime.has_openvino", lambda: True)
    (line,) = [line for line in run("doctor").out.splitlines() if " auto " in line]
    assert "leaky: winograd float32 (measured on avx2); smooth: openvino float32 (measured on avx2)" in line
