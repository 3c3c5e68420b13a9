"""The published methods. A new method is one new file and one line in ``METHODS``, or a package of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtrace.errors import MethodError
from voxtrace.method import Method, changed, chosen
from voxtrace.methods.cdlunet import CDLUNet
from voxtrace.methods.diffusion import Diffusion
from voxtrace.methods.e2enet import E2ENet
from voxtrace.methods.installed import load_offered, offered
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
        For an unknown name, an option the method does not have, a value out of range, or one that does nothing beside
        the other options.

    Examples
    --------
    >>> method("recyclenet", cycles=3).steps
    3
    """
    # The names are those of the command line and of bundles.
    return chosen(method_class(name)(), **options)


def recorded(record: Mapping[str, Any]) -> Method:
    """Return the method that ``to_json`` recorded, e.g. of a bundle.

    Raises
    ------
    MethodError
        As of :func:`method`, but for values that do nothing: a method that was fine-tuned may have some.
    """
    return changed(method_class(record["name"])(), **record["options"])


def method_class(name: str) -> type[Method]:
    """Return the class of a method by name: one of ``METHODS``, or one that an installed package offers.

    Raises
    ------
    MethodError
        For an unknown name, or a package whose method cannot be used.
    """
    if name in METHODS:
        return METHODS[name]
    offers = offered()
    if name not in offers:
        known = ", ".join(dict.fromkeys([*METHODS, *sorted(offers)]))
        raise MethodError(
            f"there is no method {name!r}; choose one of {known}, or install the package that brings {name!r}."
        )
    return load_offered(name, offers[name], METHODS)


def every_method() -> tuple[dict[str, type[Method]], dict[str, str]]:
    """Return the class of each method by name, and of those that packages offer in vain a sentence that says why."""
    classes, left_out = dict(METHODS), dict[str, str]()
    for name, entries in sorted(offered().items()):
        try:
            classes[name] = load_offered(name, entries, METHODS)
        except MethodError as error:
            left_out[name] = str(error)
    return classes, left_out
