from __future__ import annotations

import pytest

from voxtrace.io.export.anatomy import ANATOMY, PAIRED
from voxtrace.io.export.codes import concept_of, text


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [
        ("liver", "10200004", None),
        ("Spleen", "78961009", None),
        ("kidney_left", "64033007", "Left"),
        ("Right kidney", "64033007", "Right"),
        ("kidneys", "64033007", "Right and left"),
        ("vertebrae_T12", "23215003", None),
        ("rib_right_7", "113197003", "Right"),
        ("lung_upper_lobe_left", "45653009", "Left"),
        ("lung_middle_lobe_right", "72481006", None),
        ("heart_atrium_left", "82471001", None),
        ("hippocampus", "5366008", None),
        ("Oesophagus", "32849002", None),
        ("oedema", "79654002", None),
        ("necrotic core", "6574001", None),
        ("enhancing tumour", "C113842", None),
        ("tumor", "108369006", None),
        ("lesion", "52988006", None),
    ],
)
def test_known_names_have_their_published_code(name: str, code: str, side: str | None) -> None:
    concept = concept_of(name)
    assert concept.known
    assert concept.kind.value == code
    assert (concept.side.meaning if concept.side else None) == side


@pytest.mark.parametrize(
    "name",
    [
        "portal_vein_and_splenic_vein",  # two structures
        "liver_left",  # a lobe, not a side
        "autochthon_left",
        "vertebrae_T13",
        "rib_left_13",
        "kidney left right",
        "Mystery Ω",
        "",
    ],
)
def test_a_name_that_is_not_certain_gets_a_private_code(name: str) -> None:
    concept = concept_of(name)
    assert not concept.known
    assert concept.kind.scheme == "99VOXTRACE"
    assert len(concept.kind.value) <= 16
    assert concept.kind == concept_of(name).kind


def test_findings_are_abnormal_and_organs_are_not() -> None:
    assert concept_of("tumour").category.value == "49755003"
    assert not concept_of("tumour").is_organ
    assert concept_of("liver").is_organ


def test_every_name_in_the_table_has_a_code() -> None:
    for name in ANATOMY:
        assert concept_of(name).known, name
    assert set(ANATOMY.values()) | {"Rib"} >= PAIRED


def test_long_names_and_backslashes_fit_into_dicom() -> None:
    assert text("a\\b\n c") == "a/b c"
    assert len(text("x" * 200)) == 64
    assert text(" ") == "unnamed"
