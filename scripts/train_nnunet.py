"""Train nnU-Net v2 for some minutes of a processor on a fold of a dataset; say how good it is, beside bundles if any.

    python scripts/train_nnunet.py DATASET OUT --peer PYTHON --minutes 40 [--fold 0] [--configuration 3d_fullres]
        [--width 32] [--batch-size 2] [--window 24x32x24] [--precision bfloat16] [--against BUNDLE ...]

PYTHON has nnU-Net v2 (`make .venv-peer/peer.stamp` makes one). Plan, augmentation, loss, optimiser and prediction are
nnU-Net's own; the learning rate falls over the minutes as it does over its 1000 epochs. --width, --batch-size and
--window make its plan smaller, which suits a processor better. --precision bfloat16 lets its convolutions run in 16
bits, as on a GPU. DATASET is in nnU-Net's raw layout, with splits_final.json. OUT receives nnU-Net's folders; minutes,
updates and the Dice of each held-back case are printed and kept in OUT/nnunet.json. Bundles are compared on the cases
that their cards name, the cases of a subject averaged first. Minutes are those of the processor: of one thread with
OMP_NUM_THREADS=1, and other work on the machine costs nnU-Net nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from compare_cards import by_subject, counted

from voxtrace.atomic import atomic_file
from voxtrace.batch.paired import paired
from voxtrace.bundle import card
from voxtrace.io import read_labels
from voxtrace.metrics import case_mean, evaluate_case, finite_mean, mean_interval

PREPARE = """
import sys
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

if __name__ == "__main__":
    number, configuration = int(sys.argv[1]), sys.argv[2]
    extract_fingerprints([number], num_processes=1)
    plan_experiments([number])
    preprocess([number], configurations=(configuration,), num_processes=(1,))
"""
TRAIN = """
import json, sys, time
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

class Timed(nnUNetTrainer):
    minutes, bits = 1.0, "float32"

    def train_step(self, batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bits == "bfloat16"):
            return super().train_step(batch)

    def run_training(self):
        self.on_train_start()
        self.began, self.updates, spent = time.process_time(), 0, 0.0
        while spent < 1:
            self.current_epoch = min(spent, 0.999) * self.num_epochs
            self.network.train()
            self.lr_scheduler.step(self.current_epoch)
            for _ in range(10):
                self.train_step(next(self.dataloader_train))
                self.updates += 1
            spent = (time.process_time() - self.began) / (60 * self.minutes)
        self.current_epoch = self.num_epochs
        self.seconds = time.process_time() - self.began
        self.on_train_end()

if __name__ == "__main__":
    plans, dataset, configuration, fold, minutes, bits, told = sys.argv[1:]
    torch.manual_seed(0)
    Timed.minutes, Timed.bits = float(minutes), bits
    given = {**json.load(open(plans)), "continue_training": False}
    trainer = Timed(given, configuration, int(fold), json.load(open(dataset)), torch.device("cpu"))
    trainer.run_training()
    trainer.perform_actual_validation(False)
    answer = {"updates": trainer.updates, "seconds": trainer.seconds, "folder": trainer.output_folder}
    with open(told, "w") as file:
        json.dump(answer, file)
"""


def main() -> None:
    """Print nnU-Net's Dice, and the difference to each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--configuration", default="3d_fullres")
    parser.add_argument("--width", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--window")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--against", nargs="+", default=[])
    given = parser.parse_args()
    kept = given.out / "nnunet.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        _write(kept, json.dumps(_trained(given), indent=1))
    found = json.loads(kept.read_text())
    told = mean_interval(found["dice"].values())
    print(
        f"nnU-Net: {told.mean:.4f} [{told.low:.4f}, {told.high:.4f}], n {told.count}; {found['updates']} updates in "
        f"{found['seconds'] / 60:.1f} minutes of a processor; {found['plan']}"
    )
    for name in given.against:
        _compare(name, found["dice"])


def _trained(given: argparse.Namespace) -> dict[str, object]:
    """Train in OUT and return plan, updates, seconds and the mean Dice of each held-back case."""
    number = given.dataset.name[7:10]
    folders = {name: given.out.resolve() / name for name in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    if not (folders["raw"] / given.dataset.name).exists():
        (folders["raw"] / given.dataset.name).symlink_to(given.dataset.resolve())
    environment = {**os.environ, **{f"nnUNet_{name}": str(path) for name, path in folders.items()}}
    made = folders["preprocessed"] / given.dataset.name
    plans, told = made / "smaller.json", given.out / "told.json"
    if not plans.exists():
        _run(given.peer, environment, PREPARE, (number, given.configuration))
        shutil.copyfile(given.dataset / "splits_final.json", made / "splits_final.json")
        _write(plans, json.dumps(_smaller(json.loads((made / "nnUNetPlans.json").read_text()), given)))
    words = (plans, made / "dataset.json", given.configuration, given.fold, given.minutes, given.precision, told)
    _run(given.peer, {**environment, "nnUNet_n_proc_DA": "0", "nnUNet_compile": "f"}, TRAIN, words)
    answer = json.loads(told.read_text())
    cases = json.loads((made / "splits_final.json").read_text())[given.fold]["val"]
    predicted = Path(answer.pop("folder")) / "validation"
    dice = {}
    for case in cases:
        reference = read_labels(given.dataset / "labelsTr" / f"{case}.nii.gz")
        dice[case] = case_mean(evaluate_case(read_labels(predicted / f"{case}.nii.gz"), reference), "dice")
    own = json.loads(plans.read_text())["configurations"][given.configuration]
    widths = own["architecture"]["arch_kwargs"]["features_per_stage"]
    plan = f"window {own['patch_size']}, {own['batch_size']} in an update, widths {widths}, {given.precision}"
    return {**answer, "plan": plan, "dice": dice}


def _smaller(plans: dict[str, object], given: argparse.Namespace) -> dict[str, object]:
    """Return nnU-Net's plans with the width, batch and window that were asked for."""
    own = plans["configurations"][given.configuration]  # type: ignore[index]
    if given.width:
        architecture = own["architecture"]["arch_kwargs"]
        factor = given.width / architecture["features_per_stage"][0]
        architecture["features_per_stage"] = [int(n * factor) for n in architecture["features_per_stage"]]
    if given.batch_size:
        own["batch_size"] = given.batch_size
    if given.window:
        own["patch_size"] = [int(n) for n in given.window.split("x")]
    return plans


def _run(python: Path, environment: dict[str, str], code: str, words: Sequence[object]) -> None:
    script = Path(environment["nnUNet_results"]) / "run.py"  # a file, for nnU-Net's processes start from it again
    _write(script, code)
    subprocess.run([str(python), str(script), *map(str, words)], check=True, env=environment)


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _compare(name: str, theirs: dict[str, float]) -> None:
    """Print how the cases of a bundle's card differ from nnU-Net's."""
    record = card(name)
    own = {row["name"]: finite_mean(row["dice"].values()) for row in record["metrics"]["validation"]["per_case"]}
    common = sorted(set(own) & set(theirs))
    ours, nnunet = (by_subject({("", case): of[case] for case in common}) for of in (own, theirs))
    found = paired(list(ours.values()), list(nnunet.values()))
    print(
        f"{Path(name).name}: {found.one:.4f} against {found.other:.4f}, difference {found.difference:+.4f} "
        f"[{found.low:+.4f}, {found.high:+.4f}], p {found.p:.2g}, {counted(found.count, len(ours), len(common))}; "
        f"{record['provenance']['seconds'] / 60:.1f} minutes"
    )


if __name__ == "__main__":
    main()
