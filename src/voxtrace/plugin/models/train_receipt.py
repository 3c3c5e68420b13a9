"""What a training made, in a few lines: from its card, and from what fine-tuning changed on corrected and old cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.training.receipt import FineTuningChange, LearnedCorrection, OldCase

MOST_CASES = 5  # that are told one by one


@dataclass(frozen=True)
class TrainReceipt:
    """The lines of a receipt, and the bundle that it is about.

    Attributes
    ----------
    title, lines
        What is shown.
    folder, before
        The new bundle, and the one that it was fine-tuned from; None where it began from scratch.
    asks_for_old
        Whether nothing is known of old cases yet, so that a dataset can be given.
    """

    title: str
    lines: tuple[str, ...]
    folder: Path
    before: Path | None = None
    asks_for_old: bool = False


def receipt(
    record: Mapping[str, Any], folder: Path, seconds: float, before: Path | None = None, out_of: int = 0
) -> TrainReceipt:
    """Return the receipt of a bundle; ``record`` is what its ``bundle.json`` says, ``seconds`` the whole wall time.

    Of a folder of ``out_of`` folds, ``record`` is what its summary says.
    """
    name = record.get("name", folder.name)
    if out_of:
        return TrainReceipt(f"{name} is ready", _folds(record, folder, seconds, out_of), folder)
    provenance: Mapping[str, Any] = record.get("provenance", {})
    metrics: Mapping[str, Any] = record.get("metrics", {})
    lines = (
        _trained_on(provenance),
        *(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in provenance.get("initial", {}).get("told", ())),
        _dice(metrics),
        f"{_iterations(provenance)} in {_time(seconds)}, on {provenance.get('device', 'an unknown device')}.",
        f"Lies in {folder}.",
    )
    return TrainReceipt(f"{name} is ready", tuple(filter(None, lines)), folder, before)


def with_change(made: TrainReceipt, change: FineTuningChange) -> TrainReceipt:
    """Return a receipt that tells, too, what fine-tuning changed on corrected and on old cases."""
    lines = (*_corrections(change), *_old(change))
    return replace(made, lines=(*made.lines, *lines), asks_for_old=not change.old)


def with_note(made: TrainReceipt, sentence: str) -> TrainReceipt:
    """Return a receipt with a sentence more, e.g. why something was not measured."""
    return replace(made, lines=(*made.lines, sentence))


def _corrections(change: FineTuningChange) -> tuple[str, ...]:
    if not change.corrections:
        return ("No case of the dataset was added from Correct, so there are no corrections to look at.",)
    cases, corrected = _counted(len(change.corrections), "corrected case"), change.corrected
    if not corrected:
        return (f"Nothing was to be learned from {cases}: the model before makes them as they are.",)
    made = (
        f"Corrections: of {corrected:,} voxels that the model before had wrong in {cases}, the new one has "
        f"{change.learned:,} right ({change.learned / corrected:.0%}); {change.spoilt:,} that were right are wrong now."
    )
    several = len(change.corrections) > 1
    return (made, *(_one_correction(one) for one in change.corrections[:MOST_CASES] if several or one.held_back))


def _one_correction(one: LearnedCorrection) -> str:
    how = "held back" if one.held_back else "trained on"
    return f"   {one.name} ({how}): {one.learned:,} of {one.corrected:,} voxels, {one.spoilt:,} wrong now."


def _old(change: FineTuningChange) -> tuple[str, ...]:
    if not change.old:
        return ("No old case was held back, so it is not known what got worse.",)
    mean, of = change.mean_dice, _counted(len(change.old), "old case")
    if mean is None:
        return (f"No label that both models know was found or drawn in {of}.",)
    worse = change.worse
    told = f"{len(worse)} got worse by more than 0.01" if worse else "none got worse by more than 0.01"
    line = f"Old cases: mean Dice {mean[0]:.3f} before, {mean[1]:.3f} after, on {of}; {told}."
    return (line, *map(_one_old, worse[:MOST_CASES]))


def _one_old(one: OldCase) -> str:
    return f"   {one.name}: {one.before:.3f} before, {one.after:.3f} after."


def _folds(summary: Mapping[str, Any], folder: Path, seconds: float, folds: int) -> tuple[str, ...]:
    """Return the lines of a cross-validation: the pooled Dice of each label."""
    lines = [f"{folds} folds in {_time(seconds)}; {_counted(summary.get('cases', 0), 'case')} held back in turn."]
    entries = {**summary.get("dice_per_label", {}), "Mean of labels": summary.get("dice", {})}
    for name, told in entries.items():
        if told.get("mean") is not None:
            between = "{:.3f} to {:.3f}".format(*told["ci95"]) if told.get("ci95") else "not known"
            lines.append(f"{name}: Dice {told['mean']:.3f} (95 % interval {between}, n {told['n']}).")
    return (*lines, f"Lies in {folder}; as one model it averages its folds.")


def _trained_on(provenance: Mapping[str, Any]) -> str:
    cases, dataset = provenance.get("cases", 0), provenance.get("dataset", "")
    learned = provenance.get("cases_learned", cases)  # a curriculum may leave some out
    start = provenance.get("initial", {}).get("name")
    how = f"Fine-tuned from {start}" if start else "Trained from scratch"
    counted = f"{learned} of {_counted(cases, 'case')}" if learned != cases else _counted(cases, "case")
    return f"{how} on {counted}{f' of {dataset}' if dataset else ''}."


def _dice(metrics: Mapping[str, Any]) -> str:
    """Return the Dice of held-back cases, before and after where both were measured on the same cases."""
    if gain := metrics.get("fine_tuning"):
        of = _counted(gain["cases"], "held-back case")
        return f"Dice {gain['dice_before']:.3f} before, {gain['dice_after']:.3f} after, on {of}."
    if validation := metrics.get("validation"):
        of = _counted(validation["cases"], "held-back case")
        if validation["dice"]["mean"] is None:
            return f"No label was found or drawn in {of}, so the Dice is not known."
        return f"Dice {validation['dice']['mean']:.3f} on {of}; before it was not measured."
    return "No case was held back, so its Dice is not known."


def _iterations(provenance: Mapping[str, Any]) -> str:
    done, planned = provenance.get("iterations", 0), provenance.get("planned_iterations")
    if planned and planned != done:
        return f"{done:,} of {planned:,} iterations, ended by the time limit of {provenance['minutes']:g} min,"
    return f"{done:,} iterations"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
