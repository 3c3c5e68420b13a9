"""Images, labels and inference of nnU-Net's plans as a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from voxtrace.errors import InputError, PlanError
from voxtrace.nnunet.architecture import topology
from voxtrace.nnunet.folder import ModelFolder
from voxtrace.nnunet.remedies import RETRAIN
from voxtrace.nnunet.resampling import resampling
from voxtrace.plan import Normalisation, Plan, View
from voxtrace.plan.regions import ORDER, LabelRegion, parse_regions, value_names

_EPOCH = 250  # iterations
_SMALLEST_STD = 1e-8  # nnU-Net divides by no less
_READERS: dict[str, Literal["stored", "ras"]] = {
    "SimpleITKIO": "stored",
    "NibabelIO": "stored",
    "SimpleITKIOWithReorient": "ras",
    "NibabelIOWithReorient": "ras",
}


def plan_of(folder: ModelFolder, configuration: str, mirror_axes: Sequence[int], epochs: int | None) -> Plan:
    """Return the plan of a configuration.

    Raises
    ------
    InputError
        The model is a cascade, its regions are not as nnU-Net writes them, or it uses a preprocessor, reader,
        normalisation or resampling that is not supported.
    """
    settings = folder.configuration(configuration)
    _check_kind(folder, configuration, settings)
    flat = len(settings["patch_size"]) == 2
    names = folder.dataset.get("channel_names") or folder.dataset.get("modality") or {}
    channels = tuple(str(names[key]) for key in sorted(names, key=int))
    # A 2d configuration has no spacing along Z: the median of the training images stands in.
    spacing = [float(mm) for mm in settings["spacing"]]
    across = [float(folder.plans["original_median_spacing_after_transp"][0])] if flat else []
    z, y, x = (*across, *spacing)
    interpolation, coarse = resampling(settings)
    labels, regions = _labels(folder.dataset)
    # A 2d model has windows one voxel thick.
    window = [1] * flat + [int(n) for n in settings["patch_size"]]
    return Plan(
        spacing_mm=(z, y, x),
        window=(window[0], window[1], window[2]),
        channels=channels,
        labels=labels,
        normalisation=tuple(_normalisation(folder.plans, settings, c) for c in range(len(channels))),
        interpolation=interpolation,
        topology=topology(settings),
        view=_view(folder.plans, coarse, flat),
        mirror_axes=tuple(axis + flat for axis in mirror_axes),
        batch_size=max(1, int(settings.get("batch_size", 2))),
        iterations=max(1, epochs or 1000) * _EPOCH,
        modality="CT" if all(name.upper() == "CT" for name in channels) else "",
        regions=regions,
    )


def _check_kind(folder: ModelFolder, configuration: str, settings: Mapping[str, Any]) -> None:
    if settings.get("previous_stage"):
        raise InputError(
            f"{configuration} is the second stage of a cascade, which reads another model's labels; "
            "import a 3d_fullres or 2d model."
        )
    for key, expected in {"preprocessor_name": "DefaultPreprocessor", "label_manager": "LabelManager"}.items():
        given = settings.get(key, folder.plans.get(key, expected))
        if given != expected:
            raise InputError(
                f"the model's {key} is {given}; only nnU-Net's own {expected} is reproduced here; {RETRAIN}."
            )
    reader = folder.plans.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise InputError(
            f"the model reads images with {reader}; only {', '.join(_READERS)} are reproduced here; {RETRAIN}."
        )


def _labels(dataset: Mapping[str, Any]) -> tuple[dict[int, str], tuple[LabelRegion, ...]]:
    """Return label value -> name without the ignore label, and the regions where the model was trained on such."""
    labels: dict[int, str] = {}
    try:
        regions = parse_regions(dataset["labels"], dataset.get(ORDER))
    except PlanError as error:
        raise InputError(f"the model's dataset.json: {error}") from error
    if regions:
        return {0: "background", **value_names(regions)}, regions
    for name, given in dataset["labels"].items():
        values = given if isinstance(given, (list, tuple)) else [given]
        if name == "ignore":  # marks voxels of the training set; the network has no output for it
            continue
        labels[int(values[0])] = str(name)
    if sorted(labels) != list(range(len(labels))):
        raise InputError(f"label values {sorted(labels)} are not consecutive from 0, as nnU-Net asks; copy it again.")
    return dict(sorted(labels.items())), ()


def _normalisation(plans: Mapping[str, Any], settings: Mapping[str, Any], channel: int) -> Normalisation:
    scheme = str(settings["normalization_schemes"][channel])
    masked = bool(settings.get("use_mask_for_norm", [False] * (channel + 1))[channel])
    # CT is the only scheme with numbers of the training set.
    if scheme == "CTNormalization":
        measured = plans["foreground_intensity_properties_per_channel"][str(channel)]
        lower, upper = float(measured["percentile_00_5"]), float(measured["percentile_99_5"])
        return Normalisation(
            scheme="ct",
            lower=lower,
            upper=upper,
            mean=float(measured["mean"]),
            std=max(float(measured["std"]), _SMALLEST_STD),
        )
    others = {
        "ZScoreNormalization": Normalisation(scheme="zscore_inside" if masked else "zscore"),
        "RescaleTo01Normalization": Normalisation(scheme="range"),
        "RGBTo01Normalization": Normalisation(scheme="ct", lower=0.0, upper=255.0, mean=0.0, std=255.0),
        "NoNormalization": Normalisation(scheme="none"),
    }
    if scheme not in others:
        raise InputError(
            f"channel {channel} is normalised by {scheme}; expected CTNormalization, {', '.join(others)}; {RETRAIN}."
        )
    return others[scheme]


def _view(plans: Mapping[str, Any], coarse: float | None, flat: bool) -> View:
    z, y, x = (int(axis) for axis in plans["transpose_forward"])
    return View(
        orientation=_READERS[plans.get("image_reader_writer", "SimpleITKIO")],
        axes=(z, y, x),
        crop=True,
        resampled=(1, 2) if flat else (0, 1, 2),
        coarse=coarse,
    )
