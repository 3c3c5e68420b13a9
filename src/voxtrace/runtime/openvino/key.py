"""The name under which a converted part is kept: a digest of everything that it was made from."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voxtrace.runtime.openvino.convert import Inputs

PACKAGE = Path(__file__).resolve().parents[2]  # voxtrace


def key(child: nn.Module, inputs: Inputs) -> str | None:
    """Return the digest of weights, structure, source code, shapes and versions; None if it cannot be computed.

    The same key means the same answers. Parts with something in them that has no lasting name are not kept.
    """
    digest = hashlib.sha256()
    inputs_json = [
        [(list(shape), str(dtype)) for shape, dtype in inputs.tensors],
        inputs.form,
        _versions(),
        child.training,
    ]
    digest.update(json.dumps(inputs_json).encode())
    try:
        for text in _structure(child):
            digest.update(text.encode() + b"\n")
    except (OSError, TypeError):
        return None
    for name, tensor in (*child.named_parameters(), *child.named_buffers()):
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(held.shape)} {held.dtype}\n".encode())
        digest.update(held.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _versions() -> list[str]:
    return [importlib.metadata.version(name) for name in ("openvino", "torch")]


def _structure(child: nn.Module) -> Iterator[str]:
    """Yield name, class, source and plain attributes of every module in ``child``.

    Raises
    ------
    OSError, TypeError
        A class without source code, or an attribute that has no lasting name.
    """
    for name, module in child.named_modules():
        kinds = [kind for kind in type(module).__mro__ if kind is not object]
        yield f"{name}: {[(kind.__module__, kind.__qualname__, _source(kind)) for kind in kinds]}"
        tensors_and_children = ("_parameters", "_buffers", "_modules")
        for attribute, value in sorted(vars(module).items()):
            if attribute not in tensors_and_children:
                yield f"{attribute} = {_described(value)}"


def _described(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return str(sorted(map(_described, value)))
    if isinstance(value, (tuple, list)):
        return str(list(map(_described, value)))
    if isinstance(value, dict):
        return str([(_described(name), _described(inside)) for name, inside in value.items()])
    if value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
        return repr(value)
    raise TypeError(f"{type(value).__name__} has no lasting name")


@functools.cache
def _source(kind: type) -> str:
    """Return a digest of the code that a class is made of; torch's own and Python's are covered by their versions.

    Of a package it is every file, because a class may call any of them.
    """
    top = kind.__module__.split(".")[0]
    if top == "torch":
        return "torch"
    if top in sys.stdlib_module_names:
        return sys.version
    return _digest(top, tuple(_files(top, Path(inspect.getfile(kind)).resolve())))


@functools.cache
def _digest(top: str, files: tuple[Path, ...]) -> str:
    """Return a digest of files and of the versions of the package that they are of; once for all of its classes."""
    digest = hashlib.sha256(json.dumps(_distributions(top)).encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(top: str, file: Path) -> list[Path]:
    """Return a file with all others of its top-level package, or with those beside it where it is in none."""
    if file.is_relative_to(PACKAGE):
        return sorted(PACKAGE.rglob("*.py"))
    roots = getattr(sys.modules.get(top), "__path__", None)
    found = file.parent.glob("*.py") if roots is None else (one for root in roots for one in Path(root).rglob("*.py"))
    return sorted({file, *(one.resolve() for one in found)})


def _distributions(top: str) -> list[str]:
    """Return the versions of the distributions that hold a package other than VoxTrace."""
    if top == PACKAGE.name:
        return []
    names = importlib.metadata.packages_distributions().get(top, [])
    return sorted(f"{name} {importlib.metadata.version(name)}" for name in set(names))
