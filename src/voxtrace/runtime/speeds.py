"""The table of measured speeds: which runtime and precision is fastest, by kind of processor and family of networks.

``speeds.json`` is data of this package. ``scripts/time_runtimes.py`` measures the row of the processor that it runs on
and merges it. A family has seconds by network for each backend, or only an order where no figures were kept; what is
missing was not measured::

    "avx512_bf16": {"leaky": {"source": …, "seconds": {"unet": {"winograd float32": 0.28, …}}}}
    "arm64":       {}

Nothing is timed while a network runs, so the choice is the same every day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

FILE = "speeds.json"
# AVX-512 without bfloat16 runs the same kernels as AVX2, in wider registers, so an unmeasured row follows that one's.
NARROWER = {"avx512": "avx2"}


class Backend(NamedTuple):
    """A runtime and the precision it computes in."""

    runtime: str
    precision: str

    @classmethod
    def parsed(cls, text: str) -> Backend:
        """Return the backend that is written as ``"openvino bfloat16"``."""
        runtime, precision = text.split()
        return cls(runtime, precision)

    def __str__(self) -> str:
        """Return it as it is written in the table."""
        return f"{self.runtime} {self.precision}"


@cache
def table() -> Mapping[str, Any]:
    """Return the table's rows by kind of processor."""
    rows: Mapping[str, Any] = json.loads(files(__package__).joinpath(FILE).read_text("utf-8"))["processors"]
    return rows


def ranking(kind: str, family: str) -> tuple[list[Backend], str]:
    """Return backends from fast to slow for a kind of processor and a family, and where the order comes from.

    Where nothing was measured, the order of the kind in ``NARROWER``; an empty list where there is none.
    """
    measured = table().get(kind, {}).get(family)
    if measured:
        return _ranked(measured), f"measured on {kind}"
    if kind in NARROWER:
        backends, source = ranking(NARROWER[kind], family)
        return backends, f"{kind} was not measured; as {source}" if backends else ""
    return [], ""


def _ranked(measured: Mapping[str, Any]) -> list[Backend]:
    """Return backends by the mean over networks of their time, each as a multiple of the network's fastest."""
    if "order" in measured:
        return [Backend.parsed(text) for text in measured["order"]]
    # Ratios and not seconds are averaged, so that a large network counts no more than a small one.
    slower: dict[str, list[float]] = {}
    for seconds in measured["seconds"].values():
        for text, taken_s in seconds.items():
            slower.setdefault(text, []).append(taken_s / min(seconds.values()))
    return [Backend.parsed(text) for text in sorted(slower, key=lambda text: sum(slower[text]) / len(slower[text]))]
