"""What mkdocs does to a page beside its theme: roles of reStructuredText in docstrings become plain code."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Return the page without ``:func:`` and its like in front of code; called by mkdocs."""
    return _ROLE.sub("", html)
