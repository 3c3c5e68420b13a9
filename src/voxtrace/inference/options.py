"""PredictOptions: every option of a prediction, declared once.

The engine, many cases, the command line and the window take this value; the flags of ``voxtrace predict`` and the
window's form follow from it. A new option is a field here and the place that acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from voxtrace.declaration import OptionInfo, checked, described, option, options_of
from voxtrace.errors import UsageError


@dataclass(frozen=True)
class PredictOptions:
    """How to predict. A value outside its range is refused with a :class:`~voxtrace.errors.UsageError`."""

    steps: int | None = option(None, "Steps of the method.", low=1, unset="its own number")
    keep: Literal["labels", "last", "all"] = option(
        "last",
        "Keep the label map of every step in the trace (labels), of the last one, or also what a method shows beside "
        "its answers, such as the noisy mask of each denoising step (all).",
        details="Facts of all steps are kept with each of them.",
    )
    runtime: Literal["auto", "torch", "openvino", "winograd"] = option(
        "auto",
        "What runs the network: torch, openvino (compiled for this processor), winograd (float32 with fewer "
        "multiplications), or auto: torch on a GPU and for short runs, else what is fastest on this kind of processor.",
    )
    device: str = option(
        "auto", "Where to compute: auto, cpu, cuda, or cuda:1 for the second GPU.", suggestions=("auto", "cpu", "cuda")
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = option(
        "auto", "Number type to compute in; auto is that of the chosen runtime, or the fastest on the device."
    )
    mirror: bool | None = option(
        None, "Average over mirror images of each window (slower, a little better).", unset="as the bundle says"
    )
    overlap: float | None = option(
        None, "Fraction of a window shared with the next.", low=0.0, high=0.95, unset="the plan's"
    )
    batch: int | None = option(
        None,
        "Windows in one call of the network.",
        low=1,
        unset="chosen for the device",
        title="Windows at once",
        details="The labels do not depend on it.",
    )
    settle: float | None = option(
        None,
        "Fraction of labels, e.g. 0.001: a window whose step changes no more computes no further steps.",
        low=0.0,
        high=0.99,
        unset="every step is computed",
        title="Stop early below",
        details="The last labels of such a window are its labels at every later step.",
    )
    region: Literal["body", "all"] = option(
        "body",
        "Of a CT, leave air around the patient out (body), or segment the whole of every plane (all).",
        details="body lays windows over the box of all voxels above −500 HU and 10 mm around it along Y and X; what "
        "lies outside is background. Plans of other modalities, or with a view of their own, are not affected.",
    )
    post_processing: str = option(
        "auto",
        "Remove small pieces of labels from the answer: as the bundle says (auto), none, largest (only the largest "
        "piece of each label stays), or rules such as largest,aorta=none,lesion=50 with a least size in mm³.",
        suggestions=("auto", "none", "largest"),
        details="The last step of the trace is the answer, without the pieces. The trace and the ledger say what went.",
    )
    calibrate: bool = option(
        True,
        "Take the bundle's temperature into account where entropy and probabilities are worked out, if it has one.",
        details="Labels do not depend on it. Of several bundles each has its own.",
    )
    seed: int = option(0, "Start of the random numbers; the same seed gives the same result.", low=0)
    seeds: int = option(
        1,
        "Number of seeds, from seed on: one run for each; the answer is their majority vote, and each is kept.",
        low=1,
        high=100,
        details="Only for methods that draw random numbers.",
    )
    members: bool = option(
        False,
        "Of several bundles: run each by itself; the answer is their majority vote, and each is kept.",
        title="Keep each bundle's answer",
        details="Otherwise their probabilities are averaged at each step.",
        where=("command",),  # the window runs one bundle at a time
    )
    method_options: Mapping[str, Any] = option(
        {},
        "Options of the method in place of the bundle's, among those that may change after training, "
        'e.g. {"sampler": "ddim"}.',
        where=(),
    )

    def __post_init__(self) -> None:
        for info in self.options():
            object.__setattr__(self, info.name, checked(info, getattr(self, info.name)))

    @classmethod
    def options(cls) -> tuple[OptionInfo, ...]:
        """Return every option with its type, range and sentence, in the order of declaration."""
        return options_of(cls)

    @classmethod
    def of(cls, options: PredictOptions | Mapping[str, Any] | None = None, **changes: Any) -> PredictOptions:
        """Return the options with changes by name; a mapping in their place holds options of the method.

        Raises
        ------
        UsageError
            A name that is no option, or a value outside its range.
        """
        if isinstance(options, Mapping):
            changes, options = {"method_options": options, **changes}, None
        known = [info.name for info in cls.options()]
        for name in changes:
            if name not in known:
                raise UsageError(f"a prediction has no option {name!r}; it has {', '.join(known)}.")
        return replace(options or cls(), **changes)

    def to_json(self) -> dict[str, Any]:
        """Return name -> value as the ledger records them; the method's options are called ``options`` there."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        of_method = dict(values.pop("method_options"))
        return {**values, "options": of_method}


PredictOptions.__doc__ = f"{PredictOptions.__doc__}\n\n{described(PredictOptions)}"

KEEP_EVERY_STEP = PredictOptions(keep="labels")  # what the command line and the window begin with
