"""What card.md says of training scans, measures of validation, volume intervals and the Dice to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxtrace.fit import card_measures as measures
from voxtrace.fit import card_sections as told
from voxtrace.fit.calibration import VOXELS
from voxtrace.fit.claim import claim_lines
from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.fit.pieces import LARGEST
from voxtrace.fit.reliability_diagram import reliability_svg
from voxtrace.fit.training_scans import TrainingScans
from voxtrace.fit.volume_match import match_lines
from voxtrace.safe_text import json_text

RELIABILITY = "reliability.svg"  # beside the card
WARNING = "**Demonstration.** Trained on made-up scans: its answer on a patient means nothing."

_LISTS = ("training", "held_back", "curve", "initialised_anew")  # of provenance and metrics
_ROWS = ("per_case", "by_rule", "measures_per_label")  # of the validation


def card_text(name: str, facts: Mapping[str, str], about: Mapping[str, Any]) -> str:
    """Return a card as Markdown: what a bundle is (facts by name), what its record measured, and how it was made."""
    lines = [f"# {name}", "", str(about.get("intended_use", "")), ""]
    lines += [*(f"- {title}: {fact}" for title, fact in facts.items()), "", *measured_lines(about)]
    for title in ("provenance", "metrics"):
        if about.get(title):
            entries = json_text(_without_cases(about[title]), ascii_only=False)
            lines += [f"## {title.capitalize()}", "", "```json", entries, "```", ""]
    return "\n".join([*lines, *claim_lines(about)])


def _without_cases(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries of the card without lists of cases, images and weights, and the curve, which bundle.json holds."""
    entries = {name: value for name, value in entries.items() if name not in _LISTS}
    if "initial" in entries:
        entries["initial"] = {name: value for name, value in entries["initial"].items() if name != told.LEARNED}
    listed = entries.get("validation", {})
    short = {name: value for name, value in listed.items() if name not in _ROWS}
    return {**entries, "validation": short} if listed else entries


def drawings(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the drawings that a card shows of what its record says: name of the file -> SVG."""
    calibration = record.get("calibration")
    return {RELIABILITY: reliability_svg(calibration)} if calibration else {}


def measured_lines(record: Mapping[str, Any]) -> list[str]:
    """Return lines of Markdown; none where the card records none of it."""
    warning = [WARNING, ""] if is_demonstration(record) else []
    return [*warning, *(line for section in SECTIONS for line in section(record))]


def _scans(record: Mapping[str, Any]) -> Iterator[str]:
    scans = TrainingScans.from_record(record)
    if scans is None:
        return
    yield from ("## Training scans", "")
    yield f"{scans.cases} scans{', made up' if scans.made_up == scans.cases else ''}, along (Z, Y, X):"
    yield ""
    yield f"- voxels of {_ends(scans.spacing_mm)} mm"
    yield f"- field of view of {_ends(scans.size_mm)} mm"
    yield ""


def _intervals(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("intervals")
    if not stored:
        return
    yield from ("## Volumes", "")
    yield "The true volume of a label lies in this range around the predicted one, for cases like those of validation"
    yield "(split conformal prediction on the held-back cases; a bias of the model is taken out):"
    yield from ("", "| label | true volume, times the predicted | bias | level | cases |", "|---|---|---|---|---|")
    for label, one in stored["labels"].items():
        low, high = one["factors"]
        bias = f"{one['bias']:.3g}" if one.get("bias") is not None else "–"
        yield f"| {stored['names'][label]} | {low:.2f} to {high:.2f} | {bias} | {one['level']:.0%} | {one['cases']} |"
    yield ""
    for label, one in stored["labels"].items():
        if missed := one.get("not_found"):
            most = f"; 90 % of them had at most {missed['up_to_ml']:.3g} mL" if "up_to_ml" in missed else ""
            name, cases, there = stored["names"][label], missed["cases"], missed["were_there"]
            yield from (f"{name} was not found in {cases} further cases, and was there in {there} of them{most}.", "")


def _expected(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("expected")
    if not stored:
        return
    yield from ("## What is usual", "", f"Middle 90 % of {stored['cases']} validation cases:", "")
    yield from (f"- {name}: {low:.3g} to {high:.3g}" for name, (low, high) in stored["features"].items())
    yield ""


def _foretold(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("predicted_dice")
    if not stored:
        return
    low, high = stored["rank_correlation_ci95"]
    yield from ("## Dice to expect of a case", "")
    yield f"From {', '.join(stored['features'])} of its trace. Of {stored['cases']} held-back cases, each left out of"
    yield f"the fit: rank correlation with the true Dice {stored['rank_correlation']:.2f} [{low:.2f}, {high:.2f}],"
    yield f"mean error {stored.get('error', 0.0):.3f} ({stored.get('error_without', 0.0):.3f} when their mean is told)."
    if low > 0:
        yield f"{stored['level']:.0%} of them lie within {stored['half_width']:.3f} of what is told."
    else:
        yield "It is not surely above 0, so that no Dice is told."
    yield ""


def _calibration(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("calibration")
    if not stored:
        return
    yield from ("## Probabilities", "", f"![reliability]({RELIABILITY})", "")
    yield f"Temperature {stored['temperature']:.3f}. ECE (expected calibration error) {stored['ece_before']:.4f}; with"
    yield f"the temperature {stored['ece_after']:.4f} (each half of the cases with that of the other half), over"
    yield f"{stored['voxels']:,} voxels of {stored['cases']} held-back cases: {VOXELS}."
    yield ""


def _post_processing(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("post_processing")
    if not stored or not stored["tried"]:
        return
    yield from ("## Small pieces", "")
    if not stored["labels"]:
        yield from ("Every piece of every label stays: no rule raised the Dice of the held-back cases.", "")
        return
    yield "Rules that raised the mean Dice of the held-back cases, and did not lower the NSD; predictions follow them."
    yield from (
        "",
        "| label | stays | Dice before | Dice | NSD before | NSD | cases |",
        "|---|---|---|---|---|---|---|",
    )
    for name, word in stored["labels"].items():
        before, after = stored["tried"][name]["none"], stored["tried"][name][word]
        kept = "largest piece" if word == LARGEST else f"pieces of at least {word} mm³"
        scores = " | ".join(f"{row[part]:.4f}" for part in ("dice", "nsd") for row in (before, after))
        yield f"| {name} | {kept} | {scores} | {int(before['n'])} |"
    yield ""


def _ends(pair: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    low, high = ("×".join(f"{v:.3g}" for v in end) for end in pair)
    return low if low == high else f"{low} to {high}"


# In the order in which the card has them; each takes a record and yields lines, none where the record has nothing.
SECTIONS = (
    *(told.summary, told.about, told.data, told.limits),
    *(
        _scans,
        measures.held_back,
        measures.external,
        told.coverage,
        told.steps,
        measures.failures,
        match_lines,
        _intervals,
        _calibration,
        _post_processing,
        _expected,
        _foretold,
    ),
    *(told.cost, told.recipe),
)
