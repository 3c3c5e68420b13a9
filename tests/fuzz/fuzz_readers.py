"""What the program does with an input of each kind, from the file to the numbers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

Reader = Callable[[], object]


def readers(kind: str, folder: Path) -> Iterator[tuple[str, Reader]]:
    """Yield a name and a function for everything that may be done with the files of a kind."""
    yield from _READERS[kind](folder)


def _inspected(path: Path) -> Reader:
    from voxtrace.cli.inspect_path import inspect_path

    return lambda: json.dumps(inspect_path(path), allow_nan=False)


def _check(volume: object) -> None:
    """Fail where what was read is no volume on a grid."""
    data, geometry = volume.data, volume.geometry  # type: ignore[attr-defined]
    assert np.isfinite(data).all()
    assert np.isfinite(geometry.affine).all()
    assert min(geometry.spacing_mm) > 0


def _volume(folder: Path) -> Iterator[tuple[str, Reader]]:
    import voxtrace
    from voxtrace.io import count_timepoints, label_names

    path = next((p for end in (".mhd", ".nhdr", ".hdr", "") for p in sorted(folder.glob(f"a*{end}"))), folder / "a")
    yield "inspect", _inspected(path)
    yield "read", lambda: _check(voxtrace.read(path))
    yield "read frame", lambda: _check(voxtrace.read(path, max(0, count_timepoints(path) - 1)))
    yield "labels", lambda: _check(voxtrace.read_labels(path))
    yield "names", lambda: label_names(path)


def _study(folder: Path) -> Iterator[tuple[str, Reader]]:
    import voxtrace
    from voxtrace.batch.cases import find_cases

    yield "inspect", _inspected(folder)
    yield "read", lambda: _check(voxtrace.read(folder))
    yield "read file", lambda: _check(voxtrace.read(min(folder.iterdir(), default=folder / "IM0000")))
    yield "cases", lambda: find_cases([folder])
    yield "study", lambda: _check(voxtrace.io.read_study(folder, ["a", "b"]))


def _derived(folder: Path) -> Iterator[tuple[str, Reader]]:
    import voxtrace

    for path in sorted((folder / "derived").iterdir()):
        yield f"labels {path.name}", lambda path=path: _check(voxtrace.read_labels(path))  # type: ignore[misc]
        yield f"inspect {path.name}", _inspected(path)
        yield f"read {path.name}", lambda path=path: _check(voxtrace.read(path))  # type: ignore[misc]
    yield "inspect all", _inspected(folder)


def _export(folder: Path) -> Iterator[tuple[str, Reader]]:
    import voxtrace
    from voxtrace.io.export import ExportOptions, export_all

    def exported() -> None:
        volume = voxtrace.read(folder / "images")
        labels = voxtrace.LabelMap(np.ones(volume.geometry.shape, np.uint8), volume.geometry, {1: "liver"})
        export_all(labels, folder / "again.seg.dcm", ExportOptions(source=folder / "images"))

    yield "export", exported


def _bundle(folder: Path) -> Iterator[tuple[str, Reader]]:
    import voxtrace
    from voxtrace.bundle import card, verify
    from voxtrace.volume import Geometry, Volume

    path = folder / "bundle"
    yield "card", lambda: card(path)
    yield "inspect", _inspected(path)
    yield "verify", lambda: verify(path)

    def predicted() -> None:
        bundle = voxtrace.load(path)
        shape = (6, 8, 8)
        data = np.random.default_rng(0).normal(0, 1, (bundle.plan.n_channels, *shape)).astype(np.float32)
        scan = Volume(data, Geometry.from_spacing(shape, bundle.plan.spacing_mm))
        _check(voxtrace.predict(bundle, scan, runtime="torch", device="cpu", precision="float32").labels)

    yield "predict", predicted
    yield "told", lambda: _told(card(path))


def _told(record: Mapping[str, Any]) -> None:
    """Read all that a record of a bundle says of its cases."""
    from voxtrace.fit import estimate, expected_dice, facts_of, familiarity, fit, interval_ml, measured_lines
    from voxtrace.volume import Geometry, Volume

    facts = facts_of(Volume(np.zeros((1, 6, 8, 8), np.float32), Geometry.from_spacing((6, 8, 8), (2.0, 1.0, 1.0))))
    fit(record, facts)
    estimate(record, facts)
    list(measured_lines(record))
    interval_ml(record, 1, 10.0)
    familiarity(record, {"entropy": 0.1, "changed_fraction": 0.1})
    expected_dice(record, {"entropy": 0.1, "changed_fraction": 0.1})


def _trace(folder: Path) -> Iterator[tuple[str, Reader]]:
    from voxtrace.trace import Trace, agreement
    from voxtrace.trace.edits import load_edits, read_edits

    path = folder / "a.trace"

    def everything() -> None:
        trace = Trace.load(path)
        arrays = [trace.labels, trace.settled, *trace.extras.values(), *trace.maps.values(), *trace.members.values()]
        for array in arrays:
            np.asarray(array[:])
        trace.summary()
        trace.settled_at()
        trace.label_areas()
        trace.boxes()

    yield "inspect", _inspected(path)
    yield "load", everything
    yield "save", lambda: Trace.load(path).save(folder / "b.trace")
    yield "agreement", lambda: agreement(Trace.load(path), 0)
    yield "edits", lambda: load_edits(path)
    yield "edited labels", lambda: read_edits(path)


def _ledger(folder: Path) -> Iterator[tuple[str, Reader]]:
    from voxtrace.batch.ledger import Entry, Ledger

    yield "inspect", lambda: json.dumps(_document(folder))
    yield "latest", lambda: [one.same_settings(one) for one in Ledger(folder).latest().values()]
    yield "append", lambda: Ledger(folder).append(Entry("new", "started"))


def _document(folder: Path) -> object:
    from voxtrace.cli.inspect_path import inspect_path

    return inspect_path(folder / "ledger.jsonl")


def _dataset(folder: Path) -> Iterator[tuple[str, Reader]]:
    from voxtrace.cli.label_names import names_for
    from voxtrace.training import fold, open_dataset

    yield "open", lambda: [case.load() for case in open_dataset(folder).files]
    yield "folds", lambda: [fold(opened, n) for opened in [open_dataset(folder)] for n in range(len(opened.folds))]
    yield "names", lambda: names_for(None, folder / "labelsTr")
    yield "add", lambda: _added(folder)


def _added(folder: Path) -> None:
    from voxtrace.training import add_case

    add_case._add_to_splits(folder, folder, "new", {"new": "new"})


def _run(folder: Path) -> Iterator[tuple[str, Reader]]:
    import cases
    from voxtrace.training.checkpoint import load_checkpoint
    from voxtrace.training.events import EventLog, read_events, scalars
    from voxtrace.training.finish import clear_finished
    from voxtrace.training.kept import BestWeights
    from voxtrace.training.preprocessed import preprocess_cases
    from voxtrace.training.run_record import open_record

    def preprocessed() -> None:
        for case in preprocess_cases([cases.ball(0)], cases.small_plan(), folder / "cases", 0):
            assert case.scan is not None
            assert dict(case.scores) is not None
            for array in (case.image, case.labels, case.foreground):
                np.asarray(array).sum()

    yield "checkpoint", lambda: load_checkpoint(folder)
    yield "run", lambda: open_record(folder, {"method": {"name": "unet"}, "seed": 0}, {})
    yield "preprocessed", preprocessed
    yield "best", lambda: BestWeights(folder).load()
    yield "events", lambda: [list(scalars(event)) for event in read_events(folder / "events.jsonl")]
    yield "rewind", lambda: EventLog(folder / "events.jsonl").rewind(1)
    yield "clear", lambda: clear_finished(folder / "bundle", folder)


def _nnunet(folder: Path) -> Iterator[tuple[str, Reader]]:
    from voxtrace.nnunet import import_model

    yield "import", lambda: import_model(folder / "model", folder / "bundle")


def _remembered(folder: Path) -> Iterator[tuple[str, Reader]]:
    from voxtrace.batch import run_lock
    from voxtrace.fit import machine_speed
    from voxtrace.kernels import switches
    from voxtrace.kernels.sparse.measured_choice import MeasuredChoices
    from voxtrace.plugin.models.settings import JsonSettingsStore, preferences_from
    from voxtrace.runtime.arithmetic import verdicts

    def runs() -> None:
        with mock.patch.object(machine_speed, "speed_file", return_value=folder / "speed.json"):
            for run in machine_speed.measured_runs():
                run.seconds(3, 1000)
            machine_speed.remember(machine_speed.MeasuredRun("cd", "cpu", "torch", "float32", 1.0, 1e-6, 0.5))

    def switched() -> None:
        with mock.patch.object(switches, "user_file", return_value=folder / "kernels.json"):
            switches.disabled()

    def locked() -> None:
        with (folder / "lock").open("rb") as file:
            run_lock._cases(run_lock._content(file))
            run_lock._busy(folder, run_lock._content(file))

    yield "speeds", runs
    yield "kernels", switched
    yield "choices", lambda: MeasuredChoices(folder / "choices.json")
    yield "verdicts", lambda: verdicts._read(folder / "verdicts.json", {"edition": 1})
    yield "settings", lambda: preferences_from(JsonSettingsStore(folder / "settings.json").read())
    yield "lock", locked


def emptied(folder: Path) -> None:
    """Remove what an input and its readers wrote."""
    shutil.rmtree(folder, ignore_errors=True)


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Reader]]]] = {
    **dict.fromkeys(("nifti", "nrrd", "metaimage", "foreign", "archive", "omezarr"), _volume),
    "dicom": _study,
    "derived": _derived,
    "export": _export,
    "bundle": _bundle,
    "trace": _trace,
    "ledger": _ledger,
    "dataset": _dataset,
    "run": _run,
    "nnunet": _nnunet,
    "remembered": _remembered,
}
