"""What a bundle's record must be like before anyone reads it: types and bounds of every field that is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxtrace.errors import BundleError
from voxtrace.fit.pieces import NONE, PieceRule
from voxtrace.safe_text import brief

_Name = Annotated[str, Field(max_length=200)]
_Text = Annotated[str, Field(max_length=20_000)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Amount = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
_Length = Annotated[float, Field(strict=True, ge=1e-4, le=1e15, allow_inf_nan=False)]  # mm; others are divided by it
_Deviation = Annotated[float, Field(strict=True, ge=1e-15, le=1e15, allow_inf_nan=False)]
_Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
_Weight = Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)]  # products stay finite
_Weights = Annotated[tuple[_Weight, ...], Field(max_length=100)]
_Count = Annotated[int, Field(strict=True, ge=0, le=10**9)]
_Steps = Annotated[int, Field(strict=True, ge=1, le=10**6)]
_Row = Annotated[tuple[_Number, ...], Field(max_length=1000)]
_Truth = Annotated[bool, Field(strict=True)]
_Pair = tuple[_Number, _Number]


class _Part(BaseModel):
    """A part of a record; what it does not list is told, and read by nobody."""

    model_config = ConfigDict(extra="ignore")


Part = TypeVar("Part", bound=_Part)


class _MethodRecord(_Part):
    name: _Name
    options: dict[_Name, Any]


class _Intensities(_Part):
    low: _Row
    high: _Row


class _Trained(_Part):
    cases: _Count
    made_up: _Count
    spacing_mm: tuple[tuple[_Length, _Length, _Length], tuple[_Length, _Length, _Length]]
    size_mm: tuple[tuple[_Length, _Length, _Length], tuple[_Length, _Length, _Length]]
    intensities: list[_Intensities]


class _NotFound(_Part):
    cases: _Count
    were_there: _Count
    up_to_ml: _Amount | None = None


class _Interval(_Part):
    cases: _Count
    level: Annotated[float, Field(strict=True, gt=0, lt=1)]
    factors: tuple[_Amount, _Amount]
    bias: _Amount | None = None
    predicted_ml: tuple[_Amount, _Amount]
    not_found: _NotFound | None = None


class _Intervals(_Part):
    names: dict[_Name, _Name]
    labels: dict[_Name, _Interval]
    regions: dict[_Name, _Interval] = {}


class _Expected(_Part):
    cases: _Count
    features: dict[_Name, _Pair]


class _PredictedDice(_Part):
    features: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=100)]
    means: _Weights
    deviations: tuple[_Deviation, ...]
    weights: _Weights
    ranges: tuple[tuple[_Weight, _Weight], ...]
    intercept: _Weight
    half_width: _Amount
    level: Annotated[float, Field(strict=True, gt=0, lt=1)]
    rank_correlation: _Number
    rank_correlation_ci95: _Pair
    cases: _Count
    error: _Number = 0.0
    error_without: _Number = 0.0


class _Calibration(_Part):
    temperature: Annotated[float, Field(strict=True, ge=0.01, le=100.0)]
    cases: _Count
    voxels: _Count
    ece_before: _Number
    ece_after: _Number
    reliability_before: Annotated[list[tuple[_Count, _Number, _Number]], Field(max_length=1000)]
    reliability_after: Annotated[list[tuple[_Count, _Number, _Number]], Field(max_length=1000)]


class _Tried(_Part):
    n: _Count
    dice: _Number
    nsd: _Number


class _PostProcessing(_Part):
    labels: dict[_Name, _Name]
    tried: dict[_Name, dict[_Name, _Tried]]


class _Failure(_Part):
    case: _Name
    dice: _Number
    picture: Annotated[str, Field(pattern=r"^(failure_[1-9]\.png)?$")] = ""


class _ExternalCase(_Part):
    case: _Name
    dice: _Number
    picture: Annotated[str, Field(pattern=r"^(external_[1-9]\.png)?$")] = ""


class _Cost(_Part):
    gflop_per_window: _Amount = 0.0
    steps: _Steps = 1
    steps_are_passes: _Truth = False
    gflop_of_choices: Annotated[dict[_Name, _Amount], Field(max_length=100)] = {}
    gflop_run_per_window: _Amount | None = None
    windows_run: _Count = 0


class _Coverage(_Part):
    labels: Annotated[dict[_Name, _Fraction], Field(max_length=10_000)]
    least: _Fraction
    cases: _Count
    chosen: Annotated[dict[_Name, Any], Field(max_length=100)] = {}


class _Mean(_Part):
    mean: _Number | None
    ci95: _Pair | None = None
    n: _Count


class _DiceMean(_Part):
    mean: _Number | None
    ci95: _Pair | None = None


class _StepsChosen(_Part):
    best: _Steps
    taken: _Steps
    of: _Steps
    word: _Name = "step"


class _Validation(_Part):
    cases: _Count = 0
    dice: _DiceMean | None = None
    dice_per_step: Annotated[list[_Number | None], Field(max_length=10_000)] = []
    steps_chosen: _StepsChosen | None = None
    per_case: list[dict[str, Any]] = []
    measures: dict[_Name, _Mean] = {}
    measures_per_label: dict[_Name, dict[_Name, _Mean]] = {}


class _External(_Part):
    reference: _Text = ""
    validation: _Validation | None = None
    failures: list[_ExternalCase] = []


class _TotalBias(_Part):
    mean: _Number
    ci95: _Pair


class _MatchedLabel(_Part):
    offset: _Number
    before: _TotalBias
    halves: Annotated[tuple[_TotalBias | None, ...], Field(max_length=2)]
    random_halves: _Amount
    other_cases: _Pair


class _DiceChange(_Part):
    before: _Number
    after: _Number
    difference: _Number
    ci95: _Pair


class _VolumesMatched(_Part):
    cases: _Count
    seed: _Count
    labels: dict[_Name, _MatchedLabel]
    dice: _DiceChange


class _Provenance(_Part):
    volumes_matched: _VolumesMatched | None = None


class _Metrics(_Part):
    validation: _Validation | None = None


class _CardRecord(_Part):
    format: _Name
    method: _MethodRecord
    plan: dict[str, Any]
    digest: _Name
    files: dict[_Name, _Name]
    name: _Name = ""
    licence: _Text = ""
    intended_use: _Text = ""
    mirror: _Truth = False
    demonstration: _Truth = False
    provenance: _Provenance = _Provenance()
    metrics: _Metrics = _Metrics()
    network: dict[str, Any] = {}
    training_scans: _Trained | None = None
    intervals: _Intervals | None = None
    expected: _Expected | None = None
    calibration: _Calibration | None = None
    post_processing: _PostProcessing | None = None
    failures: list[_Failure] = []
    external: _External | None = None
    predicted_dice: _PredictedDice | None = None
    cost: _Cost = _Cost()
    coverage: _Coverage | None = None
    shown_channel: _Name = ""
    about: Annotated[dict[_Name, _Text], Field(max_length=100)] = {}


class _PooledRecord(_Part):
    """What a cross-validation's summary has of what is in a card, too."""

    intervals: _Intervals | None = None
    post_processing: _PostProcessing | None = None


def check_record(record: Mapping[str, Any], where: object) -> None:
    """Refuse a bundle's record with a field of another type, or out of bounds.

    Raises
    ------
    BundleError
        With the first such field; ``where`` is the file.
    """
    found = _checked(_CardRecord, record, where)
    _check_lengths(found.predicted_dice, where)
    _check_names(found.intervals, where)
    _check_rules(found.post_processing, where)
    _check_bins(found.calibration, where)


def check_pooled(record: Mapping[str, Any], where: object) -> None:
    """Refuse what a cross-validation worked out of all folds where it is not as a card has it; see above."""
    found = _checked(_PooledRecord, record, where)
    _check_names(found.intervals, where)
    _check_rules(found.post_processing, where)


def _checked(kind: type[Part], record: Mapping[str, Any], where: object) -> Part:
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = brief(".".join(map(str, first["loc"])))
        raise BundleError(
            f"{where}: {field} is {brief(repr(first['input']))}: {brief(first['msg'])}. Ask whoever made the bundle."
        ) from error


def _check_names(intervals: _Intervals | None, where: object) -> None:
    if intervals and not intervals.labels.keys() <= intervals.names.keys():
        raise BundleError(f"{where}: intervals has labels without a name. Ask whoever made the bundle.")


def _check_rules(found: _PostProcessing | None, where: object) -> None:
    for name, tried in found.tried.items() if found else ():
        if NONE not in tried or any(PieceRule.of(word) is None or row.n < 1 for word, row in tried.items()):
            raise BundleError(f"{where}: post_processing tried no known rules for {brief(name)}. Ask its maker.")
    for name, word in found.labels.items() if found else ():
        if not found or word not in found.tried.get(name, {}):
            raise BundleError(f"{where}: post_processing has the rule {brief(word)}. Ask whoever made the bundle.")


def _check_bins(found: _Calibration | None, where: object) -> None:
    if found and len(found.reliability_before) != len(found.reliability_after):
        raise BundleError(f"{where}: calibration has bins of different number before and after. Ask its maker.")


def _check_lengths(dice: _PredictedDice | None, where: object) -> None:
    if dice and not _of_one_length(dice):
        raise BundleError(f"{where}: predicted_dice has features and weights of different number. Ask its maker.")


def _of_one_length(dice: _PredictedDice) -> bool:
    rows = (dice.means, dice.deviations, dice.weights, dice.ranges)
    return all(len(row) == len(dice.features) for row in rows)
