"""What a path holds, as JSON values; nothing that names a patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import ReadError, UsageError

if TYPE_CHECKING:
    from voxtrace.io.dicom import Series
    from voxtrace.volume import LabelMap

UID_DIGITS = 12  # enough to tell series apart, too few to look a patient up


def inspect_path(path: Path) -> dict[str, Any]:
    """Return what a path holds, as JSON values.

    ``kind`` is volume, segmentation, dicom, bundle, ensemble (a folder of folds), trace, ledger or training run.
    """
    from voxtrace.bundle import card, shipped
    from voxtrace.io.integrity import check_regular

    if not path.exists():
        if str(path) in shipped():
            return _bundle(card(str(path)))
        raise UsageError(
            f"{path} does not exist; give a volume, a DICOM folder, a bundle, a trace or a ledger's folder."
        )
    check_regular(path)
    return _file(path) if path.is_file() else _folder(path)


def _folder(path: Path) -> dict[str, Any]:
    from voxtrace.batch.ledger import NAME, Ledger
    from voxtrace.bundle import JSON, card
    from voxtrace.cli.inspect_folds import fold_facts
    from voxtrace.cli.inspect_trace import inspect_trace
    from voxtrace.inference.fold_folder import is_fold_folder
    from voxtrace.io.suffixes import is_zarr
    from voxtrace.trace import Trace
    from voxtrace.training.run_state import is_run, run_state

    if (path / JSON).is_file():
        return _bundle(card(path))
    if is_fold_folder(path):
        return fold_facts(path)
    if (path / "trace.json").is_file():
        return inspect_trace(Trace.load(path))
    if (path / NAME).is_file():
        return {"kind": "ledger", **Ledger(path).summary()}
    if is_run(path):
        return run_state(path)
    return _passport(path) if is_zarr(path) else _study(path)


def _bundle(record: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle's record, with a sentence on its steps where they were chosen on held-back cases."""
    from voxtrace.fit.step_choice import step_words

    told = step_words(record)
    return {"kind": "bundle", **record, **({"steps": told} if told else {})}


def _file(path: Path) -> dict[str, Any]:
    from voxtrace.batch.ledger import NAME, Ledger
    from voxtrace.io.child.readers import call
    from voxtrace.io.suffixes import is_archive, is_dicomdir

    if path.name == NAME:
        return {"kind": "ledger", **Ledger(path.parent).summary()}
    if is_archive(path):
        # in a reader process: what is unpacked goes with it, however the program ends
        found: dict[str, Any] = call(f"{__name__}:inspect_archive", (path,), [path])
        return found
    return _study(path.resolve().parent) if is_dicomdir(path) else _passport(path)


def inspect_archive(path: Path) -> dict[str, Any]:
    """Return what the one scan or study in an archive holds, as JSON values, unpacked in the process at hand.

    Raises
    ------
    ReadError
        When the archive is refused, or what is in it cannot be read.
    """
    from voxtrace.io.described import opened
    from voxtrace.io.suffixes import is_zarr, stem_of

    with opened(path) as inside:
        found = _study(inside) if inside.is_dir() and not is_zarr(inside) else _passport(inside)
    return {**found, "name": stem_of(path)} if "name" in found else found


def _passport(path: Path) -> dict[str, Any]:
    from voxtrace.io.child.guarded import count_timepoints, is_seg, label_names, read, read_seg

    if is_seg(path):
        return _label_map(read_seg(path))
    frames = count_timepoints(path)
    volume = read(path, 0 if frames > 1 else None)
    names = label_names(path)
    geometry = volume.geometry
    grid = geometry.grid
    return {
        "kind": "volume",
        "name": volume.name,
        "modality": volume.modality,
        "channels": int(volume.data.shape[0]),
        **({"frames": frames} if frames > 1 else {}),
        **({"labels": {str(value): name for value, name in names.items()}} if names else {}),
        "shape": list(geometry.shape),
        "spacing_mm": list(geometry.spacing_mm),
        "origin_mm": list(geometry.origin_mm),
        "size_mm": [n * mm for n, mm in zip(geometry.shape, geometry.spacing_mm, strict=True)],
        "orientation": grid.axis_codes,
        "obliquity_deg": geometry.obliquity_deg,
        "dtype": str(volume.data.dtype),
        "range": [float(volume.data.min()), float(volume.data.max())],
        "mean": float(np.mean(volume.data, dtype=np.float64)),
        "stored": {"size": list(grid.size), "spacing_mm": list(grid.spacing_mm), "origin_mm": list(grid.origin_mm)},
        "notes": list(volume.notes),
        "passport": volume.passport.as_json(),
    }


def _label_map(labels: LabelMap) -> dict[str, Any]:
    """Return what a DICOM-SEG holds."""
    geometry = labels.geometry
    return {
        "kind": "segmentation",
        "name": labels.name,
        "labels": {str(value): name for value, name in labels.names.items()},
        "shape": list(geometry.shape),
        "spacing_mm": list(geometry.spacing_mm),
        "origin_mm": list(geometry.origin_mm),
        "orientation": geometry.grid.axis_codes,
        "obliquity_deg": geometry.obliquity_deg,
    }


def _study(folder: Path) -> dict[str, Any]:
    from voxtrace.io.child.guarded import find_series

    series = find_series(folder)
    if not series:
        raise ReadError(
            f"folder {folder} holds no DICOM, bundle, trace or ledger; give one of these, or a volume file."
        )
    return {"kind": "dicom", "series": [_series(one, folder) for one in series]}


def _series(series: Series, folder: Path) -> dict[str, Any]:
    return {
        "name": series.name,
        "uid_end": series.uid[-UID_DIGITS:],
        "number": series.number,
        "modality": series.modality,
        "description": series.description,
        "images": series.images,
        "rows": series.rows,
        "columns": series.columns,
        "pixel_spacing_mm": list(series.pixel_spacing_mm),
        "slice_distance_mm": series.slice_distance_mm,
        "orientation": series.orientation,
        "usable": series.usable,
        "first_file": str(series.first.path.relative_to(folder)),
        "passport": series.passport.as_json(),
    }
