"""Say how far labels of an imported nnU-Net model agree with nnU-Net's own, for each case and label.

python scripts/compare_nnunet.py MODEL_FOLDER IMAGES OUT --peer PYTHON [--folds 0 1] [--mirror] [--peer-bits 32]

PYTHON has nnU-Net v2 and runs its own predictor on the processor; ours runs in torch, float32. OUT receives the bundles
and both sets of labels. nnU-Net sums windows in 16 bits; with --peer-bits 32 it does so in 32 bits, as we do, which
tells rounding from faults.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from voxtrace.io import read_labels
from voxtrace.metrics import dice
from voxtrace.nnunet import import_model

EQUAL, ALIKE = 0.999, 0.999  # of voxels, and Dice of each label
THEIRS = """
import functools, sys, torch
from nnunetv2.inference import predict_from_raw_data as nnunet

if __name__ == "__main__":
    model, images, out, mirror, bits, *folds = sys.argv[1:]
    if bits == "32":
        torch.half, weights = torch.float32, nnunet.compute_gaussian
        nnunet.compute_gaussian = functools.partial(weights, dtype=torch.float32)
        nnunet.compute_gaussian.cache_clear = weights.cache_clear
    predictor = nnunet.nnUNetPredictor(
        use_mirroring=mirror == "True", perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(model, folds)
    predictor.predict_from_files_sequential(images, out, overwrite=True)
"""


def main() -> int:
    """Print the table; return 1 where labels agree less than they should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", default=["0"])
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--peer-bits", choices=("16", "32"), default="16")
    given = parser.parse_args()
    theirs, ours = given.out / "nnunet", given.out / "voxtrace"
    theirs.mkdir(parents=True, exist_ok=True)
    _run_nnunet(given, theirs)
    _run_voxtrace(given, ours)
    return _report(sorted(theirs.glob("*.nii.gz")), ours)


def _run_nnunet(given: argparse.Namespace, out: Path) -> None:
    words = (given.peer, "-c", THEIRS, given.model, given.images, out, given.mirror, given.peer_bits, *given.folds)
    nowhere = {f"nnUNet_{name}": str(out) for name in ("raw", "preprocessed", "results")}
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, env={**os.environ, **nowhere})


def _run_voxtrace(given: argparse.Namespace, out: Path) -> None:
    bundles = import_model(given.model, given.out / "bundles", fold=",".join(given.folds))
    entry = (sys.executable, "-c", "from voxtrace.cli import main; main()")
    options = ("--runtime", "torch", "--device", "cpu", "--precision", "float32", "--keep", "last", "--overwrite")
    models = [word for bundle in bundles for word in ("-m", bundle)]
    mirror = "--mirror" if given.mirror else "--no-mirror"
    words = (*entry, "predict", given.images, "-o", out, *models, *options, mirror)
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def _report(theirs: list[Path], ours: Path) -> int:
    """Print a line for each case and one for all; return whether any is below what is expected."""
    shares, scores, unequal = [], [], 0
    for path in theirs:
        expected, answer = read_labels(path), read_labels(ours / path.name)
        labels = np.unique(expected.data[expected.data > 0]).tolist()
        differing = int((expected.data != answer.data).sum())
        alike = [dice(answer, expected, label) for label in labels]
        shares.append(1 - differing / expected.data.size)
        scores += alike
        unequal += differing
        each = ", ".join(f"{label} {value:.5f}" for label, value in zip(labels, alike, strict=True))
        print(f"{path.name}: {differing} of {expected.data.size} voxels differ; Dice {each}")
    print(f"{len(theirs)} cases: {unequal} voxels differ; equal voxels {min(shares):.6f} at least, "
          f"Dice of a label {min(scores):.5f} at least")  # fmt: skip
    return int(min(shares) < EQUAL or min(scores) < ALIKE)


if __name__ == "__main__":
    sys.exit(main())
