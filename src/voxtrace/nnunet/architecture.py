"""The network of nnU-Net's plans as a topology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtrace.errors import InputError
from voxtrace.nnunet.remedies import RETRAIN
from voxtrace.plan import Shape, Topology

_CLASSES = {"PlainConvUNet": "plain", "ResidualEncoderUNet": "residual"}
_LIBRARY = "dynamic_network_architectures."
_NORM = {"eps": 1e-5, "affine": True}
_LEAK = 0.01


def topology(configuration: Mapping[str, Any]) -> Topology:
    """Return the stages of the network of a configuration; 2d networks have kernels and strides of 1 along Z.

    Raises
    ------
    InputError
        The network is of another class, or has layers that ours do not have.
    """
    name, arguments = _network(configuration)
    encoder = _CLASSES.get(name.rpartition(".")[2])
    if encoder is None or not name.startswith(_LIBRARY):
        raise InputError(f"the network is a {name}; only {' and '.join(_CLASSES)} can be imported; {RETRAIN}.")
    # Only what our layers compute exactly is imported.
    _check_parts(arguments)
    n, flat = int(arguments["n_stages"]), len(configuration["patch_size"]) == 2
    # nnU-Net names the same number differently for plain and residual encoders.
    blocks = arguments["n_conv_per_stage" if encoder == "plain" else "n_blocks_per_stage"]
    strides, kernels = _triples(arguments["strides"], n, flat), _triples(arguments["kernel_sizes"], n, flat)
    if strides[0] != (1, 1, 1) or any(size % 2 == 0 for kernel in kernels for size in kernel):
        raise InputError(
            f"the network begins with stride {strides[0]} and has kernels {kernels}; only networks that begin at full "
            f"resolution and have odd kernels can be imported; {RETRAIN}."
        )
    return Topology(
        widths=_each(arguments["features_per_stage"], n),
        kernels=kernels,
        strides=strides,
        encoder="plain" if encoder == "plain" else "residual",
        stem=int(arguments.get("stem_channels") or 0),
        blocks=_each(blocks, n),
        merges=_each(arguments["n_conv_per_stage_decoder"], n - 1)[::-1],  # nnU-Net counts from the coarsest
    )


def _network(configuration: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return class name and arguments of the network, also from plans older than nnU-Net 2.4."""
    if "architecture" in configuration:
        made = configuration["architecture"]
        return str(made["network_class_name"]), made["arch_kwargs"]
    if "UNet_class_name" not in configuration:
        raise InputError("plans.json names no network class; expected plans of nnU-Net v2. Export the model again.")
    name, n_stages = str(configuration["UNet_class_name"]), len(configuration["n_conv_per_stage_encoder"])
    base, widest = int(configuration["UNet_base_num_features"]), int(configuration["unet_max_num_features"])
    blocks = configuration["n_conv_per_stage_encoder"]
    return _LIBRARY + name, {
        "n_stages": n_stages,
        "features_per_stage": [min(base * 2**stage, widest) for stage in range(n_stages)],
        "kernel_sizes": configuration["conv_kernel_sizes"],
        "strides": configuration["pool_op_kernel_sizes"],
        "n_conv_per_stage": blocks,
        "n_blocks_per_stage": blocks,
        "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
        "norm_op": "InstanceNorm",
        "norm_op_kwargs": _NORM,
        "nonlin": "LeakyReLU",
    }


def _check_parts(arguments: Mapping[str, Any]) -> None:
    """Refuse normalisations, activations and blocks that our networks do not have."""
    norm, activation = str(arguments.get("norm_op")), str(arguments.get("nonlin"))
    slope = (arguments.get("nonlin_kwargs") or {}).get("negative_slope", _LEAK)
    expected = {
        "normalisation": "InstanceNorm" in norm and {**_NORM, **(arguments.get("norm_op_kwargs") or {})} == _NORM,
        "activation": activation.endswith("LeakyReLU") and slope == _LEAK,
        "order of activation and normalisation": not arguments.get("nonlin_first"),
        "dropout": arguments.get("dropout_op") is None,
        "block": str(arguments.get("block") or "BasicBlockD").endswith("BasicBlockD"),
        "bottleneck": arguments.get("bottleneck_channels") is None,
    }
    if wrong := [part for part, usual in expected.items() if not usual]:
        raise InputError(
            f"the network has another {' and '.join(wrong)} than nnU-Net's own (instance norm with eps 1e-5, leaky "
            f"ReLU of slope 0.01, no dropout, basic blocks); only those can be imported; {RETRAIN}."
        )


def _each(given: Any, n: int) -> tuple[int, ...]:
    values = tuple(int(v) for v in given) if isinstance(given, (list, tuple)) else (int(given),) * n
    if len(values) != n:
        raise InputError(f"plans.json gives {len(values)} values, {list(values)}, for {n} stages; copy it again.")
    return values


def _triples(given: Any, n: int, flat: bool) -> tuple[Shape, ...]:
    """Return sizes along (Z, Y, X) for each stage; 1 along Z where the network is flat."""
    sizes = list(given) if isinstance(given, (list, tuple)) else [given] * n
    if len(sizes) != n:
        raise InputError(f"plans.json gives {len(sizes)} kernels or strides for {n} stages; copy it again.")
    # nnU-Net writes a size as a number or as a list of one for each axis.
    dimensions = 2 if flat else 3
    listed = [list(size) if isinstance(size, (list, tuple)) else [size] * dimensions for size in sizes]
    return tuple((1 if flat else int(s[0]), int(s[-2]), int(s[-1])) for s in listed)
