"""Names of labels -> coded concepts of DICOM, with the side where the name states it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from voxtrace.io.export.anatomy import ANATOMY, FINDINGS, PAIRED

PRIVATE_SCHEME = "99VOXTRACE"
_SPELLING = {"oesophagus": "esophagus", "oedema": "edema", "tumour": "tumor", "peritumoural": "peritumoral"}
_PLURALS = {"adrenals": "adrenal gland", "hippocampi": "hippocampus", "kidneys": "kidney", "lungs": "lung"}
_VERTEBRA = re.compile(r"vertebrae? (c[1-7]|t1[0-2]|t[1-9]|l[1-5])")
_RIB = re.compile(r"rib(?: (?:1[0-2]|[1-9]))?")
_SEMANTIC_TAG = re.compile(r" \([a-z ]+\)$")  # "Body structure (body structure)"
_LARGEST_TEXT = 64  # of DICOM's LO, in characters


class Code(NamedTuple):
    """A coded concept: value, coding scheme, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Concept:
    """The coded meaning of a label.

    Attributes
    ----------
    category
        Anatomical structure, morphologically abnormal structure, or where the name is unknown body structure, which
        may be either.
    kind
        What it is; of scheme ``99VOXTRACE`` with the name as meaning where no code is known.
    side
        Left, right or both; None when the name does not state it.
    known
        Whether the name has a published code.
    """

    category: Code
    kind: Code
    side: Code | None = None
    known: bool = True

    @property
    def is_organ(self) -> bool:
        """Whether the label is a piece of anatomy with a code."""
        return self.category.value == _anatomical().value


def concept_of(name: str) -> Concept:
    """Return what a label's name means.

    Examples
    --------
    >>> concept_of("kidney_left").kind.meaning, concept_of("kidney_left").side.meaning
    ('Kidney', 'Left')
    >>> concept_of("gluteus_maximus_left").kind.scheme
    '99VOXTRACE'
    """
    phrase = plain(name)
    if phrase in FINDINGS:
        scheme, keyword = FINDINGS[phrase]
        return Concept(_code("SCT", "MorphologicallyAbnormalStructure"), _code(scheme, keyword))
    keyword, side = _anatomy(phrase)
    if keyword:
        return Concept(_anatomical(), _code("SCT", keyword), side)
    return Concept(_code("SCT", "BodyStructure"), _private(phrase, name), known=False)


def plain(name: str) -> str:
    """Return a name in lower case, words apart by one space, in American spelling.

    Examples
    --------
    >>> plain("Kidney_Left"), plain("Enhancing tumour")
    ('kidney left', 'enhancing tumor')
    """
    words = re.sub(r"[\W_]+", " ", name.lower()).split()
    return " ".join(_SPELLING.get(word, word) for word in words)


def text(name: str) -> str:
    """Return a name as DICOM's short texts allow it: one line, no backslash, at most 64 characters."""
    return " ".join(name.replace("\\", "/").split())[:_LARGEST_TEXT].strip() or "unnamed"


def _anatomy(phrase: str) -> tuple[str, Code | None]:
    """Return the keyword of a plain name, ``""`` for none, and its side."""
    if phrase in ANATOMY:
        return ANATOMY[phrase], None
    if phrase in _PLURALS:
        return ANATOMY[_PLURALS[phrase]], _code("SCT", "RightAndLeft")
    if match := _VERTEBRA.fullmatch(phrase):
        return f"{match[1].upper()}Vertebra", None
    words = phrase.split()
    sides = [word for word in words if word in ("left", "right")]
    rest = " ".join(word for word in words if word not in sides)
    keyword = "Rib" if _RIB.fullmatch(rest) else ANATOMY.get(rest, "")
    if len(sides) > 1 or (sides and keyword not in PAIRED):
        return "", None
    return keyword, _code("SCT", sides[0].capitalize()) if sides else None


def _anatomical() -> Code:
    return _code("SCT", "AnatomicalStructure")


def _code(scheme: str, keyword: str) -> Code:
    from pydicom.sr.codedict import codes

    found = getattr(getattr(codes, scheme), keyword)
    meaning = _SEMANTIC_TAG.sub("", str(found.meaning))
    return Code(str(found.value), str(found.scheme_designator), meaning)


def _private(phrase: str, name: str) -> Code:
    """Return the same private code for the same name each time; a code value has at most 16 letters."""
    digest = hashlib.sha256(phrase.encode()).hexdigest()[:12].upper()
    return Code(f"V{digest}", PRIVATE_SCHEME, text(name))
