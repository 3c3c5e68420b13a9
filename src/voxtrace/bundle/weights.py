"""The weights of a bundle as they lie in ``weights.safetensors``; see :mod:`voxtrace.bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.errors import BundleError
from voxtrace.safe_text import brief

if TYPE_CHECKING:
    from torch import Tensor, nn

    from voxtrace.nn.masked import Masked

ACTIVE, BITS, HALF_RANGE = ".active", ".bits", 65_504  # after the name of a weight, of a mask; the largest float16


def read_weights(file: Path) -> dict[str, Tensor]:
    """Return what the file of weights holds, by name.

    Raises
    ------
    BundleError
        It is damaged, or a number is nan or inf.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from voxtrace.nn.finite import first_not_finite

    try:
        weights = load_file(file)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{file} is not a safetensors file ({brief(error)}); copy the bundle again.") from error
    if name := first_not_finite(weights):
        raise BundleError(f"{file}: {name} holds nan or inf, so its labels would mean nothing; train it again.")
    return weights


def fits_half(network: nn.Module) -> bool:
    """Return whether every weight of a network is within the range of float16, ±65,504."""
    return all(tensor.numel() == 0 or bool(tensor.abs().max() <= HALF_RANGE) for tensor in _floating(network))


def is_half(network: nn.Module) -> bool:
    """Return whether float16 holds every weight of a network exactly, as where it was stored so."""
    return all(bool((tensor.half().to(tensor.dtype) == tensor).all()) for tensor in _floating(network))


def _floating(network: nn.Module) -> list[Tensor]:
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def check_storable(network: nn.Module, half: bool) -> None:
    """Refuse weights that a bundle must not have: nan, inf, or with ``half`` one beyond float16."""
    from voxtrace.nn.finite import first_not_finite

    if name := first_not_finite(network.state_dict()):
        raise BundleError(f"{name} holds nan or inf; a bundle is written only with finite weights. Train it again.")
    if half and not fits_half(network):
        raise BundleError(f"a weight is beyond ±{HALF_RANGE:,}, the range of float16; save with half=False.")


def fill(network: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Copy weights by name into a network; refuse others than it has, by shape or type."""
    from voxtrace.nn.build_limit import same_kind

    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in weights or weights[name].shape != tensor.shape:
            got = tuple(weights[name].shape) if name in weights else "nothing"
            raise BundleError(f"{folder}: {name} is {got}, the method expects {tuple(tensor.shape)}.")
        if not same_kind(weights[name], tensor):
            raise BundleError(f"{folder}: {name} holds {weights[name].dtype}, the method expects {tensor.dtype}.")
    if extra := sorted(set(weights) - set(expected)):
        raise BundleError(f"{folder}: {brief(extra[0])} is in the weights, but not in the network of this method.")
    network.load_state_dict({name: weights[name].to(expected[name].dtype) for name in expected})


def stored_weights(network: nn.Module, half: bool) -> dict[str, Tensor]:
    """Return every weight and buffer of a network on the CPU, as float16 with ``half``."""
    import torch

    def stored(tensor: Tensor) -> Tensor:
        tensor = tensor.detach().cpu().contiguous()
        return tensor.half() if half and tensor.dtype == torch.float32 else tensor.clone()

    return {name: stored(tensor) for name, tensor in network.state_dict().items()}


def packed(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with every masked one replaced by its active kernels and the bits of its mask."""
    from voxtrace.nn.masked import pack_mask

    packed = dict(weights)
    for name in masked_modules(network):
        mask, weight = packed.pop(f"{name}.mask"), packed.pop(f"{name}.weight")
        if weight[~mask].any():
            raise BundleError(f"{name} has weights that its mask switches off; set them to 0 before saving.")
        packed[f"{name}.weight{ACTIVE}"], packed[f"{name}.mask{BITS}"] = weight[mask], pack_mask(mask)
    return packed


def unpacked(network: nn.Module, stored: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Return the weights with every packed one spread out again, 0 where its mask is off."""
    from voxtrace.nn.masked import unpack_mask

    weights = dict(stored)
    for name, module in masked_modules(network).items():
        kernels, bits = weights.pop(f"{name}.weight{ACTIVE}", None), weights.pop(f"{name}.mask{BITS}", None)
        if kernels is None or bits is None:
            raise BundleError(f"{folder}: {name} lacks its active kernels or its mask; copy the bundle again.")
        try:
            mask = unpack_mask(bits, tuple(module.mask.shape))
        except ValueError as error:
            raise BundleError(f"{folder}: the mask of {name} does not fit ({error}); copy the bundle again.") from error
        expected = (int(mask.sum()), *module.weight.shape[2:])
        if kernels.shape != expected:
            raise BundleError(
                f"{folder}: the active kernels of {name} are {tuple(kernels.shape)}, its mask and the method expect "
                f"{expected}; copy the bundle again."
            )
        weight = kernels.new_zeros(module.weight.shape)
        weight[mask] = kernels
        weights[f"{name}.weight"], weights[f"{name}.mask"] = weight, mask
    return weights


def masked_modules(network: nn.Module) -> dict[str, Masked]:
    """Return the convolutions of a network whose kernels are masked, by name."""
    from voxtrace.nn.masked import Masked

    return {name: module for name, module in network.named_modules() if isinstance(module, Masked)}
