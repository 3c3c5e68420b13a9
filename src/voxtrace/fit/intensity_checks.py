"""Intensities of a scan, normalised as for the network, against the range of training scans."""

from __future__ import annotations

from collections.abc import Iterator

from voxtrace.fit.reasons import FitReason
from voxtrace.fit.scan_facts import PERCENTILES, ChannelFacts, ScanFacts
from voxtrace.fit.training_scans import TrainingScans, normalised_percentiles
from voxtrace.plan import Normalisation, Plan

FAR = 1.0  # deviations outside the range of all training scans
_OUTER = (1.0, 99.0)  # percentiles that metal, vessels and borders move; they decide nothing


def intensities(plan: Plan, training: TrainingScans, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield for each channel that its values are spread as in no training scan, or are all the same."""
    rules = zip(plan.channels, scan.channels, plan.normalisation, training.intensities, strict=True)
    for name, channel, rule, ends in rules:
        if channel.std == 0:
            yield FitReason("does not fit", f"all values of {name} are {channel.mean:.4g}", "open another image")
        else:
            yield from _spread(name, channel, rule, ends)


def _spread(
    name: str, channel: ChannelFacts, rule: Normalisation, ends: tuple[tuple[float, ...], tuple[float, ...]]
) -> Iterator[FitReason]:
    values = normalised_percentiles(channel, rule)
    outside = [
        (max(low - value, value - high), percentile, value, low, high)
        for percentile, value, low, high in zip(PERCENTILES, values, *ends, strict=True)
        if percentile not in _OUTER
    ]
    excess, percentile, value, low, high = max(outside)
    if excess > FAR:
        found = (
            f"the brightness of {name} is spread as in no training scan (percentile {percentile:g} lies at "
            f"{value:.1f} deviations, in training at {low:.1f} to {high:.1f})"
        )
        yield FitReason("check", found, "compare with a scan of the kind that the model was trained on")
