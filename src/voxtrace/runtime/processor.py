"""The kind of processor: which instructions for convolutions it has."""

from __future__ import annotations

import platform

import torch

KINDS = ("avx2", "avx512", "avx512_bf16", "amx", "arm64", "other")


def processor_kind() -> str:
    """Return the kind of this processor, one of ``KINDS``, by the widest instructions that torch finds in it.

    ==============  ====================================================
    kind            instructions
    ==============  ====================================================
    ``amx``         AMX tiles, which multiply matrices in bfloat16
    ``avx512_bf16`` AVX-512 with products of bfloat16
    ``avx512``      AVX-512 without bfloat16
    ``avx2``        AVX2
    ``arm64``       64-bit ARM
    ``other``       everything else
    ==============  ====================================================
    """
    from voxtrace.runtime.torch import cpu_has_bfloat16

    # torch tells nothing of ARM's instructions, so that the machine's name decides.
    if platform.machine().lower() in ("arm64", "aarch64"):
        return "arm64"
    if cpu_has_bfloat16():
        return "amx" if _has("_is_amx_tile_supported") else "avx512_bf16"
    if _has("_is_avx512_supported"):
        return "avx512"
    return "avx2" if _has("_is_avx2_supported") else "other"


def _has(check: str) -> bool:
    found = getattr(torch.cpu, check, None)
    return found is not None and bool(found())
