"""The published methods. A new method is one new file and one line in ``METHODS``."""

from __future__ import annotations

from typing import Any

from voxtrace.errors import MethodError
from voxtrace.method import Method, changed
from voxtrace.methods.cdlunet import CDLUNet
from voxtrace.methods.diffusion import Diffusion
from voxtrace.methods.e2enet import E2ENet
from voxtrace.methods.meddanet import MedDANet
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.methods.unet import UNet

METHODS: dict[str, type[Method]] = {
    "cdlunet": CDLUNet,
    "diffusion": Diffusion,
    "e2enet": E2ENet,
    "meddanet": MedDANet,
    "recyclenet": RecycleNet,
    "unet": UNet,
}

DEFAULT_METHOD = "recyclenet"  # of a training that names neither a method nor a bundle to start from


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
    # The names are those of the command line and of bundles.
    if name not in METHODS:
        raise MethodError(f"there is no method {name!r}; choose one of {', '.join(METHODS)}.")
    return changed(METHODS[name](), **options)
