"""Whether a model fits a scan: every shipped bundle against made-up scans, and against real ones where they are."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxtrace
from voxtrace import bundle
from voxtrace.fit import Fit, FitReason, ScanFacts, TrainingScans, facts_of, fit, suggest
from voxtrace.fit.channel_checks import normal_name
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.plan import Normalisation
from voxtrace.volume import Geometry, Volume

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
ABDOMEN = tuple(f"abdomen-phantom-{method}" for method in ("cdlunet", "diffusion", "e2enet", "recyclenet"))
TUMOUR = ("tumour-phantom-meddanet",)
HIPPOCAMPUS = tuple(f"hippocampus-{method}" for method in ("diffusion", "e2enet", "recyclenet", "unet"))
HEART = ("acdc-recyclenet",)
CT = ("abdomen-ct-cdlunet",)
GLIOMA = ("lgg-meddanet",)
EVERY = (*ABDOMEN, *TUMOUR, *HIPPOCAMPUS, *HEART, *CT, *GLIOMA)


@pytest.fixture(scope="module")
def records() -> dict[str, dict[str, Any]]:
    return {name: bundle.card(path) for name, path in bundle.shipped().items()}


def abdomen() -> Volume:
    return voxtrace.read(SAMPLES / "abdomen_phantom_ct.nii.gz")


def tumour() -> Volume:
    return voxtrace.read([SAMPLES / f"brain_tumour_phantom_{c:04d}.nii.gz" for c in range(4)])


def said(record: dict[str, Any], scan: Volume | ScanFacts) -> str:
    """Return every sentence of a verdict."""
    return "; ".join(reason.sentence for reason in fit(record, scan).reasons)


def made(low: float, high: float, shape: tuple[int, int, int] = (40, 50, 35), spacing_mm: float = 1.0) -> Volume:
    """Return a scan with values between two, as many of each."""
    values = np.random.default_rng(0).uniform(low, high, (1, *shape)).astype(np.float32)
    return Volume(values, Geometry.from_spacing(shape, (spacing_mm,) * 3))


def test_every_shipped_bundle_is_in_the_matrix(records: dict[str, dict[str, Any]]) -> None:
    assert sorted(records) == sorted(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_made_up_scans_fit_the_models_for_them_alone(records: dict[str, dict[str, Any]], name: str) -> None:
    verdicts = fit(records[name], abdomen()).verdict, fit(records[name], tumour()).verdict
    expected = {ABDOMEN: ("fits", "does not fit"), TUMOUR: ("does not fit", "fits"), CT: ("check", "does not fit")}
    assert verdicts == next((v for names, v in expected.items() if name in names), ("does not fit", "does not fit"))


@pytest.mark.parametrize("name", ABDOMEN)
def test_a_demonstration_fits_phantoms_of_every_kind_of_file(records: dict[str, dict[str, Any]], name: str) -> None:
    assert fit(records[name], voxtrace.read(SAMPLES / "abdomen_phantom_dicom")).verdict == "fits"
    assert fit(records[name], abdomen_ct(9001).volume).verdict == "fits"


def test_a_phantom_stays_one_when_it_is_written_and_read(tmp_path: Path) -> None:
    path = voxtrace.write(abdomen_ct(7, shape=(8, 16, 16)).volume, tmp_path / "scan.nii.gz")
    assert voxtrace.read(path).made_up


def test_a_scan_of_a_patient_is_not_marked_when_it_is_written(tmp_path: Path) -> None:
    scan = replace(abdomen_ct(7, shape=(8, 16, 16)).volume, passport=voxtrace.passport.Passport())
    assert not voxtrace.read(voxtrace.write(scan, tmp_path / "scan.nii.gz")).made_up


def test_a_demonstration_does_not_fit_a_scan_that_is_not_marked(records: dict[str, dict[str, Any]]) -> None:
    patient = replace(abdomen(), passport=voxtrace.passport.Passport())
    found = fit(records["abdomen-phantom-recyclenet"], patient)
    assert found.verdict == "does not fit"
    assert "made for made-up scans; its answer on a patient means nothing" in found.sentence


def test_a_ct_model_does_not_fit_mr(records: dict[str, dict[str, Any]]) -> None:
    stated = replace(abdomen(), modality="MR")
    assert "the model is for CT, the scan says that it is MR" in said(records[ABDOMEN[0]], stated)
    recognised = said(records[ABDOMEN[0]], made(0, 800))
    assert "the model is for CT in HU, the scan's values run from" in recognised


def test_an_mr_model_does_not_fit_ct(records: dict[str, dict[str, Any]]) -> None:
    record = records["hippocampus-unet"]
    assert "the model is for MR, the scan shows by its air of about −1000 HU that it is CT" in said(record, abdomen())
    assert "the model is for MR, the scan says that it is CT" in said(record, replace(made(0, 900), modality="CT"))


def test_a_ct_without_air_is_to_be_checked(records: dict[str, dict[str, Any]]) -> None:
    record = {**records[ABDOMEN[0]], "demonstration": False, "training_scans": None}
    found = fit(record, made(-120, 300, (60, 90, 90), 4.0))
    assert found.verdict == "check"
    assert "without air near −1000" in found.sentence


def test_padding_outside_the_scanners_circle_hides_no_ct(records: dict[str, dict[str, Any]]) -> None:
    values = abdomen().data.copy()
    y, x = np.indices(values.shape[2:]) - 47.5
    values[:, :, y**2 + x**2 > 47.5**2] = -3024
    padded = replace(abdomen(), data=values)
    assert facts_of(padded).recognised == "CT"
    assert fit(records[ABDOMEN[0]], padded).verdict == "fits"


def test_the_channels_that_are_missing_or_too_many_are_named(records: dict[str, dict[str, Any]]) -> None:
    one_of_four = said(records["tumour-phantom-meddanet"], made(0, 900))
    assert "the model takes 4 (flair, t1ce, t1 and t2), the scan has 1 channel" in one_of_four
    four_for_one = said(records["hippocampus-unet"], brain_tumour_mr(1).volume)
    assert "the model takes one (MRI), the scan has 4 channels (flair, t1ce, t1 and t2)" in four_for_one


def test_channels_in_another_order_do_not_fit(records: dict[str, dict[str, Any]]) -> None:
    scan = brain_tumour_mr(1).volume
    turned = replace(scan, data=scan.data[::-1], channels=scan.channels[::-1])
    assert "the channels are t2, t1, t1ce and flair, the model takes" in said(records[TUMOUR[0]], turned)
    assert fit(records[TUMOUR[0]], scan).verdict == "fits"


def test_one_image_given_twice_does_not_fit(records: dict[str, dict[str, Any]]) -> None:
    scan = brain_tumour_mr(1).volume
    twice = replace(scan, data=scan.data[[0, 0, 2, 3]])
    assert "the same image is given as flair and as t1ce" in said(records[TUMOUR[0]], twice)


def test_volumes_of_one_case_count_as_its_channels(records: dict[str, dict[str, Any]]) -> None:
    scan = brain_tumour_mr(1).volume
    apart = [replace(scan, data=scan.data[[c]], channels=(name,)) for c, name in enumerate(scan.channels)]
    assert fit(records[TUMOUR[0]], apart) == fit(records[TUMOUR[0]], scan)


def test_coarse_voxels_are_to_be_checked_and_very_coarse_ones_do_not_fit(records: dict[str, dict[str, Any]]) -> None:
    record = records["hippocampus-unet"]
    assert fit(record, made(0, 900)).verdict == "fits"
    coarse = Volume(made(0, 9, (13, 50, 35)).data, Geometry.from_spacing((13, 50, 35), (3.0, 1.0, 1.0)))
    assert "the voxels are 3×1×1 mm, 3.0 times too coarse: training scans had at most 1×1×1 mm" in said(record, coarse)
    very = Volume(made(0, 9, (8, 50, 35)).data, Geometry.from_spacing((8, 50, 35), (5.0, 1.0, 1.0)))
    assert fit(record, very).verdict == "does not fit"


def test_a_whole_head_does_not_fit_a_model_of_a_small_part(records: dict[str, dict[str, Any]]) -> None:
    found = fit(records["hippocampus-unet"], made(0, 900, (155, 240, 240)))
    assert found.verdict == "does not fit"
    assert "the scan covers 155×240×240 mm, training scans 24×40×31 mm to 47×59×41 mm" in found.sentence


def test_a_small_part_of_what_training_showed_is_to_be_checked(records: dict[str, dict[str, Any]]) -> None:
    found = fit(records["hippocampus-unet"], made(0, 900, (11, 50, 35)))
    assert found.verdict == "check"
    assert "it shows less than the model is used to" in found.sentence


def test_an_image_of_one_value_does_not_fit(records: dict[str, dict[str, Any]]) -> None:
    assert "all values of MRI are 5" in said(records["hippocampus-unet"], made(5, 5))


def test_a_bundle_that_records_no_training_scans_says_so(records: dict[str, dict[str, Any]]) -> None:
    record = {name: value for name, value in records["hippocampus-unet"].items() if name != "training_scans"}
    found = fit(record, made(0, 900))
    assert found.verdict == "fits"
    assert "does not record which scans" in found.reasons[-1].sentence


def test_an_oblique_scan_is_to_be_checked(records: dict[str, dict[str, Any]]) -> None:
    straight = made(0, 900)
    angle = np.deg2rad(40)
    affine = np.asarray(straight.geometry.affine).reshape(4, 4).copy()
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Geometry(straight.geometry.shape, tuple(map(tuple, turn @ affine)))
    assert "obliquely, 40°" in said(records["hippocampus-unet"], replace(straight, geometry=oblique))


def test_a_verdict_is_its_most_severe_reason() -> None:
    found = Fit((FitReason("does not fit", "one"), FitReason("check", "two"), FitReason("fits", "three")))
    assert (found.verdict, found.sentence) == ("does not fit", "does not fit: one")
    assert Fit().sentence == "fits"


def test_only_a_fitting_model_is_suggested(records: dict[str, dict[str, Any]]) -> None:
    assert suggest(records, abdomen()) in ABDOMEN
    assert suggest(records, tumour()) in TUMOUR
    patient = replace(abdomen(), passport=voxtrace.passport.Passport())
    assert suggest(records, patient) in CT
    assert suggest({name: records[name] for name in (*ABDOMEN, *TUMOUR)}, patient) is None
    assert suggest(records, None) is None


def test_a_model_for_patients_is_preferred_to_a_demonstration(records: dict[str, dict[str, Any]]) -> None:
    both = {"demo": records[ABDOMEN[0]], "real": {**records[ABDOMEN[0]], "demonstration": False}}
    assert suggest(both, abdomen()) == "demo"  # the scan is made up
    assert suggest(both, replace(abdomen(), passport=voxtrace.passport.Passport())) == "real"


def test_names_of_channels_are_told_apart_whatever_their_spelling() -> None:
    assert [normal_name(name) for name in ("T1 Gd", "t1c", "T2-FLAIR", "T2w")] == ["t1ce", "t1ce", "flair", "t2"]


def test_ranges_of_cases_merge_to_those_of_all() -> None:
    scans = [facts_of(made(0, 10 * (n + 1), (10 + n, 12, 14))) for n in range(3)]
    rules = (Normalisation(scheme="zscore"),)
    merged = TrainingScans.merged([TrainingScans.of([scan], rules) for scan in scans])
    assert merged == TrainingScans.of(scans, rules)
    assert TrainingScans.from_record({"training_scans": merged.to_json()}) == merged


def test_a_verdict_on_a_large_ct_takes_less_than_50_ms(records: dict[str, dict[str, Any]]) -> None:
    shape = (300, 512, 512)
    scan = Volume(np.zeros((1, *shape), np.int16), Geometry.from_spacing(shape, (1.5, 0.8, 0.8)))
    taken_s = []
    for _ in range(5):
        began = time.perf_counter()
        fit(records[ABDOMEN[0]], scan)
        taken_s.append(time.perf_counter() - began)
    assert min(taken_s) < 0.05


REAL = {
    "CT": ("ct_abdomen/upper_abdomen_3mm_ct.nii.gz",),
    "CT DICOM": ("ct_abdomen/dicom",),
    "body MR": ("ct_abdomen/mr_3mm.nii.gz",),
    "head": ("mr_brain_tumour/TCGA-FG-6692/t1.nii.gz",),
    "glioma": tuple(f"mr_brain_tumour/TCGA-FG-6692/{s}.nii.gz" for s in ("flair", "t1c", "t1", "t2")),
}


@pytest.mark.parametrize("kind", REAL)
def test_no_shipped_model_fits_these_patients(records: dict[str, dict[str, Any]], real_data: Path, kind: str) -> None:
    scan = facts_of(voxtrace.read([real_data / path for path in REAL[kind]]))
    heart = "check" if kind in ("body MR", "head") else "does not fit"  # one channel of MR, but no heart in slices
    ct = "check" if kind.startswith("CT") else "does not fit"  # more of the body in one, fewer slices in the other
    expected = dict.fromkeys(EVERY, "does not fit") | dict.fromkeys(HEART, heart) | dict.fromkeys(CT, ct)
    assert {name: fit(record, scan).verdict for name, record in records.items()} == expected
    assert suggest(records, scan) is None


def test_a_heart_fits_the_models_of_hearts_alone(records: dict[str, dict[str, Any]], real_data: Path) -> None:
    scan = facts_of(voxtrace.read(real_data / "Dataset027_ACDC" / "imagesTr" / "patient001_frame01_0000.nii.gz"))
    expected = dict.fromkeys(EVERY, "does not fit") | dict.fromkeys(HEART, "fits")
    assert {name: fit(record, scan).verdict for name, record in records.items()} == expected
    assert suggest(records, scan) in HEART


def test_a_head_with_three_channels_fits_the_model_of_gliomas_alone(
    records: dict[str, dict[str, Any]], real_data: Path
) -> None:
    folder = real_data / "Dataset110_LGG" / "imagesTr"
    scan = facts_of(voxtrace.read([folder / f"TCGA_DU_8162_{c:04d}.nii.gz" for c in range(3)]))
    expected = dict.fromkeys(EVERY, "does not fit") | dict.fromkeys(GLIOMA, "fits")
    assert {name: fit(record, scan).verdict for name, record in records.items()} == expected
    assert suggest(records, scan) in GLIOMA


@pytest.mark.parametrize(("apart_mm", "verdict"), [(10.0, "fits"), (5.0, "fits"), (4.9, "check"), (1.0, "check")])
def test_thin_slices_are_to_be_checked_by_a_model_of_thick_ones(
    records: dict[str, dict[str, Any]], apart_mm: float, verdict: str
) -> None:
    whole = Volume(made(0, 900, (12, 60, 60)).data, Geometry.from_spacing((12, 60, 60), (10.0, 1.4, 1.4)))
    trained = TrainingScans.of([facts_of(whole)], (Normalisation(scheme="zscore"),))
    record = {**records[HEART[0]], "training_scans": trained.to_json()}
    shape = (round(120 / apart_mm), 60, 60)
    scan = Volume(made(0, 900, shape).data, Geometry.from_spacing(shape, (apart_mm, 1.4, 1.4)))
    found = fit(record, scan)
    assert found.verdict == verdict
    assert ("another kind of recording" in found.sentence) == (verdict == "check")


def test_held_back_crops_of_the_hippocampus_fit(records: dict[str, dict[str, Any]], real_data: Path) -> None:
    from voxtrace.training import fold, open_dataset

    _, held = fold(open_dataset(real_data / "Dataset004_Hippocampus"), 0)
    scans = [facts_of(case.volume) for case in held]
    for name in HIPPOCAMPUS:
        assert {fit(records[name], scan).verdict for scan in scans} == {"fits"}
    assert suggest(records, scans[0]) in HIPPOCAMPUS
    assert fit(records[ABDOMEN[0]], scans[0]).verdict == "does not fit"
