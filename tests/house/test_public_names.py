from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import pytest

import voxtrace
from voxtrace import errors


def test_public_names_are_listed_in_alphabetical_order() -> None:
    names = [name for name in voxtrace.__all__ if not name.startswith("_")]
    assert names == sorted(names)


@pytest.mark.parametrize("name", voxtrace.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(voxtrace, name) is not None


def test_the_function_is_not_hidden_by_the_module_of_its_name() -> None:
    code = "import voxtrace.method, voxtrace; assert voxtrace.method('unet').key == 'unet'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentation'"):
        _ = voxtrace.segmentation


@pytest.mark.parametrize(
    "statement",
    [
        "import voxtrace",
        "import voxtrace; voxtrace.read; voxtrace.write; voxtrace.LabelMap; voxtrace.Trace",
        "import voxtrace; voxtrace.plan.Plan.example(); voxtrace.metrics; voxtrace.phantoms",
        "import voxtrace; voxtrace.io.read_study; voxtrace.batch.Ledger; voxtrace.trace.Trace; voxtrace.windows",
        "import voxtrace.cli",
    ],
)
def test_torch_is_not_loaded_before_it_is_needed(statement: str) -> None:
    code = f"import sys; {statement}; sys.exit(' '.join({{'torch', 'napari', 'qtpy'}} & set(sys.modules)))"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert outcome.stderr.strip() == ""


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep_unless_the_user_says_otherwise(given: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": given} if given else {}
    code = "import os, voxtrace; print(os.environ['OMP_WAIT_POLICY'])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert told.stdout.strip() == expected


def _drawn_tree() -> dict[str, str]:
    """Return child -> parent as the picture at the top of errors.py shows them; four columns a level."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(found[1]) // 4
            path = [*path[:depth], found[2]]
            if depth:
                parents[found[2]] = path[depth - 1]
    return parents


def test_the_picture_of_the_errors_is_the_tree_of_classes() -> None:
    classes = {name: c for name, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__}
    actual = {name: c.__bases__[0].__name__ for name, c in classes.items() if c is not errors.VoxTraceError}
    assert _drawn_tree() == actual


def test_every_error_says_when_it_is_raised() -> None:
    for name, error in inspect.getmembers(errors, inspect.isclass):
        assert inspect.getdoc(error), f"{name} has no docstring"
