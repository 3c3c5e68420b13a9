"""Write a trace of CDL-UNet's windows on a made-up CT of the whole trunk whose network reads the true labels.

    python scripts/perfect_windows.py OUT.trace SCAN.nii.gz

The labels are liver, spleen and kidneys, so that the chest and the lower abdomen are empty and the windows there are
skipped. The schedule is the method's own; a trained network labels something in nearly every window. The CT is written
to SCAN, and `figures.py windows FIGURE OUT.trace --scan SCAN` draws it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace import Plan
from voxtrace.bundle import Bundle
from voxtrace.inference import predict
from voxtrace.io import write
from voxtrace.methods import method
from voxtrace.phantoms import abdomen_ct
from voxtrace.plan import Normalisation
from voxtrace.volume import Triple, Volume

SEED, SHAPE = 2000, (160, 96, 96)
NAMES = {0: "background", 1: "liver", 2: "spleen", 3: "kidneys"}


class Reads(nn.Module):
    """A network whose answer is its image: label values."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X), 10 for the label of a voxel (B, 1, Z, Y, X) and 0 for the others."""
        chosen = nn.functional.one_hot(images[:, 0].round().long(), len(NAMES))  # (B, Z, Y, X, K)
        return 10.0 * chosen.movedim(-1, 1).float()


def main() -> None:
    """Write the trace and the scan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("scan", type=Path)
    given = parser.parse_args()
    case = abdomen_ct(SEED, SHAPE)
    labels = np.asarray(case.labels.data)
    image = np.where(labels <= max(NAMES), labels, 0).astype(np.float32)[np.newaxis]
    volume = Volume(image, case.volume.geometry, "MR", ("labels",), case.name, passport=case.volume.passport)
    result = predict(reading(case.volume.geometry.spacing_mm), volume, runtime="torch", precision="float32")
    result.trace.save(given.trace)
    write(case.volume, given.scan)
    skipped = len(result.trace.window_sets.get("skipped", ()))
    print(f"windows: {result.facts['windows']} visited, {skipped} skipped")


def reading(spacing_mm: Triple) -> Bundle:
    """Return a bundle with the windows of the shipped one for made-up CT, and the network that reads labels."""
    plan = Plan.example(labels=len(NAMES), window=(24, 48, 48), spacing_mm=spacing_mm)
    changes = {"labels": NAMES, "normalisation": (Normalisation(scheme="none"),), "interpolation": "linear"}
    chosen = method("cdlunet")
    network = nn.Module()
    network.add_module("segment", Reads())
    return Bundle(chosen, chosen.adapt(plan.model_copy(update=changes)), network.eval(), {"name": "true labels"})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
