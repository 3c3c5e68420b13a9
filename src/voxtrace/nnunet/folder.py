"""The folder of a trained nnU-Net v2 model.

::

    nnUNetTrainer__nnUNetPlans__3d_fullres/
    ├── plans.json
    ├── dataset.json
    ├── fold_0/
    │   ├── checkpoint_final.pth, checkpoint_best.pth
    │   └── validation/summary.json      where the fold was validated
    └── fold_1/ … or fold_all/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxtrace.errors import InputError
from voxtrace.nnunet.advice import no_checkpoint, unfinished, wrong_place
from voxtrace.safe_text import read_json

Which = Literal["final", "best"]


@dataclass(frozen=True)
class ModelFolder:
    """The folder's contents without the checkpoints: ``plans`` and ``dataset`` as read, names of the folds.

    ``folds`` have a checkpoint of the kind ``which``, ``unfinished`` do not.
    """

    path: Path
    plans: Mapping[str, Any]
    dataset: Mapping[str, Any]
    folds: tuple[str, ...]
    unfinished: tuple[str, ...] = ()
    which: Which = "final"

    def checkpoint(self, fold: str, which: Which) -> Path:
        """Return the checkpoint file of a fold."""
        return self.path / f"fold_{fold}" / f"checkpoint_{which}.pth"

    def chosen(self, fold: str | None) -> tuple[str, ...]:
        """Return the folds of a name, or of several separated by commas.

        None selects every numbered fold, as nnU-Net does, or the fold "all" where there is no other. ``"all"`` selects
        the fold of that name, or every fold where there is none.

        Raises
        ------
        InputError
            There is no such fold, or one of them has not ended.
        """
        names = [name.strip() for name in fold.split(",")] if fold is not None else []
        every = (*self.folds, *self.unfinished)
        if fold is None or (names == ["all"] and "all" not in every):
            names = [name for name in every if name != "all"] or list(every)
        for name in names:
            if name in self.unfinished:
                raise InputError(unfinished(self.path, name, self.which, self.folds))
        if unknown := [name for name in names if name not in self.folds]:
            raise InputError(f"{self.path} has no trained fold {unknown[0]!r}; it has {', '.join(self.folds)}.")
        return tuple(names)

    def configuration(self, name: str) -> dict[str, Any]:
        """Return a configuration of the plans, with everything it inherits."""
        known = self.plans["configurations"]
        # From the configuration up to its last ancestor; a name that comes twice would be a circle.
        chain: list[str] = []
        while name:
            if name not in known or name in chain:
                raise InputError(f"{self.path / 'plans.json'} has no usable configuration {name!r}; copy it again.")
            chain.append(name)
            name = known[name].get("inherits_from", "")
        return {key: value for inherited in reversed(chain) for key, value in known[inherited].items()}

    def validation_dice(self, fold: str) -> float | None:
        """Return the mean Dice over labels and cases of nnU-Net's own validation, or None where there is none."""
        try:
            summary = read_json(self.path / f"fold_{fold}" / "validation" / "summary.json", allow_nan=True)
            return float(summary["foreground_mean"]["Dice"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def open_folder(path: str | Path, which: Which = "final") -> ModelFolder:
    """Return the model in a folder.

    Raises
    ------
    InputError
        ``plans.json``, ``dataset.json`` or every checkpoint is missing, or one of the JSON files was not written by
        nnU-Net v2.
    """
    path = Path(path)
    plans, dataset = _json(path / "plans.json", "configurations"), _json(path / "dataset.json", "labels")
    # A fold counts as trained if its checkpoint exists.
    found = sorted(file.parent.name for file in path.glob(f"fold_*/checkpoint_{which}.pth"))
    if not found:
        raise InputError(no_checkpoint(path, which))
    begun = sorted({folder.name for folder in path.glob("fold_*") if folder.is_dir()} - set(found))
    folds, rest = (tuple(name.removeprefix("fold_") for name in names) for names in (found, begun))
    return ModelFolder(path, plans, dataset, folds, rest, which)


def _json(file: Path, key: str) -> dict[str, Any]:
    advice = wrong_place(file.parent)
    try:
        record = read_json(file, allow_nan=True)
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}); {advice}.") from error
    except ValueError as error:
        raise InputError(f"{file} is not JSON ({error}); {advice}.") from error
    if not isinstance(record, dict) or not isinstance(record.get(key), dict):
        raise InputError(f"{file} has no {key!r}, so nnU-Net v2 did not write it; {advice}.")
    return record
