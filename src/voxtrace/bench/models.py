"""The same weights for every competitor.

The network is a U-Net of LightUnet's size that ``scripts/train_bench.py`` trained on made-up CT. From it are made

* a model folder of nnU-Net v2 (:mod:`voxtrace.bench.nnunet_folder`),
* a bundle of the U-Net: that folder, imported, so that it also resamples as nnU-Net does,
* a bundle of CDL-UNet with the same logits: its 3×3×3 decoder kernels are the U-Net's 1×3×3 ones with zeros above and
  below, and the biases that it lacks were kept at 0 in training. It has no nnU-Net view, like a bundle trained here, so
  air around the patient is cropped.

MONAI's inferer runs the torch module of the U-Net.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.atomic import remove_folder
from voxtrace.bench.nnunet_folder import write_model_folder
from voxtrace.bundle import Bundle, load, save
from voxtrace.errors import BundleError
from voxtrace.nnunet import import_model
from voxtrace.plan import Shape

if TYPE_CHECKING:
    from torch import Tensor

NETWORK = Path(__file__).with_name("network")


@dataclass(frozen=True)
class Models:
    """Folders of the competitors' models; all have the same weights."""

    folder: Path

    @property
    def unet(self) -> Path:
        """The bundle of the U-Net."""
        return self.folder / "unet"

    @property
    def cdlunet(self) -> Path:
        """The bundle of CDL-UNet, with adaptive windows."""
        return self.folder / "cdlunet"

    @property
    def nnunet(self) -> Path:
        """The model folder of nnU-Net."""
        return self.folder / "nnunet"


def make_models(folder: Path, window: Shape | None = None) -> Models:
    """Write the models of every competitor under ``folder``, for the plan's window or another one."""
    models, bundle = Models(folder), load(NETWORK)
    # The weights of a U-Net fit any window.
    if window is not None:
        bundle = replace(bundle, plan=bundle.plan.with_window(window))
    write_model_folder(bundle, models.nnunet)
    # The import refuses a folder that exists; models of an earlier run may have another window.
    remove_folder(models.unet)
    import_model(models.nnunet, models.unet)
    save(as_cdlunet(load(models.unet)), models.cdlunet)
    return models


def as_cdlunet(bundle: Bundle) -> Bundle:
    """Return a U-Net's bundle as one of CDL-UNet, with the same answer for every window.

    Raises
    ------
    BundleError
        A bias that CDL-UNet lacks is not 0, or the network has another shape.
    """
    from voxtrace.methods import method

    made = method("cdlunet")
    network = made.build(made.adapt(bundle.plan))
    expected = network.state_dict()
    weights = {cdlunet_name(name): tensor for name, tensor in bundle.network.state_dict().items()}
    # CDL-UNet has fewer tensors: a missing bias equals one of 0.
    for name in set(weights) - set(expected):
        if weights.pop(name).any():
            raise BundleError(f"{bundle.name}: {name} is not 0, and CDL-UNet has no such bias; train it again.")
    network.load_state_dict({name: _deepened(weights[name], like) for name, like in expected.items()})
    plan = made.adapt(bundle.plan).model_copy(update={"view": None})
    return replace(bundle, method=made, plan=plan, network=network.eval())


def cdlunet_name(name: str) -> str:
    """Return what CDL-UNet calls a tensor of the U-Net.

    Examples
    --------
    >>> cdlunet_name("recycle.down.0.1.conv.weight")
    'segment.down.1.1.conv.weight'
    """
    child, rest = name.split(".", 1)
    if child == "project":
        return f"segment.down.0.{rest}"
    if rest.startswith("down."):
        _, stage, rest = rest.split(".", 2)
        return f"segment.down.{int(stage) + 1}.{rest}"
    return f"segment.{rest}"


def _deepened(weight: Tensor, like: Tensor) -> Tensor:
    """Return a 1×3×3 kernel as the middle of a 3×3×3 one where such is expected, every other tensor as it is."""
    if weight.shape == like.shape:
        return weight
    # The slices above and below get weight 0, so the result is the same.
    deep = like.new_zeros(like.shape)
    deep[:, :, 1:2] = weight
    return deep
