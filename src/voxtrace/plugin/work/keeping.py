"""Keep what is on screen: everything of a result in one folder, or a case of a training set."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import Cancelled, OutputError
from voxtrace.io.dicom import DicomGrid, open_dicom
from voxtrace.io.export import ExportOptions, export_all
from voxtrace.io.export.report import Report, html, write_html
from voxtrace.io.export.table import measure
from voxtrace.plugin.layers.display import LabelSource
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.bundles import match_channels
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.models.provenance import ShownLabels, description, record, write_record
from voxtrace.plugin.models.trust import interval_of
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.saving import OpenScan, algorithm_of, image_of, labels_to_save, layer_source
from voxtrace.trace import Trace
from voxtrace.trace.edits import save_edits
from voxtrace.training.add_case import AddedCase, NewCase, add_case
from voxtrace.training.dataset_listing import read_listing
from voxtrace.volume import LabelMap, Volume

PrintPdf = Callable[[str, Path, str], Path]


@dataclass(frozen=True, eq=False)
class LabelsOnScreen:
    """The labels of a layer that are on screen, and the open scans."""

    data: Any
    attributes: Mapping[str, Any]
    scans: Sequence[OpenScan]
    shown: ShownLabels
    record: Mapping[str, Any] = field(default_factory=dict)  # of the model, for intervals; empty where not known

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.attributes.get("name", "labels"))

    @property
    def source(self) -> LabelSource | None:
        """The source of a layer that VoxTrace made."""
        return layer_source(self.attributes)


def saving_everything(
    folder: Path, on_screen: LabelsOnScreen, with_patient: bool, print_pdf: PrintPdf, cancel: Cancel
) -> Generator[JobStage, None, Path]:
    """Write label map, trace, table, DICOM-SEG where the scan is DICOM, provenance and report into a new folder.

    The folder appears whole or not at all. Patient's name and id stand in the report only with ``with_patient``; DICOM
    demands them in the segmentation.

    Raises
    ------
    OutputError
        The labels' position is unknown, the folder is there already, or the system refuses.
    Cancelled
        It was asked to stop; nothing is left.
    """
    if folder.exists():
        raise OutputError(f"{folder} is there already. Choose another name.")
    yield JobStage("Reading the labels …", 0, 5)
    labels, scan = _labels(on_screen)
    source, image = on_screen.source, image_of(labels.geometry, scan, None, on_screen.scans)
    with atomic_folder(folder, replace=False) as temporary:
        yield _stage("Saving the label map …", 1, cancel)
        _write_labels(temporary, labels, image, on_screen)
        yield _stage("Saving the trace …", 2, cancel)
        if source is not None and source.trace is not None:
            _write_trace(temporary / "result.trace", _named(source.trace, with_patient), on_screen.data)
        yield _stage("Writing the report …", 3, cancel)
        report = report_of(labels, image, on_screen, with_patient)
        write_html(report, temporary / "report.html")
        print_pdf(html(report), temporary / "report.pdf", report.title)
        yield _stage("Finishing …", 4, cancel)
        names = tuple(sorted(path.name for path in temporary.iterdir()))
        write_record(temporary / "provenance.json", record(on_screen.shown, source, "labels", names))
    return folder


def adding_case(
    folder: Path, name: str, replace_case: bool, on_screen: LabelsOnScreen, cancel: Cancel
) -> Generator[JobStage, None, AddedCase]:
    """Add the labels on screen and their scan to a dataset, as a job for a thread.

    Raises
    ------
    DatasetError, GeometryError, OutputError
        As :func:`voxtrace.training.add_case.add_case`.
    """
    yield JobStage(f"Adding {name} to {folder.name} …")
    labels, scan = _labels(on_screen)
    values = record(on_screen.shown, on_screen.source, on_screen.name)
    channels = tuple(str(one) for one in on_screen.record.get("plan", {}).get("channels", ()))
    case = NewCase(name, _volumes(folder, labels, scan, on_screen.scans), labels, values, channels)
    return add_case(folder, case, replace_case=replace_case)


def report_of(labels: LabelMap, image: Volume | None, on_screen: LabelsOnScreen, with_patient: bool) -> Report:
    """Return what the report of labels tells."""
    source, shown = on_screen.source, on_screen.shown
    trace = source.trace if source is not None else None
    demonstration = trace is not None and trace.provenance.demonstration
    rows, interval = measure(labels, image), interval_of(on_screen.record if _is_answer(on_screen) else {})
    return Report(
        title=_title(labels, image, with_patient),
        labels=labels,
        rows=rows,
        scan=image,
        shown=shown.words,
        intervals_ml={row.label: found for row in rows if (found := interval(row.label, row.volume_ml)) is not None},
        facts=_facts(trace),
        notes=[finding.sentence for finding in image.passport.findings] if image is not None else (),
        edits=[edit.sentence for edit in shown.edits],
        warning=_DEMONSTRATION if demonstration else "",
        patient=_patient(labels) if with_patient else {},
    )


_DEMONSTRATION = "Demonstration model: it was trained on made-up scans alone. Its labels are no findings."


def _labels(on_screen: LabelsOnScreen) -> tuple[LabelMap, str]:
    """Return the one label map on screen, and the id of its scan."""
    saved = labels_to_save(on_screen.data, on_screen.attributes, on_screen.scans, on_screen.shown)
    if len(saved.labels) != 1:
        raise OutputError(f"{on_screen.name} has labels at several frames; save it with Save as…, a file for each.")
    return next(iter(saved.labels.values())), saved.scan


def _write_labels(folder: Path, labels: LabelMap, image: Volume | None, on_screen: LabelsOnScreen) -> None:
    line, shown = description(on_screen.shown, on_screen.source), on_screen.shown
    manual, made_by = on_screen.source is None, algorithm_of(on_screen.source)
    options = ExportOptions(image=image, manual=manual, edited=shown.is_edited, description=line, algorithm=made_by)
    endings = [".nii.gz", ".csv"]
    stored = labels.geometry.stored
    if isinstance(stored, DicomGrid) and stored.sources and labels.values:
        endings.append(".seg.dcm")
    for ending in endings:
        export_all(labels, folder / f"labels{ending}", options)


def _named(trace: Trace, with_patient: bool) -> Trace:
    """Return a trace that does not name a DICOM scan, which goes by its folder, unless the patient may be named."""
    if with_patient or not isinstance(trace.geometry.stored, DicomGrid):
        return trace
    return replace(trace, provenance=replace(trace.provenance, scan=""))


def _write_trace(folder: Path, trace: Trace, data: Any) -> None:
    trace.save(folder)
    if isinstance(data, StepArray) and data.edited_from is not None:
        edited = data.edited
        assert edited is not None
        save_edits(folder, np.ascontiguousarray(edited[::-1]), data.edits, data.edited_from)


def _volumes(folder: Path, labels: LabelMap, scan: str, scans: Sequence[OpenScan]) -> tuple[Volume, ...]:
    """Return the volumes of a case: that of the labels' scan, or open scans that are the dataset's channels by name."""
    fitting = [one.source.volume for one in scans if one.geometry.is_close(labels.geometry)]
    own = next((one.source.volume for one in scans if one.id == scan), next(iter(fitting), None))
    if own is None:
        return ()
    if not (folder / "dataset.json").is_file():
        return (own,)
    channels = read_listing(folder).channels
    distinct = list({id(volume): volume for volume in fitting}.values())
    if own.data.shape[0] == len(channels) or len(distinct) < len(channels):
        return (own,)
    chosen = match_channels(channels, [volume.name for volume in distinct])
    return tuple(distinct[index] for index in chosen if index is not None)


def _title(labels: LabelMap, image: Volume | None, with_patient: bool) -> str:
    """Return the report's title; a DICOM scan goes by its folder, whose name may be the patient's."""
    if image is None:
        return "Segmentation"
    named = with_patient or not isinstance(labels.geometry.stored, DicomGrid)
    return image.name if named else f"{image.modality or 'Scan'}, segmentation"


def _facts(trace: Trace | None) -> dict[str, str]:
    if trace is None:
        return {}
    made = trace.provenance
    facts = {
        "Method": made.method_title or made.method,
        "Model": made.bundle,
        "Weights, SHA-256": made.weights_sha256,
        "VoxTrace": made.version,
        "Options": _options(made.options),
        "Seed": "" if made.seed is None else str(made.seed),
        "Time": "" if made.seconds is None else f"{made.seconds:.1f} s",
        "Cost": _cost(trace),
        "Steps": str(trace.n_steps),
    }
    return {name: value for name, value in facts.items() if value}


def _options(options: Mapping[str, Any]) -> str:
    """Return options and their values as words, those of the method after the others; what is not set is left out."""
    own = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    nested = [_options(value) for value in options.values() if isinstance(value, Mapping)]
    words = [f"{name.replace('_', ' ')} {value}" for name, value in own.items() if value not in (None, "", False)]
    words = [one.removesuffix(" True") for one in words]
    return ", ".join(filter(None, (*words, *nested)))


def _cost(trace: Trace) -> str:
    """Return what the network computed, where the trace has it in GFLOP for each window and step."""
    costs = [values for name, values in trace.facts.items() if trace.units.get(name) == "GFLOP"]
    return f"{float(sum(np.nansum(values) for values in costs)):,.1f} GFLOP over all windows and steps" if costs else ""


def _is_answer(on_screen: LabelsOnScreen) -> bool:
    """Tell whether the labels are a model's last answer, which its validation is about; not an earlier step."""
    data, shown = on_screen.data, on_screen.shown
    return isinstance(data, StepArray) and shown.station == data.n_steps - 1 and not shown.is_edited


def _patient(labels: LabelMap) -> dict[str, str]:
    """Return the patient's name and id from the labels' DICOM images; nothing where there are none."""
    stored = labels.geometry.stored
    if not isinstance(stored, DicomGrid) or not stored.sources:
        return {}
    header = open_dicom(stored.sources[0].path, tags=["PatientName", "PatientID"])
    return {"Name": str(header.get("PatientName", "")), "ID": str(header.get("PatientID", ""))}


def _stage(text: str, done: int, cancel: Cancel) -> JobStage:
    if cancel():
        raise Cancelled("Stopped; nothing was saved.")
    return JobStage(text, done, 5)
