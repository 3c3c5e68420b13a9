"""What a bench is asked to do, and the command lines that follow from it."""

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
        Where inputs, models and outputs lie. Inputs are kept from run to run.
    repeats
        Rounds in which each competitor runs once.
    quick
        Tiny inputs: to see that everything works, not to measure.
    peer
        An interpreter with nnU-Net v2; without one nnU-Net is left out.
    real_data
        The folder of real scans; without one the works on real scans are left out.
    seed
        Of the phantoms.
    say
        Where messages go.
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

    def out(self, work: str, name: str) -> Path:
        """Return the output folder of a competitor."""
        return self.folder / "out" / work / name.replace(" ", "-")


def ours(
    settings: BenchSettings, work: str, name: str, scans: Sequence[Scan], model: Path | str, *options: str
) -> Competitor:
    """Return ``voxtrace predict`` as a competitor; for several scans its labels are a folder."""
    out = settings.out(work, name)
    files = [str(path) for scan in scans for path in scan.channels]
    labels = out / f"{_case_name(scans[0])}.nii.gz" if len(scans) == 1 else out
    return Competitor(
        name, voxtrace("predict", *files, "-m", str(model), "-o", str(out), "--json", *options), out, labels
    )


def nnunet(settings: BenchSettings, work: str, scan: Scan, models: Models, bits: int = 16) -> Competitor | None:
    """Return nnU-Net, which sums windows in so many bits, as a competitor, or None where no interpreter has it."""
    if settings.peer is None:
        return None
    name = "nnU-Net" if bits == 16 else f"nnU-Net, sums in {bits} bits"
    out = settings.out(work, name)
    labels = out / f"{scan.name}.nii.gz"
    script, image = PEERS / "with_nnunet.py", scan.channels[0]
    words = (settings.peer, script, models.nnunet, image, labels, cores(), bits)
    return Competitor(name, [str(word) for word in words], out, labels)


def monai(settings: BenchSettings, work: str, scan: Scan, models: Models) -> Competitor:
    """Return MONAI's inferer as a competitor; it runs in our own interpreter, for MONAI is one of our dependencies."""
    out = settings.out(work, "monai")
    labels = out / f"{scan.name}.nii.gz"
    script, image = PEERS / "with_monai.py", scan.channels[0]
    words = (sys.executable, script, models.unet, image, labels, cores())
    return Competitor("MONAI", [str(word) for word in words], out, labels)


def voxtrace(*words: str) -> list[str]:
    """Return the command line of one of our own commands."""
    return [sys.executable, "-c", ENTRY, *words]


def cores() -> int:
    """Return on how many cores this process, and so every competitor, may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _case_name(scan: Scan) -> str:
    """Return what our command calls a scan: the stem of its file, without the channel where there are several."""
    stem = scan.channels[0].name.removesuffix(".nii.gz")
    return stem if len(scan.channels) == 1 else stem.removesuffix("_0000")
