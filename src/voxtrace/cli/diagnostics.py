"""What is found about this machine and this installation, and whether it will do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxtrace.cli.machine import accelerators, memory_gb, processor
from voxtrace.errors import VoxTraceError

PACKAGES = ("voxtrace", "torch", "monai", "SimpleITK", "pydicom", "zarr", "openvino", "napari")
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
LEAST_MEMORY_GB = 4.0
LEAST_DISK_GB = 2.0
MOST_LAYERS = 3  # that are named where the arithmetic of several is wrong


@dataclass(frozen=True)
class Diagnostic:
    """One thing that was looked at: what was found, whether it will do, and what to do if not."""

    what: str
    verdict: Literal["good", "note", "bad"]
    found: str
    advice: str = ""


def diagnose() -> tuple[Diagnostic, ...]:
    """Return all findings about this machine and installation."""
    return (
        _python(),
        _packages(),
        _processor(),
        _memory(),
        _disk(),
        _reading(),
        _cuda(),
        _runtimes(),
        _auto(),
        _kernels(),
        _arithmetic(),
        *_models(),
        _napari(),
        _display(),
    )


def _python() -> Diagnostic:
    return Diagnostic("python", "good", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def versions() -> dict[str, str | None]:
    """Return the version of every package that matters, None for those not installed."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Diagnostic:
    listed = ", ".join(f"{name} {version}" for name, version in versions().items() if version)
    return Diagnostic("packages", "good", listed)


def _processor() -> Diagnostic:
    from voxtrace.runtime.processor import processor_kind

    found = processor()
    fast = [flag for flag in found["instructions"] if "bf16" in flag]
    listed = " ".join(found["instructions"]) or "no matrix instructions"
    described = f"{found['name']}, {found['cores']} cores, {listed}; of the kind {processor_kind()}"
    if fast:
        return Diagnostic("processor", "good", described)
    return Diagnostic("processor", "note", described, "no bfloat16 instructions: networks run in float32")


def _memory() -> Diagnostic:
    memory = memory_gb()
    found = f"{memory['available']} GB free of {memory['total']} GB"
    if memory["available"] >= LEAST_MEMORY_GB:
        return Diagnostic("memory", "good", found)
    return Diagnostic("memory", "note", found, "large scans may not fit; close other programs")


def _disk() -> Diagnostic:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    found = f"{free_gb:.1f} GB free in this folder"
    if free_gb >= LEAST_DISK_GB:
        return Diagnostic("disk", "good", found)
    return Diagnostic("disk", "note", found, "choose an output folder on another disk")


def _reading() -> Diagnostic:
    """Say what a file can do while it is read."""
    from voxtrace.io.child.readers import protection_here

    try:
        held = protection_here()
    except VoxTraceError as error:
        return Diagnostic("reading files", "bad", str(error), "install the package again")
    if held is None:
        found = "in the program's own process, without limits, as VOXTRACE_READ_IN_PROCESS asks"
        return Diagnostic("reading files", "note", found, "unset it to read files of others")
    return Diagnostic("reading files", "good" if held.is_complete else "note", held.sentence)


def _cuda() -> Diagnostic:
    found = accelerators()
    if not found:
        return Diagnostic("cuda", "note", "no CUDA device that torch can use", "networks run on the processor")
    return Diagnostic("cuda", "good", ", ".join(f"{one['name']} ({one['memory_gb']} GB)" for one in found))


def _runtimes() -> Diagnostic:
    from voxtrace.runtime.auto_runtime import LEAST_CALLS, LEAST_WINOGRAD, has_openvino

    if accelerators():
        return Diagnostic("runtimes", "good", "torch on CUDA")
    if has_openvino():
        found = f"torch; Winograd from {LEAST_WINOGRAD} windows × steps on, OpenVINO from {LEAST_CALLS}"
        return Diagnostic("runtimes", "good", found)
    advice = 'pip install "voxtrace[openvino]" for faster prediction without a GPU, where Winograd does not fit'
    return Diagnostic("runtimes", "note", "torch and Winograd", advice)


def _auto() -> Diagnostic:
    """Say what ``--runtime auto`` takes for each family of networks in a long run."""
    from voxtrace.kernels.switches import is_enabled
    from voxtrace.runtime.auto_runtime import has_openvino, ranked_backends
    from voxtrace.runtime.families import FAMILIES

    if accelerators():
        return Diagnostic("auto", "good", "torch on CUDA for every network")
    takes = {}
    for family in FAMILIES:
        (best, *_), source = ranked_backends(family, "auto", openvino=has_openvino())
        takes[family] = f"{best} ({source})"
    if is_enabled("sparse"):
        takes["masked"] = "torch, skipping the kernels that are off"
    return Diagnostic("auto", "good", "; ".join(f"{family}: {backend}" for family, backend in takes.items()))


def _kernels() -> Diagnostic:
    """Say which groups of kernels are switched on and off."""
    from voxtrace.kernels.switches import GROUPS, disabled

    off = disabled()
    on = [group for group in GROUPS if group not in off]
    if not off:
        return Diagnostic("kernels", "good", f"{', '.join(on)} on")
    found = f"{', '.join(off)} off" + (f"; {', '.join(on)} on" if on else "")
    return Diagnostic("kernels", "note", found, f"voxtrace doctor --enable {off[0]} switches it on again")


def _arithmetic() -> Diagnostic:
    from voxtrace.runtime.arithmetic import remembered

    layers = remembered()
    wrong = [f"{layer}: {' and '.join(what)}" for layer, what in layers if what]
    if not layers:
        return Diagnostic("arithmetic", "good", "no layer checked yet; each is when a network first runs in 16 bits")
    if not wrong:
        return Diagnostic(
            "arithmetic",
            "good",
            f"{len(layers)} {'layer' if len(layers) == 1 else 'layers'} checked, all agree with float64",
        )
    shown = "; ".join(wrong[:MOST_LAYERS]) + ("; …" if len(wrong) > MOST_LAYERS else "")
    found = f"{len(wrong)} of {len(layers)} layers checked disagree with float64 ({shown})"
    return Diagnostic("arithmetic", "note", found, "nothing to do: they are computed in float32")


def _models() -> tuple[Diagnostic, ...]:
    from voxtrace.bundle import shipped

    bundles = shipped()
    if not bundles:
        return (Diagnostic("models", "note", "no bundle came with this package", "train one, or install a release"),)
    return tuple(_model(name, path) for name, path in bundles.items())


def _model(name: str, path: Path) -> Diagnostic:
    from voxtrace.bundle import verify

    try:
        verify(path)
    except VoxTraceError as error:
        return Diagnostic("model", "bad", f"{name}: {error}", "install the package again")
    return Diagnostic("model", "good", f"{name}: complete and unaltered")


def _napari() -> Diagnostic:
    qt = next((f"{name} {version}" for name in QT_BINDINGS if (version := _version(name))), None)
    napari = _version("napari")
    if napari and qt and importlib.util.find_spec("napari"):
        return Diagnostic("napari", "good", f"napari {napari} with {qt}")
    return Diagnostic("napari", "note", "not installed", 'pip install "voxtrace[gui]" for the window')


def _display() -> Diagnostic:
    if sys.platform in ("win32", "darwin"):
        return Diagnostic("display", "good", "the desktop of this system")
    there = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    if there:
        return Diagnostic("display", "good", ", ".join(there))
    return Diagnostic("display", "note", "none", "commands work without one; napari needs one")
