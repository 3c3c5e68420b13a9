"""A bundle that someone else made, with right digests: what prediction could not use, `verify` refuses."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cases import small_plan
from chance import drawn
from voxtrace.bundle import JSON, WEIGHTS, Bundle, card, save, verify
from voxtrace.errors import BundleError
from voxtrace.methods import method
from voxtrace.nn.build_limit import limited_build, same_kind

Weights = dict[str, torch.Tensor]


@pytest.fixture
@drawn()
def folder(tmp_path: Path) -> Path:
    m, plan = method("unet"), small_plan()
    return save(Bundle(m, plan, m.build(plan), {"name": "balls"}), tmp_path / "balls")


def seal(folder: Path, change: Callable[[dict[str, Any]], object] = lambda record: None) -> None:
    """Change a bundle's record, and write its digests as the format asks for."""
    record = json.loads((folder / JSON).read_text())
    record["files"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in record["files"]}
    change(record)
    record.pop("digest", None)
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
    (folder / JSON).write_text(json.dumps({**record, "digest": hashlib.sha256(canonical.encode()).hexdigest()}))


def reweigh(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    seal(folder)


def test_a_bundle_that_is_sealed_anew_is_whole(folder: Path) -> None:
    seal(folder)
    verify(folder)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8, torch.bool, torch.float64])
def test_weights_of_another_type_are_refused(folder: Path, dtype: torch.dtype) -> None:
    reweigh(folder, lambda weights: weights.update({name: t.to(dtype) for name, t in weights.items()}))
    with pytest.raises(BundleError, match=r"the method expects torch\.float32"):
        verify(folder)


def test_one_weight_that_is_nan_is_refused(folder: Path) -> None:
    reweigh(folder, lambda weights: next(iter(weights.values())).view(-1).__setitem__(0, float("nan")))
    with pytest.raises(BundleError, match="nan or inf"):
        verify(folder)


def test_half_and_brain_floats_are_weights() -> None:
    expected = torch.zeros(1)
    kinds = [
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.float8_e4m3fn,
        torch.complex64,
        torch.int32,
    ]
    assert [same_kind(torch.zeros(1).to(kind), expected) for kind in kinds] == [True] * 3 + [False] * 4
    assert not same_kind(torch.zeros(1), torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ["a"]),
        ("name", "x" * 10**6),
        ("licence", 5),
        ("mirror", "yes"),
        ("demonstration", 2),
        ("metrics", []),
        ("metrics", {"validation": {"per_case": 3}}),
        ("metrics", {"validation": {"measures": {"dice": {"mean": "0.9", "n": 1}}}}),
        ("metrics", {"validation": {"measures_per_label": {"liver": {"dice": {"mean": 0.9, "ci95": [0.8], "n": 1}}}}}),
        ("provenance", "a"),
        ("training_scans", {"cases": "many"}),
        (
            "training_scans",
            {
                "cases": 1,
                "made_up": 0,
                "spacing_mm": [[1.0] * 3] * 2,
                "size_mm": [[0.0, 9.0, 9.0], [9.0] * 3],
                "intensities": [],
            },
        ),
        ("intervals", {"labels": {"1": {}}, "names": {}}),
        ("expected", {"cases": 2, "features": {"entropy": [1]}}),
        ("predicted_dice", {"cases": 2, "features": []}),
        ("calibration", {"temperature": 0.0}),
        ("post_processing", {"labels": {"liver": "rm -rf"}, "tried": {}}),
        ("post_processing", {"labels": {"liver": "largest"}, "tried": {"liver": {}}}),
        ("failures", [{"case": "a", "dice": 0.5, "picture": "../a.png"}]),
        ("cost", {"steps": 10**12}),
        ("cost", {"gflop_per_window": -1.0}),
        ("cost", {"gflop_of_choices": {"skip": "0"}}),
        ("cost", {"gflop_run_per_window": -0.1}),
        ("external", {"failures": [{"case": "a", "dice": 0.5, "picture": "../a.png"}]}),
        ("external", {"validation": {"cases": -1}}),
        ("shown_channel", 1),
        ("method", "unet"),
        ("method", {"name": "unet"}),
        ("method", {"name": "../unet", "options": {}}),
        ("method", {"name": "unet", "options": {"x" * 300: 1}}),
        ("files", {}),
        ("plan", []),
        ("plan", {}),
    ],
)
def test_a_card_with_a_field_of_another_kind_is_refused(folder: Path, field: str, value: Any) -> None:
    seal(folder, lambda record: record.update({field: value}))
    with pytest.raises(BundleError) as refused:
        verify(folder)
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize(
    "changes",
    [
        {"window": [10**9, 16, 16]},
        {"spacing_mm": [1e-6, 1, 1]},
        {"mirror_axes": [0] * 1000},
        {"channels": ["x" * 10**6]},
        {"window": [17, 17, 17]},
    ],
)
def test_a_plan_out_of_bounds_is_refused_with_the_bundle(folder: Path, changes: dict[str, Any]) -> None:
    seal(folder, lambda record: record["plan"].update(changes))
    with pytest.raises(BundleError, match="does not describe a model"):
        verify(folder)


def test_a_network_far_larger_than_its_weights_is_refused_before_memory_is_taken(folder: Path) -> None:
    def widen(record: dict[str, Any]) -> None:
        stages = len(record["plan"]["topology"]["widths"])
        record["plan"]["topology"]["widths"] = [4096] * stages

    seal(folder, widen)
    begun = time.process_time()
    with pytest.raises(BundleError, match=r"would take more than 0.537 GB"):
        verify(folder)
    assert time.process_time() - begun < 5


def test_a_network_may_be_built_up_to_the_limit() -> None:
    with limited_build(0):
        torch.empty(1 << 26)
        torch.zeros((1 << 13, 1 << 12))
        with pytest.raises(BundleError):
            torch.empty(1 << 26)
    with limited_build(1 << 30):
        torch.empty(1 << 28)


def test_the_record_of_a_bundle_may_say_more_than_is_read(folder: Path) -> None:
    seal(folder, lambda record: record.update(remark={"a": [1, 2]}))
    assert card(folder)["remark"] == {"a": [1, 2]}
