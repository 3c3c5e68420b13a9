"""Run scenarios one after the other and return their outcomes as one document."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from voxtrace.bench.measure import measure
from voxtrace.bench.outcome import Outcome
from voxtrace.bench.scenarios import ct300, ct1000, imported, routing, settling, sparsity, training
from voxtrace.bench.settings import BenchSettings, cores
from voxtrace.errors import EngineError, InputError, UsageError

SCENARIOS: Mapping[str, Callable[[BenchSettings], Outcome]] = {
    "ct300": ct300.run,
    "ct1000": ct1000.run,
    "imported": imported.run,
    "settling": settling.run,
    "routing": routing.run_phantom,
    "routing-real": routing.run_real,
    "sparsity": sparsity.run,
    "training": training.run,
}
# Versions that the document records.
PACKAGES = ("voxtrace", "torch", "openvino", "monai", "nnunetv2", "numpy")
PEER_PACKAGES = ("torch", "nnunetv2", "numpy")
NEEDED_GB = 16.0  # of memory, for nnU-Net on the large CT
DISK_GB = 3.0
_ASK = (
    "import importlib.metadata as m, json, sys\n"
    "import nnunetv2\n"
    "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
)


def run(settings: BenchSettings, scenarios: Sequence[str] = tuple(SCENARIOS)) -> dict[str, Any]:
    """Return one document with the outcome of each named scenario.

    Raises
    ------
    UsageError
        An unknown scenario.
    InputError
        The peer's interpreter lacks nnU-Net, or there is too little memory or disk.
    EngineError
        A competitor failed.
    """
    chosen(scenarios)
    # Everything that can be refused is refused before the first scenario runs.
    check_resources(settings, scenarios)
    peer = peer_versions(settings.peer)
    outcomes = {}
    for name in scenarios:
        settings.echo(f"{name} …")
        outcomes[name] = SCENARIOS[name](settings).to_json()
    return {
        "versions": own_versions(),
        "peer_versions": peer,
        "cores_used": cores(),
        "repeats": settings.repeats,
        "quick": settings.quick,
        "seed": settings.seed,
        "works": outcomes,
    }


def chosen(scenarios: Sequence[str]) -> tuple[str, ...]:
    """Return the named scenarios; all of them if none is named.

    Raises
    ------
    UsageError
        An unknown scenario.
    """
    unknown = [name for name in scenarios if name not in SCENARIOS]
    if unknown:
        raise UsageError(f"scenario {unknown[0]!r} is unknown; choose among {', '.join(SCENARIOS)}.")
    return tuple(scenarios) or tuple(SCENARIOS)


def own_versions() -> dict[str, str]:
    """Return the versions of the packages that are compared; those that are not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peer_versions(peer: Path | None) -> dict[str, str]:
    """Return the package versions of the peer's environment; empty without a peer.

    Raises
    ------
    InputError
        The interpreter does not exist, or has no nnU-Net v2.
    """
    import json

    if peer is None:
        return {}
    try:
        return dict(json.loads(measure([str(peer), "-c", _ASK, *PEER_PACKAGES]).output))
    except (EngineError, ValueError) as error:
        raise InputError(
            f"{peer} is no Python interpreter with nnU-Net v2 ({error}); `make bench` makes one in .venv-peer."
        ) from error


def check_resources(settings: BenchSettings, scenarios: Sequence[str]) -> None:
    """Refuse to start with too little memory or disk.

    Raises
    ------
    InputError
        Less memory than nnU-Net needs for the large CT, or less free disk than inputs and outputs need.
    """
    # Tiny inputs fit everywhere.
    if settings.quick:
        return
    available = psutil.virtual_memory().available / 1e9
    if settings.peer is not None and "ct300" in scenarios and available < NEEDED_GB:
        raise InputError(
            f"{available:.1f} GB of memory are available, and nnU-Net takes up to {NEEDED_GB:.0f} GB for the large CT; "
            "free some, leave out --peer, or choose other scenarios with --only."
        )
    settings.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.folder).free / 1e9
    if free < DISK_GB:
        raise InputError(f"{settings.folder} has {free:.1f} GB free, expected {DISK_GB:.0f} GB; choose another --work.")
