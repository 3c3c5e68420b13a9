"""How nnU-Net's plans resample: by scikit-image (order 3, the default) or by torch (linear), as the plan here has it.

Torch's ``interpolate`` without aligned corners and without antialiasing samples at the same places as the other and
repeats border voxels, which is linear interpolation here; ``nearest-exact`` is the nearest voxel here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from voxtrace.errors import InputError
from voxtrace.nnunet.remedies import RETRAIN
from voxtrace.safe_text import brief

_SPLINE, _TORCH = "resample_data_or_seg_to_shape", "resample_torch_fornnunet"
_COARSE = 3.0  # nnU-Net's threshold of anisotropy
_ORDERS = {"data": 3, "probabilities": 1}
_HOW = ("device", "num_threads", "memefficient_seg_resampling")  # change no value of images or probabilities
_TORCH_MODES = {"mode": "linear", "aniso_axis_mode": "nearest-exact"}


def resampling(settings: Mapping[str, Any]) -> tuple[Literal["spline", "linear"], float | None]:
    """Return the interpolation of images, and the anisotropy above which the nearest value is taken along one axis.

    The second is None where no axis is taken apart. Probabilities are resampled linearly in either way.

    Raises
    ------
    InputError
        Images or probabilities are resampled by another function, or by rules of anisotropy that differ.
    """
    # Images and probabilities must follow the same rule: the plan has room for one.
    found = {_coarse(settings, what) for what in _ORDERS}
    if len(found) != 1:
        raise InputError(
            f"the model resamples images and scores by different rules of anisotropy; expected one rule; {RETRAIN}."
        )
    return "linear" if _name(settings, "data") == _TORCH else "spline", found.pop()


def _name(settings: Mapping[str, Any], what: str) -> str:
    return str(settings[f"resampling_fn_{what}"])


def _coarse(settings: Mapping[str, Any], what: str) -> float | None:
    """Return the anisotropy of one resampling, or None; refuse another function or other options."""
    name, given = _name(settings, what), dict(settings[f"resampling_fn_{what}_kwargs"])
    limit = float(given.pop("separate_z_anisotropy_threshold", _COARSE))
    forced = given.pop("force_separate_z", None)
    expected: dict[str, Any] = {"is_seg": False}
    if name == _TORCH:
        given = {**_TORCH_MODES, **{key: value for key, value in given.items() if key not in _HOW}}
        expected |= _TORCH_MODES
    else:
        expected |= {"order": _ORDERS[what], "order_z": 0}
    if name not in (_SPLINE, _TORCH) or {"is_seg": False, **given} != expected or forced is True:
        raise InputError(
            f"the model resamples {what} by {brief(name)} with "
            f"{brief(repr(settings[f'resampling_fn_{what}_kwargs']))}; expected "
            f"{_SPLINE} of order {_ORDERS[what]} (order_z 0), or {_TORCH} (linear), with force_separate_z null or "
            f"false; {RETRAIN}."
        )
    return None if forced is False else limit
