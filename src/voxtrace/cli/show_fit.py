"""Whether a model fits a scan or a dataset, on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxtrace.cli.output import echo

if TYPE_CHECKING:
    from voxtrace.fit import Fit

SENTENCES = {"check": "the model may not fit; look closely at its answer", "does not fit": "the model does not fit"}


def warn_of_fit(found: Fit, where: str) -> None:
    """Print why a model does not fit, or is to be checked, with remedies; nothing where it fits."""
    if found.verdict == "fits":
        return
    echo(f"{where}: {SENTENCES[found.verdict]}")
    for reason in found.reasons:
        if reason.severity == found.verdict:
            echo(f"  {reason.sentence}" + (f" ({reason.remedy})" if reason.remedy else ""))
