"""Models that need an option, another folder or another resampling: each is imported, or the sentence names the way."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

import made_nnunet
from voxtrace import bundle as bundles
from voxtrace.errors import InputError
from voxtrace.geometry import Geometry
from voxtrace.nnunet import import_model
from voxtrace.plan import Plan
from voxtrace.preprocess import grid_of, network_volume
from voxtrace.volume import Volume

TORCH = {"is_seg": False, "force_separate_z": None, "memefficient_seg_resampling": False}


def model(folder: Path, *folds: str, **kwargs: Any) -> Path:
    made = made_nnunet.plans()
    made["configurations"]["3d_fullres"] |= kwargs
    record = made_nnunet.checkpoint(made_nnunet.network(made))
    return made_nnunet.write(folder, made, made_nnunet.dataset(), dict.fromkeys(folds or ("0",), record))


def by_torch(**kwargs: Any) -> dict[str, Any]:
    parts = {f"resampling_fn_{what}": "resample_torch_fornnunet" for what in ("data", "probabilities")}
    return parts | {f"{name}_kwargs": {**TORCH, **kwargs} for name in parts}


def unfinish(folder: Path, *kinds: str) -> None:
    """Leave a fold with other checkpoints than the final one."""
    final = folder / "checkpoint_final.pth"
    for kind in kinds:
        shutil.copy(final, folder / f"checkpoint_{kind}.pth")
    final.unlink()


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "inside _orig_mod."])
def test_names_of_compiled_and_distributed_networks_are_the_same(tmp_path: Path, prefix: str) -> None:
    made = made_nnunet.plans()
    record = made_nnunet.checkpoint(made_nnunet.network(made))
    plain = made_nnunet.write(tmp_path / "plain", made, made_nnunet.dataset(), {"0": record})
    inside = prefix.removeprefix("inside ") if prefix.startswith("inside ") else ""
    named = {
        name.replace("encoder.stages.", f"encoder.{inside}stages.") if inside else f"{prefix}{name}": tensor
        for name, tensor in record["network_weights"].items()
    }
    other = made_nnunet.write(
        tmp_path / "other", made, made_nnunet.dataset(), {"0": {**record, "network_weights": named}}
    )
    first, second = (bundles.load(import_model(path, tmp_path / f"to-{path.name}")[0]) for path in (plain, other))
    weights = first.network.state_dict()
    assert all((weights[name] == tensor).all() for name, tensor in second.network.state_dict().items())


def test_a_fold_that_has_not_ended_is_named_with_the_options(tmp_path: Path) -> None:
    path = model(tmp_path / "model", "0", "1", "2")
    unfinish(path / "fold_1", "best", "latest")
    sentence = (
        r"fold 1 has not ended \(it has checkpoint_best.pth, checkpoint_latest.pth.*--fold 0,2.*--checkpoint best"
    )
    for fold in (None, "1", "all"):
        with pytest.raises(InputError, match=sentence):
            import_model(path, tmp_path / "out", fold=fold)
    assert [made.name for made in import_model(path, tmp_path / "out", fold="0,2")] == ["fold_0", "fold_2"]
    for name in ("0", "2"):
        shutil.copy(path / f"fold_{name}" / "checkpoint_final.pth", path / f"fold_{name}" / "checkpoint_best.pth")
    assert len(import_model(path, tmp_path / "best", which="best")) == 3


def test_a_model_of_which_no_fold_has_ended_names_the_option(tmp_path: Path) -> None:
    path = model(tmp_path / "model")
    unfinish(path / "fold_0", "best")
    with pytest.raises(InputError, match=r"only checkpoint_best.pth.*--checkpoint best"):
        import_model(path, tmp_path / "out")
    assert import_model(path, tmp_path / "out", which="best")
    (path / "fold_0" / "checkpoint_best.pth").rename(path / "fold_0" / "checkpoint_latest.pth")
    with pytest.raises(InputError, match=r"only checkpoint_latest.pth: no fold has ended; go on with nnUNetv2_train"):
        import_model(path, tmp_path / "out2")


def test_another_folder_than_the_model_names_the_right_one(tmp_path: Path) -> None:
    path = model(tmp_path / "Dataset900" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with pytest.raises(InputError, match=f"give a folder in it: {path}"):
        import_model(path.parent, tmp_path / "out")
    with pytest.raises(InputError, match=f"give the folder above, {path}, and choose the fold with --fold"):
        import_model(path / "fold_0", tmp_path / "out")
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="unzip it and give the folder"):
        import_model(tmp_path / "model.zip", tmp_path / "out")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "plans.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=r"of nnU-Net v1.*nnUNetv2_train"):
        import_model(tmp_path / "old", tmp_path / "out")


@pytest.mark.parametrize(("forced", "coarse"), [(None, 3.0), (False, None)])
def test_resampling_by_torch_is_linear(tmp_path: Path, forced: bool | None, coarse: float | None) -> None:
    path = model(tmp_path / "model", **by_torch(force_separate_z=forced))
    plan = bundles.load(import_model(path, tmp_path / "out")[0]).plan
    assert plan.view is not None
    assert (plan.interpolation, plan.view.coarse) == ("linear", coarse)


@pytest.mark.parametrize("changes", [{"mode": "bicubic"}, {"aniso_axis_mode": "linear"}, {"force_separate_z": True}])
def test_torch_in_another_mode_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"resamples data by resample_torch_fornnunet.*expected"):
        import_model(model(tmp_path / "model", **by_torch(**changes)), tmp_path / "out")


@pytest.mark.parametrize(("thick_mm", "forced"), [(2.0, None), (6.0, None), (6.0, False)])
def test_images_are_resampled_as_torch_does(tmp_path: Path, thick_mm: float, forced: bool | None) -> None:
    path = model(tmp_path / "model", normalization_schemes=["NoNormalization"], **by_torch(force_separate_z=forced))
    plan = bundles.load(import_model(path, tmp_path / "out")[0]).plan
    data = np.random.default_rng(3).normal(1, 0.1, (1, 9, 21, 17)).astype(np.float32)
    volume = Volume(data, Geometry.from_spacing(data.shape[1:], (thick_mm, 1.0, 1.0)))
    assert _resampled(volume, plan) == pytest.approx(
        _by_torch(volume, plan, apart=thick_mm > 3 and forced is None), abs=1e-5
    )


def _resampled(volume: Volume, plan: Plan) -> Any:
    return network_volume(volume, plan)


def _by_torch(volume: Volume, plan: Plan, apart: bool) -> Any:
    """What nnU-Net's torch resampling does: linear; slices far apart are repeated, each plane being linear."""
    shape, image = grid_of(volume, plan).shape, torch.from_numpy(np.asarray(volume.data))
    if not apart:
        return interpolate(image[None], shape, mode="trilinear")[0].numpy()
    planes = interpolate(image, shape[1:], mode="bilinear")
    return interpolate(planes[None], shape, mode="nearest-exact")[0].numpy()
