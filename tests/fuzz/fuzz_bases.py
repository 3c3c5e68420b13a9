"""Whole, right files of every format, small and made here: what the fuzzing of `make fuzz` damages.

Everything is drawn by our own phantoms and writers, with identifiers and chance that repeat, so that a number names the
same input on each machine with the same versions.
"""

from __future__ import annotations

import json
import random
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import numpy as np
import pydicom
import SimpleITK
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

import awkward_dicom
import cases
import made_nnunet
import made_traces
import voxtrace
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.bundle import Bundle, save
from voxtrace.io.export import ExportOptions, export_all
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.trace import edits
from voxtrace.training.checkpoint import TrainingCheckpoint, save_checkpoint
from voxtrace.training.events import EventLog
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.training.run_record import open_record, save_record
from voxtrace.volume import Geometry, LabelMap, Volume

METHODS = ("unet", "recyclenet", "meddanet", "cdlunet", "diffusion", "e2enet")
NAMES = {1: "liver", 2: "kidney_left"}
_CARD = {  # everything that a card may say
    "licence": "CC0",
    "intended_use": "Tests.",
    "provenance": {"cases": 2},
    "metrics": {
        "validation": {
            "per_case": [{"name": "a", "dice": 0.9}],
            "measures": {"dice": {"mean": 0.9, "ci95": [0.8, 1.0], "n": 2}},
            "measures_per_label": {
                "liver": {"dice": {"mean": 0.9, "ci95": [0.8, 1.0], "n": 2}, "nsd": {"mean": None, "n": 0}}
            },
        }
    },
    "training_scans": {
        "cases": 2,
        "made_up": 0,
        "spacing_mm": [[1.0, 1.0, 1.0], [2.0, 1.0, 1.0]],
        "size_mm": [[10.0, 10.0, 10.0], [20.0, 20.0, 20.0]],
        "percentiles": [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
        "intensities": [{"low": [-1.0] * 7, "high": [1.0] * 7}],
    },
    "intervals": {
        "names": {"1": "liver"},
        "labels": {"1": {"cases": 20, "level": 0.95, "bias": 1.0, "factors": [0.9, 1.1], "predicted_ml": [1.0, 20.0]}},
    },
    "expected": {
        "cases": 20,
        "features": {"entropy": [0.0, 0.2], "changed_fraction": [0.0, 0.1]},
        "dice": {
            "feature": "entropy",
            "values": [0.1, 0.2],
            "dice": [0.9, 0.8],
            "error": 0.1,
            "error_without": 0.2,
            "rank_correlation": -0.5,
        },
    },
    "coverage": {"labels": {"liver": 0.9}, "least": 0.8, "cases": 2, "chosen": {"windows": "regular"}},
    "cost": {"gflop_per_window": 0.5, "steps": 2, "steps_are_passes": True},
}


def make(folder: Path) -> None:
    """Write every base into a folder: ``<kind>/<name>/`` with one or more files."""
    with _repeating():
        for kind, makers in _MAKERS.items():
            for name, maker in makers.items():
                target = folder / kind / name
                target.mkdir(parents=True)
                maker(target)


@contextmanager
def _repeating() -> Iterator[None]:
    """Draw the same identifiers and weights each time."""
    import torch

    chance = random.Random(1)
    torch.manual_seed(1)

    def drawn() -> uuid.UUID:
        return uuid.UUID(int=chance.getrandbits(128), version=4)

    with mock.patch.object(uuid, "uuid4", drawn):
        yield


def _volume(shape: tuple[int, int, int] = (4, 6, 5), channels: int = 1) -> Volume:
    data = np.random.default_rng(0).integers(-900, 900, (channels, *shape)).astype(np.int16)
    return Volume(data, Geometry.from_spacing(shape, (2.5, 0.75, 0.5)), name="scan")


def _labels(shape: tuple[int, int, int] = (4, 6, 5)) -> LabelMap:
    data = np.zeros(shape, np.uint8)
    data[1:3, 1:4, 1:4], data[3, 4:, 3:] = 1, 2
    return LabelMap(data, Geometry.from_spacing(shape, (2.5, 0.75, 0.5)), NAMES, {1: (0.8, 0.2, 0.2)})


def _file(name: str, labels: bool = False) -> Callable[[Path], None]:
    return lambda folder: _written(voxtrace.write(_labels() if labels else _volume(), folder / name))


def _archive(packing: int) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        image = voxtrace.write(_volume(), folder / "a.nii")
        with zipfile.ZipFile(folder / "a.zip", "w", packing) as archive:
            archive.writestr(zipfile.ZipInfo("in/a.nii"), image.read_bytes(), packing)
        image.unlink()

    return maker


def _source(folder: Path) -> None:
    awkward_dicom.save(folder / "images", _images())


def _written(path: object) -> None:
    assert path


def _itk(name: str, packed: bool = False, dtype: type = np.int16, dimensions: int = 3) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        shape = (4, 6, 5) if dimensions == 3 else (3, 4, 6, 5)
        array = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
        image = SimpleITK.GetImageFromArray(array, isVector=False)
        image.SetSpacing((0.5, 0.75, 2.5, 1.0)[:dimensions])
        SimpleITK.WriteImage(image, str(folder / name), packed)

    return maker


def _nibabel(name: str, kind: str) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        import nibabel

        array = np.random.default_rng(1).integers(0, 200, (5, 6, 4)).astype(np.int16)
        image = getattr(nibabel, kind)(array, np.diag([0.5, 0.75, 2.5, 1.0]))
        nibabel.save(image, folder / name)

    return maker


def _images(count: int = 3, whole: bool = False) -> list[pydicom.Dataset]:
    """Return small CT images, rows and columns cut down to 10 × 9."""
    made = awkward_dicom.images(awkward_dicom.place(), range(count))
    for image in () if whole else made:
        pixels = np.frombuffer(image.PixelData, np.uint16).reshape(image.Rows, image.Columns)[4:14, 4:13]
        image.PixelData, image.Rows, image.Columns = np.ascontiguousarray(pixels).tobytes(), 10, 9
    return made


def _series(syntax: str = "", several: bool = False) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        # JPEG 2000 halves an image five times
        images = _images(whole=syntax == JPEG2000Lossless)
        images = [awkward_dicom.enhanced(images)] if several else images
        for image in images:
            if syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
                image.file_meta.TransferSyntaxUID = syntax
            elif syntax:
                image.compress(syntax, generate_instance_uid=False)
        awkward_dicom.save(folder, images)

    return maker


def _derived(ending: str, seg: str = "binary") -> Callable[[Path], None]:
    """Return what writes images and, in the folder ``derived``, a segmentation or contours of them."""

    def maker(folder: Path) -> None:
        awkward_dicom.save(folder / "images", _images())
        volume = voxtrace.read(folder / "images")
        data = np.zeros(volume.geometry.shape, np.uint8)
        data[:, 2:7, 2:6], data[1, 8:, 7:] = 1, 2
        labels = LabelMap(data, volume.geometry, NAMES, name="labels")
        (folder / "derived").mkdir()
        export_all(labels, folder / "derived" / f"a{ending}", ExportOptions(source=folder / "images", seg=seg))

    return maker


def _bundle(name: str) -> Callable[[Path], None]:
    def maker(folder: Path) -> None:
        chosen = method(name)
        plan = chosen.adapt(Plan.example(labels=3, window=(16, 16, 16), base_width=4))
        save(
            Bundle(chosen, plan, chosen.build(plan).eval(), {**_CARD, "name": name}),
            folder / "bundle",
            half=True,
        )

    return maker


def _trace(folder: Path) -> None:
    trace = made_traces.made_trace(steps=2, shape=(4, 6, 8))
    trace.save(folder / "a.trace")
    edit = edits.Edit("2026-11-27T02:00:00+00:00", "paint", 1, "liver", 12, "round 2")
    edits.save_edits(folder / "a.trace", np.asarray(trace.labels[-1]), [edit], 1)


def _ledger(folder: Path) -> None:
    ledger = Ledger(folder)
    for number, status in enumerate(("started", "done", "started", "failed")):
        ledger.append(
            Entry(
                case=f"case{number // 2}",
                status=status,  # type: ignore[arg-type]
                bundle="made",
                volumes_ml={"liver": 12.5},
                features={"entropy": 0.1},
                intervals_ml={"liver": [10.0, 15.0]},
                inputs=["a.nii.gz"],
                files=[{"path": "a.nii.gz", "bytes": 12, "sha256": "ab"}],
                fit={"verdict": "check", "reasons": [{"what": "spacing", "sentence": "coarser"}]},
                passport=[{"what": "spacing", "verdict": "fine", "found": "1 mm", "remedy": ""}],
                run={"windows": 2, "stages_s": {"network": 0.1}},
                expected_dice=0.9,
            )
        )


def _dataset(folder: Path) -> None:
    cases.ball_dataset(folder, n=2)
    names = ["ball_000", "ball_001"]
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:1], "val": names[1:]}]))
    scores = {"cases": {name: {"reliability": 0.5, "chosen": "a"} for name in names}}
    (folder / "scores.json").write_text(json.dumps(scores))


def _run(folder: Path) -> None:
    """Write a run that can go on: checkpoint, description and a preprocessed case."""
    import torch

    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    state = TrainingCheckpoint(0, 3, network.state_dict(), optimiser.state_dict(), [{"loss": 0.5}])
    save_checkpoint(folder, state)
    save_record(
        folder, open_record(folder, {"method": {"name": "unet"}, "plan": {"window": [16, 16, 16]}, "seed": 0}, {})
    )
    (folder / "placed.json").write_text(json.dumps({"digest": "ab"}))
    torch.save({"network": network.state_dict(), "dice": 0.5}, folder / "best.pt")
    log = EventLog(folder / "events.jsonl")
    log.write("update", 1, 9, loss={"dice": 0.5}, rate=0.1)
    log.write("validation", 2, 9, dice=0.5, dice_per_label={"liver": None})
    assert list(preprocess_cases([cases.ball(0)], cases.small_plan(), folder / "cases", 0))


def _nnunet(folder: Path) -> None:
    made_nnunet.model(folder / "model")
    summary = folder / "model" / "fold_0" / "validation" / "summary.json"
    summary.parent.mkdir()
    summary.write_text(json.dumps({"foreground_mean": {"Dice": 0.9}}))


def _remembered(folder: Path) -> None:
    """Write what this program remembers from run to run, under the names that ``fuzz_readers`` gives it."""
    from voxtrace.fit.machine_speed import EDITION, MeasuredRun

    run = MeasuredRun("ab", "cpu", "torch", "float32", 1.0, 1e-6, 0.5)
    documents = {
        "speed.json": {"edition": EDITION, "runs": [asdict(run)]},
        "kernels.json": {"disabled": ["sparse"]},
        "choices.json": {"a": "direct"},
        "verdicts.json": {"edition": 1, "layers": {"Conv3d, float32": ["wrong"]}},
        "settings.json": {"recent": ["/a"], "opacity": 0.5},
        "lock": {"process": 1, "host": "a", "cases": {"a": 2}},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))


def _series_with_map(folder: Path) -> None:
    awkward_dicom.save(folder / "images", _images())
    volume = voxtrace.read(folder / "images")
    (folder / "derived").mkdir()
    export_all(volume, folder / "derived" / "a.map.dcm", ExportOptions(source=folder / "images"))


_MAKERS: dict[str, dict[str, Callable[[Path], None]]] = {
    "nifti": {
        "plain": _file("a.nii"),
        "packed": _file("a.nii.gz"),
        "labels": _file("a.nii.gz", labels=True),
        "film": _itk("a.nii", dimensions=4),
        "nifti2": _nibabel("a.nii", "Nifti2Image"),
        "float": _itk("a.nii", dtype=np.float64),
    },
    "nrrd": {
        "raw": _itk("a.nrrd"),
        "packed": _itk("a.nrrd", packed=True),
        "beside": _itk("a.nhdr"),
        "labels": _file("a.seg.nrrd", labels=True),
        "film": _itk("a.nrrd", dimensions=4),
    },
    "metaimage": {
        "raw": _itk("a.mha"),
        "packed": _itk("a.mha", packed=True),
        "beside": _itk("a.mhd"),
        "packed beside": _itk("a.mhd", packed=True),
        "labels": _file("a.mha", labels=True),
    },
    "foreign": {
        "gipl": _itk("a.gipl"),
        "mgz": _nibabel("a.mgz", "MGHImage"),
        "mgh": _nibabel("a.mgh", "MGHImage"),
        "pair": _nibabel("a.img", "Nifti1Pair"),
        "analyze": _nibabel("a.hdr", "AnalyzeImage"),
    },
    "archive": {"packed": _archive(zipfile.ZIP_DEFLATED), "stored": _archive(zipfile.ZIP_STORED)},
    "omezarr": {"image": _file("a.ome.zarr"), "labels": _file("a.ome.zarr", labels=True)},
    "dicom": {
        "plain": _series(),
        "implicit": _series(ImplicitVRLittleEndian),
        "deflated": _series(DeflatedExplicitVRLittleEndian),
        "rle": _series(RLELossless),
        "jpeg2000": _series(JPEG2000Lossless),
        "enhanced": _series(several=True),
    },
    "derived": {
        "binary": _derived(".seg.dcm"),
        "labelmap": _derived(".seg.dcm", seg="labelmap"),
        "contours": _derived(".rtstruct.dcm"),
        "map": _series_with_map,
    },
    "export": {"images": _source},
    "bundle": {name: _bundle(name) for name in METHODS},
    "trace": {"edited": _trace},
    "ledger": {"entries": _ledger},
    "dataset": {"balls": _dataset},
    "run": {"stopped": _run},
    "nnunet": {"model": _nnunet},
    "remembered": {"files": _remembered},
}
BINARY_SEG, TRACE, UNET = _MAKERS["derived"]["binary"], _trace, _MAKERS["bundle"]["unet"]
