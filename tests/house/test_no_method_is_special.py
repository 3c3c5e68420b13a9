"""Engine, trainer, batches and window know no method by name: what one needs, it says with a value."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxtrace
from voxtrace.methods import METHODS

SOURCE = Path(voxtrace.__file__).parent
FOLDERS = ("batch", "inference", "plugin", "runtime", "trace", "training")
NAMES = {word.lower() for key, kind in METHODS.items() for word in (key, kind.__name__, kind.title)}
# A method's name as a whole word, so that "unet" is not found in "nnunet".
NAMED = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(NAMES, key=len, reverse=True)))})(?![\w-])", re.I)


def _docstrings(tree: ast.Module) -> set[ast.expr]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    blocks = [node.body for node in ast.walk(tree) if isinstance(node, owners)]
    return {b.value for body in blocks for b in body[:1] if isinstance(b, ast.Expr)}


def words(code: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every name, import and string in code, docstrings and comments left out."""
    tree = ast.parse(code)
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, text) for text in (node.module or "", *(alias.name for alias in node.names)))


def named(code: str) -> list[tuple[int, str]]:
    """Return line and text wherever code speaks of a method."""
    return [(line, text) for line, text in words(code) if NAMED.search(text)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_method_is_named(folder: str) -> None:
    files = sorted((SOURCE / folder).rglob("*.py"))
    assert files
    found = [(str(file.relative_to(SOURCE)), *where) for file in files for where in named(file.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'if method.key == "recyclenet":\n    pass',
        "from voxtrace.methods.unet import UNet",
        "import voxtrace.methods.meddanet",
        "isinstance(method, RecycleNet)",
        'TITLES = {"x": "U-Net"}',
        'names = ("unet",)',
    ],
)
def test_a_branch_for_one_method_would_be_found(code: str) -> None:
    assert named(code)


@pytest.mark.parametrize(
    "code",
    ['"""RecycleNet needs this."""', "x = 1  # as RecycleNet has it", 'layout = "nnunet"', "class UNetLike: ..."],
)
def test_what_is_no_branch_is_not_found(code: str) -> None:
    assert named(code) == []
