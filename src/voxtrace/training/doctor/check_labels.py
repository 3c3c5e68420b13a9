"""What a dataset says of its labels against what is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from voxtrace.plan.regions import ORDER, painted_over
from voxtrace.training.dataset_listing import SMALLER_LAST, repeated
from voxtrace.training.doctor.examine_case import ExaminedCase
from voxtrace.training.doctor.faults import Fault, note
from voxtrace.training.layouts import FoundDataset

_VOID = 255  # what image datasets call voxels that nobody annotated
_BACKGROUND = {
    "background",
    "bg",
    "back ground",
    "air",
    "none",
    "unlabelled",
    "unlabeled",
    "clear label",
    "void",
    "other",
}


def check_declared(found: FoundDataset) -> list[Fault]:
    """Return what is wrong with the names and values of labels, before any is looked for."""
    faults, values = [], [value for _, value in found.declared]
    if 0 not in values:
        what = f"{found.source} names no background, the value 0."
        faults.append(Fault("no background", "", what, "Add 'background': 0 to its labels.", "rename"))
    for value in sorted(value for value, n in Counter(values).items() if n > 1):
        names = ", ".join(name for name, one in found.declared if one == value)
        what = f"{found.source} has two names for the label value {value}: {names}."
        faults.append(Fault("two names", "", what, f"Keep one; --fix keeps {found.labels[value]}.", "rename"))
    for name in repeated({(name, value): name for name, value in found.declared}.values()):
        what = f"{found.source} gives the name {name!r} to several label values."
        faults.append(Fault("one name", "", what, "Rename all but one; --fix adds the value to the name.", "rename"))
    if found.labels.get(0, "background").casefold().strip() not in _BACKGROUND:
        what = f"{found.source} calls the label value 0 {found.labels[0]!r}, and 0 is always the background."
        faults.append(note("background", "", what, "If it is something drawn, raise all label values by 1."))
    unique = sorted(set(values) | {0})
    if unique != list(range(len(unique))):
        what = f"{found.source}: label values {', '.join(map(str, unique))} are not 0, 1, 2 …."
        faults.append(Fault("numbering", "", what, "Renumber the labels in every file.", "renumber"))
    elif found.ignore not in (None, len(unique)):
        what = f"{found.source}: the ignore label has the value {found.ignore}, not {len(unique)}."
        faults.append(Fault("numbering", "", what, "Renumber it in every file.", "renumber"))
    if lost := painted_over(found.regions):
        what, remedy = f"{found.source}: {lost}.", f"{SMALLER_LAST[0].upper()}{SMALLER_LAST[1:]}."
        faults.append(Fault("regions", "", what, remedy))
    return faults


def check_values(found: FoundDataset, cases: Sequence[ExaminedCase], to_background: bool = False) -> list[Fault]:
    """Return the label values that no name belongs to, names that other values have, and names drawn nowhere."""
    faults = []
    for one in cases:
        if unknown := undeclared(one, found):
            mapping = mapping_of(one, found, cases, to_background)
            counts = ", ".join(f"{value} ({one.values[value]:,} voxels)" for value in unknown)
            what = f"{one.case.labels} holds {counts}, which {found.source.name} does not name."
            remedy = _remap_remedy({value: mapping[value] for value in unknown if value in mapping}, found)
            mended = all(value in mapping for value in unknown)
            kind = "re-map labels" if mended else "leave out"
            faults.append(Fault("label values", one.case.name, what, remedy, kind))  # type: ignore[arg-type]
        if moved := named_otherwise(one, found):
            said = ", ".join(f"{old} {one.names[old]!r}, which is {new} there" for old, new in moved.items())
            what = f"{one.case.labels} calls the value {said} in its own header, against {found.source.name}."
            remedy = "Renumber the file's labels by name, or correct its header."
            faults.append(Fault("label names", one.case.name, what, remedy, "re-map labels"))
    return faults + _drawn_nowhere(found, cases)


def undeclared(one: ExaminedCase, found: FoundDataset) -> list[int]:
    """Return the values of a case that no label has."""
    return [value for value in one.values if value not in found.labels and value != found.ignore]


def named_otherwise(one: ExaminedCase, found: FoundDataset) -> dict[int, int]:
    """Return value -> value of the labels to which the file's own header gives the names of other labels."""
    by_name = {name.casefold(): value for value, name in found.labels.items()}
    own = {value: by_name.get(one.names.get(value, "").casefold()) for value in one.values}
    moved = {value: new for value, new in own.items() if new is not None and new != value and value in found.labels}
    targets = [own[value] if own[value] is not None else value for value in own]
    return moved if len(set(targets)) == len(targets) else {}


def mapping_of(
    one: ExaminedCase, found: FoundDataset, cases: Sequence[ExaminedCase], to_background: bool = False
) -> dict[int, int]:
    """Return what values of a case become: by the names in the file's header, or as :func:`misnumbered` says.

    ``to_background`` makes other values without a name background.
    """
    by_name = {name.casefold(): value for value, name in found.labels.items()}
    mapping = named_otherwise(one, found)
    whole = misnumbered(found, cases)
    for value in undeclared(one, found):
        named = by_name.get(one.names.get(value, "").casefold(), whole.get(value, 0 if to_background else None))
        if named is not None:
            mapping[value] = named
    return mapping


def misnumbered(found: FoundDataset, cases: Sequence[ExaminedCase]) -> dict[int, int]:
    """Return value -> label, where most cases have one value without a name and one label is drawn nowhere.

    The files then number that label otherwise, e.g. 255 in place of 1. Empty where there are several of either; and for
    255 beside other labels, which often marks what nobody annotated.
    """
    strange = [value for case in cases for value in undeclared(case, found)]
    unused = not_drawn(found, cases)
    common = len(strange) > sum(bool(case.values) for case in cases) / 2
    alone = {*found.labels} == {0, *unused} and found.ignore is None  # a mask of 0 and one other value
    if len(set(strange)) != 1 or len(unused) != 1 or not common or (strange[0] == _VOID and not alone):
        return {}
    return {strange[0]: unused[0]}


def not_drawn(found: FoundDataset, cases: Sequence[ExaminedCase]) -> list[int]:
    """Return the label values that have a name and occur in no case."""
    drawn = {value for one in cases for value in one.values}
    return [value for value in found.labels if value and value not in drawn]


def renumbering(found: FoundDataset, drop: Sequence[int]) -> Mapping[int, int]:
    """Return declared value -> 0, 1, 2 … in order, without those to drop; the ignore label comes last.

    None is dropped from regions, which are learned as a whole.
    """
    kept = sorted({0, *found.labels} - set(() if found.regions else drop))
    table = {value: number for number, value in enumerate(kept)}
    return table if found.ignore is None else table | {found.ignore: len(kept)}


def _remap_remedy(mapping: Mapping[int, int], found: FoundDataset) -> str:
    if not mapping:
        return "Name the value in dataset.json, correct the file, or leave the case out."
    said = ", ".join(f"{old} becomes {new} {found.labels.get(new, 'background')}" for old, new in mapping.items())
    return f"Re-map the values: {said}."


def _drawn_nowhere(found: FoundDataset, cases: Sequence[ExaminedCase]) -> list[Fault]:
    taken = misnumbered(found, cases).values()
    if found.regions:
        return _regions_drawn_nowhere(found, cases, {*taken})
    return [
        Fault(
            "drawn nowhere",
            "",
            f"the label {value} {found.labels[value]} is drawn in no case.",
            "Remove its name and renumber the others, or add cases that have it.",
            "re-map labels" if value in taken else "renumber",
        )
        for value in (not_drawn(found, cases) if any(one.values for one in cases) else [])
    ]


def _regions_drawn_nowhere(found: FoundDataset, cases: Sequence[ExaminedCase], taken: set[int]) -> list[Fault]:
    drawn = {value for one in cases for value in one.values} | taken
    return [
        Fault(
            "drawn nowhere",
            "",
            f"the region {region.name!r} ({', '.join(map(str, region.values))}) is drawn in no case.",
            f"Remove it and its entry in {ORDER}, or add cases that have it.",
        )
        for region in (found.regions if drawn else ())
        if not drawn & {*region.values}
    ]
