"""Training: datasets, plans, sampling, augmentation, the one loop, checkpoints."""

from __future__ import annotations

from voxtrace.training.dataset import Dataset, fold, open_dataset
from voxtrace.training.planning import Fingerprint, fingerprint, plan_dataset
from voxtrace.training.trainer import TrainProgress, train

__all__ = ["Dataset", "Fingerprint", "TrainProgress", "fingerprint", "fold", "open_dataset", "plan_dataset", "train"]
