"""The page of the API has every public name, and names nothing that is not there."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import voxtrace

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_public_name_is_on_the_page() -> None:
    public = {f"voxtrace.{name}" for name in voxtrace.__all__ if name != "__version__"}
    assert public <= set(NAMED), f"add to docs/api.md: {sorted(public - set(NAMED))}"
    assert len(NAMED) == len(set(NAMED))


@pytest.mark.parametrize("name", NAMED)
def test_each_name_on_the_page_is_there_and_documented(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert (found.__doc__ or "").strip(), f"{name} has no docstring"


def test_roles_of_docstrings_become_plain_code() -> None:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "scripts" / "site_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    assert (
        hooks.on_page_content("see :func:<code>predict</code>, 3:func", page=None) == "see <code>predict</code>, 3:func"
    )
