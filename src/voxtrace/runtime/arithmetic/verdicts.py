"""What was found about layers, in the user's cache folder: one file for each processor and set of versions.

A file that is missing, damaged or not writable costs a few checks, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import platformdirs
import torch

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.kernels.sparse.measured_choice import processor_name
from voxtrace.safe_text import read_json

EDITION = 1  # of the check; another one checks every layer again


class CheckedLayer(NamedTuple):
    """A layer that was checked, and what disagreed with float64: nothing, or e.g. ``("weight gradient",)``."""

    layer: str
    wrong: tuple[str, ...]


@dataclass
class Verdicts:
    """What is wrong with each layer, in memory and in a file; ``file`` None keeps it in memory only."""

    file: Path | None
    about: dict[str, Any] = field(default_factory=dict)
    layers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _unwritten: bool = False
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.layers = _read(self.file, self.about)

    def of(self, key: str, check: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Return what is remembered to be wrong with a layer; where nothing is remembered, check it."""
        with self._lock:
            if key not in self.layers:
                self.layers[key] = check()
                self._unwritten = True
            return self.layers[key]

    def write(self) -> None:
        """Write what is new; what another process found first stands."""
        with self._lock:
            if self.file is None or not self._unwritten:
                return
            self.layers |= _read(self.file, self.about)
            told = {**self.about, "layers": {key: list(wrong) for key, wrong in self.layers.items()}}
            try:
                with atomic_file(self.file) as temporary:
                    temporary.write_text(json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False), "utf-8")
            except OutputError:
                self.file = None
            self._unwritten = False


def user_folder() -> Path:
    """Return where the files are."""
    return platformdirs.user_cache_path("voxtrace", appauthor=False) / "arithmetic"


@cache
def machine_verdicts(device: torch.device) -> Verdicts:
    """Return what is known of a device of this machine with these versions."""
    about = _about(device)
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    return Verdicts(user_folder() / f"{name}.json", about)


def remembered() -> list[CheckedLayer]:
    """Return every layer that was checked on this machine with these versions, those that are wrong first.

    A layer is listed once, with all that was wrong in any type, memory format or number of threads.
    """
    devices = [torch.device("cpu"), *(torch.device("cuda", i) for i in range(torch.cuda.device_count()))]
    found: dict[str, tuple[str, ...]] = {}
    for device in devices:
        for key, wrong in _stored(_about(device)).items():
            layer = key.partition(", ")[0]
            found[layer] = tuple(sorted({*found.get(layer, ()), *wrong}))
    return [CheckedLayer(*item) for item in sorted(found.items(), key=lambda item: (not item[1], item[0]))]


def _stored(about: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    return _read(user_folder() / f"{name}.json", about)


def _about(device: torch.device) -> dict[str, Any]:
    """Return what results depend on beside the layer: the device, the instructions that may be used, the versions."""
    told: dict[str, Any] = {"edition": EDITION, "torch": str(torch.__version__), "device": device.type}
    if device.type == "cuda":
        versions = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"  # type: ignore[no-untyped-call]
        return {**told, "processor": f"{torch.cuda.get_device_name(device)}, {versions}"}
    return {**told, "processor": processor_name(), "instructions": os.environ.get("ONEDNN_MAX_CPU_ISA", "all")}


def _read(file: Path | None, about: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what a file says of layers, nothing where it is not a file of ours about this machine."""
    try:
        told = read_json(file) if file else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(told, dict) or any(told.get(name) != value for name, value in about.items()):
        return {}
    layers = told.get("layers")
    listed = layers.items() if isinstance(layers, dict) else ()
    return {key: tuple(map(str, wrong)) for key, wrong in listed if isinstance(wrong, list)}
