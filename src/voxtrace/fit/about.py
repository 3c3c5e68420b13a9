"""What only the maker of a bundle can say: where its scans come from, who outlined them, who paid; from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxtrace.errors import InputError
from voxtrace.safe_text import brief, parse_json, printable

MOST_BYTES, MOST_LETTERS = 1 << 18, 4000

# Name in the file -> title in the card, in its order.
ABOUT = {
    "background": "Background",
    "aims": "Aims and hypotheses",
    "intended_use": "Intended use",
    "clinical_role": "Role in practice",
    "design": "Prospective or retrospective",
    "sources": "Sources of the scans",
    "eligibility": "Inclusion and exclusion",
    "excluded": "Numbers included and excluded",
    "population": "Population",
    "deidentification": "De-identification",
    "ethics": "Ethics",
    "acquisition": "Acquisition",
    "missing_data": "Missing data",
    "reference_standard": "Reference standard",
    "reference_rationale": "Why this reference standard",
    "annotators": "Annotators",
    "test_annotation": "Annotation of the held-back cases",
    "rater_variability": "Variability of raters",
    "sample_size": "Number of cases intended",
    "robustness": "Robustness",
    "explainability": "Explanation of answers",
    "external_testing": "Testing on scans from elsewhere",
    "trial_registration": "Registration of the trial",
    "limits": "Limits",
    "availability": "Availability",
    "attribution": "Attribution",
    "funding": "Funding",
    "contact": "Contact",
}


def read_about(path: str | Path) -> dict[str, str]:
    """Return what a maker says of a bundle: name -> text of one paragraph, in the order of the card.

    The file is TOML, or JSON (``.json``): names of ``ABOUT``, each with a text of at most 4,000 letters.

    Raises
    ------
    InputError
        It cannot be read, is larger than 256 KiB, or has an unknown name or a value that is no text.
    """
    file = Path(path)
    read: Callable[[bytes], Any] = parse_json if file.suffix.lower() == ".json" else _toml
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES >> 10} KiB")
        told = read(content)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read ({brief(error)}); expected TOML, or JSON in a .json file.") from error
    if not isinstance(told, dict):
        raise InputError(f"{file} holds no table of names and texts; see `voxtrace models describe --help`.")
    found = {name: _paragraph(file, name, value) for name, value in told.items()}
    return {name: found[name] for name in ABOUT if found.get(name)}


def _toml(content: bytes) -> dict[str, Any]:
    return tomllib.loads(content.decode("utf-8-sig"))


def _paragraph(file: Path, name: str, value: object) -> str:
    """Return a text on one line, so that it cannot pass for another part of the card."""
    if name not in ABOUT:
        raise InputError(f"{file} has {brief(name)!r}, which no card tells; expected some of {', '.join(ABOUT)}.")
    if not isinstance(value, str):
        raise InputError(f"{file}: {name} is {brief(repr(value))}; expected a text in quotes.")
    text = " ".join(printable(value).split())
    if len(text) > MOST_LETTERS:
        raise InputError(f"{file}: {name} has {len(text):,} letters; expected at most {MOST_LETTERS:,}.")
    return text


def about_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a bundle's record has of its maker's words, by name; {} where there are none."""
    return {name: text for name, text in (record.get("about") or {}).items() if name in ABOUT and text.strip()}
