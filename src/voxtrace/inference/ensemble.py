"""Ensemble: the networks whose probabilities are averaged, e.g. those of five folds, and the planes that each sees."""

from __future__ import annotations

from collections.abc import Sequence

from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError, UsageError
from voxtrace.fit.calibration import temperature_of
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.inference.fold_folder import SAME_FIELDS
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.post_process import piece_rules
from voxtrace.inference.sliding_window import Member
from voxtrace.method import Method, changed_after_training
from voxtrace.plan import Normalisation
from voxtrace.plan.regions import refuse_regions
from voxtrace.preprocess import NetworkGrid, PlaneStream
from voxtrace.runtime import open_runtime
from voxtrace.runtime.interrupt import interrupts
from voxtrace.volume import Volume

VOTING_FIELDS = ("channels", "labels")


def check_compatible(bundles: Sequence[Bundle]) -> Sequence[Bundle]:
    """Return the bundles, or refuse them when their probabilities cannot be averaged voxel by voxel.

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
        for name in SAME_FIELDS:
            if (ours := getattr(first.plan, name)) != (theirs := getattr(other.plan, name)):
                raise UsageError(
                    f"{first.name} has {name} {ours} and {other.name} {theirs}; "
                    "only bundles of the same plan can be averaged."
                )
    return bundles


def check_bundles(bundles: Sequence[Bundle], options: PredictOptions) -> Sequence[Bundle]:
    """Return the bundles, or refuse them when their answers can neither be averaged nor, with ``members``, vote.

    Raises
    ------
    UsageError
        As :func:`check_compatible`, or bundles that overlap or mirror windows in other ways; with ``members`` a single
        bundle, or bundles of other labels or channels. Rules of post-processing that do not exist.
    """
    found = _check_together(bundles, options)
    piece_rules(found, options)
    return found


def _check_together(bundles: Sequence[Bundle], options: PredictOptions) -> Sequence[Bundle]:
    if not options.members:
        return _check_usual(check_compatible(bundles), options)
    if len(bundles) < 2:
        raise UsageError("members keeps the answer of each of several bundles; give at least two, or leave it out.")
    first = bundles[0]
    for other in bundles[1:]:
        for name in VOTING_FIELDS:
            if (ours := getattr(first.plan, name)) != (theirs := getattr(other.plan, name)):
                raise UsageError(
                    f"{first.name} has {name} {ours} and {other.name} {theirs}; only bundles with the same can vote."
                )
    return bundles


def _check_usual(bundles: Sequence[Bundle], options: PredictOptions) -> Sequence[Bundle]:
    """Return the bundles, or refuse those that would lay or mirror windows otherwise where no option says how."""
    for other in bundles[1:]:
        if reason := _mirrored_otherwise(bundles[0], other, options.mirror):
            raise UsageError(f"{reason}; the windows of bundles that are averaged are mirrored alike.")
        ours, theirs = bundles[0].plan.overlap, other.plan.overlap
        if options.overlap is None and ours != theirs:
            raise UsageError(
                f"windows of {bundles[0].name} overlap by {ours} and those of {other.name} by {theirs}; say with "
                "--overlap which holds for all that are averaged."
            )
    return bundles


def _mirrored_otherwise(first: Bundle, other: Bundle, asked: bool | None) -> str:
    """Return how two bundles differ in mirroring windows, and which option settles it; "" where they do not."""
    usual, axes = [usually_mirrors(one) for one in (first, other)], [one.plan.mirror_axes for one in (first, other)]
    if (any(usual) if asked is None else asked) and set(axes[0]) != set(axes[1]):
        return f"{first.name} was trained with mirror axes {axes[0]} and {other.name} with {axes[1]}; add --no-mirror"
    if asked is None and usual[0] != usual[1]:
        yes, no = (first, other) if usual[0] else (other, first)
        return f"{yes.name} mirrors windows and {no.name} does not; add --no-mirror or --mirror"
    return ""


def usually_mirrors(bundle: Bundle) -> bool:
    """Return whether the windows of a bundle are mirrored where nobody says otherwise."""
    return bool(bundle.plan.mirror_axes) and bool(bundle.card.get("mirror", False))


def chosen_method(bundle: Bundle, options: PredictOptions) -> Method:
    """Return the bundle's method with the steps and the options of the method that are asked for.

    Raises
    ------
    MethodError
        The plan has regions and the method cannot decide them; an option that the method does not have, or that was
        fixed in training; several seeds for a method that draws no random numbers.
    """
    method = changed_after_training(bundle.method, **options.method_options)
    if not method.overlapping:
        refuse_regions(method.key, bundle.plan.regions)
    if options.seeds > 1 and not method.random:
        raise MethodError(
            f"{method.key} draws no random numbers, so {options.seeds} seeds would give one answer; leave seeds at 1."
        )
    return method if options.steps is None else method.with_steps(options.steps)


def open_members(
    bundles: Sequence[Bundle],
    volume: Volume,
    grid: NetworkGrid,
    options: PredictOptions,
    calls: int,
    check: CancelCheck,
) -> tuple[list[Member], list[PlaneStream]]:
    """Return the networks, ready for ``calls`` windows, and a stream of planes for each different normalisation."""
    streams: dict[tuple[Normalisation, ...], PlaneStream] = {}
    members = []
    for bundle in check.each(bundles):
        rules = bundle.plan.normalisation
        if rules not in streams:
            streams[rules] = PlaneStream(grid, volume, bundle.plan, check)
        how = {"runtime": options.runtime, "device": options.device, "precision": options.precision}
        with interrupts.between_layers(check):
            opened = open_runtime(bundle.network, **how, calls=calls)
        temperature = temperature_of(bundle.card) if options.calibrate else 1.0
        members.append(Member(opened, list(streams).index(rules), temperature))
    return members, list(streams.values())
