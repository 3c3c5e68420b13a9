"""One plan a dataset: every fold has it, a file carries it with the folds, and another dataset refuses it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cases import ball, ball_dataset, drain
from made import bundle_folder
from voxtrace.errors import PlanError, UsageError
from voxtrace.io import read, read_labels, write
from voxtrace.methods import method
from voxtrace.training import (
    Fingerprint,
    TrainRequest,
    TrainSetup,
    fold,
    open_dataset,
    plan_dataset,
    preprocessed,
    set_up,
    train,
)
from voxtrace.training.add_case import NewCase, add_case
from voxtrace.training.chunked import ChunkedArray
from voxtrace.training.dataset_plan import DatasetPlan, file_mark, plan_file, read_plan, stored_plan
from voxtrace.training.planning import CPU, combine, fit_window, measure_case
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.volume import Array, Geometry, Volume


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """Twelve balls."""
    return ball_dataset(tmp_path / "balls", 12)


def made(request: TrainRequest) -> TrainSetup:
    return drain(set_up(request, lambda: False))


def planned(folder: Path) -> DatasetPlan:
    dataset = open_dataset(folder)
    found = combine([measure_case(case) for case in dataset.cases([f.name for f in dataset.files])])
    return DatasetPlan.of(dataset, "cpu", found, plan_dataset(dataset, found))


def add(folder: Path, number: int) -> None:
    case = ball(number)
    add_case(folder, NewCase(f"ball_{number:03d}", (case.volume,), replace(case.labels, names={1: "ball"})))


def test_a_plan_returns_from_its_file_as_it_was(balls: Path, tmp_path: Path) -> None:
    plan = planned(balls)
    plan.write(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_the_plan_of_a_file_is_trained_by_with_its_folds(balls: Path, tmp_path: Path) -> None:
    plan = planned(balls)
    other = replace(
        plan,
        plan=plan.plan.model_copy(update={"window": (8, 8, 8), "iterations": 3}),
        folds=((("ball_001", "ball_002"), ("ball_003",)),),
    )
    other.write(tmp_path / "plan.json")
    ready = made(TrainRequest(balls, plan=tmp_path / "plan.json", method="unet", fold=0))
    assert (ready.plan.window, ready.plan.iterations) == ((8, 8, 8), 3)
    training, validation = ({case.name for case in part} for part in (ready.cases, ready.validate))
    assert "ball_003" in validation
    assert {"ball_001", "ball_002"} <= training
    # cases that the plan does not name are where the dataset has them
    assert validation - {"ball_003"} <= set(open_dataset(balls).folds[0][1])
    assert training | validation == {f"ball_{number:03d}" for number in range(12)}


def test_a_case_that_is_added_or_removed_changes_no_plan(balls: Path) -> None:
    first = made(TrainRequest(balls, fold=0))
    add(balls, 20)
    for file in balls.rglob("ball_011*"):
        file.unlink()
    events = list(set_up(TrainRequest(balls, fold=0), lambda: False))
    again = made(TrainRequest(balls, fold=0))
    assert events == []
    assert again.plan == first.plan
    held = {case.name for case in first.validate} - {"ball_011"}
    assert held <= {case.name for case in again.validate}


def test_the_plan_of_a_file_takes_added_cases_and_drops_removed_ones(balls: Path, tmp_path: Path) -> None:
    plan = planned(balls)
    plan.write(tmp_path / "plan.json")
    add(balls, 20)
    for file in balls.rglob("ball_011*"):
        file.unlink()
    folds = plan.folds_for(open_dataset(balls))
    assert sorted(name for _, held in folds for name in held) == sorted(
        {f"ball_{n:03d}" for n in range(11)} | {"ball_020"}
    )
    assert all(set(held) - {"ball_011"} <= set(new) for (_, held), (_, new) in zip(plan.folds, folds, strict=True))


def test_a_dataset_whose_images_have_changed_is_planned_anew(balls: Path) -> None:
    made(TrainRequest(balls))
    file = balls / "imagesTr" / "ball_004_0000.nii.gz"
    volume = read(file)
    write(replace(volume, data=volume.data * np.float32(3.7)), file)
    assert len(list(set_up(TrainRequest(balls), lambda: False))) == 12


def test_a_plan_with_marks_of_both_ends_of_a_file_still_fits(balls: Path) -> None:
    """As plans of before have them of files that are not gzip."""
    for packed in balls.rglob("*.nii.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    record = json.loads((balls / "dataset.json").read_text())
    (balls / "dataset.json").write_text(json.dumps({**record, "file_ending": ".nii"}))
    dataset = open_dataset(balls)
    ends = {files.name: (_marked_by_ends(files.images[0]),) for files in dataset.files}
    plan = replace(planned(balls), images=ends)
    assert plan.misfit(dataset) == ""
    last = dataset.files[-1].images[0]
    last.write_bytes(last.read_bytes()[:-1] + b"\x07")
    assert plan.misfit(dataset).endswith("has changed")


def test_a_plan_with_the_last_block_of_a_file_as_its_mark_still_fits(balls: Path) -> None:
    """As plans of before have them of gzip in blocks; bgzip ends every file with an empty one."""
    for packed in balls.rglob("*_0000.nii.gz"):
        packed.write_bytes(_with_extra(packed.read_bytes()) + _with_extra(gzip.compress(b"")))
    dataset = open_dataset(balls)
    plan = replace(planned(balls), images={files.name: ("0" * 16,) for files in dataset.files})
    assert plan.misfit(dataset) == ""
    last = dataset.files[-1].images[0]
    last.write_bytes(gzip.compress(gzip.decompress(last.read_bytes())))
    assert plan.misfit(dataset) == f"the image of {dataset.files[-1].name} has changed"


def _marked_by_ends(path: Path) -> str:
    data = path.read_bytes()
    return f"{len(data)}-{hashlib.sha256(data[:4096] + data[-4096:]).hexdigest()[:16]}"


def test_a_dataset_that_is_given_by_its_dataset_json_has_the_same_folds_and_plan(tmp_path: Path) -> None:
    """Folds that were drawn of few cases are kept when others are added."""
    balls = ball_dataset(tmp_path / "balls", 6)
    first = open_dataset(balls)
    for number in range(6, 40):
        add(balls, number)
    later, by_file = open_dataset(balls), open_dataset(balls / "dataset.json")
    assert all(set(old[1]) <= set(new[1]) for old, new in zip(first.folds, later.folds, strict=True))
    assert by_file.folds == later.folds
    assert plan_file(by_file, "cpu", 0.0) == plan_file(later, "cpu", 0.0)


@pytest.mark.parametrize("ending", [".mhd", ".nhdr", ".nii"])
def test_a_changed_voxel_is_noticed_wherever_it_lies(tmp_path: Path, ending: str) -> None:
    """Beside its header, and in the middle of a file; a copy elsewhere has the same mark."""
    first, copy = (tmp_path / place / f"scan{ending}" for place in ("first", "copy"))
    for file in (first, copy):
        file.parent.mkdir()
        _write_plain(file, np.zeros((32, 32, 32), np.int16))
    os.utime(copy, (1, 1))
    before = file_mark(first)
    assert file_mark(copy) == before
    with (copy if ending == ".nii" else copy.with_suffix(".raw")).open("r+b") as voxels:
        voxels.seek(30_000)
        voxels.write(b"\x07")
    assert file_mark(copy) != before


def _write_plain(file: Path, voxels: Array) -> None:
    """Write voxels uncompressed; for a text header beside it."""
    headers = {
        ".mhd": "ObjectType = Image\nNDims = 3\nDimSize = 32 32 32\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n"
        "ElementByteOrderMSB = False\nElementDataFile = scan.raw\n",
        ".nhdr": "NRRD0004\ntype: short\ndimension: 3\nsizes: 32 32 32\nencoding: raw\nendian: little\n"
        "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\ndata file: scan.raw\n\n",
    }
    if file.suffix in headers:
        file.write_text(headers[file.suffix])
        file.with_suffix(".raw").write_bytes(voxels.tobytes())
    else:
        write(Volume(voxels[None], Geometry.from_spacing(voxels.shape, (1.0, 1.0, 1.0))), file)


def test_of_gzip_the_checksum_counts_unless_it_has_blocks_with_one_each(tmp_path: Path) -> None:
    file, marks = tmp_path / "scan.nii.gz", []
    for level in (1, 9):
        file.write_bytes(gzip.compress(b"voxels" * 999, level))
        marks.append(file_mark(file))
    file.write_bytes(gzip.compress(b"others" * 999))
    assert marks[0] == marks[1] != file_mark(file)
    block, last = (_with_extra(gzip.compress(text)) for text in (b"voxels", b""))  # as bgzip ends every file
    for whole in (block, _with_extra(gzip.compress(b"others"))):
        file.write_bytes(whole + last)
        marks.append(file_mark(file))
    assert marks[2] != marks[3]


def _with_extra(packed: bytes) -> bytes:
    """Return gzip with an extra field of two bytes in its header, as programs that pack in blocks write it."""
    return packed[:3] + bytes([packed[3] | 4]) + packed[4:10] + b"\x02\x00ab" + packed[10:]


def test_a_plan_of_plain_files_holds_for_a_copy_until_a_voxel_changes(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 3)
    for file in folder.glob("*Tr/*.nii.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "file_ending": ".nii"}))
    plan = planned(folder)
    copy = open_dataset(shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile))
    assert (plan.misfit(copy), plan.redrawn(copy)) == ("", [])
    for file, place in ((copy.files[1].images[0], 9000), (copy.files[2].labels, -5)):
        assert file.stat().st_size > 4096
        with file.open("r+b") as stream:
            stream.seek(place, 0 if place > 0 else 2)
            stream.write(b"\x01")
    assert plan.misfit(copy) == "the image of ball_001 has changed"
    assert plan.redrawn(copy) == ["ball_002"]


def test_a_dataset_whose_labels_were_redrawn_is_planned_anew_but_not_by_a_named_file(
    balls: Path, tmp_path: Path
) -> None:
    made(TrainRequest(balls))
    planned(balls).write(tmp_path / "plan.json")
    file = balls / "labelsTr" / "ball_004.nii.gz"
    labels = read_labels(file)
    write(replace(labels, data=1 - labels.data.astype(np.uint8)), file)
    assert len(list(set_up(TrainRequest(balls), lambda: False))) == 12
    assert list(set_up(TrainRequest(balls), lambda: False)) == []
    assert made(TrainRequest(balls, plan=tmp_path / "plan.json")).plan == read_plan(tmp_path / "plan.json").plan


def test_a_stored_plan_that_is_damaged_is_made_anew(balls: Path) -> None:
    made(TrainRequest(balls, device="cpu"))
    dataset = open_dataset(balls)
    file = plan_file(dataset, "cpu", 8.0)
    assert stored_plan(file, dataset) is not None
    file.write_text("{")
    assert stored_plan(file, dataset) is None
    assert len(list(set_up(TrainRequest(balls, device="cpu"), lambda: False))) == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": ("CT",)}, "it has the channels CT, the dataset MR"),
        ({"labels": {0: "background", 1: "disc"}}, "it has the labels background, disc, the dataset background, ball"),
        ({"ignore": True}, "it has the labels"),
    ],
)
def test_the_plan_of_another_dataset_is_refused(
    balls: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    plan = planned(balls)
    replace(plan, plan=plan.plan.model_copy(update=changes)).write(tmp_path / "plan.json")
    with pytest.raises(PlanError, match=said):
        made(TrainRequest(balls, plan=tmp_path / "plan.json"))
    replace(plan, images={"else": ("1",)}).write(tmp_path / "plan.json")
    with pytest.raises(PlanError, match="it names none of the dataset's cases"):
        made(TrainRequest(balls, plan=tmp_path / "plan.json"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "voxtrace dataset plan", "version": 1}'])
def test_a_file_that_holds_no_plan_is_refused(balls: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(PlanError, match=r"plan\.json holds no plan of a dataset .*`voxtrace plan DATASET --out FILE`"):
        made(TrainRequest(balls, plan=tmp_path / "plan.json"))


def test_window_and_spacing_can_be_asked_for(balls: Path) -> None:
    ready = made(TrainRequest(balls, method="unet", window=(8, 16, 16), spacing_mm=(2.0, 1.0, 1.0), batch_size=3))
    assert ready.plan.window == (8, 16, 16)
    assert ready.plan.spacing_mm == (2.0, 1.0, 1.0)
    assert ready.plan.batch_size == 3
    with pytest.raises(PlanError, match="window"):
        made(TrainRequest(balls, method="unet", window=(9, 17, 16)))


def test_choices_that_contradict_one_another_are_refused(balls: Path, tmp_path: Path) -> None:
    planned(balls).write(tmp_path / "plan.json")
    start = bundle_folder(tmp_path / "tiny")
    with pytest.raises(UsageError, match="--plan does not go with --from"):
        made(TrainRequest(balls, initial=start, plan=tmp_path / "plan.json"))
    with pytest.raises(UsageError, match="--spacing does not go with --from"):
        made(TrainRequest(balls, initial=start, spacing_mm=(1.0, 1.0, 1.0)))
    with pytest.raises(UsageError, match="--window does not go with --plan"):
        made(TrainRequest(balls, plan=tmp_path / "plan.json", window=(8, 8, 8)))


def test_an_update_holds_a_twentieth_of_the_dataset_at_most(tmp_path: Path) -> None:
    """nnU-Net's cap; for 204 hippocampi of 36×50×35 voxels it has 7 windows of 40×56×40."""
    found = Fingerprint(((36, 50, 35),) * 204, ((1.0, 1.0, 1.0),) * 204, ((0.0, 9.0, 4.0, 2.0),), 0.0)
    dataset = open_dataset(ball_dataset(tmp_path / "balls"))
    assert plan_dataset(dataset, found, device="cuda", memory_gb=80).batch_size == 7
    few = replace(found, shapes=found.shapes[:5], spacings_mm=found.spacings_mm[:5])
    assert plan_dataset(dataset, few, device="cuda", memory_gb=80).batch_size == 2


@pytest.mark.parametrize("shape", [(5, 5, 5), (7, 7, 7), (1, 6, 6), (3, 64, 5)])
def test_cases_smaller_than_the_least_window_are_padded_to_it(shape: tuple[int, int, int]) -> None:
    window, topology = fit_window(shape, (1.0, 1.0, 1.0), CPU)
    assert len(topology.widths) >= 2
    assert sorted(window)[1] >= 8
    assert all(n >= size for n, size in zip(window, shape, strict=True))


def test_prepared_cases_are_shared_by_folds_and_methods_and_change_no_weight(balls: Path, tmp_path: Path) -> None:
    plan = planned(balls).plan.model_copy(update={"iterations": 2, "batch_size": 2})
    dataset, shared = open_dataset(balls), tmp_path / "prepared"
    weights = []
    for number, (name, fold_number, prepared) in enumerate(
        [("unet", 0, shared), ("unet", 0, None), ("unet", 1, shared), ("recyclenet", 0, shared)]
    ):
        chosen = method(name)
        cases, _ = fold(dataset, fold_number)
        out = tmp_path / str(number)
        before = {folder: folder.stat().st_mtime_ns for folder in shared.glob("*/image.zarr/zarr.json")}
        bundle = drain(train(chosen, chosen.adapt(plan), cases, out=out, prepared=prepared, device="cpu"))
        weights.append(bundle.network.state_dict())
        assert (
            before.items()
            <= {folder: folder.stat().st_mtime_ns for folder in shared.glob("*/image.zarr/zarr.json")}.items()
        )
    assert len(list(shared.iterdir())) == 12  # each case once
    assert all(torch.equal(one, weights[1][key]) for key, one in weights[0].items())


def test_a_case_that_was_prepared_in_another_way_is_prepared_again(
    balls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, plan = open_dataset(balls).cases(["ball_000"]), planned(balls).plan

    def prepare() -> int:
        (case,) = preprocess_cases(cases, plan, tmp_path / "prepared", 0)
        return (case.folder / "image.zarr" / "zarr.json").stat().st_ino

    first = prepare()
    assert prepare() == first
    before = (tmp_path / "prepared" / "00000" / "source.json").read_text()
    monkeypatch.setattr(preprocessed, "PREPARATION", preprocessed.PREPARATION + 1)
    prepare()
    assert (tmp_path / "prepared" / "00000" / "source.json").read_text() != before


def test_a_shared_case_that_is_damaged_or_of_other_labels_is_prepared_again(balls: Path, tmp_path: Path) -> None:
    dataset, plan, shared = open_dataset(balls), planned(balls).plan, tmp_path / "prepared"

    def prepare() -> list[Path]:
        done = preprocess_cases(dataset.cases(["ball_000", "ball_001"]), plan, shared, 0, shared=True)
        return [case.folder for case in done]

    first, second = prepare()
    (first / "image.zarr" / "c" / "0" / "0" / "0" / "0").write_bytes(b"")
    file = balls / "labelsTr" / "ball_001.nii.gz"
    labels = read_labels(file)
    write(replace(labels, data=labels.data[::-1].copy()), file)
    again, corrected = prepare()
    assert again == first
    assert ChunkedArray(first / "image.zarr")[...].shape[0] == 1
    assert corrected != second
    assert len(list(shared.iterdir())) == 3
