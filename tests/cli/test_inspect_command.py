from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

import awkward_dicom as awkward
import made
import voxtrace
from made import Run
from made_traces import made_trace
from voxtrace.io import described
from voxtrace.io.child.process import SWITCH
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Grid


def test_a_volume_shows_its_passport(run: Run, tmp_path: Path) -> None:
    document = run("inspect", made.scan(tmp_path / "a.nii.gz"), "--json").json
    assert document["kind"] == "volume"
    assert document["shape"] == list(made.SHAPE)
    assert document["spacing_mm"] == pytest.approx([2.0, 1.0, 1.0])
    assert document["orientation"] == "LPS"
    assert document["obliquity_deg"] == pytest.approx(0.0)


def test_a_bundle_shows_its_card(run: Run, bundle: Path) -> None:
    document = run("inspect", bundle, "--json").json
    assert (document["kind"], document["method"]["name"]) == ("bundle", "recyclenet")


def test_predictions_show_ledger_and_trace(run: Run, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", bundle, "-o", out)
    ledger = run("inspect", out, "--json").json
    assert (ledger["kind"], ledger["done"], ledger["failed"]) == ("ledger", 1, 0)
    trace = run("inspect", out / "a.trace", "--json").json
    assert (trace["kind"], len(trace["steps"])) == ("trace", 3)
    lines = run("inspect", out / "a.trace").out.splitlines()
    assert sum(line.startswith("changed_voxels   ") for line in lines) == 3  # of each step
    assert [line.split()[1:3] for line in lines if line.startswith("changed_voxels  voxel")] == [  # of its slices
        ["voxel", "1"],
        ["voxel", "2"],
        ["voxel", "3"],
    ]


def test_a_trace_shows_its_maps_and_numbers_per_slice(run: Run, tmp_path: Path) -> None:
    heat = np.array([[[[1, 2]], [[3, 5]]], [[[-1, np.nan]], [[0, 0]]]], np.float32)
    slices = {
        "cost": np.array([[1, np.nan], [2, 4]], np.float32),
        "action": np.array([[0, 0], [0, 3]], np.float32),
        "unknown": np.full((2, 2), np.nan, np.float32),
    }
    trace = Trace(
        labels=np.zeros((2, 2, 1, 2), np.uint8),
        facts={"entropy": np.array([[1.0], [2.0]], np.float32)},
        windows=np.array([[0, 0, 0, 2, 1, 2]]),
        units={"entropy": "nat", "heat": "degree", "cost": "GFLOP", "action": "index", "unknown": "mm"},
        geometry=Geometry.from_spacing((2, 1, 2), (1.0, 1.0, 1.0)),
        names={0: "background", 1: "liver"},
        slice_facts=slices,
        maps={"heat": heat},
    )
    folder = trace.save(tmp_path / "a.trace")
    document = run("inspect", folder, "--json").json
    assert document["facts"] == {"entropy": "nat"}
    assert document["maps"] == {"heat": {"unit": "degree", "range": [-1, 5], "steps": [[1, 5], [-1, 0]]}}
    costs = document["slice_facts"]["cost"]
    assert costs["unit"] == "GFLOP"
    assert costs["steps"][1] == {"slices": 2, "smallest": 2, "mean": 3, "largest": 4}
    actions = document["slice_facts"]["action"]
    assert actions["steps"] == [{"slices": 2, "values": {"0": 2}}, {"slices": 2, "values": {"0": 1, "3": 1}}]
    assert document["steps"][0]["slice_facts"] == {"cost": 1, "unknown": None}
    lines = [line.split() for line in run("inspect", folder).out.splitlines()]
    assert ["slice", "facts", "unit", "step", "slices", "smallest", "mean", "largest", "values"] in lines
    assert ["cost", "GFLOP", "2", "2", "2", "3", "4", "–"] in lines
    assert ["action", "index", "2", "2", "–", "–", "–", "0", "in", "1,", "3", "in", "1"] in lines
    assert ["maps", "unit", "step", "smallest", "largest"] in lines
    assert ["heat", "degree", "2", "-1", "0"] in lines


def test_a_mixed_dicom_folder_lists_its_series(run: Run, real_data: Path) -> None:
    document = run("inspect", real_data / "dicom_mixed_study", "--json").json
    assert len(document["series"]) == 5
    assert sum(series["images"] for series in document["series"]) == 128
    assert {series["modality"] for series in document["series"]} == {"MR"}


def test_series_are_listed_with_their_passports(run: Run, tmp_path: Path) -> None:
    tilted = awkward.images(awkward.tilted(12.0), [0, 1, 2, 4, 5], SeriesDescription="Thorax")
    awkward.save(tmp_path / "A", tilted)
    awkward.save(tmp_path, awkward.localizer())
    scout, thorax = run("inspect", tmp_path, "--json").json["series"]
    assert (scout["usable"], scout["passport"][0]["verdict"]) == (False, "refused")
    assert (thorax["usable"], thorax["first_file"]) == (True, str(Path("A", "IM0000")))
    assert {f["what"] for f in thorax["passport"] if f["verdict"] == "corrected"} == {"tilt", "missing slices"}
    lines = run("inspect", tmp_path).out.splitlines()
    assert lines[0].split() == ["series", "images", "mm", "opens", "name"]
    assert lines[1].split() == ["1", "CT", "Phantom", "1", "1.5×1.25×–", "no", f"{tmp_path.name}_1"]
    assert lines[2].split() == ["3", "CT", "Thorax", "5", "1.5×1.25×2.93", "corrected", f"{tmp_path.name}_2"]
    assert "  corrected  tilt: 12.0°; slices were shifted back in plane" in lines


def test_a_file_of_a_series_shows_the_passport_of_its_volume(run: Run, tmp_path: Path) -> None:
    folder = awkward.save(tmp_path, awkward.images(awkward.place(), [0, 1, 3, 4]))
    document = run("inspect", folder / "IM0001", "--json").json
    missing = next(f for f in document["passport"] if f["what"] == "missing slices")
    assert missing["verdict"] == "corrected"
    assert document["notes"] == ["missing slices: 1 of 5, at S 116 mm; each filled in between its neighbours"]
    assert "  corrected  missing slices: 1 of 5, at S 116 mm" in run("inspect", folder / "IM0001").out


def test_a_label_map_shows_the_names_it_carries(run: Run, tmp_path: Path) -> None:
    folder = awkward.save(tmp_path / "ct", awkward.images(awkward.place()))
    geometry = voxtrace.read(folder).geometry
    array = np.zeros(geometry.shape, np.uint8)
    array[3:6, 4:9, 4:9] = 2
    labels = voxtrace.LabelMap(array, geometry, {2: "liver"})
    for name, kind in (("a.nii.gz", "volume"), ("a.seg.nrrd", "volume"), ("a.dcm", "segmentation")):
        document = run("inspect", voxtrace.write(labels, tmp_path / name), "--json").json
        assert (document["kind"], document["labels"]) == (kind, {"2": "liver"})


def test_a_file_with_time_tells_how_many_frames_it_has(run: Run, tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)), tmp_path / "film.nii.gz")
    document = run("inspect", tmp_path / "film.nii.gz", "--json").json
    assert (document["frames"], document["shape"]) == (3, [4, 4, 4])


def test_nothing_names_the_patient(run: Run, real_data: Path) -> None:
    assert "PGBM" not in run("inspect", real_data / "dicom_mixed_study", "--json").out.replace("dicom_mixed_study", "")


def test_what_is_nothing_known_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("inspect", tmp_path).code == 3
    assert run("inspect", tmp_path / "nowhere").code == 2


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "LPS"),
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), "RAS"),
        ((0, 0, 1, 1, 0, 0, 0, 1, 0), "PSL"),  # columns are where x, y and z run
    ],
)
def test_orientation_names_where_the_axes_run(direction: tuple[float, ...], letters: str) -> None:
    assert Grid((2, 2, 2), (1.0, 1.0, 1.0), direction=direction).axis_codes == letters


def test_a_trace_says_how_it_was_made(run: Run, tmp_path: Path) -> None:
    document = run("inspect", made_trace().save(tmp_path / "a.trace"), "--json").json
    assert (document["bundle"], document["method"], document["seconds"], document["seed"]) == (
        "made-bundle",
        "Made-up routing",
        12.5,
        0,
    )
    assert document["demonstration"] is True
    assert document["members"] == ["seed 0", "seed 1"]
    assert document["window_groups"] == {"none": 1, "small": 2, "large": 1, "skipped": 1, "discarded": 1}
    assert document["costs"] == ["2.29 times cheaper than large everywhere"]
    assert document["charts"] == ["sources"]
    text = run("inspect", tmp_path / "a.trace").out
    assert "made scan" not in text
    assert "skipped: 1" in text


def test_an_archive_is_unpacked_in_a_reader_process(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    scan = made.scan(tmp_path / "a.nii.gz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(scan, "a.nii.gz")

    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(described, "unpacked", refuse)
    found = run("inspect", tmp_path / "b.zip", "--json").json
    expected = run("inspect", scan, "--json").json
    assert {**found, "name": "a"} == expected
    assert found["name"] == "b"
