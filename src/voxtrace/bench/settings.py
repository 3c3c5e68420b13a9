"""Settings of a bench, and the command lines of the competitors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtrace.bench.inputs import Scan
from voxtrace.bench.models import Models
from voxtrace.bench.runner import Competitor, Echo

PEERS = Path(__file__).with_name("peers")
ENTRY = "from voxtrace.cli import main; main()"


@dataclass(frozen=True)
class BenchSettings:
    """How to compare.

    Attributes
    ----------
    folder
        Folder of inputs, models and outputs. Inputs are kept from run to run.
    repeats
        Rounds in which each competitor runs once.
    quick
        Tiny inputs, for a check that everything runs; the numbers mean nothing.
    peer
        A Python interpreter with nnU-Net v2; None leaves nnU-Net out.
    real_data
        The folder of real scans; None leaves the scenarios on real scans out.
    seed
        Seed of the phantoms.
    echo
        Called with each progress message.
    """

    folder: Path
    repeats: int = 3
    quick: bool = False
    peer: Path | None = None
    real_data: Path | None = None
    seed: int = 3000
    echo: Echo = print

    @property
    def inputs(self) -> Path:
        """Folder of the scans."""
        return self.folder / "inputs"

    def out(self, scenario: str, name: str) -> Path:
        """Return the output folder of a competitor."""
        return self.folder / "out" / scenario / name.replace(" ", "-")


def voxtrace_competitor(
    settings: BenchSettings, scenario: str, name: str, scans: Sequence[Scan], model: Path | str, *options: str
) -> Competitor:
    """Return ``voxtrace predict``; for several scans ``labels`` is a folder."""
    out = settings.out(scenario, name)
    files = [str(path) for scan in scans for path in scan.channels]
    # ``voxtrace predict`` names label maps after the cases.
    labels = out / f"{_case_name(scans[0])}.nii.gz" if len(scans) == 1 else out
    return Competitor(
        name, voxtrace("predict", *files, "-m", str(model), "-o", str(out), "--json", *options), out, labels
    )


def nnunet(settings: BenchSettings, scenario: str, scan: Scan, models: Models, bits: int = 16) -> Competitor | None:
    """Return nnU-Net, summing windows in ``bits`` bits; None without an interpreter for it."""
    if settings.peer is None:
        return None
    name = "nnU-Net" if bits == 16 else f"nnU-Net, sums in {bits} bits"
    out = settings.out(scenario, name)
    labels = out / f"{scan.name}.nii.gz"
    script, image = PEERS / "with_nnunet.py", scan.channels[0]
    words = (settings.peer, script, models.nnunet, image, labels, cores(), bits)
    return Competitor(name, [str(word) for word in words], out, labels)


def monai_competitor(settings: BenchSettings, scenario: str, scan: Scan, models: Models) -> Competitor:
    """Return MONAI's inferer, run by this interpreter, which has MONAI as a dependency."""
    out = settings.out(scenario, "monai")
    labels = out / f"{scan.name}.nii.gz"
    script, image = PEERS / "with_monai.py", scan.channels[0]
    words = (sys.executable, script, models.unet, image, labels, cores())
    return Competitor("MONAI", [str(word) for word in words], out, labels)


def voxtrace(*words: str) -> list[str]:
    """Return the command line of a ``voxtrace`` command, run by this interpreter."""
    return [sys.executable, "-c", ENTRY, *words]


def cores() -> int:
    """Return on how many cores this process, and so each competitor, may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _case_name(scan: Scan) -> str:
    """Return the case name of ``voxtrace predict``: the file's stem, without the channel where there are several."""
    stem = scan.channels[0].name.removesuffix(".nii.gz")
    return stem if len(scan.channels) == 1 else stem.removesuffix("_0000")
