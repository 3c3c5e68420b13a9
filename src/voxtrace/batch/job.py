"""A prediction job: which cases, with which bundles and options, into which folder; and which of them are done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.batch.cases import CaseInput
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.batch.sources import same_sources
from voxtrace.errors import UsageError
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle

LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".seg.nrrd", ".seg.dcm", ".dcm")


@dataclass(frozen=True)
class PredictJob:
    """Which cases to predict, how, and into which folder.

    Attributes
    ----------
    bundles
        The trained models whose probabilities are averaged, usually one; loaded once for all cases.
    cases
        The cases; their names differ.
    out
        Folder for ``<case><suffix>``, ``<case>.trace`` and the ledger.
    options
        How to predict.
    suffix
        Format of the label maps, e.g. ``.nii.gz``.
    resume
        Skip cases already completed with the same bundle and options, as the ledger records them.
    overwrite
        Replace outputs that exist already.
    """

    bundles: tuple[Bundle, ...]
    cases: tuple[CaseInput, ...]
    out: Path
    options: PredictOptions = KEEP_EVERY_STEP
    suffix: str = ".nii.gz"
    resume: bool = False
    overwrite: bool = False

    @property
    def bundle_name(self) -> str:
        """Names of the bundles."""
        return " + ".join(bundle.name for bundle in self.bundles)

    def labels_path(self, case: CaseInput) -> Path:
        """Return the path of a case's label map."""
        return self.out / f"{case.name}{self.suffix}"

    def trace_path(self, case: CaseInput) -> Path:
        """Return the folder of a case's trace."""
        return self.out / f"{case.name}.trace"

    def output_names(self, others: Iterable[str] = ()) -> set[str]:
        """Return the names of all outputs of the job's cases and of ``others``, in any format."""
        names = {*(case.name for case in self.cases), *others}
        return {name + suffix for name in names for suffix in (*LABEL_SUFFIXES, ".trace")}

    def entry(self) -> Entry:
        """Return the ledger's first entry of a case, with an empty case name."""
        options = {**self.options.to_json(), "suffix": self.suffix}
        # the order counts: steps and card are those of the first bundle
        pooled = dict.fromkeys(bundle.pooled for bundle in self.bundles if bundle.pooled)
        digest = "+".join([*(bundle.digest for bundle in self.bundles), *pooled])
        return Entry("", "started", bundle=self.bundle_name, bundle_digest=digest, options=options)

    def written(self, case: CaseInput) -> tuple[Path, ...]:
        """Return those outputs of a case that exist."""
        return tuple(p for p in (self.labels_path(case), self.trace_path(case)) if _exists(p))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the disk, which its case will tell
        return False


def refuse_input_folder(job: PredictJob) -> None:
    """Refuse an output folder that holds inputs, or links to them."""
    paths = [path for case in job.cases for path in case.paths]
    folders = {folder for path in paths for folder in (path.resolve().parent, path.parent.resolve())}
    folders |= {path.resolve() for path in paths if path.is_dir()}
    if job.out.resolve() in folders:
        raise UsageError(f"the output folder {job.out} holds inputs; choose another folder.")


def already_done(job: PredictJob) -> set[CaseInput]:
    """Return the cases that are complete and need not be predicted again.

    Raises
    ------
    UsageError
        Outputs would be replaced without ``overwrite``.
    """
    latest, template = Ledger(job.out).latest() if job.resume else {}, job.entry()
    done: set[CaseInput] = set()
    for case in job.cases:
        last, written = latest.get(case.name), job.written(case)
        # without --resume the ledger is not read, so nothing is skipped
        if last and last.status == "done" and last.same_settings(template) and _is_fresh(case, written, last):
            done.add(case)
        elif written and not job.overwrite:
            _refuse_to_replace(job, case, written[0], last)
    return done


def _refuse_to_replace(job: PredictJob, case: CaseInput, output: Path, last: Entry | None) -> None:
    """Refuse to replace an output, unless an interrupted case left it, or its input changed since."""
    if last is None or (last.status == "done" and not last.same_settings(job.entry())):
        made = " and comes from another bundle, other options or another program" if job.resume else ""
        raise UsageError(
            f"{output} exists already{made}; use --overwrite to replace it, --resume to skip cases completed "
            "with the same bundle and options, or another folder."
        )
    if last.status == "done" and _is_another_scan(case, last):
        raise UsageError(
            f"{output} exists already and was made from {last.inputs[0]}, not from {case.paths[0]}; use --overwrite "
            "to replace it, or another folder."
        )


def _is_another_scan(case: CaseInput, last: Entry) -> bool:
    """Return whether a case of the same name was read from elsewhere."""
    if case.anonymous or not last.inputs:
        return False
    return [Path(path).resolve() for path in last.inputs] != [path.resolve() for path in case.paths]


def _is_fresh(case: CaseInput, written: tuple[Path, ...], last: Entry) -> bool:
    """Return whether both outputs exist and were made from these files as they are now."""
    if len(written) < 2 or _is_another_scan(case, last):
        return False
    if last.files:
        return last.choice == case.choice() and same_sources(last.files, case)
    return _are_newer(written, case)


def _are_newer(written: tuple[Path, ...], case: CaseInput) -> bool:
    """Return whether no input changed after the outputs were written; entries of earlier versions tell no more."""
    try:
        newest = max(path.stat().st_mtime for path in case.paths)
        return all(path.stat().st_mtime >= newest for path in written)
    except OSError:
        return False
