"""Series of one study become the channels of a volume, by rule or by hand, on one grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import awkward_dicom as awkward
from voxtrace.errors import GeometryError
from voxtrace.io.dicom import Series, channels_of, find_series, stack_series

PLAIN = awkward.place()


def study(folder: Path, *descriptions: str, **changes) -> tuple[Series, ...]:
    """Write four slices of MR for each description."""
    for n, said in enumerate(descriptions):
        uid = {"SeriesInstanceUID": f"2.25.{100 + n}", "SeriesNumber": n + 1, "SeriesDescription": said}
        awkward.save(folder, awkward.mr(awkward.images(PLAIN, range(4), **uid, **changes)), f"{n}_{{}}")
    return find_series(folder)


def chosen(series: tuple[Series, ...], *wanted: str) -> list[str]:
    found = channels_of(series, wanted)
    assert not isinstance(found, str), found
    return [s.description for s in found]


@pytest.mark.parametrize(
    "names",
    [("flair", "t1", "t1ce", "t2"), ("FLAIR", "T1w", "T1-Gd", "T2w"), ("t2f", "t1n", "t1c", "t2w")],
)
def test_channels_are_found_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    said = ("AX T2 FLAIR", "AX T1 PRE", "AX T1 POST GD", "AX T2 TSE", "T2* GRE")
    assert chosen(study(tmp_path, *said), *names) == list(said[:4])


def test_a_contrast_agent_tells_two_t1_apart_where_words_do_not(tmp_path: Path) -> None:
    study(tmp_path, "T1 MPRAGE A")
    after = {"SeriesInstanceUID": "2.25.50", "SeriesNumber": 9, "SeriesDescription": "T1 MPRAGE B"}
    files = awkward.mr(awkward.images(PLAIN, range(4), ContrastBolusAgent="agent", **after))
    series = find_series(awkward.save(tmp_path, files, "B{}"))
    assert chosen(series, "t1", "t1ce") == ["T1 MPRAGE A", "T1 MPRAGE B"]


def test_what_is_ambiguous_or_missing_is_refused_with_what_was_found(tmp_path: Path) -> None:
    series = study(tmp_path, "T1 sag", "T1 ax", "T2 ax")
    assert channels_of(series, ["t1"]) == (
        "2 series fit the channel t1; found 1 MR T1 sag (4 images); 2 MR T1 ax (4 images). Choose the series by hand."
    )
    missing = channels_of(series, ["flair"])
    assert isinstance(missing, str)
    assert missing.startswith("no series fits the channel flair; found 1 MR T1 sag")
    assert "ct" in str(channels_of(series, ["ct"]))
    assert "fits several of the channels t2, ax" not in str(channels_of(series, ["t2"]))
    assert "fits several" in str(channels_of(series, ["t2", "T2 ax"]))


def test_other_names_are_looked_for_in_the_descriptions(tmp_path: Path) -> None:
    assert chosen(study(tmp_path, "ADC map", "DWI b1000"), "dwi", "adc") == ["DWI b1000", "ADC map"]


def test_series_are_resampled_onto_the_grid_of_one(tmp_path: Path) -> None:
    """The second series is the phantom half a plane on: between two planes lies their mean."""
    awkward.save(tmp_path, awkward.mr(awkward.images(PLAIN)), "A{}")
    moved = np.arange(awkward.PLANES) - 0.5
    other = awkward.mr(awkward.images(PLAIN, list(moved), SeriesInstanceUID="2.25.8", SeriesNumber=4))
    first, second = find_series(awkward.save(tmp_path, other, "B{}"))
    volume = stack_series((first, second), ("one", "two"))
    assert (volume.channels, volume.data.shape, volume.modality) == (("one", "two"), (2, 16, 40, 36), "MR")
    assert np.array_equal(volume.data[0], awkward.values())
    halves = awkward.values(moved)
    assert np.allclose(volume.data[1, :15], (halves[:-1] + halves[1:]) / 2, atol=0.01)
    assert awkward.worst_voxels(volume.data[1], volume.geometry, PLAIN.world_mm()) < 0.1
    assert any("resampled linearly onto its grid" in note for note in volume.notes)


def test_series_on_one_grid_are_stacked_as_they_are(tmp_path: Path) -> None:
    volume = stack_series(study(tmp_path, "T1", "T2"), ("t1", "t2"), onto=1)
    assert np.array_equal(volume.data, np.stack([awkward.values(range(4))] * 2))
    assert volume.data.dtype == np.int16
    assert volume.notes == ()


def test_differing_frames_of_reference_are_refused_and_absent_ones_noted(tmp_path: Path) -> None:
    unknown = study(tmp_path / "unknown", "T1", "T2", FrameOfReferenceUID="")
    assert "no header states the frame of reference" in stack_series(unknown, ("t1", "t2")).passport.findings[-1].found
    with pytest.raises(GeometryError, match="lie in 2 frames of reference"):
        stack_series((*unknown[:1], *study(tmp_path / "known", "T2")), ("t1", "t2"))


def test_a_real_study_gives_four_channels_on_one_grid(real_data: Path) -> None:
    series = find_series(real_data / "dicom_mixed_study")
    wanted = ("t1ce", "t1", "flair", "t2")
    found = channels_of(series, wanted)
    assert not isinstance(found, str), found
    assert [s.description for s in found] == ["T1post", "T1pre_reg", "FLAIR_reg", "T2_reg"]
    volume = stack_series(found, wanted)
    assert volume.data.shape == (4, 22, 320, 280)
    assert volume.geometry.obliquity_deg == pytest.approx(10.8, abs=0.05)
