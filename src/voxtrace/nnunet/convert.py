"""Import the folds of an nnU-Net v2 model as bundles."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_folder
from voxtrace.bundle import Bundle, save, window_cost
from voxtrace.errors import InputError
from voxtrace.methods import method
from voxtrace.nn.build_limit import limited_build
from voxtrace.nnunet.checkpoint import NnUNetCheckpoint, read_checkpoint
from voxtrace.nnunet.folder import ModelFolder, Which, open_folder
from voxtrace.nnunet.plan import plan_of
from voxtrace.nnunet.weights import fill
from voxtrace.safe_text import brief

LICENCE = "unknown: as the model's authors gave it"
INTENDED_USE = "What the model's authors intended. Not a medical device: a person must check every result."
_LONGEST_NAME = 100


def import_model(
    folder: str | Path, out: str | Path, *, fold: str | None = None, which: Which = "final"
) -> tuple[Path, ...]:
    """Write a bundle for each fold and return their folders: ``out`` itself for one, ``out/fold_<name>`` for more.

    ``fold`` is a name such as ``"0"`` or ``"all"``, or several with commas; see :meth:`.ModelFolder.chosen`.

    Raises
    ------
    InputError
        A file is missing or damaged, or the model cannot be reproduced exactly.
    OutputError
        Nothing could be written at ``out``.
    """
    model = open_folder(folder, which)
    names = model.chosen(fold)
    bundles = [read_fold(model, name, which) for name in names]
    # One fold is a bundle itself; several share a folder, which is complete or absent.
    if len(bundles) == 1:
        return (save(bundles[0], out),)
    with atomic_folder(out) as together:
        for name, bundle in zip(names, bundles, strict=True):
            save(bundle, together / f"fold_{name}")
    return tuple(Path(out) / f"fold_{name}" for name in names)


def read_fold(model: ModelFolder, fold: str, which: Which = "final") -> Bundle:
    """Return one fold of a model as a bundle in memory."""
    checkpoint = read_checkpoint(model.checkpoint(fold, which))
    try:
        plan = plan_of(model, checkpoint.configuration, checkpoint.mirror_axes, checkpoint.epochs)
    # Missing or malformed keys anywhere in the JSON files.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"{model.path / 'plans.json'} or dataset.json is not as nnU-Net v2 writes it ({brief(repr(error))}); "
            "copy it again."
        ) from error
    unet = method("unet")
    with limited_build(model.checkpoint(fold, which).stat().st_size):
        network = unet.build(unet.adapt(plan))
    fill(network, checkpoint.tensors, len(plan.topology.widths))
    card = _card(model, fold, which, checkpoint, bool(plan.mirror_axes))
    return Bundle(unet, plan, network.eval(), {**card, "cost": window_cost(unet, plan, network)})


def _card(model: ModelFolder, fold: str, which: Which, checkpoint: NnUNetCheckpoint, mirror: bool) -> dict[str, Any]:
    stated = str(model.plans.get("dataset_name") or model.dataset.get("name") or "dataset")
    # the name of a bundle becomes the name of files
    dataset = "".join(c if c.isalnum() or c in "-_" else "_" for c in stated)[:_LONGEST_NAME]
    provenance = {
        "imported_from": "nnU-Net v2",
        "dataset": dataset,
        "trainer": checkpoint.trainer,
        "plans": str(model.plans.get("plans_name") or ""),
        "configuration": checkpoint.configuration,
        "fold": fold,
        "checkpoint": which,
        "epochs": checkpoint.epochs,
    }
    found = {
        "validation_dice": model.validation_dice(fold),
        "pseudo_dice_of_last_epoch": checkpoint.pseudo_dice,
    }
    scores = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
    return {
        "name": f"{dataset}-{checkpoint.configuration}-fold-{fold}",
        "licence": LICENCE,
        "intended_use": INTENDED_USE,
        "mirror": mirror,
        "provenance": provenance,
        "metrics": {"nnunet": scores},
    }
