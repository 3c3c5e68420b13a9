"""Whether models fit a scan, and what they will take on it: read in a thread, for every known model at once."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.fit import ScanFacts, estimate, facts_of, fit
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models.model_cards import ModelVerdict, cost_words
from voxtrace.volume import Volume


@dataclass(frozen=True, eq=False)
class FitQuestion:
    """A model, and the images that would stand for its channels.

    Attributes
    ----------
    path, record
        The bundle's folder, and what its ``bundle.json`` says.
    sources
        The chosen image for each channel; fewer where some are missing.
    """

    path: Path
    record: Mapping[str, Any]
    sources: tuple[ImageSource, ...]


class FitJudge:
    """Answers questions; what was read of an image is kept for as long as the image is open."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Volume, dict[int, ScanFacts]] = weakref.WeakKeyDictionary()

    def verdicts(self, questions: Sequence[FitQuestion]) -> dict[Path, ModelVerdict]:
        """Return the verdict on each model by its folder; a few thousand voxels of each image are read once."""
        return {question.path: self._verdict(question) for question in questions}

    def _verdict(self, question: FitQuestion) -> ModelVerdict:
        facts = together([self._facts(source) for source in question.sources])
        known = estimate(question.record, facts, {"keep": "labels"})
        cost = "" if known is None else cost_words(known.seconds, known.gigabytes)
        return ModelVerdict(fit(question.record, facts), cost, None if known is None else known.seconds)

    def _facts(self, source: ImageSource) -> ScanFacts:
        known = self._known.setdefault(source.volume, {})
        if source.channel not in known:
            channel = slice(source.channel, source.channel + 1)
            names = source.volume.channels[channel]
            known[source.channel] = facts_of(replace(source.volume, data=source.volume.data[channel], channels=names))
        return known[source.channel]


def together(several: Sequence[ScanFacts]) -> ScanFacts:
    """Return the facts of one case whose channels were read one by one."""
    names = tuple(name for one in several for name in one.names)
    channels = tuple(channel for one in several for channel in one.channels)
    modalities = {one.modality for one in several if one.modality}
    return replace(
        several[0],
        modality=modalities.pop() if len(modalities) == 1 else several[0].modality,
        names=names if len(names) == len(channels) else (),
        channels=channels,
        made_up=all(one.made_up for one in several),
    )
