"""Training: datasets, plans, sampling, augmentation, the one loop, checkpoints."""

from __future__ import annotations

from voxtrace.training.dataset import Dataset, fold, open_dataset
from voxtrace.training.finetune import finetune_plan
from voxtrace.training.planning import Fingerprint, fingerprint, plan_dataset
from voxtrace.training.recipe import Recipe, TrainProgress
from voxtrace.training.trainer import train

__all__ = [
    "Dataset",
    "Fingerprint",
    "Recipe",
    "TrainProgress",
    "finetune_plan",
    "fingerprint",
    "fold",
    "open_dataset",
    "plan_dataset",
    "train",
]
