"""``voxtrace export``: a label map in the formats of other programs."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED, error_message
from voxtrace.cli.exported import Exported
from voxtrace.cli.output import echo, print_json, print_line, reserve_stdout_for_json
from voxtrace.errors import UsageError, VoxTraceError
from voxtrace.io.formats import MAPS, WRITTEN, endings, written_ending, written_format

if TYPE_CHECKING:
    from voxtrace.io.export import ExportOptions

_ENDINGS = ", ".join(endings((*WRITTEN, *MAPS)))


class NgffChoice(StrEnum):
    """Versions of OME-Zarr."""

    ZARR2 = "0.4"
    ZARR3 = "0.5"


class SegChoice(StrEnum):
    """How DICOM-SEG stores labels."""

    BINARY = "binary"
    LABELMAP = "labelmap"


GivenLabels = Annotated[
    Path,
    typer.Argument(
        help="A label map (NIfTI, NRRD, DICOM-SEG, RTSTRUCT …), a trace, or a folder of DICOM images to be stored as a "
        "volume."
    ),
]
TheirScan = Annotated[
    Path | None,
    typer.Option(
        help="The scan, on the label map's grid: for figures in the table; OME-Zarr stores it with the labels."
    ),
]
NgffVersion = Annotated[
    NgffChoice, typer.Option(help="Version of OME-Zarr: 0.4, for every viewer, or 0.5, which is zarr 3.")
]


def export(
    labels: GivenLabels,
    out: Annotated[
        list[Path],
        typer.Argument(
            help=f"Files to write; the ending of the name chooses the format: {_ENDINGS} (.dcm is DICOM-SEG, .map.dcm "
            "a parametric map of a volume). Of a trace also a new folder, for every step as DICOM."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Folder of the DICOM images that were segmented, or one file of their series."),
    ] = None,
    image: TheirScan = None,
    each: Annotated[bool, typer.Option("--each", help="STL: a file NAME.<label>.stl for each label.")] = False,
    smooth_mm: Annotated[
        float, typer.Option(min=0.0, help="Smooth surfaces with a Gaussian of this standard deviation in mm.")
    ] = 0.0,
    manual: Annotated[
        bool, typer.Option("--manual", help="Record in DICOM that a person drew the labels, not a program.")
    ] = False,
    seg: Annotated[
        SegChoice,
        typer.Option(help="DICOM-SEG: binary, for every viewer, or labelmap (DICOM 2024), a fraction of the size."),
    ] = SegChoice.BINARY,
    trace: Annotated[
        Path | None,
        typer.Option(help="The trace of the labels: DICOM records its bundle, method, steps and cost."),
    ] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Trace into a folder: also the scalar maps of the last step.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="RTSTRUCT: take this region alone; may be given several times.")
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of a parametric map, e.g. mm; DICOM records it.")] = "",
    ngff: NgffVersion = NgffChoice.ZARR2,
    as_json: AsJson = False,
) -> None:
    """Export a label map: DICOM-SEG, RTSTRUCT, 3D Slicer's .seg.nrrd, surfaces in mm, a table of each label.

    Files are read back and compared before they take their names. DICOM carries the patient's entries of the images.
    """
    from voxtrace.io.child.guarded import read
    from voxtrace.io.export import ExportOptions

    with reserve_stdout_for_json(as_json):
        item = Exported(labels, source, tuple(only or ()), trace)
        _check_names(out, each, of_trace=item.is_trace)
        item.open_for(out)
        scan = read(image) if image is not None else None
        options = ExportOptions(
            source, scan, each, smooth_mm, manual, False, "", seg.value, item.algorithm, unit=unit, ngff=ngff.value
        )
        records = [_one(item, path, options, maps=maps) for path in out]
    if as_json:
        print_json({"labels": str(labels), "note": item.note, "written": records})
    _report(records, item.note, as_json=as_json)


def _check_names(out: list[Path], each: bool, *, of_trace: bool) -> None:
    for path in out:
        if written_format(path) is None and not (of_trace and not path.suffix):
            folder = ", or for every step a folder's name without a dot" if of_trace else ""
            raise UsageError(f"{path} names no format; expected a name ending in {_ENDINGS}{folder}.")
    if each and not any(_splits_labels(path) for path in out):
        raise UsageError("--each writes STL files, and none is asked for; add a name ending in .stl.")
    if len(set(out)) < len(out):
        raise UsageError("the same file is named twice; give each export a name of its own.")


def _splits_labels(path: Path) -> bool:
    chosen = written_format(path)
    return chosen is not None and chosen.splits_labels


def _one(item: Exported, path: Path, options: ExportOptions, *, maps: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"format": written_ending(path), "paths": [], "notes": []}
    if not _splits_labels(path):
        options = replace(options, each=False)
    try:
        written = item.write(path, options, maps=maps)
    except VoxTraceError as error:
        return {**record, "asked": str(path), "error": error_message(error)}
    return {**record, "paths": [str(p) for p in written.paths], "notes": list(written.notes)}


def _report(records: list[dict[str, Any]], warning: str, *, as_json: bool) -> None:
    if warning:
        echo(f"note: {warning}")
    for record in records:
        for path in record["paths"]:
            if not as_json:
                print_line(path)
        for line in record["notes"]:
            echo(f"note: {line}")
    failed = [record for record in records if "error" in record]
    if not failed:
        return
    for record in failed:
        echo(f"voxtrace: {record['error']}")
    raise typer.Exit(SOME_FAILED if len(failed) < len(records) else NOTHING_DONE)
