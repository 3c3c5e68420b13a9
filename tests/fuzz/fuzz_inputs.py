"""Number -> a damaged input: which base, which of its files, and what was done to it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fuzz_mutations import Chance, damaged

Files = Mapping[str, bytes]
KINDS_TWICE = ("dicom", "derived", "bundle", "trace", "nifti", "nrrd", "metaimage")  # drawn more often


@dataclass(frozen=True)
class Base:
    """A whole, right input: its kind, its name, and the bytes of its files by path below its folder."""

    kind: str
    name: str
    files: Files


@dataclass(frozen=True)
class Damaged:
    """An input made from a base: the files that differ, None for one that was removed, a text for a link.

    ``number`` is the name of an input that was kept.
    """

    number: int | str
    kind: str
    base: str
    changed: Mapping[str, bytes | str | None]


def bases(folder: Path) -> list[Base]:
    """Return the bases that ``fuzz_bases.make`` wrote."""
    return [
        Base(
            kind.name,
            name.name,
            {str(f.relative_to(name)): f.read_bytes() for f in sorted(name.rglob("*")) if f.is_file()},
        )
        for kind in sorted(folder.iterdir())
        for name in sorted(kind.iterdir())
    ]


def kept(corpus: Path) -> list[Damaged]:
    """Return inputs that lie in a folder: ``<kind>/<base>/<name>/`` with the files that differ from the base."""
    found = []
    for name in sorted(corpus.glob("*/*/*")):
        changed = {str(file.relative_to(name)): file.read_bytes() for file in sorted(name.rglob("*")) if file.is_file()}
        found.append(Damaged(name.name, name.parents[1].name, name.parent.name, changed))
    return found


def kind_of(number: int, among: list[Base]) -> str:
    """Return the kind of the input of a number."""
    kinds = sorted({base.kind for base in among})
    return random.Random(f"kind {number}").choice([*kinds, *(one for one in kinds if one in KINDS_TWICE)])


def drawn(number: int, among: list[Base]) -> Damaged:
    """Return the input of a number."""
    kind = kind_of(number, among)
    chance = random.Random(f"voxtrace {number}")
    base = chance.choice([one for one in among if one.kind == kind])
    changed: dict[str, bytes | str | None] = {}
    for _ in range(chance.choice((1, 1, 1, 2))):
        path = chance.choice(_often(base.files))
        changed[path] = _changed(base.files[path], path, base, chance)
    return Damaged(number, kind, base.name, sealed(base, changed))


def _often(files: Files) -> list[str]:
    """Return the paths, text and small files more often than those of numbers."""
    return [path for path in files for _ in range(4 if path.endswith((".json", ".jsonl")) or len(files) < 4 else 1)]


def _changed(content: bytes, path: str, base: Base, chance: Chance) -> bytes | str | None:
    kind = chance.random()
    if kind < 0.01:
        return None
    if kind < 0.02:
        return b""
    if kind < 0.03:
        return chance.choice(("/dev/zero", ".", path, "no-such-file"))
    if kind < 0.04:
        return chance.choice(list(base.files.values()))
    return damaged(content, path, chance)


def sealed(base: Base, changed: dict[str, bytes | str | None]) -> dict[str, bytes | str | None]:
    """Write the right digests into a bundle, as a stranger who makes one does."""
    path = "bundle/bundle.json"
    if base.kind != "bundle" or not all(isinstance(content, bytes) for content in changed.values()):
        return changed
    files = {**base.files, **changed}
    try:
        record = json.loads(files[path])  # type: ignore[arg-type]
        for name in record["files"]:
            record["files"][name] = hashlib.sha256(files[f"bundle/{name}"]).hexdigest()  # type: ignore[arg-type]
        unsigned = {key: value for key, value in record.items() if key != "digest"}
        canonical = json.dumps(unsigned, sort_keys=True, separators=(",", ":"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return changed
    record["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    return {**changed, path: json.dumps(record).encode()}


def write(made: Damaged, base: Base, folder: Path) -> None:
    """Write the files of an input into a folder that does not exist yet."""
    for path, content in {**base.files, **made.changed}.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            target.write_bytes(content)
        elif content is not None:
            target.symlink_to(content)
