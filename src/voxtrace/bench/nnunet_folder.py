"""A U-Net's bundle as a model folder of nnU-Net v2.

::

    nnunet/
    ├── plans.json
    ├── dataset.json
    └── fold_0/checkpoint_final.pth

nnU-Net numbers the stages of the decoder from the coarsest, and stores the tensors of each block under two names.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.bundle import Bundle
from voxtrace.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

CONFIGURATION = "3d_fullres"
_RESAMPLING = "resample_data_or_seg_to_shape"


def write_model_folder(bundle: Bundle, folder: Path) -> Path:
    """Write a U-Net's bundle for CT as a model folder of nnU-Net, and return the folder."""
    import torch

    place = folder / "fold_0"
    place.mkdir(parents=True, exist_ok=True)
    # The keys that nnU-Net's predictor reads from a checkpoint.
    checkpoint = {
        "network_weights": weights(bundle),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": CONFIGURATION, "fold": 0},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, place / "checkpoint_final.pth")
    (folder / "plans.json").write_text(json.dumps(plans(bundle.plan), indent=1), encoding="utf-8")
    (folder / "dataset.json").write_text(json.dumps(dataset(bundle.plan), indent=1), encoding="utf-8")
    return folder


def weights(bundle: Bundle) -> dict[str, Tensor]:
    """Return the tensors of a U-Net under nnU-Net's names."""
    stages = len(bundle.plan.topology.widths)
    named: dict[str, Tensor] = {}
    for name, tensor in bundle.network.state_dict().items():
        for theirs in nnunet_names(name, stages):
            named[theirs] = tensor.clone()
    return named


def nnunet_names(name: str, stages: int) -> list[str]:
    """Return all names under which nnU-Net stores a tensor of the U-Net, which has ``stages`` stages.

    Examples
    --------
    >>> nnunet_names("decide.heads.0.bias", 4)
    ['decoder.seg_layers.2.bias']
    """
    if found := re.fullmatch(r"decide\.heads\.(\d+)\.(\w+)", name):
        return [f"decoder.seg_layers.{stages - 2 - int(found[1])}.{found[2]}"]
    if found := re.fullmatch(r"recycle\.up\.(\d+)\.(\w+)", name):
        return [f"decoder.transpconvs.{stages - 2 - int(found[1])}.{found[2]}"]
    if found := re.fullmatch(r"recycle\.merge\.(\d+)\.(.+)", name):
        return _twice(f"decoder.stages.{stages - 2 - int(found[1])}", found[2])
    if found := re.fullmatch(r"recycle\.down\.(\d+)\.(.+)", name):
        stage, rest = int(found[1]) + 1, found[2]
    else:
        stage, rest = 0, name.removeprefix("project.")
    # nnU-Net's decoder refers to the encoder, so its tensors appear under both.
    encoder = f"encoder.stages.{stage}.0"
    return [*_twice(encoder, rest), *_twice(f"decoder.{encoder}", rest)]


def _twice(stage: str, rest: str) -> list[str]:
    block, layer, kind = rest.split(".")
    # A block holds its layers by name and again in the list all_modules.
    number = {"conv": 0, "norm": 1}[layer]
    return [f"{stage}.convs.{block}.{layer}.{kind}", f"{stage}.convs.{block}.all_modules.{number}.{kind}"]


def dataset(plan: Plan) -> dict[str, Any]:
    """Return nnU-Net's dataset.json."""
    return {
        "channel_names": {str(c): name for c, name in enumerate(plan.channels)},
        "labels": {name: value for value, name in plan.labels.items()},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }


def plans(plan: Plan) -> dict[str, Any]:
    """Return nnU-Net's plans.json for a plan for CT."""
    return {
        "dataset_name": "Dataset000_Bench",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(plan.spacing_mm),
        "original_median_shape_after_transp": list(plan.window),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: _configuration(plan)},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(c): {
                "mean": rule.mean,
                "std": rule.std,
                "percentile_00_5": rule.lower,
                "percentile_99_5": rule.upper,
                "median": rule.mean,
                "min": rule.lower,
                "max": rule.upper,
            }
            for c, rule in enumerate(plan.normalisation)
        },
    }


def _configuration(plan: Plan) -> dict[str, Any]:
    return {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(plan.window),
        "median_image_size_in_voxels": list(plan.window),
        "spacing": list(plan.spacing_mm),
        "normalization_schemes": ["CTNormalization"] * plan.n_channels,
        "use_mask_for_norm": [False] * plan.n_channels,
        "resampling_fn_data": _RESAMPLING,
        "resampling_fn_data_kwargs": _resampling(is_seg=False, order=3),
        "resampling_fn_seg": _RESAMPLING,
        "resampling_fn_seg_kwargs": _resampling(is_seg=True, order=1),
        "resampling_fn_probabilities": _RESAMPLING,
        "resampling_fn_probabilities_kwargs": _resampling(is_seg=False, order=1),
        "batch_dice": True,
        "architecture": _architecture(plan),
    }


def _resampling(*, is_seg: bool, order: int) -> dict[str, Any]:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}


def _architecture(plan: Plan) -> dict[str, Any]:
    topology = plan.topology
    stages = len(topology.widths)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(topology.widths),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [list(k) for k in topology.kernels],
            "strides": [list(s) for s in topology.strides],
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
