"""One value for one name: models number the same structures differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from voxtrace.volume import LabelMap


def with_common_values(labels: Sequence[LabelMap]) -> tuple[LabelMap, ...]:
    """Return label maps in which a name has the value that it has in the first map that knows it.

    Values without a name in their own map stay as they are, and so does a map whose names say no more than the values,
    "label 1" for 1 and so on. A name that no earlier map knows keeps its value where that is free, else it gets the
    next free one. Upper and lower case are one name. Maps that need no change are returned themselves.
    """
    known: dict[str, int] = {}
    names: dict[int, str] = {}
    found = []
    for one in labels:
        table = _table(one.names, known, names)
        found.append(_renumbered(one, table, names))
    return tuple(
        replace(one, names={**names, **{v: n for v, n in one.names.items() if v not in names}}) for one in found
    )


def _table(own: Mapping[int, str], known: dict[str, int], names: dict[int, str]) -> dict[int, int]:
    """Return value -> common value for the named values of a map; what is new is added to ``known`` and ``names``."""
    table: dict[int, int] = {}
    if all(name.casefold() == f"label {value}" for value, name in own.items() if value):
        return table
    for value, name in sorted(own.items()):
        if not value:
            continue
        key = name.casefold()
        if key not in known:
            free = value if value not in names else max(names) + 1
            known[key], names[free] = free, name
        table[value] = known[key]
    return table


def _renumbered(labels: LabelMap, table: Mapping[int, int], names: Mapping[int, str]) -> LabelMap:
    if all(value == common for value, common in table.items()):
        return labels
    size = max(int(labels.data.max(initial=0)), *table, *table.values()) + 1
    lookup = np.arange(size, dtype=np.uint16 if size > 256 else np.uint8)
    for value, common in table.items():
        lookup[value] = common
    return replace(labels, data=lookup[labels.data], names={v: names[v] for v in table.values()})
