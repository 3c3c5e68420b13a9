"""What was taken over from torch once is not taken over again, and nothing else is trusted."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from chance import chance, drawn
from tolerance import assert_close_to_float64, in_float64
from voxtrace.runtime.openvino import key, open_openvino, part
from voxtrace.runtime.openvino.cache import Cache
from voxtrace.runtime.openvino.convert import Converted, Inputs, convert
from voxtrace.runtime.openvino.structure import flatten
from voxtrace.runtime.torch import isa_without_bfloat16

pytestmark = pytest.mark.numeric


IMAGES = torch.randn(1, 1, 4, 4, 4, generator=chance(1))


class Scaled(nn.Conv3d):
    """A convolution with a plain attribute that the weights do not tell."""

    factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor


def network(factor: float = 1.0, seed: int = 0) -> nn.Module:
    with drawn(seed):
        made = nn.Module()
        made.conv = Scaled(1, 2, 3)
        made.conv.factor = factor
        return made.eval()


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[Inputs]:
    """Return a list that grows with every conversion."""
    done: list[Inputs] = []

    def counted(child: nn.Module, inputs: Inputs) -> Converted:
        done.append(inputs)
        return convert(child, inputs)

    monkeypatch.setattr(part, "convert", counted)
    return done


def answer(made: nn.Module, folder: Path, images: Tensor = IMAGES, precision: str = "float32") -> Tensor:
    result: Tensor = open_openvino(made, "cpu", precision, Cache(folder)).parts["conv"](images)
    return result


def test_the_second_time_nothing_is_converted(tmp_path: Path, converted: list[Inputs]) -> None:
    first, second = answer(network(), tmp_path), answer(network(), tmp_path)
    assert len(converted) == 1
    assert torch.equal(first, second)


@pytest.mark.skipif(bool(isa_without_bfloat16()), reason="ONEDNN_MAX_CPU_ISA forbids the instructions for bfloat16")
def test_precision_and_threads_share_an_entry(tmp_path: Path, converted: list[Inputs]) -> None:
    answer(network(), tmp_path)
    answer(network(), tmp_path, precision="bfloat16")
    assert len(converted) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda folder: answer(network(seed=1), folder),  # weights
        lambda folder: answer(network(factor=2.0), folder),  # what the code does with them
        lambda folder: answer(network(), folder, IMAGES[..., :3]),  # shape
    ],
)
def test_what_differs_is_converted_anew(
    other: Callable[[Path], Tensor], tmp_path: Path, converted: list[Inputs]
) -> None:
    answer(network(), tmp_path)
    other(tmp_path)
    assert len(converted) == 2


def test_a_changed_factor_changes_the_answer(tmp_path: Path) -> None:
    doubled, plain = answer(network(factor=2.0), tmp_path), answer(network(), tmp_path)
    exact = in_float64(network(factor=2.0).conv, IMAGES)
    assert_close_to_float64(doubled, 2.0 * plain, exact, torch.float32, products=27, roundings=2)


def _truncate(entry: Path) -> None:
    weights = entry / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-8])


def _swap(entry: Path) -> None:
    (entry / "model.xml").write_text("<net/>")


def _empty(entry: Path) -> None:
    (entry / "entry.json").write_text("")


def _lose(entry: Path) -> None:
    (entry / "model.bin").unlink()


@pytest.mark.parametrize("damage", [_truncate, _swap, _empty, _lose])
def test_a_damaged_entry_is_made_anew(damage: Callable[[Path], None], tmp_path: Path, converted: list[Inputs]) -> None:
    first = answer(network(), tmp_path)
    (entry,) = tmp_path.iterdir()
    damage(entry)
    assert torch.equal(answer(network(), tmp_path), first)
    answer(network(), tmp_path)
    assert len(converted) == 2


def test_a_module_with_something_nameless_in_it_is_not_kept(tmp_path: Path, converted: list[Inputs]) -> None:
    for _ in range(2):
        made = network()
        made.conv.remembered = object()
        answer(made, tmp_path)
    assert len(converted) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["stranger.", ""])
def test_a_helper_in_another_file_of_a_stranger_counts(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class stands in one file and what it calls in another: of its package, or beside it where it is in none."""
    folder = tmp_path / package.strip(".")
    folder.mkdir(exist_ok=True)
    made = f"{package}made_head"
    (folder / "made_head.py").write_text(
        f"from torch import nn\nfrom {package}made_ops import act\n\n\nclass Head(nn.Module):\n"
        "    def forward(self, x):\n        return act(x)\n"
    )
    (folder / "made_ops.py").write_text("def act(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("stranger", made, f"{package}made_ops"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def forget() -> None:
        """As another process begins."""
        for cached in (key._source, key._digest):
            cached.cache_clear()

    head, inputs = importlib.import_module(made).Head(), Inputs(flatten((IMAGES,), []), ())
    before = key.key(head, inputs)
    assert before is not None
    forget()
    assert key.key(head, inputs) == before
    (folder / "made_ops.py").write_text("def act(x):\n    return -2 * x\n")
    forget()
    assert key.key(head, inputs) != before


def test_a_cache_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert answer(network(), tmp_path / "file" / "cache").shape == (1, 2, 2, 2, 2)


def test_entries_not_used_for_longest_leave_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most_bytes=250)
    for age, name in enumerate(["new", "middle", "old"]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.bin").write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    cache.trim()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["middle", "new"]


def test_use_makes_an_entry_new(tmp_path: Path) -> None:
    answer(network(), tmp_path)
    (entry,) = tmp_path.iterdir()
    os.utime(entry, (0, 0))
    answer(network(), tmp_path)
    assert entry.stat().st_mtime > 0


def test_several_at_once_never_read_half_an_entry(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path), network()
    tensors: list[Tensor] = []
    form = flatten(((IMAGES,), {}), tensors)
    done = convert(made.conv, Inputs(form, ((tuple(IMAGES.shape), IMAGES.dtype),)))

    def keep_and_read(_: int) -> Converted | None:
        cache.store("key", done)
        return cache.load("key")

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(keep_and_read, range(12)))
    assert found[-1] is not None
    assert all(one is None or one.form == done.form for one in found)
    assert [folder.name for folder in tmp_path.iterdir()] == ["key"]
