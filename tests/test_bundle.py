"""Bundles: whole, unaltered, harmless."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cases import small_plan
from chance import drawn
from voxtrace.bundle import CARD, JSON, WEIGHTS, Bundle, card, load, save, shipped, verify
from voxtrace.errors import BundleError
from voxtrace.methods import method

pytestmark = pytest.mark.numeric


@pytest.fixture
@drawn()
def folder(tmp_path: Path) -> Path:
    m, plan = method("recyclenet", cycles=3), small_plan()
    return save(Bundle(m, plan, m.build(plan), {"name": "balls", "licence": "CC0-1.0"}), tmp_path / "balls")


def test_a_bundle_returns_from_disk_unchanged(folder: Path) -> None:
    bundle = load(folder)
    assert bundle.method == method("recyclenet", cycles=3)
    assert bundle.plan == small_plan()
    with drawn():
        expected = bundle.method.build(bundle.plan).state_dict()
    assert all(torch.equal(expected[name], value) for name, value in bundle.network.state_dict().items())
    assert not bundle.network.training


def test_half_precision_halves_the_file_and_keeps_three_digits(folder: Path, tmp_path: Path) -> None:
    bundle = load(folder)
    half = save(bundle, tmp_path / "half", half=True)
    assert (half / WEIGHTS).stat().st_size < 0.6 * (folder / WEIGHTS).stat().st_size
    for name, value in load(half).network.state_dict().items():
        assert torch.allclose(value, bundle.network.state_dict()[name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", [JSON, WEIGHTS, CARD])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_noticed(folder: Path, name: str, where: float) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(where * len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load(folder)


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        load(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="neither a bundle folder"):
        load(tmp_path)


def _rewritten(folder: Path, **changes: object) -> None:
    """Change the record and give it a digest that fits: what a careful stranger would do."""
    from voxtrace.bundle import _digest

    record = json.loads((folder / JSON).read_text()) | changes
    record["digest"] = _digest({k: v for k, v in record.items() if k != "digest"})
    (folder / JSON).write_text(json.dumps(record))


def test_a_method_that_is_not_registered_is_refused(folder: Path) -> None:
    _rewritten(folder, method={"name": "os.system", "options": {}})
    with pytest.raises(BundleError, match=r"no method 'os\.system'"):
        load(folder)


def test_weights_that_do_not_fit_the_method_are_refused(folder: Path) -> None:
    plan = json.loads(small_plan().model_dump_json())
    _rewritten(folder, plan=plan | {"labels": {"0": "background", "1": "a", "2": "b"}})
    with pytest.raises(BundleError, match="the method expects"):
        load(folder)


def test_the_card_is_read_without_torch(folder: Path) -> None:
    import subprocess
    import sys

    code = f"import sys; from voxtrace.bundle import card; print(card({str(folder)!r})['name'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["balls", "False"]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_bundles_are_whole_and_small(name: str) -> None:
    verify(name)
    assert sum(f.stat().st_size for f in shipped()[name].iterdir()) < 4_000_000
    assert card(name)["licence"] != "not stated"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("half", [True, False])
def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, value: float, half: bool) -> None:
    m, plan = method("unet"), small_plan()
    network = m.build(plan)
    name, weight = next(iter(network.named_parameters()))
    weight.data.view(-1)[-1] = value
    with pytest.raises(BundleError, match=f"{name} holds nan or inf; a bundle is written only with finite weights"):
        save(Bundle(m, plan, network), tmp_path / "poisoned", half=half)
    assert not (tmp_path / "poisoned").exists()


def test_weights_beyond_float16_are_not_written_as_infinity(tmp_path: Path) -> None:
    m, plan = method("unet"), small_plan()
    network = m.build(plan)
    next(network.parameters()).data.view(-1)[0] = -65_505.0
    with pytest.raises(BundleError, match="beyond ±65,504, the range of float16; save with half=False"):
        save(Bundle(m, plan, network), tmp_path / "large", half=True)
    kept = load(save(Bundle(m, plan, network), tmp_path / "large", half=False))
    assert next(kept.network.parameters()).view(-1)[0] == -65_505.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("half", [True, False])
def test_a_bundle_whose_weights_are_not_finite_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: float, half: bool
) -> None:
    """Its hashes are right: it was written by a version that did not look."""
    bundle = load(folder)
    next(bundle.network.parameters()).data.view(-1)[0] = value
    monkeypatch.setattr("voxtrace.bundle._check_storable", lambda network, half: None)
    poisoned = save(bundle, folder.with_name("poisoned"), half=half)
    for check in (load, verify):
        with pytest.raises(BundleError, match=f"{WEIGHTS}: .* holds nan or inf, so its labels would mean nothing"):
            check(poisoned)


def test_the_card_is_written_in_the_letters_a_reader_knows(tmp_path: Path) -> None:
    m, plan = method("unet"), small_plan()
    card_of = {"provenance": {"in_float32": ["conv3d 8→16 3×3×3"], "dataset": "Österreich"}}
    written = save(Bundle(m, plan, m.build(plan), card_of), tmp_path / "b") / CARD
    assert "conv3d 8→16 3×3×3" in written.read_text(encoding="utf-8")
    assert "Österreich" in written.read_text(encoding="utf-8")
