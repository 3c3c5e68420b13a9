"""The tensors of one fold.

A checkpoint is a pickle. Only tensors, plain containers and numbers are loaded from it, in a process of its own that
can open no other file, write none, and reach no network.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxtrace.errors import InputError
from voxtrace.io.child.readers import call
from voxtrace.nn.tensor_file import load_tensors
from voxtrace.safe_text import brief

# nnU-Net logs losses and scores as numpy numbers, the only other types that torch must be allowed to load.
_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
_NUMBERS = [np.dtype, *(type(np.dtype(kind)) for kind in "?bhilqBHILQefd")]
_HARMLESS = [*_NUMBERS, _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar")]  # numpy 1 called it by the latter name


@dataclass(frozen=True)
class NnUNetCheckpoint:
    """Contents of a fold's checkpoint.

    Attributes
    ----------
    tensors
        Name -> tensor of the network.
    configuration, trainer
        Configuration of the plans and trainer class that it was trained with.
    epochs
        Number of epochs it was trained, or None.
    mirror_axes
        Axes of the network's input (Z, Y, X, or Y, X) along which nnU-Net mirrors in inference.
    pseudo_dice
        Mean Dice of the windows of the last epoch's validation, or None.
    """

    tensors: Mapping[str, Tensor]
    configuration: str
    trainer: str
    epochs: int | None
    mirror_axes: tuple[int, ...]
    pseudo_dice: float | None


def read_checkpoint(file: Path) -> NnUNetCheckpoint:
    """Return a checkpoint without running code from the file.

    Raises
    ------
    InputError
        The file is missing, damaged, not a checkpoint of nnU-Net v2, or holds more than tensors and numbers.
    """
    found = call("voxtrace.nnunet.checkpoint:load_record", (file,), (file,), heavy=True)
    tensors = {str(name): torch.from_numpy(array) for name, array in found["tensors"].items()}
    return NnUNetCheckpoint(**{**found, "tensors": tensors})


def load_record(file: Path) -> dict[str, Any]:
    """Return the fields of a checkpoint, its tensors as arrays, read in the process at hand.

    Raises
    ------
    InputError
        As :func:`read_checkpoint`.
    """
    record = _load(file)
    try:
        axes = record.get("inference_allowed_mirroring_axes")
        return {
            "tensors": {str(name): tensor.float().numpy() for name, tensor in record["network_weights"].items()},
            "configuration": str(record["init_args"]["configuration"]),
            "trainer": str(record["trainer_name"]),
            "epochs": None if record.get("current_epoch") is None else int(record["current_epoch"]),
            "mirror_axes": tuple(int(axis) for axis in axes) if axes else (),
            "pseudo_dice": _last(record.get("logging"), "mean_fg_dice"),
        }
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{file} is not a checkpoint of nnU-Net v2 (no {brief(error)}); train or export it again."
        ) from error


def _load(file: Path) -> Any:
    if not file.is_file():
        raise InputError(f"{file} does not exist; choose another fold or checkpoint.")
    try:
        return load_tensors(file, _HARMLESS)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} is damaged or holds more than tensors and numbers, and was not opened; "
            "open it with nnU-Net, if you trust it, and save its network_weights, init_args and trainer_name alone."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not a checkpoint that torch can read ({brief(error)}); copy it again.") from error


def _last(logging: Any, name: str) -> float | None:
    values = logging.get(name) if isinstance(logging, dict) else None
    return float(values[-1]) if values else None
