"""TrainingScans: the ranges of size, spacing and intensities of the scans that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.fit.scan_facts import PERCENTILES, ChannelFacts, ScanFacts
from voxtrace.plan import Normalisation
from voxtrace.volume import Array, Triple

Range = tuple[Triple, Triple]  # least and greatest along (Z, Y, X)
_SMALLEST_STD = 1e-8


@dataclass(frozen=True)
class TrainingScans:
    """Ranges over training cases.

    Attributes
    ----------
    cases, made_up
        Number of cases, and how many of them are phantoms of VoxTrace.
    spacing_mm, size_mm
        Least and greatest along (Z, Y, X), in canonical orientation.
    intensities
        For each channel the least and greatest of each of ``PERCENTILES``, normalised as the plan says.
    """

    cases: int
    made_up: int
    spacing_mm: Range
    size_mm: Range
    intensities: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    @staticmethod
    def of(scans: Sequence[ScanFacts], normalisation: Sequence[Normalisation]) -> TrainingScans:
        """Return the ranges of some scans, at least one."""
        normalised = np.asarray(
            [[normalised_percentiles(c, n) for c, n in zip(s.channels, normalisation, strict=True)] for s in scans]
        )
        return TrainingScans(
            cases=len(scans),
            made_up=sum(scan.made_up for scan in scans),
            spacing_mm=_range(scan.geometry.spacing_mm for scan in scans),
            size_mm=_range(scan.size_mm for scan in scans),
            intensities=tuple(
                (_rounded(values.min(0)), _rounded(values.max(0))) for values in normalised.transpose(1, 0, 2)
            ),
        )

    @staticmethod
    def merged(several: Sequence[TrainingScans]) -> TrainingScans:
        """Return the ranges of all cases together, of at least one."""
        lows, highs = (np.asarray([[one[end] for one in s.intensities] for s in several]) for end in (0, 1))
        low, high = lows.min(0), highs.max(0)
        return TrainingScans(
            cases=sum(s.cases for s in several),
            made_up=sum(s.made_up for s in several),
            spacing_mm=_range(end for s in several for end in s.spacing_mm),
            size_mm=_range(end for s in several for end in s.size_mm),
            intensities=tuple((_rounded(one), _rounded(other)) for one, other in zip(low, high, strict=True)),
        )

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> TrainingScans | None:
        """Return the ranges that a bundle records, or None for one that records none."""
        stored = record.get("training_scans")
        if not stored:
            return None
        return TrainingScans(
            cases=int(stored["cases"]),
            made_up=int(stored["made_up"]),
            spacing_mm=_pair(stored["spacing_mm"]),
            size_mm=_pair(stored["size_mm"]),
            intensities=tuple((tuple(one["low"]), tuple(one["high"])) for one in stored["intensities"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON values that stand in a bundle."""
        return {
            "cases": self.cases,
            "made_up": self.made_up,
            "spacing_mm": [list(end) for end in self.spacing_mm],
            "size_mm": [list(end) for end in self.size_mm],
            "percentiles": list(PERCENTILES),
            "intensities": [{"low": list(low), "high": list(high)} for low, high in self.intensities],
        }


def normalised_percentiles(channel: ChannelFacts, rule: Normalisation) -> tuple[float, ...]:
    """Return a channel's percentiles after the plan's normalisation; in deviations, or fractions for ``range``."""
    values, mean, std = channel.percentiles, channel.mean, channel.std
    if rule.scheme == "ct":
        values, mean, std = tuple(np.clip(values, rule.lower, rule.upper)), rule.mean, rule.std
    elif rule.scheme in ("zscore_nonzero", "zscore_inside"):
        values, mean, std = channel.inside
    elif rule.scheme == "range":
        mean, std = values[0], values[-1] - values[0]
    elif rule.scheme == "none":
        mean, std = 0.0, 1.0
    return tuple(float((v - mean) / max(std, _SMALLEST_STD)) for v in values)


def _range(values: Iterable[Triple]) -> Range:
    every = np.asarray(list(values), np.float64)
    return _triple(every.min(0)), _triple(every.max(0))


def _triple(values: Array) -> Triple:
    z, y, x = _rounded(values)
    return z, y, x


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)


def _pair(stored: Sequence[Sequence[float]]) -> Range:
    (z0, y0, x0), (z1, y1, x1) = stored
    return (z0, y0, x0), (z1, y1, x1)
