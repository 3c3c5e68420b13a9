"""Preflight: read every case as a prediction would, and say which will fail, before hours are spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from voxtrace.batch.cases import CaseInput
from voxtrace.batch.privacy import hide_names
from voxtrace.errors import Cancelled, InputError, VoxTraceError
from voxtrace.volume import Volume

Outlook = Literal["will run", "check", "does not fit", "will fail"]


@dataclass(frozen=True)
class PreflightCase:
    """What is to be expected of a case.

    Attributes
    ----------
    case
        Its name.
    outlook
        ``will run``; ``check`` or ``does not fit`` where it runs and the model's verdict on the scan is that;
        ``will fail`` where it cannot be read, or is not what the model takes.
    why
        In a sentence; ``""`` where it will run.
    """

    case: str
    outlook: Outlook
    why: str = ""


def preflight(cases: Sequence[CaseInput], record: Mapping[str, Any] | None = None) -> Iterator[PreflightCase]:
    """Yield the outlook of each case, one after another; ``record`` is the card of the bundle that they are for.

    Every voxel is read, since a file may end early. What is not looked at: memory, the disk, and the network itself.
    """
    for case in cases:
        try:
            yield _outlook(case, case.read(), record)
        except Cancelled:
            raise
        except Exception as error:  # a stranger's file fails in any way, and a prediction of it, too
            text = " ".join(str(error).split())
            told = text if isinstance(error, VoxTraceError) else f"unexpected {type(error).__name__}: {text}"
            yield PreflightCase(case.name, "will fail", hide_names(told, case))


def _outlook(case: CaseInput, volume: Volume, record: Mapping[str, Any] | None) -> PreflightCase:
    if record is None:
        return PreflightCase(case.name, "will run")
    from voxtrace.fit import fit

    expected, given = record["plan"]["channels"], int(volume.data.shape[0])
    if given != len(expected):
        raise InputError(
            f"it has {given} channel{'' if given == 1 else 's'}, the bundle expects {len(expected)} "
            f"({', '.join(expected)}); give one file for each channel."
        )
    found = fit(record, volume)
    if found.verdict == "fits":
        return PreflightCase(case.name, "will run")
    return PreflightCase(case.name, found.verdict, found.sentence)
