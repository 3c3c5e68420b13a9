"""Values copied from source images into SEG and RTSTRUCT: made valid, or left out with a note.

Only what exports copy (patient, study, series number, frame of reference) is touched, in memory. Identifiers of the
images themselves stay as they are, valid or not: a reference must name the image as it is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M", "o": "O", "other": "O", "w": "F"}
_LARGEST = {"LO": 64, "SH": 16, "PN": 64, "CS": 16, "LT": 10240, "ST": 1024, "UC": 1 << 16, "UT": 1 << 16}
_REQUIRED_UIDS = ("StudyInstanceUID", "FrameOfReferenceUID")
_IMAGE_UIDS = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_LONGEST_UID = 64
_GROUPS = (0x0008, 0x0010, 0x0020)  # what exports copy lies in these


def make_valid(headers: Sequence[Dataset]) -> tuple[str, ...]:
    """Change values of the headers of one series that violate DICOM, in place; return a sentence for each attribute.

    The value itself is not told: it may name the patient.
    """
    told: dict[str, str] = {}
    for header in headers:
        for tag in [t for t in list(header.keys()) if t.group in _GROUPS]:
            name, done = _mend(header, tag)
            if done:
                told.setdefault(name, done)
    return tuple(f"{name} of the source images is not valid in DICOM; it was {done}." for name, done in told.items())


def _mend(header: Dataset, tag: Any) -> tuple[str, str]:
    """Make the value of an element valid; return its name and what was done, ``""`` where it was valid."""
    try:
        element = header[tag]
        name, kind, value = element.keyword, element.VR, element.value
    except Exception:
        raw = header.get_item(tag)
        name, kind = _name_of(tag), str(getattr(raw, "VR", None) or "")
        value = getattr(raw, "value", b"")
        value = value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else value
    if kind == "SQ" or name in _IMAGE_UIDS:
        return name, ""
    if kind not in _MENDERS or (value in (None, "") and name not in _REQUIRED_UIDS):
        return name, ""
    mended = _mended(name, kind, value)
    if mended == _plain(value):
        return name, ""
    return name, _put(header, tag, name, kind, mended)


def _put(header: Dataset, tag: Any, name: str, kind: str, mended: str) -> str:
    from pydicom.dataelem import DataElement

    del header[tag]
    if mended:
        header.add(DataElement(tag, kind, mended))
        return "replaced by one derived from it" if kind == "UI" else "shortened or written as DICOM has it"
    if name in _MAY_NOT_LACK:
        header.add(DataElement(tag, kind, ""))
    return "left out"


def _mended(name: str, kind: str, value: Any) -> str:
    """Return a value as DICOM allows it; ``""`` where none can be told from it."""
    if name == "PatientSex":
        return _SEXES.get(_plain(value).strip().lower(), "")
    parts = _plain(value).split("\\") if kind not in ("LT", "ST", "UT") else [_plain(value)]
    several = name in _SEVERAL
    done = [_MENDERS[kind](part, kind) for part in (parts if several else parts[:1])]
    return "\\".join(done) if all(done) or several else done[0] if not several else ""


def _plain(value: Any) -> str:
    """Return a value as text, several parted by backslashes."""
    if value is None:
        return ""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") or hasattr(value, "components"):
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return "\\".join(str(v) for v in value)


def _text(value: str, kind: str) -> str:
    lines = "\n\r\t\f" if kind in ("LT", "ST", "UT") else ""
    kept = "".join(c for c in value if c.isprintable() or c in lines)
    return kept[: _LARGEST[kind]].rstrip() if kept != value or len(value) > _LARGEST[kind] else value


def _name(value: str, kind: str) -> str:
    """Return a person's name with at most three groups of five components, each group of at most 64 letters."""
    groups = value.split("=")
    if len(groups) <= 3 and all(len(g) <= _LARGEST[kind] and g.count("^") <= 4 for g in groups):
        return _text(value, "LT")
    return "=".join("^".join(g.split("^")[:5])[: _LARGEST[kind]] for g in groups[:3])


def _date(value: str, kind: str) -> str:
    digits = re.sub(r"[-./: ]", "", value)
    with suppress(ValueError):
        if len(digits) == 8 and digits.isdigit():
            date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
            return value if value == digits else digits
    return ""


def _time(value: str, kind: str) -> str:
    digits = re.sub(r"[: ]", "", value)
    found = re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(\.\d{1,6})?)?", digits)
    if not found:
        whole = digits.partition(".")[0]  # more than six decimals of a second
        return _time(whole, kind) if whole != digits else ""
    return value if value.strip() == digits else digits


def _moment(value: str, kind: str) -> str:
    return value if re.fullmatch(r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?", value.strip()) else ""


def _age(value: str, kind: str) -> str:
    if re.fullmatch(r"\d{3}[DWMY]", value.strip()):
        return value
    return f"{int(value):03d}Y" if value.isdigit() and int(value) < 150 else ""


def _decimal(value: str, kind: str) -> str:
    with suppress(ValueError):
        if abs(float(value)) < float("inf"):
            return value if len(value.strip()) <= 16 else f"{float(value):.9g}"
    return ""


def _whole(value: str, kind: str) -> str:
    with suppress(ValueError, OverflowError):
        if abs(float(value)) < 1 << 31:
            return value if re.fullmatch(r"\s*[+-]?\d+\s*", value) else str(int(float(value)))
    return ""


def _code(value: str, kind: str) -> str:
    upper = value.strip().upper()
    return (value if upper == value.strip() else upper) if re.fullmatch(r"[A-Z0-9 _]{0,16}", upper) else ""


def _uid(value: str, kind: str) -> str:
    if _UID.fullmatch(value.strip("\0 ")) and len(value) <= _LONGEST_UID:
        return value
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, value).int}" if value.strip("\0 ") else ""


def _name_of(tag: Any) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"{int(tag):08X}"


_MENDERS: dict[str, Callable[[str, str], str]] = {
    "DA": _date,
    "TM": _time,
    "DT": _moment,
    "AS": _age,
    "DS": _decimal,
    "IS": _whole,
    "CS": _code,
    "UI": _uid,
    "PN": _name,
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UC", "UT"), _text),
}
_SEVERAL = (  # attributes of these groups that may have several values
    "ImageType",
    "OtherPatientNames",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "PerformingPhysicianName",
    "OperatorsName",
    "AdmittingDiagnosesDescription",
    "MedicalAlerts",
    "Allergies",
    "SpecificCharacterSet",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "ImagePosition",
    "ImageOrientation",
)
_MAY_NOT_LACK = (  # SEG and RTSTRUCT have these, if only empty
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
