"""``voxtrace export``: a label map in the formats that other programs ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED, sentence
from voxtrace.cli.output import echo, print_json, stdout_kept_for_json
from voxtrace.errors import UsageError, VoxTraceError

if TYPE_CHECKING:
    from voxtrace.io.export import Options
    from voxtrace.volume import LabelMap


def export(
    labels: Annotated[Path, typer.Argument(help="A label map: NIfTI, NRRD, MetaImage or DICOM-SEG.")],
    out: Annotated[
        list[Path],
        typer.Argument(
            help="Files to write; the name's end chooses the format: .seg.nrrd, .rtstruct.dcm, .dcm (DICOM-SEG), "
            ".stl, .ply, .obj, .csv, .json, or .nii.gz, .nii, .nrrd, .mha, .mhd."
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
    from voxtrace.io.export import Options

    with stdout_kept_for_json(as_json):
        _check_names(out, each)
        scan = io.read(image) if image is not None else None
        label_map = _opened(labels)
        options = Options(source, scan, each, smooth_mm, manual)
        only_stl = Options(source, scan, False, smooth_mm, manual)
        records = [_one(label_map, path, options if path.suffix.lower() == ".stl" else only_stl) for path in out]
    if as_json:
        print_json({"labels": str(labels), "written": records})
    _report(records, as_json=as_json)


def _check_names(out: list[Path], each: bool) -> None:
    from voxtrace.io import SUFFIXES
    from voxtrace.io.export import ENDINGS, is_export
    from voxtrace.io.suffixes import suffix_of

    for path in out:
        if not is_export(path) and not suffix_of(path):
            known = ", ".join((*ENDINGS, *SUFFIXES))
            raise UsageError(f"{path} names no format; expected a name ending in {known}.")
    if each and not any(path.suffix.lower() == ".stl" for path in out):
        raise UsageError("--each writes STL files, and none is asked for; add a name ending in .stl.")
    if len(set(out)) < len(out):
        raise UsageError("the same file is named twice; give each export a name of its own.")


def _opened(path: Path) -> LabelMap:
    from voxtrace import io
    from voxtrace.io.export import is_seg, read_seg

    return read_seg(path) if is_seg(path) else io.read_labels(path)


def _one(labels: LabelMap, path: Path, options: Options) -> dict[str, Any]:
    from voxtrace import io
    from voxtrace.io.export import Written, ending_of, export_all, is_export
    from voxtrace.io.suffixes import suffix_of

    record: dict[str, Any] = {"format": ending_of(path) or suffix_of(path), "paths": [], "notes": []}
    try:
        written = export_all(labels, path, options) if is_export(path) else Written((io.write(labels, path),))
    except VoxTraceError as error:
        return {**record, "asked": str(path), "error": sentence(error)}
    return {**record, "paths": [str(p) for p in written.paths], "notes": list(written.notes)}


def _report(records: list[dict[str, Any]], *, as_json: bool) -> None:
    for record in records:
        for path in record["paths"]:
            if not as_json:
                typer.echo(path)
        for note in record["notes"]:
            echo(f"note: {note}")
    failed = [record for record in records if "error" in record]
    if not failed:
        return
    for record in failed:
        echo(f"voxtrace: {record['error']}")
    raise typer.Exit(SOME_FAILED if len(failed) < len(records) else NOTHING_DONE)
