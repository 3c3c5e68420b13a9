"""Bundles of masked networks: only active kernels are stored, and they return bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cases import small_plan
from chance import drawn
from voxtrace.bundle import JSON, WEIGHTS, Bundle, card, load, save, shipped
from voxtrace.errors import BundleError
from voxtrace.methods import method
from voxtrace.methods.e2enet import E2ENet
from voxtrace.nn.sparse_fusion import E2ENetNetwork

pytestmark = pytest.mark.numeric


CONV = "stage1.0.fuse.0.conv"


@drawn()
def _bundle(sparsity: float = 0.8) -> Bundle:
    m = method("e2enet", sparsity=sparsity)
    plan = m.adapt(small_plan())
    return Bundle(m, plan, m.build(plan), {"name": "sparse balls"})


def _masked(bundle: Bundle) -> list[Any]:
    assert isinstance(bundle.network, E2ENetNetwork)
    return bundle.network.masked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(_bundle(), tmp_path / "balls")


@pytest.mark.parametrize("sparsity", [0.0, 0.8, 0.99])
@drawn(1)
def test_weights_and_masks_return_bit_for_bit(tmp_path: Path, sparsity: float) -> None:
    bundle = _bundle(sparsity)
    again = load(save(bundle, tmp_path / "balls")).network.state_dict()
    before = bundle.network.state_dict()
    assert list(again) == list(before)
    for name, value in before.items():
        assert again[name].dtype == value.dtype
        assert again[name].numpy().tobytes() == value.numpy().tobytes(), name


def test_half_precision_keeps_the_mask_and_the_zeros(tmp_path: Path) -> None:
    bundle = _bundle()
    for conv, again in zip(_masked(bundle), _masked(load(save(bundle, tmp_path / "half", half=True))), strict=True):
        assert torch.equal(conv.mask, again.mask)
        assert not again.weight[~again.mask].any()
        assert torch.allclose(conv.weight, again.weight, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("half", [False, True])
def test_the_file_is_smaller_by_the_inactive_kernels(tmp_path: Path, half: bool) -> None:
    """Four bytes (two in half precision) for each weight that is off; masks, an eighth of a byte a kernel, stay."""
    files = {s: save(_bundle(s), tmp_path / str(s), half=half) / WEIGHTS for s in (0.0, 0.8)}
    off = sum(int((~conv.mask).sum()) * conv.weight[0, 0].numel() for conv in _masked(_bundle(0.8)))
    saved = files[0.0].stat().st_size - files[0.8].stat().st_size
    assert saved == pytest.approx(off * (2 if half else 4), rel=0.01)
    assert files[0.8].stat().st_size < 0.6 * files[0.0].stat().st_size


def test_a_packed_bundle_is_of_format_2_and_a_plain_one_of_format_1(folder: Path, tmp_path: Path) -> None:
    m, plan = method("unet"), small_plan()
    plain = save(Bundle(m, plan, m.build(plan)), tmp_path / "plain")
    assert card(folder)["format"] == "voxtrace-bundle/2"
    assert card(plain)["format"] == "voxtrace-bundle/1"
    assert not any(name.endswith((".active", ".bits")) for name in load_file(plain / WEIGHTS))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_bundle_is_written_again_as_it_was(name: str, tmp_path: Path) -> None:
    model = load(name)
    again = save(model, tmp_path / name, half=True)
    before, after = model.network.state_dict(), load(again).network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert (again / WEIGHTS).stat().st_size == (shipped()[name] / WEIGHTS).stat().st_size


def test_weights_where_the_mask_is_off_are_not_lost_silently(tmp_path: Path) -> None:
    bundle = _bundle()
    with torch.no_grad():
        _masked(bundle)[0].weight.fill_(1.0)
    with pytest.raises(BundleError, match="set them to 0 before saving"):
        save(bundle, tmp_path / "balls")
    assert not (tmp_path / "balls").exists()


def _spoiled(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stored tensors and give the record hashes that fit: what a careful stranger would do."""
    from voxtrace.bundle import _digest, _sha256

    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    record = json.loads((folder / JSON).read_text())
    record["files"][WEIGHTS] = _sha256(folder / WEIGHTS)
    record["digest"] = _digest({k: v for k, v in record.items() if k != "digest"})
    (folder / JSON).write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (".weight.active", lambda t: t[:-1].clone(), "active kernels of .* its mask and the method expect"),
        (".weight.active", lambda t: t[..., :2].clone(), "active kernels of .* its mask and the method expect"),
        (".mask.bits", lambda t: t[:-1].clone(), "mask of .* does not fit"),
        (".mask.bits", lambda t: t.to(torch.int32), "mask of .* does not fit"),
        (".mask.bits", torch.zeros_like, "active kernels of .* its mask and the method expect"),
    ],
    ids=["a kernel fewer", "smaller kernels", "a byte fewer", "not bytes", "another mask"],
)
def test_packed_tensors_that_do_not_fit_are_refused(
    folder: Path, name: str, change: Callable[[Any], Any], message: str
) -> None:
    def spoil(weights: dict[str, Any]) -> None:
        weights[CONV + name] = change(weights[CONV + name])

    _spoiled(folder, spoil)
    with pytest.raises(BundleError, match=message):
        load(folder)


@pytest.mark.parametrize("name", [".weight.active", ".mask.bits"])
def test_a_missing_packed_tensor_is_named(folder: Path, name: str) -> None:
    _spoiled(folder, lambda weights: weights.pop(CONV + name))
    with pytest.raises(BundleError, match=f"{CONV} lacks"):
        load(folder)


def test_a_packed_bundle_predicts_as_the_network_that_was_saved(folder: Path) -> None:
    images = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(load(folder).network(images)[0], _bundle().network.eval()(images)[0])


def test_the_method_returns_with_its_options(folder: Path) -> None:
    assert load(folder).method == E2ENet(sparsity=0.8)
