"""What is wrong with a folder that cannot be imported, and which option or folder would do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_LAYOUT = "give the folder of a trained nnU-Net v2 model, e.g. nnUNetTrainer__nnUNetPlans__3d_fullres"
_GO_ON = "go on with nnUNetv2_train and --c"
_KINDS = ("final", "best", "latest")


def wrong_place(path: Path) -> str:
    """Return what to give in place of a path that is no folder of a trained model of nnU-Net v2."""
    if path.suffix.lower() == ".zip":
        return f"unzip it and {_LAYOUT}"
    if (path.parent / "plans.json").is_file():
        return f"give the folder above, {path.parent}, and choose the fold with --fold"
    inside = sorted(file.parent for file in path.glob("*/plans.json")) if path.is_dir() else []
    if inside:
        return f"give a folder in it: {', '.join(str(folder) for folder in inside)}"
    if (path / "plans.pkl").is_file():
        return "it is of nnU-Net v1, whose models are not imported; train it again with nnU-Net v2 (nnUNetv2_train)"
    return _LAYOUT


def no_checkpoint(path: Path, which: str) -> str:
    """Return why no fold of a model can be imported with a kind of checkpoint, and what to do."""
    others = [kind for kind in _KINDS if kind != which and any(path.glob(f"fold_*/checkpoint_{kind}.pth"))]
    sentence = f"{path} has no fold_*/checkpoint_{which}.pth"
    if not others:
        return f"{sentence}; {wrong_place(path)}."
    # --checkpoint takes final and best; the latest is what nnU-Net itself goes on from
    choice = next((f"import it with --checkpoint {kind}, or " for kind in others if kind != "latest"), "")
    return f"{sentence}, only checkpoint_{others[0]}.pth: no fold has ended; {choice}{_GO_ON}."


def unfinished(path: Path, fold: str, which: str, finished: Sequence[str]) -> str:
    """Return that a fold has not ended, and what to do."""
    there = sorted(file.name for file in (path / f"fold_{fold}").glob("checkpoint_*.pth"))
    best = which == "final" and "checkpoint_best.pth" in there
    return (
        f"{path}: fold {fold} has not ended (it has {', '.join(there) or 'no checkpoint'}, expected "
        f"checkpoint_{which}.pth); import the others with --fold {','.join(finished)}"
        f"{', take the best of every fold with --checkpoint best' if best else ''}, or {_GO_ON}."
    )
