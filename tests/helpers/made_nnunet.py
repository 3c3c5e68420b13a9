"""A trained model as nnU-Net v2 lays it out, made without nnU-Net: networks with its tensor names, plans, a dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chance import drawn

WIDTHS = (6, 8, 10)
CONFIGURATION = {2: "2d", 3: "3d_fullres"}
RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}


def _operator(kind: str, dims: int) -> Any:
    return getattr(nn, f"{kind}{dims}d")


class Convolution(nn.Module):
    """Convolution, norm and, where asked for, activation; every tensor is stored twice."""

    def __init__(self, dims: int, a: int, b: int, kernel: Sequence[int], stride: Any, bias: bool, act: bool) -> None:
        super().__init__()
        padding = [k // 2 for k in kernel]
        self.conv = _operator("Conv", dims)(a, b, kernel, stride, padding, bias=bias)
        self.norm = _operator("InstanceNorm", dims)(b, eps=1e-5, affine=True)
        self.all_modules = nn.Sequential(self.conv, self.norm, *([nn.LeakyReLU()] if act else []))

    def forward(self, x: Tensor) -> Tensor:
        return self.all_modules(x)


class Stack(nn.Module):
    def __init__(self, dims: int, n: int, a: int, b: int, kernel: Sequence[int], stride: Any, bias: bool) -> None:
        super().__init__()
        rest = [Convolution(dims, b, b, kernel, 1, bias, True) for _ in range(n - 1)]
        self.convs = nn.Sequential(Convolution(dims, a, b, kernel, stride, bias, True), *rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class Residual(nn.Module):
    def __init__(self, dims: int, a: int, b: int, kernel: Sequence[int], stride: Sequence[int], bias: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(dims, a, b, kernel, stride, bias, True)
        self.conv2 = Convolution(dims, b, b, kernel, 1, bias, False)
        pool = [_operator("AvgPool", dims)(tuple(stride), tuple(stride))] if max(stride) > 1 else []
        project = [Convolution(dims, a, b, [1] * dims, 1, False, False)] if a != b else []
        self.skip = nn.Sequential(*pool, *project)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.conv2(self.conv1(x)) + self.skip(x))


class Blocks(nn.Module):
    def __init__(self, dims: int, n: int, a: int, b: int, kernel: Sequence[int], stride: Any, bias: bool) -> None:
        super().__init__()
        rest = [Residual(dims, b, b, kernel, [1] * dims, bias) for _ in range(n - 1)]
        self.blocks = nn.Sequential(Residual(dims, a, b, kernel, stride, bias), *rest)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class Encoder(nn.Module):
    def __init__(self, arch: dict[str, Any], dims: int, channels: int, residual: bool) -> None:
        super().__init__()
        bias, widths = arch["conv_bias"], arch["features_per_stage"]
        counts = arch["n_blocks_per_stage" if residual else "n_conv_per_stage"]
        if residual:
            self.stem = Stack(dims, 1, channels, widths[0], arch["kernel_sizes"][0], 1, bias)
        before = [widths[0] if residual else channels, *widths]
        stages = []
        for n, a, b, kernel, stride in zip(counts, before, widths, arch["kernel_sizes"], arch["strides"], strict=False):
            made = (Blocks if residual else Stack)(dims, n, a, b, kernel, stride, bias)
            stages.append(made if residual else nn.Sequential(made))
        self.stages = nn.Sequential(*stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x) if hasattr(self, "stem") else x
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    def __init__(self, arch: dict[str, Any], dims: int, labels: int, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder  # so that its tensors are stored again
        widths, bias = arch["features_per_stage"], arch["conv_bias"]
        upward = list(range(len(widths) - 1, 0, -1))
        transposed = _operator("ConvTranspose", dims)
        self.transpconvs = nn.ModuleList(
            transposed(widths[i], widths[i - 1], arch["strides"][i], arch["strides"][i], bias=bias) for i in upward
        )
        self.stages = nn.ModuleList(
            Stack(dims, n, 2 * widths[i - 1], widths[i - 1], arch["kernel_sizes"][i - 1], 1, bias)
            for n, i in zip(arch["n_conv_per_stage_decoder"], upward, strict=True)
        )
        self.seg_layers = nn.ModuleList(_operator("Conv", dims)(widths[i - 1], labels, 1) for i in upward)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for up, stage, skip in zip(self.transpconvs, self.stages, reversed(maps[:-1]), strict=True):
            x = stage(torch.cat([up(x), skip], 1))
        return self.seg_layers[-1](x)


class Network(nn.Module):
    """Maps (B, C, [Z,] Y, X) to logits (B, K, [Z,] Y, X)."""

    def __init__(self, arch: dict[str, Any], dims: int, channels: int, labels: int, residual: bool) -> None:
        super().__init__()
        self.encoder = Encoder(arch, dims, channels, residual)
        self.decoder = Decoder(arch, dims, labels, self.encoder)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def architecture(dims: int, residual: bool, bias: bool = True) -> dict[str, Any]:
    """What plans.json says of a network of three stages, anisotropic where it has three axes."""
    first = [3] * dims if dims == 2 else [1, 3, 3]
    second = [2] * dims if dims == 2 else [1, 2, 2]
    return {
        "n_stages": 3,
        "features_per_stage": list(WIDTHS),
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": [first, [3] * dims, [3] * dims],
        "strides": [[1] * dims, second, [2] * dims],
        "n_blocks_per_stage" if residual else "n_conv_per_stage": [1, 3, 2] if residual else [2, 1, 3],
        "n_conv_per_stage_decoder": [1, 2],
        "conv_bias": bias,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def plans(dims: int = 3, residual: bool = False, channels: int = 1, bias: bool = True) -> dict[str, Any]:
    """plans.json of one configuration."""
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 24, 32][-dims:],
        "spacing": [3.0, 1.2, 1.1][-dims:],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": dict(RESAMPLING),
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": RESAMPLING | {"is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": RESAMPLING | {"order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
            "arch_kwargs": architecture(dims, residual, bias),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    measured = {"mean": 40.0, "std": 70.0, "percentile_00_5": -150.0, "percentile_99_5": 250.0}
    return {
        "dataset_name": "Dataset900_Made",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [4.0, 1.2, 1.1],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(c): measured for c in range(channels)},
        "configurations": {CONFIGURATION[dims]: configuration},
    }


def dataset(channels: int = 1) -> dict[str, Any]:
    """dataset.json of three labels and a background."""
    names = {str(c): f"MR {c}" for c in range(channels)}
    return {"channel_names": names, "labels": {"background": 0, "one": 1, "two": 2, "three": 3}, "file_ending": ".mha"}


def region_dataset() -> dict[str, Any]:
    """dataset.json of three regions within one another, painted 2, 1, 3."""
    labels = {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "enhancing": 3}
    return dataset() | {"labels": labels, "regions_class_order": [2, 1, 3]}


def network(made: dict[str, Any], dims: int = 3, channels: int = 1, seed: int = 0, outputs: int = 4) -> Network:
    """A network of these plans with random weights."""
    arch = made["configurations"][CONFIGURATION[dims]]["architecture"]
    with drawn(seed):
        net = Network(
            arch["arch_kwargs"], dims, channels, outputs, arch["network_class_name"].endswith("ResidualEncoderUNet")
        )
        for name, tensor in net.named_parameters():
            if "norm" in name:
                nn.init.uniform_(tensor, 0.5, 1.5)
    return net.eval()


def checkpoint(net: nn.Module, dims: int = 3, **changes: Any) -> dict[str, Any]:
    """What a checkpoint of nnU-Net holds, its logged numpy numbers included."""
    return {
        "network_weights": net.state_dict(),
        "optimizer_state": {"state": {}},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float32(0.5), np.float64(0.75)], "lrs": [0.01]},
        "_best_ema": np.float64(0.7),
        "current_epoch": 7,
        "init_args": {"configuration": CONFIGURATION[dims], "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": tuple(range(dims)),
    } | changes


def write(folder: Path, made: dict[str, Any], about: dict[str, Any], folds: dict[str, dict[str, Any]]) -> Path:
    """Write a model folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(made))
    (folder / "dataset.json").write_text(json.dumps(about))
    for fold, record in folds.items():
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(record, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def region_model(folder: Path, dims: int = 3, residual: bool = False) -> Network:
    """Write a model of one fold that was trained on regions, and return its network."""
    made = plans(dims, residual)
    net = network(made, dims, outputs=3)
    write(folder, made, region_dataset(), {"0": checkpoint(net, dims)})
    return net


def model(folder: Path, dims: int = 3, residual: bool = False, channels: int = 1, bias: bool = True) -> Network:
    """Write a model of one fold, and return its network."""
    made = plans(dims, residual, channels, bias)
    net = network(made, dims, channels)
    write(folder, made, dataset(channels), {"0": checkpoint(net, dims)})
    return net
