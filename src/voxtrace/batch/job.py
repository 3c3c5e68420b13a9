"""A job: what to predict, how, and where to; and what of it is done already."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxtrace.batch.cases import CaseInput
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle


@dataclass(frozen=True)
class Options:
    """How to predict; each is an argument of ``voxtrace.predict`` of the same name."""

    steps: int | None = None
    keep: Literal["last", "labels", "all"] = "labels"
    runtime: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    mirror: bool | None = None
    overlap: float | None = None
    batch: int | None = None
    settle: float | None = None
    region: Literal["body", "all"] = "body"
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """What to predict, with what, and where to.

    Attributes
    ----------
    bundles
        The trained models whose answers are averaged, most often one; loaded once for all cases.
    cases
        The cases, each with a name of its own.
    out
        Folder for ``<case><suffix>``, ``<case>.trace`` and the ledger.
    options
        How to predict.
    suffix
        Format of the label maps, e.g. ``.nii.gz``.
    resume
        Pass over cases that the ledger calls done with the same bundle and options.
    overwrite
        Replace outputs that are there already.
    """

    bundles: tuple[Bundle, ...]
    cases: tuple[CaseInput, ...]
    out: Path
    options: Options = field(default_factory=Options)
    suffix: str = ".nii.gz"
    resume: bool = False
    overwrite: bool = False

    @property
    def bundle_name(self) -> str:
        """Names of the bundles."""
        return " + ".join(bundle.name for bundle in self.bundles)

    def labels_path(self, case: CaseInput) -> Path:
        """Return where the label map of a case goes."""
        return self.out / f"{case.name}{self.suffix}"

    def trace_path(self, case: CaseInput) -> Path:
        """Return where the trace of a case goes."""
        return self.out / f"{case.name}.trace"

    def entry(self) -> Entry:
        """Return the ledger's entry of a case that starts, without the case's name."""
        options = {**asdict(self.options), "suffix": self.suffix}
        digest = "+".join(bundle.digest for bundle in self.bundles)
        return Entry("", "started", bundle=self.bundle_name, bundle_digest=digest, options=options)

    def written(self, case: CaseInput) -> tuple[Path, ...]:
        """Return those outputs of a case that exist."""
        return tuple(p for p in (self.labels_path(case), self.trace_path(case)) if p.exists())


def already_done(job: Job) -> set[CaseInput]:
    """Return the cases to pass over.

    Raises
    ------
    UsageError
        When the job would write among its inputs, or replace outputs that it may not replace.
    """
    _refuse_input_folder(job)
    latest, template = Ledger(job.out).latest() if job.resume else {}, job.entry()
    done: set[CaseInput] = set()
    for case in job.cases:
        last, written = latest.get(case.name), job.written(case)
        if last and last.status == "done" and last.made_like(template) and _is_fresh(case, written):
            done.add(case)
        elif written and not job.overwrite and not (last and (last.status != "done" or last.made_like(template))):
            raise UsageError(
                f"{written[0]} is there already and comes from elsewhere or from other options; "
                "resume to go on with the same ones, overwrite to replace it, or choose another folder."
            )
    return done


def _refuse_input_folder(job: Job) -> None:
    folders = {path.resolve().parent for case in job.cases for path in case.paths}
    folders |= {path.resolve() for case in job.cases for path in case.paths if path.is_dir()}
    if job.out.resolve() in folders:
        raise UsageError(f"the output folder {job.out} is where the inputs lie; choose another folder.")


def _is_fresh(case: CaseInput, written: tuple[Path, ...]) -> bool:
    """Tell whether both outputs exist and no input is newer."""
    newest = max(path.stat().st_mtime for path in case.paths)
    return len(written) == 2 and all(path.stat().st_mtime >= newest for path in written)
