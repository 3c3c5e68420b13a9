"""Whether a model fits a scan: fits, check or does not fit, with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voxtrace.fit import channel_checks, intensity_checks, origin_checks, size_checks
from voxtrace.fit.reasons import SEVERITY, FitReason, Severity
from voxtrace.fit.scan_facts import ScanFacts, facts_of
from voxtrace.fit.training_scans import TrainingScans
from voxtrace.plan import Plan
from voxtrace.volume import Volume

__all__ = ["Fit", "FitReason", "Severity", "fit", "fit_to_start"]

_NOT_COMPARED = FitReason(
    "fits",
    "the model does not record which scans it was trained on, so size and intensities were not compared",
    "measure it with `voxtrace models measure`",
)


@dataclass(frozen=True)
class Fit:
    """A verdict.

    Attributes
    ----------
    verdict
        ``fits``, ``check`` (it may answer wrongly; look closely) or ``does not fit`` (its answer means nothing).
    reasons
        The most severe first; those of severity ``fits`` are notes.

    Examples
    --------
    >>> Fit((FitReason("check", "slices are 10 mm apart", "compare with thinner slices"),)).sentence
    'check: slices are 10 mm apart'
    """

    reasons: tuple[FitReason, ...] = ()

    @property
    def verdict(self) -> Severity:
        """The most severe of the reasons; ``fits`` without any."""
        return max((reason.severity for reason in self.reasons), key=SEVERITY.__getitem__, default="fits")

    @property
    def sentence(self) -> str:
        """The verdict with the reasons for it in one line; reasons of less weight and notes are left out."""
        said = [reason.sentence for reason in self.reasons if reason.severity == self.verdict != "fits"]
        return f"{self.verdict}: {'; '.join(said)}" if said else self.verdict

    def to_json(self) -> dict[str, Any]:
        """Return verdict and reasons as JSON values."""
        return {"verdict": self.verdict, "reasons": [asdict(reason) for reason in self.reasons]}


def fit(record: Mapping[str, Any], scan: Volume | ScanFacts | Sequence[Volume]) -> Fit:
    """Return whether a model fits a scan.

    Parameters
    ----------
    record
        The bundle's record, as ``voxtrace.bundle.card(path)`` returns it.
    scan
        A volume, several that are the channels of one case in the order in which the model takes them, or what
        :func:`voxtrace.fit.facts_of` returned for them.
    """
    facts = scan if isinstance(scan, ScanFacts) else facts_of(scan)
    plan = Plan.model_validate(record["plan"])
    reasons = sorted(_reasons(record, plan, facts), key=lambda reason: -SEVERITY[reason.severity])
    return Fit(tuple(reasons))


def fit_to_start(record: Mapping[str, Any], scan: Volume | ScanFacts | Sequence[Volume]) -> Fit:
    """Return whether a model is a start for fine-tuning on scans like this one: by modality and channels.

    Size and intensities may differ, since training adapts to them. A model for made-up scans is to be checked: what it
    learned of them may not help.
    """
    facts = scan if isinstance(scan, ScanFacts) else facts_of(scan)
    plan = Plan.model_validate(record["plan"])
    found = [*channel_checks.modality(plan, facts), *channel_checks.channels(plan, facts)]
    if origin_checks.is_demonstration(record) and not facts.made_up:
        learned = "the model learned from made-up scans, the dataset is of patients"
        found.append(FitReason("check", learned, "start from a model that was trained on patients, or from none"))
    return Fit(tuple(sorted(found, key=lambda reason: -SEVERITY[reason.severity])))


def _reasons(record: Mapping[str, Any], plan: Plan, scan: ScanFacts) -> Iterator[FitReason]:
    training = TrainingScans.from_record(record)
    comparable = [*channel_checks.modality(plan, scan), *channel_checks.channels(plan, scan)]
    yield from comparable
    yield from origin_checks.origin(record, scan)
    yield from size_checks.spacing(plan, training, scan)
    yield from size_checks.field_of_view(plan, training, scan)
    yield from size_checks.obliquity(scan)
    if training is None:
        yield _NOT_COMPARED
    elif not any(reason.severity == "does not fit" for reason in comparable):
        yield from intensity_checks.intensities(plan, training, scan)
