"""What a training has beside method, plan and fold: values that a run which goes on must have again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast


@dataclass(frozen=True)
class TrainMore:
    """Values of the form that are seldom changed; see :class:`voxtrace.training.config.TrainConfig`.

    ``rate`` None is the method's own. ``labels`` is a folder in the dataset; "" is the dataset's own labels.
    """

    seed: int = 0
    rate: float | None = None
    average: float = 0.0
    accumulate: int = 1
    weights: Literal["last", "best"] = "last"
    labels: str = ""

    @property
    def changed(self) -> int:
        """How many of the values are not those that a training usually has."""
        return sum(getattr(self, one.name) != getattr(USUAL, one.name) for one in fields(self))


USUAL = TrainMore()


def recorded_more(record: Mapping[str, Any]) -> TrainMore:
    """Return the values that a run or a bundle recorded; what it does not say is as usual.

    Raises
    ------
    TypeError, ValueError
        One of them is of another kind.
    """
    rate, weights = record.get("rate"), record.get("weights") or "last"
    if weights not in ("last", "best"):
        raise ValueError(f"its weights are {str(weights)[:20]!r}")
    return TrainMore(
        seed=int(record.get("seed") or 0),
        rate=None if rate is None else float(rate),
        average=float(record.get("average") or 0.0),
        accumulate=int(record.get("accumulate") or 1),
        weights=cast(Any, weights),
        labels=str(record.get("label_folder") or ""),
    )
