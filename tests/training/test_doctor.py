"""The doctor of datasets: everything is listed in one look, and the copy has none of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import ball, ball_dataset, drain
from faulty_dataset import plant_faults, second_channel
from voxtrace.errors import DatasetError, OutputError
from voxtrace.io import read, read_labels, write
from voxtrace.training import fold, open_dataset
from voxtrace.training.doctor import Examination, examine, mend
from voxtrace.training.doctor.grids import header_fits
from voxtrace.training.plan_command import PlanChoices, plan_examined
from voxtrace.volume import Geometry, Grid, LabelMap


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """Ten balls."""
    return ball_dataset(tmp_path / "balls", 10)


def look(folder: Path) -> Examination:
    return drain(examine(folder))


def kinds(examined: Examination) -> list[tuple[str, str]]:
    return [(fault.kind, fault.case) for fault in examined.faults]


def relabel(folder: Path, change: Callable[[LabelMap], LabelMap], names: str = "ball_*") -> None:
    for file in (folder / "labelsTr").glob(f"{names}.nii.gz"):
        write(change(read_labels(file)), file)


def describe(folder: Path, **changes: object) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_nothing_is_wrong_with_a_sound_dataset(balls: Path) -> None:
    examined = look(balls)
    assert examined.faults == ()
    assert len(examined.usable) == 10


@pytest.mark.parametrize("channels", [1, 2])
def test_ten_faults_are_listed_in_one_look_and_the_copy_has_none(balls: Path, tmp_path: Path, channels: int) -> None:
    if channels == 2:
        second_channel(balls)
    planted = plant_faults(balls)
    assert len(planted) == 10
    check_planted(balls, tmp_path / "copy", planted)


def test_ten_faults_of_real_cases_are_listed_in_one_look_and_the_copy_has_none(real_data: Path, tmp_path: Path) -> None:
    source, folder = real_data / "Dataset004_Hippocampus", tmp_path / "hippocampus"
    for file in sorted((source / "labelsTr").iterdir())[:12]:
        for kind, name in (("labelsTr", file.name), ("imagesTr", file.name.replace(".nii", "_0000.nii"))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / kind / name, folder / kind / name)
    shutil.copyfile(source / "dataset.json", folder / "dataset.json")
    describe(folder, numTraining=12)
    check_planted(folder, tmp_path / "copy", plant_faults(folder))


def check_planted(folder: Path, out: Path, planted: dict[str, tuple[str, str]]) -> None:
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    examined = look(folder)
    found = {fault.kind: (fault.case, fault.mending) for fault in examined.faults if fault.kind in planted}
    assert found == planted
    left_out = mend(examined, out)
    assert set(left_out) == {case for case, mending in planted.values() if mending == "leave out"}
    assert look(out).bad == ()
    moved = planted["grid"][0]
    assert moved in {files.name for files in open_dataset(out).files}
    again, original = (
        read_labels(out / "labelsTr" / f"{moved}.nii.gz"),
        read_labels(folder / "labelsTr" / f"{moved}.nii.gz"),
    )
    np.testing.assert_array_equal(again.data, original.data)
    training, validation = fold(open_dataset(out), 0)
    assert all(case.volume.geometry.is_close(case.labels.geometry) for case in (*training, *validation))
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


def test_grids_that_differ_are_told_apart_by_what_differs(balls: Path) -> None:
    def shifted(labels: LabelMap) -> LabelMap:
        geometry = Geometry.from_spacing(labels.geometry.shape, (2.0, 1.0, 1.0))
        return LabelMap(labels.data, geometry)

    relabel(balls, shifted, "ball_003")
    relabel(balls, lambda labels: LabelMap(labels.data[1:], labels.geometry.part((1, 0, 0), (15, 16, 16))), "ball_004")
    faults = {fault.case: fault for fault in look(balls).bad}
    assert "spacing 2×1×1 against 1×1×1 mm" in faults["ball_003"].what
    assert "size 15×16×16 against 16×16×16" in faults["ball_004"].what
    assert {fault.mending for fault in faults.values()} == {"leave out"}


def test_a_header_is_copied_only_where_origin_or_rounding_differs_or_it_says_nothing() -> None:
    image = Geometry.from_spacing((10, 20, 20), (3.0, 0.9766, 0.9766), (5.0, 5.0, 5.0))
    assert header_fits(Geometry.from_spacing((10, 20, 20), (3.0, 0.977, 0.977), (0.0, 0.0, 0.0)), image)
    assert header_fits(Geometry.from_spacing((10, 20, 20), (1.0, 1.0, 1.0)), image)
    assert not header_fits(Geometry.from_spacing((10, 20, 20), (6.0, 0.9766, 0.9766)), image)
    assert not header_fits(Geometry.from_spacing((10, 20, 21), (3.0, 0.9766, 0.9766)), image)


@pytest.mark.parametrize(
    ("moved", "fits"),
    [((0.0, 0.0, 8.0), True), ((40.0, 0.0, 0.0), False), ((0.0, 40.0, 0.0), False), ((0.0, 12.0, 0.0), False)],
)
def test_a_header_is_not_copied_onto_another_part_of_the_body(moved: tuple[float, float, float], fits: bool) -> None:
    image = Geometry.from_spacing((100, 200, 200), (3.0, 1.0, 1.0), (5.0, 5.0, 5.0))
    other = Geometry.from_spacing((100, 200, 200), (3.0, 1.0, 1.0), tuple(5.0 + mm for mm in moved))  # type: ignore[arg-type]
    assert header_fits(other, image) is fits
    thin = Geometry.from_spacing((4, 200, 200), (1.0, 2.0, 2.0), (3.0, 0.0, 0.0))
    assert not header_fits(thin, Geometry.from_spacing((4, 200, 200), (1.0, 2.0, 2.0)))  # 3 mm of 4


def test_255_beside_other_labels_is_not_taken_for_the_one_drawn_nowhere(balls: Path, tmp_path: Path) -> None:
    """It often marks what nobody annotated."""

    def part_unknown(labels: LabelMap) -> LabelMap:
        data = labels.data.astype(np.uint8)
        data[0] = 255
        return LabelMap(data, labels.geometry)

    describe(balls, labels={"background": 0, "ball": 1, "vessel": 2})
    for number in range(8):
        relabel(balls, part_unknown, f"ball_{number:03d}")
    examined = look(balls)
    assert {fault.mending for fault in examined.bad if fault.kind == "label values"} == {"leave out"}
    assert len(mend(examined, tmp_path / "copy")) == 8


def test_labels_of_test_cases_are_numbered_as_the_others_or_left_out(balls: Path, tmp_path: Path) -> None:
    (balls / "imagesTs").mkdir()
    (balls / "labelsTs").mkdir()
    drawn = {}
    for name, number, value in (("same", 50, 3), ("stray", 51, 7)):
        case = ball(number)
        drawn[name] = LabelMap(case.labels.data.astype(np.uint8) * value, case.labels.geometry)
        write(case.volume, balls / "imagesTs" / f"{name}_0000.nii.gz")
        write(drawn[name], balls / "labelsTs" / f"{name}.nii.gz")
    relabel(balls, lambda labels: LabelMap(labels.data.astype(np.uint8) * 3, labels.geometry))
    describe(balls, labels={"background": 0, "ball": 3})
    out = tmp_path / "copy"
    assert mend(look(balls), out) == ()
    assert json.loads((out / "dataset.json").read_text())["labels"] == {"background": 0, "ball": 1}
    np.testing.assert_array_equal(read_labels(out / "labelsTs" / "same.nii.gz").data, drawn["same"].data // 3)
    assert not (out / "labelsTs" / "stray.nii.gz").exists()
    assert sorted(file.name for file in (out / "imagesTs").iterdir()) == ["same_0000.nii.gz", "stray_0000.nii.gz"]
    said = [row for row in json.loads((out / "fix.json").read_text()) if row["case"] == "imagesTs/stray"]
    assert [row["mending"] for row in said] == ["not copied"]
    assert "holds the value 7, which no label of the copy has" in said[0]["what"]


def test_a_value_without_a_name_becomes_the_label_that_is_drawn_nowhere(balls: Path, tmp_path: Path) -> None:
    relabel(balls, lambda labels: LabelMap(labels.data * 255, labels.geometry))
    examined = look(balls)
    assert {fault.kind for fault in examined.bad} == {"label values", "drawn nowhere"}
    assert {fault.mending for fault in examined.bad} == {"re-map labels"}
    assert mend(examined, tmp_path / "copy") == ()
    assert look(tmp_path / "copy").bad == ()
    assert read_labels(tmp_path / "copy" / "labelsTr" / "ball_000.nii.gz").values == (1,)


def test_labels_that_are_not_numbered_in_order_are_renumbered(balls: Path, tmp_path: Path) -> None:
    def four(labels: LabelMap) -> LabelMap:
        data = labels.data * 4
        data[0, 0, 0] = 1
        return LabelMap(data, labels.geometry)

    relabel(balls, four)
    describe(balls, labels={"background": 0, "core": 1, "enhancing": 4})
    with pytest.raises(DatasetError, match=r"label values \[0, 1, 4\] are not 0, 1, 2 …; renumber them"):
        open_dataset(balls)
    mend(look(balls), tmp_path / "copy")
    assert open_dataset(tmp_path / "copy").labels == {0: "background", 1: "core", 2: "enhancing"}
    case = open_dataset(tmp_path / "copy").files[0].load()
    assert case.labels.values == (1, 2)
    assert case.labels.names == {1: "core", 2: "enhancing"}


def test_a_file_that_numbers_its_names_otherwise_is_renumbered_by_name(balls: Path, tmp_path: Path) -> None:
    def both(labels: LabelMap) -> LabelMap:
        data = labels.data.copy()
        data[0, 0, :2] = 2
        return LabelMap(data, labels.geometry)

    relabel(balls, both)
    describe(balls, labels={"background": 0, "ball": 1, "corner": 2})
    relabel(balls, lambda labels: replace(labels, names={1: "corner", 2: "ball"}), "ball_002")
    examined = look(balls)
    assert kinds(examined) == [("label names", "ball_002")]
    mend(examined, tmp_path / "copy")
    assert look(tmp_path / "copy").faults == ()
    before, after = (read_labels(f / "labelsTr" / "ball_002.nii.gz").data for f in (balls, tmp_path / "copy"))
    np.testing.assert_array_equal(after, np.array([0, 2, 1])[before])


def test_a_dataset_without_a_background_gets_one(balls: Path, tmp_path: Path) -> None:
    describe(balls, labels={"ball": 1})
    with pytest.raises(DatasetError, match="names no background; add 'background': 0"):
        open_dataset(balls)
    assert kinds(look(balls)) == [("no background", "")]
    mend(look(balls), tmp_path / "copy")
    assert open_dataset(tmp_path / "copy").labels == {0: "background", 1: "ball"}


def test_scans_unlike_the_others_are_pointed_out(balls: Path) -> None:
    thick = Geometry.from_spacing((16, 16, 16), (8.0, 1.0, 1.0))
    relabel(balls, lambda labels: LabelMap(labels.data, thick), "ball_001")
    for number, change in ((1, {"geometry": thick}), (2, {})):
        file = balls / "imagesTr" / f"ball_{number:03d}_0000.nii.gz"
        volume = read(file)
        write(replace(volume, data=volume.data * (1 if change else 1000), **change), file)
    examined = look(balls)
    assert kinds(examined) == [("outlier", "ball_001"), ("outlier", "ball_002")]
    assert examined.bad == ()


def test_a_case_of_one_value_and_one_without_labels_drawn_are_found(balls: Path) -> None:
    file = balls / "imagesTr" / "ball_001_0000.nii.gz"
    volume = read(file)
    write(replace(volume, data=np.full_like(volume.data, 7)), file)
    relabel(balls, lambda labels: LabelMap(np.zeros_like(labels.data), labels.geometry), "ball_002")
    found = kinds(look(balls))
    assert ("constant", "ball_001") in found
    assert ("nothing drawn", "ball_002") in found


def test_a_copy_never_replaces_what_is_there(balls: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        mend(look(balls), tmp_path / "copy")
    assert [file.name for file in (tmp_path / "copy").iterdir()] == ["mine.txt"]


def test_folds_of_a_wrong_structure_are_a_fault_among_others(balls: Path) -> None:
    (balls / "splits_final.json").write_text(json.dumps({"train": ["ball_000"]}))
    assert kinds(look(balls)) == [("folds", "")]
    (balls / "splits_final.json").write_text(json.dumps([{"train": ["ball_000", "gone"], "val": ["ball_001"]}]))
    strange, unlisted = look(balls).faults
    assert (strange.level, unlisted.level) == ("fault", "note")
    assert "names 1 case that the dataset does not have: gone." in strange.what
    assert "has 8 cases in no fold, which --fold leaves out: ball_002, ball_003" in unlisted.what


def test_test_cases_are_read_too_and_need_no_labels(balls: Path, tmp_path: Path) -> None:
    (balls / "imagesTs").mkdir()
    for name, source in (("ball_100", "ball_003"), ("ball_101", "ball_004"), ("ball_102", "ball_005")):
        shutil.copyfile(balls / "imagesTr" / f"{source}_0000.nii.gz", balls / "imagesTs" / f"{name}_0000.nii.gz")
    damaged = balls / "imagesTs" / "ball_101_0000.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    other = balls / "imagesTs" / "ball_102_0000.nii.gz"
    volume = read(other)
    write(replace(volume, data=volume.data + 1), other)
    examined = look(balls)
    assert kinds(examined) == [("duplicate", "imagesTs/ball_100"), ("damaged", "imagesTs/ball_101")]
    assert len(examined.usable) == 10
    assert mend(examined, tmp_path / "copy") == ("imagesTs/ball_100", "imagesTs/ball_101")
    assert [file.name for file in (tmp_path / "copy" / "imagesTs").iterdir()] == ["ball_102_0000.nii.gz"]
    assert look(tmp_path / "copy").faults == ()


def test_voxels_beside_their_header_belong_to_the_case_and_are_copied(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 3)
    for packed in folder.rglob("*.nii.gz"):
        image = packed.parent.name == "imagesTr"
        write(read(packed) if image else read_labels(packed), packed.with_name(packed.name.replace(".nii.gz", ".mhd")))
        packed.unlink()
    describe(folder, file_ending=".mhd")
    write(replace(read(folder / "imagesTr/ball_000_0000.mhd"), name="t"), folder / "imagesTs" / "ball_100_0000.mhd")
    examined = look(folder)
    assert [fault for fault in examined.faults if fault.kind != "duplicate"] == []
    mend(replace(examined, faults=()), tmp_path / "copy")
    shutil.rmtree(folder)
    for case in open_dataset(tmp_path / "copy").cases([f"ball_{n:03d}" for n in range(3)]):
        assert case.labels.values == (1,)
    assert read(tmp_path / "copy/imagesTs/ball_100_0000.mhd").data.any()


def test_values_without_a_name_in_labels_of_test_cases_become_background_and_are_told(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 4)
    for part, source in (("images", "ball_000_0000"), ("labels", "ball_000")):
        (folder / f"{part}Ts").mkdir()
        target = folder / f"{part}Ts" / f"{source.replace('000', '100', 1)}.nii.gz"
        shutil.copyfile(folder / f"{part}Tr" / f"{source}.nii.gz", target)
    labels = read_labels(target)
    write(replace(labels, data=np.where(labels.data > 0, 7, 0).astype(np.uint8), names={}), target)
    examined = drain(examine(folder, to_background=True))
    mend(replace(examined, faults=()), tmp_path / "copy")
    assert read_labels(tmp_path / "copy" / "labelsTs" / "ball_100.nii.gz").values == ()
    (told,) = json.loads((tmp_path / "copy" / "fix.json").read_text())
    assert f"holds 7 ({np.count_nonzero(labels.data):,} voxels), which no name belongs to." in told["what"]


def test_labels_of_test_cases_are_numbered_as_the_copy_is(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 4)
    relabel(folder, lambda labels: replace(labels, data=labels.data * np.uint8(3)))
    describe(folder, labels={"background": 0, "ball": 3})
    for part, source in (("imagesTs", "ball_000_0000"), ("labelsTs", "ball_000")):
        (folder / part).mkdir()
        for name in ("ball_100", "ball_101"):
            target = f"{name}{source.removeprefix('ball_000')}.nii.gz"
            shutil.copyfile(folder / part.replace("Ts", "Tr") / f"{source}.nii.gz", folder / part / target)
    strange = folder / "labelsTs" / "ball_101.nii.gz"
    labels = read_labels(strange)
    write(replace(labels, data=np.where(labels.data > 0, 7, 0).astype(np.uint8), names={}), strange)
    copy = tmp_path / "copy"
    examined = look(folder)
    examined = replace(examined, faults=tuple(fault for fault in examined.faults if fault.kind != "duplicate"))
    mend(examined, copy)
    assert json.loads((copy / "dataset.json").read_text())["labels"] == {"background": 0, "ball": 1}
    assert read_labels(copy / "labelsTs" / "ball_100.nii.gz").values == (1,)
    assert np.array_equal(
        read_labels(copy / "labelsTs" / "ball_100.nii.gz").data > 0,
        read_labels(folder / "labelsTs" / "ball_100.nii.gz").data > 0,
    )
    assert not (copy / "labelsTs" / "ball_101.nii.gz").exists()
    assert (copy / "imagesTs" / "ball_101_0000.nii.gz").is_file()
    rows = json.loads((copy / "fix.json").read_text())
    assert [row["case"] for row in rows if row["mending"] == "not copied"] == ["imagesTs/ball_101"]


def test_channels_that_differ_in_their_origin_are_copied_onto_the_first_and_labels_stay(
    balls: Path, tmp_path: Path
) -> None:
    second_channel(balls)
    file = balls / "imagesTr" / "ball_003_0001.nii.gz"
    volume = read(file)
    grid = volume.geometry.grid
    moved = Geometry.from_grid(Grid(grid.size, grid.spacing_mm, (3.0, 0.0, 0.0), grid.direction))
    write(replace(volume, geometry=moved), file)
    examined = look(balls)
    assert kinds(examined) == [("grid", "ball_003")]
    assert mend(examined, tmp_path / "copy") == ()
    assert look(tmp_path / "copy").faults == ()
    for kind in ("labelsTr/ball_003", "imagesTr/ball_002_0001"):
        assert (tmp_path / "copy" / f"{kind}.nii.gz").read_bytes() == (balls / f"{kind}.nii.gz").read_bytes()
    np.testing.assert_array_equal(read(tmp_path / "copy" / "imagesTr" / file.name).data, volume.data)


def test_a_label_that_only_a_case_left_out_has_stays_for_a_person_to_decide(balls: Path, tmp_path: Path) -> None:
    def rare(labels: LabelMap) -> LabelMap:
        data = labels.data.copy()
        data[0, 0, :2] = (2, 77)
        return LabelMap(data, labels.geometry)

    relabel(balls, rare, "ball_004")
    describe(balls, labels={"background": 0, "ball": 1, "rare": 2})
    assert mend(look(balls), tmp_path / "copy") == ("ball_004",)
    assert open_dataset(tmp_path / "copy").labels == {0: "background", 1: "ball", 2: "rare"}
    assert kinds(look(tmp_path / "copy")) == [("drawn nowhere", "")]


def test_without_names_for_the_labels_there_is_no_plan_and_the_reason_is_said(balls: Path) -> None:
    describe(balls, labels={"background": 0, "ball": 1, "again": 1})
    planned = plan_examined(look(balls), PlanChoices(device="cpu"))
    assert planned.document is None
    assert "two names for the label value 1: ball, again" in planned.why_not
    describe(balls, labels={"background": 0, "ball": 1, "never": 2})
    planned = plan_examined(look(balls), PlanChoices(device="cpu"))
    assert planned.document is not None
    assert planned.document.plan.n_labels == 3
    assert planned.kept is None  # a plan is kept for a dataset without faults
