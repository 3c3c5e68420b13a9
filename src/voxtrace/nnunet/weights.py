"""nnU-Net's tensors under our names.

===============================================  ======================================================
nnU-Net                                          here
===============================================  ======================================================
encoder.stages.0.0.convs.j                       project.j
encoder.stages.i.0.convs.j                       recycle.down.(i − 1).j
encoder.stem.convs.0                             project.stem                              (residual)
encoder.stages.0.blocks.j.{conv1, conv2, skip}   project.stage.j.{first, second, skip}     (residual)
encoder.stages.i.blocks.j                        recycle.down.(i − 1).j                    (residual)
decoder.transpconvs.s                            recycle.up.(n − 2 − s)                    n stages, s from the coarsest
decoder.stages.s.convs.j                         recycle.merge.(n − 2 − s).j
decoder.seg_layers.s                             decide.heads.(n − 2 − s)
===============================================  ======================================================

nnU-Net stores some tensors more than once: everything of the encoder again below the decoder, and each block's
tensors again below ``all_modules``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from voxtrace.errors import InputError
from voxtrace.nnunet.remedies import OTHER_FILES

# of a network that was compiled, whole or in parts, or trained on several GPUs
_PREFIX = re.compile(r"^(?:_orig_mod\.|module\.)+|(?<=\.)_orig_mod\.")
_AGAIN = re.compile(r"^decoder\.encoder\.|\.all_modules\.")
_RULES = (
    (r"encoder\.stem\.convs\.0\.", "project.stem."),
    (r"encoder\.stages\.0\.0\.convs\.", "project."),
    (r"encoder\.stages\.0\.blocks\.", "project.stage."),
    (r"encoder\.stages\.(\d+)\.(?:0\.convs|blocks)\.", "recycle.down.{down}."),
    (r"decoder\.transpconvs\.(\d+)\.", "recycle.up.{up}."),
    (r"decoder\.stages\.(\d+)\.convs\.", "recycle.merge.{up}."),
    (r"decoder\.seg_layers\.(\d+)\.", "decide.heads.{up}."),
)
_INSIDE_BLOCKS = ((r"\.conv1\.", ".first."), (r"\.conv2\.", ".second."), (r"\.skip\.\d+\.", ".skip."))


def fill(network: nn.Module, tensors: Mapping[str, Tensor], n_stages: int) -> None:
    """Copy nnU-Net's tensors into our network; a bias that nnU-Net does not have becomes 0.

    Raises
    ------
    InputError
        A tensor is missing, left over or of another shape.
    """
    own = network.state_dict()
    # nnU-Net's copies, below the decoder and all_modules, are left out.
    plain = {_PREFIX.sub("", name): tensor for name, tensor in tensors.items()}
    given = {renamed(name, n_stages): tensor for name, tensor in plain.items() if not _AGAIN.search(name)}
    for name, tensor in own.items():
        if name not in given and name.endswith(".bias"):
            given[name] = tensor.new_zeros(tensor.shape)
        if name not in given:
            raise InputError(
                f"the checkpoint has no tensor for {name}; its network is not the one of plans.json; {OTHER_FILES}."
            )
        given[name] = _deep(given[name], tensor)
        if given[name].shape != tensor.shape:
            raise InputError(
                f"the checkpoint's {name} (as it is called here) is {tuple(given[name].shape)}, plans.json and "
                f"dataset.json make it {tuple(tensor.shape)}; its network is another one; {OTHER_FILES}."
            )
    if extra := sorted(set(given) - set(own)):
        raise InputError(
            f"the checkpoint also holds {extra[0]}; its trainer builds another network than plans.json; {OTHER_FILES}."
        )
    network.load_state_dict(given)


def renamed(name: str, n_stages: int) -> str:
    """Return our name of one of nnU-Net's tensors; any other name is unchanged.

    Examples
    --------
    >>> renamed("decoder.stages.0.convs.1.norm.weight", n_stages=4)
    'recycle.merge.2.1.norm.weight'
    """
    # Stages of the encoder are counted from the finest, those of the decoder from the coarsest.
    for pattern, ours in _RULES:
        match = re.match(pattern, name)
        if match:
            stage = int(match[1]) if match.groups() else 0
            rest = "." + name[match.end() :]  # the dot lets the patterns match at the start, too
            for inner, replacement in _INSIDE_BLOCKS:
                rest = re.sub(inner, replacement, rest)
            return ours.format(down=stage - 1, up=n_stages - 2 - stage) + rest[1:]
    return name


def _deep(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the kernel of a 2d convolution as that of a 3d one, one voxel deep; any other tensor unchanged."""
    return tensor[:, :, None] if tensor.ndim == 4 and like.ndim == 5 else tensor
