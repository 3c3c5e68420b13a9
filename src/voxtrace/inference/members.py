"""Members: the networks whose answers are averaged, e.g. those of five folds, and the planes that each sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtrace.bundle import Bundle
from voxtrace.errors import UsageError
from voxtrace.inference.sliding_window import Member
from voxtrace.plan import Normalisation
from voxtrace.preprocess import NetworkGrid, PlaneStream
from voxtrace.runtime import open_runtime
from voxtrace.volume import Volume

ALIKE = ("spacing_mm", "window", "channels", "labels", "interpolation", "view")


@dataclass(frozen=True)
class Options:
    """Where networks run; see :func:`voxtrace.runtime.open_runtime`."""

    runtime: str
    device: str
    precision: str
    calls: int


def agree(bundles: Sequence[Bundle]) -> Sequence[Bundle]:
    """Return the bundles, or refuse them when their answers cannot be averaged voxel by voxel.

    Raises
    ------
    UsageError
        No bundle; or one of another method, or of a plan that differs in more than normalisation and training.
    """
    if not bundles:
        raise UsageError("no bundle was given; give at least one.")
    first = bundles[0]
    for other in bundles[1:]:
        if other.method != first.method:
            raise UsageError(
                f"{first.name} is of {first.method.to_json()} and {other.name} of {other.method.to_json()}; "
                "only bundles of one method with the same options can be averaged."
            )
        for name in ALIKE:
            if (ours := getattr(first.plan, name)) != (theirs := getattr(other.plan, name)):
                raise UsageError(
                    f"{first.name} has {name} {ours} and {other.name} {theirs}; "
                    "only bundles of the same plan can be averaged."
                )
    return bundles


def open_members(
    bundles: Sequence[Bundle], volume: Volume, grid: NetworkGrid, where: Options
) -> tuple[list[Member], list[PlaneStream]]:
    """Return the networks, ready to run, and a stream of planes for each different normalisation."""
    streams: dict[tuple[Normalisation, ...], PlaneStream] = {}
    members = []
    for bundle in bundles:
        rules = bundle.plan.normalisation
        if rules not in streams:
            streams[rules] = grid.stream(volume, bundle.plan)
        opened = open_runtime(
            bundle.network, runtime=where.runtime, device=where.device, precision=where.precision, calls=where.calls
        )
        members.append(Member(opened, list(streams).index(rules)))
    return members, list(streams.values())
