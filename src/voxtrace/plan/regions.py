"""Regions: groups of label values that may overlap, e.g. whole tumour ⊃ tumour core ⊃ enhancing tumour.

Where a plan has regions, the network answers for each by itself whether a voxel lies in it (a sigmoid), and a label map
is painted from the answers: every region with a probability above one half, in their order, each with one of its own
values, so that later regions cover earlier ones. This is nnU-Net's rule, and ``dataset.json`` has nnU-Net's syntax::

    "labels": {"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": 3}
    "regions_class_order": [1, 2, 3]

    a voxel with probabilities 0.9, 0.7 and 0.2 gets 1, then 2: it is tumour core without enhancing

Label maps hold values and not regions, so each value has a name, too: that of the smallest region that it belongs to,
without the regions that it does not.

References
----------
Isensee et al., "nnU-Net for Brain Tumor Segmentation", BrainLes 2020; nnU-Net v2, ``LabelManager``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxtrace.errors import MethodError, PlanError
from voxtrace.safe_text import brief

MOST_VALUES = 1 << 10
LONGEST_NAME = 200  # letters
ORDER, IGNORE = "regions_class_order", "ignore"  # in dataset.json
EXAMPLE = '{"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": 3}'
_Value = Annotated[int, Field(ge=1, lt=1 << 16)]


class LabelRegion(BaseModel):
    """Label values that one answer of the network stands for.

    Attributes
    ----------
    name
        E.g. ``"tumour core"``.
    values
        Label values of the voxels in it, ascending.
    paints
        The one of them that a label map gets where the region is found, and no later region is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    values: Annotated[tuple[_Value, ...], Field(min_length=1, max_length=MOST_VALUES)]
    paints: _Value

    @model_validator(mode="after")
    def _fits_together(self) -> LabelRegion:
        if list(self.values) != sorted(set(self.values)):
            raise PlanError(
                f"region {brief(self.name)!r} has the values {brief(self.values)}; give each once, ascending."
            )
        if self.paints not in self.values:
            raise PlanError(
                f"region {brief(self.name)!r} is painted with {self.paints}, which is none of its values "
                f"{', '.join(map(str, self.values))}; put one of them in its place in {ORDER}."
            )
        return self

    def inside(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return which voxels of label values (…) lie in the region, boolean of the same shape."""
        return labels == self.values[0] if len(self.values) == 1 else np.isin(labels, self.values)


def has_regions(labels: Mapping[str, Any]) -> bool:
    """Return whether labels of a ``dataset.json``, name -> value or values, are regions: one has several values."""
    return any(isinstance(given, (list, tuple)) and len(given) > 1 for given in labels.values())


def parse_regions(labels: Mapping[str, Any], order: Any) -> tuple[LabelRegion, ...]:
    """Return the regions of a ``dataset.json`` in the order in which they are painted; () where there are none.

    ``labels`` has a value, or a list of values, for each name; ``order``, its ``regions_class_order``, the value with
    which each is painted. The background, 0, and the label ``ignore`` are no regions.

    Raises
    ------
    PlanError
        The order is missing or has another length, or a region is painted with a value that is none of its own.
    """
    if not has_regions(labels):
        return ()
    named = {name: _values(name, given) for name, given in labels.items() if name.casefold() != IGNORE}
    regions = {name: values for name, values in named.items() if set(values) != {0}}
    if odd := [name for name in regions if not 0 < len(name) <= LONGEST_NAME]:
        raise PlanError(f"the label {brief(repr(odd[0]))} has {len(odd[0])} letters; expected 1 to {LONGEST_NAME}.")
    if strange := [name for name, values in regions.items() if 0 in values]:
        raise PlanError(f"region {brief(strange[0])!r} has the value 0, the background; leave it out of the region.")
    if not isinstance(order, (list, tuple)) or not all(_is_whole(value) and int(value) for value in order):
        raise PlanError(
            f"labels are regions, and {ORDER} is {brief(repr(order))}; expected a list with the value that each region "
            f"is painted with, e.g. [1, 2, 3] for {EXAMPLE}."
        )
    if len(order) != len(regions):
        raise PlanError(
            f"{ORDER} has {len(order)} values for {len(regions)} regions ({brief(', '.join(regions))}); give one for "
            "each, in the order of the labels."
        )
    return tuple(LabelRegion(name=n, values=v, paints=int(p)) for (n, v), p in zip(regions.items(), order, strict=True))


def value_names(regions: Sequence[LabelRegion]) -> dict[int, str]:
    """Return the name of each value of regions, ascending, without the background; none is that of a larger region.

    Examples
    --------
    >>> value_names(parse_regions({"background": 0, "whole": [1, 2], "core": 2}, [1, 2]))
    {1: 'whole without core', 2: 'core'}
    """
    names = {value: _value_name(value, regions) for value in sorted({v for region in regions for v in region.values})}
    found = [name.casefold() for name in names.values()]
    found += [region.name.casefold() for region in regions if len(region.values) > 1]
    return {value: f"{name} ({value})" if found.count(name.casefold()) > 1 else name for value, name in names.items()}


def painted_over(regions: Sequence[LabelRegion]) -> str:
    """Return what a label map loses of regions by their order, as a sentence's first half; ``""`` where nothing is.

    A region is lost where another that is painted later covers it with a value that does not belong to it, although all
    of the later one, or all of the earlier one, lies in both.
    """
    for n, first in enumerate(regions):
        for later in regions[n + 1 :]:
            nested = set(first.values) < set(later.values)
            if nested and later.paints not in first.values:
                return f"{first.name!r} lies in {later.name!r}, which is painted over it"
    return ""


def label_facts(labels: Mapping[int, str], regions: Sequence[LabelRegion]) -> dict[str, str]:
    """Return what a card says of the labels of a model, and of its regions if there are any."""
    facts = {"labels": ", ".join(f"{value} {name}" for value, name in labels.items())}
    told = "; ".join(f"{one.name} ({', '.join(map(str, one.values))}), painted {one.paints}" for one in regions)
    return facts | ({"regions, in the order of painting": told} if regions else {})


def refuse_regions(method: str, regions: Sequence[LabelRegion]) -> None:
    """Refuse regions for a method that cannot learn them; nothing where there are none.

    Raises
    ------
    MethodError
        There are regions.
    """
    if regions:
        raise MethodError(
            f"{method} cannot learn regions that overlap ({brief(', '.join(region.name for region in regions))}); "
            "choose another method, e.g. --method unet, or give each label value a name of its own in dataset.json."
        )


def _value_name(value: int, regions: Sequence[LabelRegion]) -> str:
    around = [region for region in regions if value in region.values]
    least = min(around, key=lambda region: len(region.values))  # of equals the first
    others = [r for r in regions if value not in r.values and set(r.values) & set(least.values)]
    # of nested ones the largest says all
    without = [r.name for r in others if not any(set(r.values) < set(other.values) for other in others)]
    return f"{least.name} without {', '.join(without)}"[:LONGEST_NAME] if without else least.name


def _values(name: str, given: Any) -> tuple[int, ...]:
    values = given if isinstance(given, (list, tuple)) else [given]
    if not values or not all(_is_whole(value) for value in values):
        raise PlanError(
            f"the label {brief(repr(name))} has the value {brief(repr(given))}; expected whole numbers from 0."
        )
    return tuple(sorted({int(value) for value in values}))


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):  # as some write them
        return value.isdecimal() and len(value) < 6 and int(value) < 1 << 16
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 16
