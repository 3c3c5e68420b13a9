"""Training: datasets, plans, sampling, augmentation, the loop, checkpoints, and the set-up of it all.

Names load when they are first used, so that a request can be made before torch is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxtrace.training.config import TrainConfig
    from voxtrace.training.dataset import Dataset, fold, open_dataset
    from voxtrace.training.finetune import finetune_plan
    from voxtrace.training.planning import Fingerprint, fingerprint, plan_dataset
    from voxtrace.training.progress import TrainProgress
    from voxtrace.training.request import TrainRequest
    from voxtrace.training.setup import TrainSetup, set_up
    from voxtrace.training.trainer import train

_HOMES = {
    "Dataset": "dataset",
    "Fingerprint": "planning",
    "TrainConfig": "config",
    "TrainProgress": "progress",
    "TrainRequest": "request",
    "TrainSetup": "setup",
    "finetune_plan": "finetune",
    "fingerprint": "planning",
    "fold": "dataset",
    "open_dataset": "dataset",
    "plan_dataset": "planning",
    "set_up": "setup",
    "train": "trainer",
}

__all__ = [
    "Dataset",
    "Fingerprint",
    "TrainConfig",
    "TrainProgress",
    "TrainRequest",
    "TrainSetup",
    "finetune_plan",
    "fingerprint",
    "fold",
    "open_dataset",
    "plan_dataset",
    "set_up",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
