"""The methods as JSON values: options, parameters, operations in every convention, published figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from voxtrace.errors import UsageError, VoxTraceError

if TYPE_CHECKING:
    from torch import nn

    from voxtrace.method import Alike, Figure, Method, OptionInfo
    from voxtrace.plan import Plan

LONGEST = 4096  # voxels along an axis
ROUNDING = 1e-9  # relative; a difference of exactly the tolerance is within it


def window_size(text: str) -> tuple[int, int, int]:
    """Return voxels (Z, Y, X) of ``"32x128x192"``; one number is a cube.

    Raises
    ------
    UsageError
        Anything else, or an axis outside 1 to 4096.

    Examples
    --------
    >>> window_size("32x128x192"), window_size("64")
    ((32, 128, 192), (64, 64, 64))
    """
    words = re.split(r"[x×,]", text.strip().lower())
    numbers = [int(word) for word in words if re.fullmatch(r"\s*[0-9]{1,9}\s*", word)]
    if len(numbers) != len(words) or len(words) not in (1, 3) or not all(1 <= n <= LONGEST for n in numbers):
        raise UsageError(
            f"size {text!r} is not a window; expected voxels ZxYxX, each 1 to {LONGEST}, such as 32x128x192, "
            "or one number for a cube."
        )
    z, y, x = numbers * 3 if len(numbers) == 1 else numbers
    return z, y, x


def method_record(kind: type[Method]) -> dict[str, Any]:
    """Return a method's title, source, options, and what its steps report: facts, facts per slice, maps, extras."""
    made = kind()
    return {
        "name": kind.key,
        "title": kind.title,
        "source": kind.source,
        "step_word": kind.step_word,
        "steps": made.steps,
        "facts": dict(kind.facts),
        "slice_facts": dict(kind.slice_facts),
        "maps": dict(kind.maps),
        "label_maps": dict(kind.label_maps),
        "extras": list(kind.extras),
        "options": [_option(info) for info in kind.options()],
    }


def count_costs(method: Method, plan: Plan) -> dict[str, Any]:
    """Return parameters and cost of one pass over one window of the plan, whole and for each part of the network.

    Where the method does not support the plan, ``refused`` is the reason and the rest is empty.
    """
    import torch

    from voxtrace.nn.flops import parameters

    empty: dict[str, Any] = {"refused": None, "window": None, "parameters": None, "cost": {}, "parts": {}}
    try:
        adapted = method.adapt(plan)
        with torch.device("meta"):  # shapes without memory
            network = method.build(adapted)
        spent = _spent(network, adapted)
    except VoxTraceError as error:
        return {**empty, "refused": str(error)}
    parts = {
        name: {"parameters": parameters(part), "cost": {c: _cost(c, by_part[name]) for c, by_part in spent.items()}}
        for name, part in network.named_children()
    }
    return {
        **empty,
        "window": list(adapted.window),
        "parameters": parameters(network),
        "cost": {c: _cost(c, sum(by_part.values())) for c, by_part in spent.items()},
        "parts": parts,
    }


def compare_figures(kind: type[Method]) -> Iterator[dict[str, Any]]:
    """Yield each published figure of a method with ours; counting one may take a second."""
    for figure in kind.figures():
        yield _figure(figure)


def _spent(network: nn.Module, plan: Plan) -> dict[str, dict[str, float]]:
    from voxtrace.nn.flops import CONVENTIONS, flops_by_part

    return {c: flops_by_part(network, (plan.n_channels, *plan.window), c) for c in CONVENTIONS}


def _cost(convention: str, value: float) -> dict[str, Any]:
    from voxtrace.nn.flops import CONVENTIONS

    return {"value": value, "unit": CONVENTIONS[convention].unit}


def _figure(figure: Figure) -> dict[str, Any]:
    ours = figure.ours()
    difference = ours - figure.value
    return {
        "what": figure.what,
        "published": figure.value,
        "unit": figure.unit,
        "ours": ours,
        "difference": difference,
        "tolerance": figure.tolerance,
        "within": abs(difference) <= figure.tolerance * (1 + ROUNDING),
        "source": figure.source,
        "convention": figure.convention,
        "differs": figure.differs,
    }


def _option(info: OptionInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "type": getattr(info.kind, "__name__", str(info.kind)),
        "default": info.default,
        "help": info.help,
        "low": info.low,
        "high": info.high,
        "choices": list(info.choices),
        "live": info.live,
        "unread": info.unread,
        "unread_where": {name: list(values) for name, values in info.unread_where.items()},
        "alike_where": [_alike(alike) for alike in info.alike_where],
    }


def _alike(alike: Alike) -> dict[str, Any]:
    some, span = alike.values, isinstance(alike.values, range)
    return {
        "where": {name: list(values) for name, values in alike.where.items()},
        "values": None if some is None or span else list(some),
        "from": some[0] if span and some else None,
    }
