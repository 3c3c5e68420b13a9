"""Which items of CLAIM a bundle's card tells, and where; worked out from its record.

CLAIM is the Checklist for Artificial Intelligence in Medical Imaging: Mongan, Moy and Kahn, Radiology: Artificial
Intelligence 2(2):e200029, 2020; numbers and names are those of its 2024 update, Tejani et al., 6(4):e240300.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from voxtrace.fit.about import ABOUT, about_of
from voxtrace.fit.card_sections import disjoint, external_disjoint
from voxtrace.fit.origin_checks import is_demonstration

_ABOUT, _SUMMARY, _DATA, _LIMITS, _RECIPE = "About", "Summary", "Data", "Limits", "Recipe"
_HELD_BACK, _WORST, _STEPS, _EXTERNAL = "Held-back cases", "Worst held-back cases", "Steps", "External cases"


@dataclass(frozen=True)
class ClaimItem:
    """An item of the checklist for one bundle.

    Attributes
    ----------
    number, name
        In the checklist of 2024.
    where
        Section of the card that tells it; "" where none does.
    why
        Why it is left out: what is missing, or why it does not apply; "" where it is told.
    applies
        Whether it applies to this bundle.
    """

    number: int
    name: str
    where: str
    why: str
    applies: bool


@dataclass(frozen=True)
class _Rule:
    """What tells an item: the maker's words of this name, or entries of the record (``path``, all of one of them)."""

    name: str
    words: str = ""
    section: str = ""
    paths: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()  # entries of external cases that tell it in place of those, in their own section
    made_up: str = ""  # why it does not apply to made-up scans
    never: str = ""  # why it applies to no bundle, unless its maker tells it


_DRAWN = "made-up scans: the labels are what was drawn"
_NOBODY = "made-up scans: there are no subjects"
_GRID, _DONE = "plan.spacing_mm", "provenance.iterations"
_DICE, _TABLE = "metrics.validation.dice", "metrics.validation.measures_per_label"
_BOTH = ("provenance.training", "provenance.held_back")
_OUTSIDE = "external.validation"
_OUTSIDE_TABLE = f"{_OUTSIDE}.measures_per_label"
_OUTSIDE_INTERVAL = (_OUTSIDE_TABLE, f"{_OUTSIDE}.dice.ci95")

_RULES = (
    _Rule("AI technique", section=_RECIPE, paths=(_GRID, "method.name")),
    _Rule(
        "summary of design, methods, results and conclusions",
        section=_SUMMARY,
        paths=("plan.labels", f"{_DICE}.mean"),
        outside=(f"{_OUTSIDE}.dice.mean",),
    ),
    _Rule("background, intended use and role", "background"),
    _Rule("aims and hypotheses", "aims"),
    _Rule("prospective or retrospective", "design", made_up=_NOBODY),
    _Rule("goal of the study", section=_SUMMARY, paths=("plan.labels", "plan.channels")),
    _Rule("sources of the data", "sources", _DATA, ("provenance.dataset",)),
    _Rule("inclusion and exclusion criteria", "eligibility", made_up=_NOBODY),
    _Rule("preprocessing", section=_RECIPE, paths=(_GRID, "plan.normalisation")),
    _Rule("selection of subsets of the data", section=_RECIPE, paths=(_GRID, "plan.window")),
    _Rule("de-identification", "deidentification", made_up=_NOBODY),
    _Rule("missing data", "missing_data", made_up="made-up scans: none is missing"),
    _Rule("acquisition protocol", "acquisition", made_up="made-up scans: no scanner took them"),
    _Rule("definition of the reference standard", "reference_standard", made_up=_DRAWN),
    _Rule("why this reference standard", "reference_rationale", made_up=_DRAWN),
    _Rule("source of the annotations", "annotators", made_up=_DRAWN),
    _Rule("annotation of the test set", "test_annotation", made_up=_DRAWN),
    _Rule("variability between and within raters", "rater_variability", made_up=_DRAWN),
    _Rule("assignment to partitions", section=_DATA, paths=_BOTH, outside=("provenance.training", "external.cases")),
    _Rule(
        "level at which partitions are disjoint",
        section=_DATA,
        paths=(*_BOTH, "derived.disjoint"),
        outside=("derived.external_disjoint",),
    ),
    _Rule("intended sample size", "sample_size"),
    _Rule("description of the model", section=_RECIPE, paths=(_GRID, "plan.topology", "method.name")),
    _Rule("software", section=_RECIPE, paths=(_GRID, "provenance.versions")),
    _Rule("initialisation of the model", section=_RECIPE, paths=(_GRID, _DONE, "provenance.seed")),
    _Rule("training", section=_RECIPE, paths=(_GRID, _DONE, "plan.batch_size")),
    _Rule("selection of the final model", section=_RECIPE, paths=(_GRID, _DONE)),
    _Rule("ensembling", never="the bundle is one network"),
    _Rule("measures of performance", section=_HELD_BACK, paths=(_TABLE,), outside=(_OUTSIDE_TABLE,)),
    _Rule("measures of significance and uncertainty", "", _HELD_BACK, (_TABLE, f"{_DICE}.ci95"), _OUTSIDE_INTERVAL),
    _Rule("robustness or sensitivity", "robustness"),
    _Rule("explanation or interpretation", "explainability", _STEPS, ("derived.several_steps",)),
    _Rule("evaluation on internal data", section=_HELD_BACK, paths=(_TABLE,)),
    _Rule("testing on external data", "external_testing"),
    _Rule("registration of a clinical trial", "trial_registration", never="training on stored scans is no trial"),
    _Rule("numbers included and excluded", "excluded", made_up="made-up scans: none was excluded"),
    _Rule("demographic and clinical characteristics", "population", made_up=_NOBODY),
    _Rule("performance with its uncertainty", "", _HELD_BACK, (_TABLE, f"{_DICE}.ci95"), _OUTSIDE_INTERVAL),
    _Rule("diagnostic performance and its precision", never="it outlines and makes no diagnosis"),
    _Rule("analysis of failures", section=_WORST, paths=("failures",), outside=("external.failures",)),
    _Rule("limitations", "limits", _LIMITS, ("training_scans",)),
    _Rule("implications for practice", "clinical_role"),
    _Rule("protocol or further technical details", section=_RECIPE, paths=(_GRID, "plan.topology")),
    _Rule("availability of software, model and data", "availability"),
    _Rule("funding and its role", "funding"),
)


def claim_items(record: Mapping[str, Any]) -> tuple[ClaimItem, ...]:
    """Return the 44 items of the checklist for a bundle's record, in their order."""
    stepwise = len(_entry(record, "metrics.validation.dice_per_step") or ()) > 1
    whole = {
        **record,
        "derived": {
            "disjoint": disjoint(record),
            "external_disjoint": external_disjoint(record),
            "several_steps": stepwise,
        },
    }
    return tuple(_item(number, rule, whole) for number, rule in enumerate(_RULES, start=1))


def _item(number: int, rule: _Rule, record: Mapping[str, Any]) -> ClaimItem:
    if rule.words in about_of(record):
        return ClaimItem(number, rule.name, _ABOUT, "", True)
    if rule.paths and all(_known(_entry(record, path)) for path in rule.paths):
        return ClaimItem(number, rule.name, rule.section, "", True)
    if rule.outside and all(_known(_entry(record, path)) for path in rule.outside):
        section = _EXTERNAL if rule.section in (_HELD_BACK, _WORST) else rule.section
        return ClaimItem(number, rule.name, section, "", True)
    if why := rule.never or (rule.made_up if is_demonstration(record) else ""):
        return ClaimItem(number, rule.name, "", why, False)
    return ClaimItem(number, rule.name, "", _missing(rule, record), True)


def _missing(rule: _Rule, record: Mapping[str, Any]) -> str:
    if rule.words:
        return f"the maker does not say ({rule.words})"
    lacking = [path for path in rule.paths if not _known(_entry(record, path))]
    return f"not recorded ({', '.join(path.removeprefix('derived.') for path in lacking)})"


def _entry(record: Mapping[str, Any], path: str) -> Any:
    found: Any = record
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _known(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {}, (), "not stated")


def claim_lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of the checklist as Markdown, with how many items are told of those that apply."""
    items = claim_items(record)
    told, apply = sum(bool(item.where) for item in items), sum(item.applies for item in items)
    yield from ("## CLAIM", "")
    yield "Checklist for Artificial Intelligence in Medical Imaging (Mongan et al. 2020, update of 2024), worked out"
    yield f"from what this card has: {told} of the {apply} items that apply are told ({told / apply:.0%})."
    yield from ("", "| item | what | where |", "|---|---|---|")
    for item in items:
        left = "left out" if item.applies else "does not apply"
        yield f"| {item.number} | {item.name} | {item.where or f'{left}: {item.why}'} |"
    yield ""


def words_of_items() -> dict[str, list[int]]:
    """Return name in a maker's file -> numbers of the items that it tells; [] for those that are no item."""
    return {name: [n for n, rule in enumerate(_RULES, start=1) if rule.words == name] for name in ABOUT}
