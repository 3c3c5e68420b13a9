"""The shape of the code: no import circles, no class name twice, short functions and files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import voxtrace

SOURCE = Path(voxtrace.__file__).parent
LONGEST_FUNCTION, LONGEST_FILE, SHORT, SHORT_FRACTION = 60, 400, 20, 0.9

Graph = Mapping[str, set[str]]


class Function(NamedTuple):
    """Where a function is, and its lines with signature and docstring."""

    where: str
    lines: int


def _modules() -> dict[str, ast.Module]:
    """Return every module by its dotted name, packages without ``__init__``."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = ("voxtrace", *file.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(file.read_text("utf-8"))
    return found


def _imports(tree: ast.Module, modules: Mapping[str, ast.Module]) -> Iterator[str]:
    """Yield the modules that a module imports anywhere in it, inside functions and for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "voxtrace":
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def _graph(modules: Mapping[str, ast.Module]) -> Graph:
    return {name: set(_imports(tree, modules)) & modules.keys() for name, tree in modules.items()}


def circles(graph: Graph) -> list[list[str]]:
    """Return the sets of modules that import one another, directly or by others (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            members = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(members) > 1 or name in graph[name]:
                found.append(sorted(members))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def _functions() -> list[Function]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        Function(f"{name}.{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for name, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, kinds)
    ]


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}
    assert circles(graph) == [["b", "c"], ["d"]]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(_graph(_modules())) == []


def test_no_class_name_is_used_twice() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name, tree in _modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_functions_are_short() -> None:
    functions = _functions()
    assert [f for f in functions if f.lines > LONGEST_FUNCTION] == []
    assert sum(f.lines <= SHORT for f in functions) >= SHORT_FRACTION * len(functions)


def test_files_are_short() -> None:
    lengths = {
        str(file.relative_to(SOURCE)): len(file.read_text("utf-8").splitlines()) for file in SOURCE.rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}
