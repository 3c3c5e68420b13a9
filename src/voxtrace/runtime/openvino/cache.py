"""Converted parts on disk, so that a part is taken over from torch once and not in every run.

An entry is a folder: ``model.xml`` and ``model.bin`` as OpenVINO writes them, and ``entry.json``, which has the form of
the answer and the digests of the two. Entries appear whole or not at all. One that is not what its digests say is
removed and made anew. What is kept is the network before it is fitted to a processor: that takes a tenth of a second,
and so an entry serves every number of threads, precision and machine.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_folder, remove_folder
from voxtrace.errors import OutputError
from voxtrace.runtime.openvino.compiled import core
from voxtrace.runtime.openvino.convert import Converted
from voxtrace.safe_text import read_json

GB = 10**9
FILES = ("model.xml", "model.bin")


def user_folder() -> Path:
    """Return the folder in the user's cache, e.g. ``~/.cache/voxtrace/openvino``; it need not be there."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("voxtrace", appauthor=False)) / "openvino"


@dataclass(frozen=True)
class Cache:
    """Entries by key in a folder of at most ``most_bytes``; those not used for longest leave first."""

    folder: Path
    most_bytes: int = GB

    def load(self, key: str) -> Converted | None:
        """Return what was stored under a key; None where there is nothing, or nothing that can be trusted."""
        entry = self.folder / key
        if not entry.is_dir():
            return None
        try:
            entry_json = read_json(entry / "entry.json")
            if entry_json["sha256"] != _digests(entry):
                raise ValueError("altered")
            model = core().read_model(entry / FILES[0])
            # The time of last use decides which entries are removed first.
            os.utime(entry)
            return Converted(model, entry_json["form"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            remove_folder(entry)
            return None

    def store(self, key: str, converted: Converted) -> None:
        """Keep what was converted, where the disk allows it; a full or read-only one costs time, not the answer."""
        import openvino

        if (self.folder / key).exists():  # another process was faster
            return
        try:
            with atomic_folder(self.folder / key, replace=False) as entry:
                openvino.serialize(converted.model, entry / FILES[0], entry / FILES[1])
                entry_json = {"form": converted.form, "sha256": _digests(entry)}
                (entry / "entry.json").write_text(json.dumps(entry_json), encoding="utf-8")
            self.trim()
        except (OutputError, OSError, RuntimeError):
            return

    def trim(self) -> None:
        """Remove the entries that were not used for longest, until the rest fit."""
        entries = sorted(self._entries(), key=lambda entry: entry[0], reverse=True)
        total = 0
        for _, size, folder in entries:
            total += size
            if total > self.most_bytes:
                remove_folder(folder)

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Return when each entry was last used, its size in bytes, and where it is."""
        found: list[Any] = []
        for folder in self.folder.iterdir():
            try:
                size = sum(file.stat().st_size for file in folder.iterdir())
                found.append((folder.stat().st_mtime, size, folder))
            except OSError:  # another process removed it
                continue
        return found


def _digests(entry: Path) -> dict[str, str]:
    digests = {}
    for name in FILES:
        with (entry / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
