"""The published methods. A new one is a new file and one line here."""

from __future__ import annotations

from typing import Any

from voxtrace.errors import MethodError
from voxtrace.method import Method, changed
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.methods.unet import UNet

METHODS: dict[str, type[Method]] = {
    "recyclenet": RecycleNet,
    "unet": UNet,
}


def method(name: str, **options: Any) -> Method:
    """Return a method by name, with the given options in place of its defaults.

    Raises
    ------
    MethodError
        For an unknown name, an option the method does not have, or a value out of range.

    Examples
    --------
    >>> method("recyclenet", cycles=3).steps
    3
    """
    if name not in METHODS:
        raise MethodError(f"there is no method {name!r}; choose one of {', '.join(METHODS)}.")
    return changed(METHODS[name](), **options)
