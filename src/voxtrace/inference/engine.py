"""segment() and predict(): one volume through one method, with progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtrace.bundle import Bundle
from voxtrace.errors import UsageError
from voxtrace.inference.ensemble import check_bundles
from voxtrace.inference.one_run import segment_once
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.probabilities import Probe
from voxtrace.inference.progress import Progress, Result
from voxtrace.inference.voting import segment_by_vote
from voxtrace.volume import Volume


def segment(
    bundle: Bundle | Sequence[Bundle],
    volume: Volume,
    options: PredictOptions | Mapping[str, Any] | None = None,
    *,
    store: Path | None = None,
    cancel: Callable[[], bool] | None = None,
    probe: Probe | None = None,
    **changes: Any,
) -> Generator[Progress, None, Result]:
    """Yield progress while a volume is segmented, and return the result.

    Parameters
    ----------
    bundle, volume
        The trained model, and one channel for each that it expects. The probabilities of several bundles, e.g. of
        five folds, are averaged at each step; they must be of one method and plan (normalisation may differ). With
        ``members=True`` each runs by itself and their answers vote; they may be of any method with the same labels.
    options
        How to predict. A mapping holds options of the method in place of the bundle's, e.g. ``{"sampler": "ddim"}``.
    store
        A folder to write the trace into while it is made, so that the steps need no memory. It appears when all is
        done and not at all otherwise.
    cancel
        Called several times a second, perhaps from other threads; true stops.
    probe
        Called with the number of each plane of the scan, ascending, and the last step's probabilities of all labels,
        or regions, there, (K, Y, X) float32, NaN where the network did not look; with the bundle's temperature, of
        several bundles the geometric mean of theirs. From another thread, and not where answers vote.
    changes
        Options by name, e.g. ``steps=3``; see :class:`voxtrace.inference.PredictOptions` for each.

    Raises
    ------
    MethodError
        An option that the method does not have, or that was fixed in training.
    InputError
        Wrong number of channels, or voxels that are not numbers.
    UsageError
        An option outside its range, or bundles that cannot be combined.
    EngineError
        The network failed: no memory, a missing device, logits that are not numbers.
    OutputError
        ``store`` cannot be written.
    Cancelled
        ``cancel`` returned true; nothing is left behind.
    """
    chosen = PredictOptions.of(options, **changes)
    bundles = check_bundles((bundle,) if isinstance(bundle, Bundle) else tuple(bundle), chosen)
    several = chosen.members or chosen.seeds > 1
    if probe is not None and several:
        raise UsageError("answers that vote have no probabilities of labels to show.")
    if several:
        return (yield from segment_by_vote(bundles, volume, chosen, store, cancel))
    return (yield from segment_once(bundles, volume, chosen, store, cancel, probe))


def predict(
    bundle: Bundle | Sequence[Bundle],
    volume: Volume,
    options: PredictOptions | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """Return the result of :func:`segment`, which takes the same arguments."""
    task = segment(bundle, volume, options, **changes)
    while True:
        try:
            next(task)
        except StopIteration as stop:
            result: Result = stop.value
            return result
