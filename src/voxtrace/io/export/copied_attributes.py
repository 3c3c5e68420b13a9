"""What SEG, RTSTRUCT and parametric maps copy of their source images; everything else is left out.

========================================================  ============================================================
attributes                                                why
========================================================  ============================================================
PatientName, PatientID, PatientBirthDate, PatientSex      the standard asks for them (Patient module), and an archive
                                                          files an object by them
StudyInstanceUID, StudyDate, StudyTime, StudyID,          the standard asks for them (General Study module): the
AccessionNumber, ReferringPhysicianName                   object belongs to the study of its images
FrameOfReferenceUID, PositionReferenceIndicator           the same space as the images
SOP class and instance UIDs, SeriesInstanceUID            references to the images
geometry, SeriesNumber, Modality                          read only: position, size, and a new series number
========================================================  ============================================================

Comments, descriptions, age, weight, institution, station, operators, serial numbers, protocol, specimens and private
elements are not copied. A value that violates the standard is made valid where that keeps its meaning, otherwise left
out; a note names the attribute, never the value, which may be a patient's.
"""

from __future__ import annotations

import re
import uuid
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import OutputError

if TYPE_CHECKING:
    from pydicom import Dataset

_UID = re.compile(r"\d+(\.\d+)+")
_STRICT_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_TIME = re.compile(r"([01]\d|2[0-3])(?:([0-5]\d)(?:([0-5]\d|60)(\.\d{1,6})?)?)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F", "w": "F", "o": "O", "other": "O"}
_LONGEST_UID = 64

# only read here: they say where the images lie
_GEOMETRY = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
_SHARED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


def valid_date(text: str) -> str:
    """Return a date as DICOM's DA; ``""`` when it is none.

    Examples
    --------
    >>> valid_date("2020.01.31"), valid_date("20200231"), valid_date("unknown")
    ('20200131', '', '')
    """
    digits = re.sub(r"(?<=\d)[./-](?=\d)", "", text.strip())
    if not re.fullmatch(r"\d{8}", digits, re.ASCII):
        return ""
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return ""
    return digits


def valid_time(text: str) -> str:
    """Return a time as DICOM's TM; ``""`` when it is none.

    Examples
    --------
    >>> valid_time("10:15:00"), valid_time("101500.5"), valid_time("25")
    ('101500', '101500.5', '')
    """
    whole, point, decimals = text.strip().replace(":", "").partition(".")
    digits = f"{whole}{point}{decimals[:6]}" if decimals else whole
    return digits if digits.isascii() and _TIME.fullmatch(digits) else ""


def valid_sex(text: str) -> str:
    """Return M, F or O; ``""`` for anything else."""
    return _SEXES.get(text.strip().lower(), "")


def valid_name(text: str) -> str:
    """Return a person's name as DICOM's PN: three groups of 64 characters and five components at most."""
    groups = _clean(text).replace("\\", " ").split("=")[:3]
    return "=".join("^".join(group.split("^")[:5])[:64].rstrip() for group in groups).rstrip("=^ ")


def valid_text(longest: int) -> Callable[[str], str]:
    """Return a function that returns a text of one value and at most ``longest`` characters, otherwise ``""``.

    An identifier that is cut would name another patient or order, so it is left out.
    """

    def valid(text: str) -> str:
        cleaned = _clean(text)
        return cleaned if len(cleaned) <= longest and "\\" not in cleaned else ""

    return valid


def _clean(text: str) -> str:
    return _CONTROL.sub("", text.encode("utf-8", "ignore").decode()).strip()


_COPIED: dict[str, Callable[[str], str]] = {
    "PatientName": valid_name,
    "PatientID": valid_text(64),
    "PatientBirthDate": valid_date,
    "PatientSex": valid_sex,
    "StudyDate": valid_date,
    "StudyTime": valid_time,
    "StudyID": valid_text(16),
    "AccessionNumber": valid_text(16),
    "ReferringPhysicianName": valid_name,
    "PositionReferenceIndicator": valid_text(64),
}
COPIED = (*_COPIED, "StudyInstanceUID", "FrameOfReferenceUID")


def copied(headers: Iterable[Dataset]) -> tuple[tuple[Dataset, ...], tuple[str, ...]]:
    """Return new headers that hold only what may be copied or is needed, valid, and a sentence for each change.

    Raises
    ------
    OutputError
        When several images have one SOP Instance UID, so that a reference would name all of them.
    """
    changes: dict[str, None] = {}  # in order, each once
    with warnings.catch_warnings():  # what violates the standard is told in the sentences
        warnings.simplefilter("ignore")
        kept = tuple(_copied(header, changes) for header in headers)
    _check_unique(kept)
    return kept, tuple(changes)


def series_number(header: Dataset, plus: int) -> int:
    """Return a number for a new series: that of its images and ``plus``."""
    try:
        number = int(header.get("SeriesNumber") or 0)
    except (ValueError, TypeError, OverflowError):
        number = 0
    return number % 1_000_000 + plus


def _copied(header: Dataset, changes: dict[str, None]) -> Dataset:
    from pydicom.dataset import Dataset

    new = Dataset()
    new.file_meta = header.file_meta
    for keyword, valid in _COPIED.items():
        before = _text(header, keyword)
        after = valid(before)
        setattr(new, keyword, after)
        if after != before.strip():
            changes[_sentence(keyword, after)] = None
    _copy_uids(header, new, changes)
    for keyword in _GEOMETRY:
        _copy_element(header, new, keyword, changes)
    modality = re.sub(r"[^A-Z0-9 _]", "", _text(header, "Modality").upper())[:16].strip()
    new.Modality, new.SeriesNumber = modality or "OT", series_number(header, 0)
    return new


def _copy_element(header: Dataset, new: Dataset, keyword: str, changes: dict[str, None]) -> None:
    try:
        if keyword not in header:
            return
        element = header[keyword]
        if element.VR != "DS" or np.isfinite(np.asarray(element.value or 0, dtype=np.float64)).all():
            new[keyword] = element
            return
    except Exception:  # as in _text
        pass
    changes[_sentence(keyword, "")] = None


def _copy_uids(header: Dataset, new: Dataset, changes: dict[str, None]) -> None:
    meta = header.file_meta
    for keyword, stored in (
        ("SOPClassUID", "MediaStorageSOPClassUID"),
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
    ):
        setattr(new, keyword, _reference(_text(header, keyword) or str(meta.get(stored, "")), keyword, changes))
    for keyword in _SHARED_UIDS:
        setattr(new, keyword, _reference(_text(header, keyword), keyword, changes))


def _reference(uid: str, keyword: str, changes: dict[str, None]) -> str:
    """Return a UID that can be written; one derived from it where it breaks the rules beyond leading zeros."""
    uid = uid.strip("\x00 ")
    if not uid or (len(uid) <= _LONGEST_UID and _STRICT_UID.fullmatch(uid)):
        return uid
    words = _words(keyword)
    if len(uid) <= _LONGEST_UID and uid.isascii() and _UID.fullmatch(uid):
        # programs compare UIDs letter by letter, so the reference still finds the image
        changes[
            f"the source images' {words} has leading zeros, which the standard forbids; it is kept, as another "
            "would name other images."
        ] = None
        return uid
    changes[
        f"the source images' {words} is no valid UID; one derived from it is written, so other programs may not join "
        "this file to its images."
    ] = None
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{keyword} {uid}').int}"


def _text(header: Dataset, keyword: str) -> str:
    """Return a value as text, several joined by backslashes; ``""`` where there is none or it cannot be parsed."""
    try:
        value: Any = header.get(keyword)
    except Exception:  # pydicom parses a value when it is asked for, and each type has errors of its own
        return "\x00"  # valid for no attribute, so the change is noted
    if value is None:
        return ""
    several = not isinstance(value, str) and isinstance(value, Sequence)
    return "\\".join(map(str, value)) if several else str(value)


def _sentence(keyword: str, after: str) -> str:
    done = "it is written in a valid form" if after else "it is left out"
    return f"the source images' {_words(keyword)} violates the standard; {done}."


def _words(keyword: str) -> str:
    from pydicom.datadict import dictionary_description, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return dictionary_description(tag) if tag is not None else keyword


def _check_unique(headers: Sequence[Dataset]) -> None:
    uids = [str(header.SOPInstanceUID) for header in headers]
    alike = len(uids) - len(set(uids))
    if alike and all(uids):
        raise OutputError(
            f"{alike + 1} of {len(uids)} source images have a UID (SOP Instance UID) that another has, too, so nothing "
            "can refer to one of them; export the series again, with a UID for each image, or write .seg.nrrd or "
            ".nii.gz, which refer to no images."
        )
