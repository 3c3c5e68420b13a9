"""``voxtrace export``: a label map in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED, error_message
from voxtrace.cli.output import echo, print_json, print_line, reserve_stdout_for_json
from voxtrace.errors import UsageError, VoxTraceError
from voxtrace.io.formats import WRITTEN, endings, written_ending, written_format

if TYPE_CHECKING:
    from voxtrace.io.export import ExportOptions
    from voxtrace.volume import LabelMap

_ENDINGS = ", ".join(endings(WRITTEN))


def export(
    labels: Annotated[Path, typer.Argument(help="A label map: NIfTI, NRRD, MetaImage or DICOM-SEG.")],
    out: Annotated[
        list[Path],
        typer.Argument(
            help=f"Files to write; the ending of the name chooses the format: {_ENDINGS} (.dcm is DICOM-SEG)."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(help="Folder of the DICOM images that were segmented, or one file of their series."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="The scan, on the label map's grid, for mean and percentiles in the table.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="STL: a file NAME.<label>.stl for each label.")] = False,
    smooth_mm: Annotated[
        float, typer.Option(min=0.0, help="Smooth surfaces with a Gaussian of this standard deviation in mm.")
    ] = 0.0,
    manual: Annotated[
        bool, typer.Option("--manual", help="Record in DICOM that a person drew the labels, not a program.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export a label map: DICOM-SEG, RTSTRUCT, 3D Slicer's .seg.nrrd, surfaces in mm, a table of each label.

    Every file is read back and compared before it takes its name. DICOM-SEG and RTSTRUCT carry the patient's entries
    of the source images, as DICOM demands.
    """
    from voxtrace import io
    from voxtrace.io.export import ExportOptions

    with reserve_stdout_for_json(as_json):
        _check_names(out, each)
        scan = io.read(image) if image is not None else None
        label_map = _opened(labels)
        options = ExportOptions(source, scan, each, smooth_mm, manual)
        whole = ExportOptions(source, scan, False, smooth_mm, manual)
        records = [_one(label_map, path, options if _splits_labels(path) else whole) for path in out]
    if as_json:
        print_json({"labels": str(labels), "written": records})
    _report(records, as_json=as_json)


def _check_names(out: list[Path], each: bool) -> None:
    for path in out:
        if written_format(path) is None:
            raise UsageError(f"{path} names no format; expected a name ending in {_ENDINGS}.")
    if each and not any(_splits_labels(path) for path in out):
        raise UsageError("--each writes STL files, and none is asked for; add a name ending in .stl.")
    if len(set(out)) < len(out):
        raise UsageError("the same file is named twice; give each export a name of its own.")


def _splits_labels(path: Path) -> bool:
    chosen = written_format(path)
    return chosen is not None and chosen.splits_labels


def _opened(path: Path) -> LabelMap:
    from voxtrace import io
    from voxtrace.io.export import is_seg, read_seg

    return read_seg(path) if is_seg(path) else io.read_labels(path)


def _one(labels: LabelMap, path: Path, options: ExportOptions) -> dict[str, Any]:
    from voxtrace.io.export import export_all

    record: dict[str, Any] = {"format": written_ending(path), "paths": [], "notes": []}
    try:
        written = export_all(labels, path, options)
    except VoxTraceError as error:
        return {**record, "asked": str(path), "error": error_message(error)}
    return {**record, "paths": [str(p) for p in written.paths], "notes": list(written.notes)}


def _report(records: list[dict[str, Any]], *, as_json: bool) -> None:
    for record in records:
        for path in record["paths"]:
            if not as_json:
                print_line(path)
        for note in record["notes"]:
            echo(f"note: {note}")
    failed = [record for record in records if "error" in record]
    if not failed:
        return
    for record in failed:
        echo(f"voxtrace: {record['error']}")
    raise typer.Exit(SOME_FAILED if len(failed) < len(records) else NOTHING_DONE)
