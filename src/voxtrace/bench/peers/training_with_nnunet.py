"""Time updates of nnU-Net v2's own trainer on the CPU, and print them as JSON.

python training_with_nnunet.py FOLDER UPDATES AHEAD THREADS

FOLDER has raw/Dataset000_Bench, a dataset in nnU-Net's layout, and plans.json for it. Its preprocessor runs once. What
is timed is the trainer's ``train_step`` and the wait for its loader, whose processes are as many as nnU-Net starts; the
first AHEAD updates are left out. On a CPU the trainer computes in float32.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

NAME, CONFIGURATION = "Dataset000_Bench", "3d_fullres"


def main(folder: Path, updates: int, ahead: int, threads: int) -> None:
    """Print seconds an update, and the fraction of them that was not spent waiting for windows."""
    for part in ("raw", "preprocessed", "results"):
        (folder / part).mkdir(exist_ok=True)
        os.environ[f"nnUNet_{part}"] = str(folder / part)
    import torch

    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(sys.stderr):
        trainer = _trainer(folder)
        waited, took = _timed(trainer, ahead + updates)
        for loader in (trainer.dataloader_train, trainer.dataloader_val):
            if hasattr(loader, "_finish"):  # it has processes
                loader._finish()
    waited, took = waited[ahead:], took[ahead:]
    told = {"seconds": sum(took) / updates, "busy": 1 - sum(waited) / sum(took)}
    sys.stdout.write(json.dumps(told) + "\n")


def _trainer(folder: Path) -> Any:
    """Return nnU-Net's trainer with its loaders, ready for updates."""
    import torch
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    prepared = folder / "preprocessed" / NAME
    listing = json.loads((folder / "raw" / NAME / "dataset.json").read_text(encoding="utf-8"))
    plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
    if not (prepared / "done").is_file():
        prepared.mkdir(exist_ok=True)
        shutil.copyfile(folder / "plans.json", prepared / "nnUNetPlans.json")
        shutil.copyfile(folder / "raw" / NAME / "dataset.json", prepared / "dataset.json")
        DefaultPreprocessor(verbose=False).run(NAME, CONFIGURATION, "nnUNetPlans", num_processes=1)
        (prepared / "done").touch()
    trainer = nnUNetTrainer({**plans, "continue_training": False}, CONFIGURATION, "all", listing, torch.device("cpu"))
    trainer.initialize()
    trainer.dataloader_train, trainer.dataloader_val = trainer.get_dataloaders()
    trainer.set_deep_supervision_enabled(True)
    trainer.network.train()
    return trainer


def _timed(trainer: Any, updates: int) -> tuple[list[float], list[float]]:
    """Return the seconds that each update waited for its windows, and took with the wait."""
    waited, took = [], []
    for _ in range(updates):
        began = time.perf_counter()
        windows = next(trainer.dataloader_train)
        waited.append(time.perf_counter() - began)
        trainer.train_step(windows)
        took.append(time.perf_counter() - began)
    return waited, took


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
