"""What the panels show: frozen states and the pure functions that make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from voxtrace.fit import Fit
from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.messages import JobStage, TrainReport
from voxtrace.plugin.models.model_cards import time_words
from voxtrace.trace.trace import ENTROPY, ENTROPY_PER_FOUND
from voxtrace.volume import Triple

Level = Literal["hint", "busy", "done", "warning", "error"]

NO_SCAN = "Press Open scan… to open a file or a DICOM folder, or try File ▸ Open Sample ▸ VoxTrace."
NO_BUNDLE = "No model is known yet: press Browse… and choose a bundle folder."
NO_FITTING_BUNDLE = "No known model fits this scan. Choose one, or press Browse… for a bundle folder."


@dataclass(frozen=True)
class Remedy:
    """A button beside a message: what it does, by a key that the controller knows, and its text."""

    key: str
    text: str


ANYWAY = Remedy("anyway", "Segment anyway")
REMEDIES: Mapping[str, Remedy] = {
    "memory": Remedy("one window", "Use a smaller batch"),
    "channels": Remedy("open", "Open the missing channel"),
    "bundle": Remedy("model", "Choose another model"),
    "arithmetic": Remedy("float32", "Compute in float32"),
    "runtime": Remedy("torch", "Use torch"),
    "device": Remedy("cpu", "Compute on the processor"),
}
# What a remedy changes in the options, by its key; the run starts again with them.
REMEDY_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "one window": {"batch": 1, "keep": "last"},
    "float32": {"precision": "float32"},
    "torch": {"runtime": "torch"},
    "cpu": {"device": "cpu"},
}


@dataclass(frozen=True)
class PanelState:
    """What a panel shows before, during and after a job.

    Attributes
    ----------
    message, level
        One sentence, and whether it is a hint, progress, success or an error.
    can_start
        Whether the Start button is enabled.
    busy
        Whether a job runs: options are disabled and Cancel is enabled.
    done, total
        Progress; a total of 0 with ``busy`` shows an indeterminate bar.
    remedy
        What would help, as a button.
    """

    message: str = ""
    level: Level = "hint"
    can_start: bool = False
    busy: bool = False
    done: int = 0
    total: int = 0
    remedy: Remedy | None = None


@dataclass(frozen=True)
class LegendRow:
    """A label in the legend: colour, name, volume at the current step, and the interval that holds the true volume.

    A region, a group of labels (:mod:`voxtrace.plan.regions`), has the value 0 and no colour of its own.
    """

    value: int
    colour: Triple
    name: str
    volume_ml: float | None
    interval_ml: tuple[float, float] | None = None

    @property
    def is_region(self) -> bool:
        """Whether it is a region."""
        return self.value == 0

    @property
    def volume_text(self) -> str:
        """The volume with two or three significant digits, ``"–"`` when it is unknown."""
        ml = self.volume_ml
        if ml is None:
            return "–"
        return f"{ml:,.0f} mL" if ml >= 100 else f"{ml:.1f} mL" if ml >= 10 else f"{ml:.2f} mL"

    @property
    def interval_text(self) -> str:
        """The interval, ``"(1.4–1.9)"``; ``""`` where the model has none.

        >>> LegendRow(1, (1.0, 0.0, 0.0), "liver", 1500.0, (1400.0, 1612.3)).interval_text
        '(1,400–1,612)'
        """
        if self.interval_ml is None:
            return ""
        digits = 0 if self.interval_ml[1] >= 100 else 1 if self.interval_ml[1] >= 1 else 2
        return "({:,.{n}f}–{:,.{n}f})".format(*self.interval_ml, n=digits)


def idle(
    bundle: KnownBundle | None, channels: Sequence[str | None], timepoints: int = 1, scans: int = 0, bundles: int = 0
) -> PanelState:
    """Return the state before a run: what is missing, or what to press.

    Parameters
    ----------
    bundle, channels
        The chosen model, and the name of the image for each of its channels.
    timepoints
        Their number in the scan.
    scans, bundles
        How many are open and known.
    """
    if not bundles:
        return PanelState(NO_BUNDLE)
    if not scans:
        return PanelState(NO_SCAN)
    if bundle is None:
        return PanelState(NO_FITTING_BUNDLE)
    missing = [name for name, chosen in zip(bundle.channels, channels, strict=False) if chosen is None]
    if missing:
        return PanelState(f"Choose an image for {' and '.join(missing)}.", remedy=REMEDIES["channels"])
    over_time = (
        f" It segments the frame under the slider, one of {timepoints}, and keeps its last step."
        if timepoints > 1
        else ""
    )
    return PanelState(f"Ready. Press Segment.{over_time if timepoints > 1 else ''}", can_start=True)


def working(stage: JobStage | TrainReport) -> PanelState:
    """Return the state during a job."""
    if isinstance(stage, TrainReport):
        total = stage.total
        if stage.left_s is not None:  # a time limit may come before the last iteration
            total = min(total, stage.iteration + math.ceil(stage.left_s * stage.iterations_per_s))
        return PanelState(_report_sentence(stage), "busy", busy=True, done=stage.iteration, total=total)
    return PanelState(stage.text, "busy", busy=True, done=stage.done, total=stage.total)


def _report_sentence(report: TrainReport) -> str:
    several = len(report.phases) > 1
    where = f"Phase {words(report.phase).lower()} ({report.phases.index(report.phase) + 1} of {len(report.phases)}) · "
    terms = ", ".join(f"{loss_name(name)} {value:.3f}" for name, value in report.losses.items())
    fold = f"Fold {report.fold} · " if report.fold else ""
    of_fold = " of this fold" if report.fold else ""
    pace = f" · {_pace(report.iterations_per_s)}" if report.iterations_per_s else ""
    left = f" · {time_words(report.left_s)} left{of_fold}" if report.left_s is not None else ""
    return (
        f"{fold}{where if several else ''}Iteration {report.iteration:,} of {report.total:,} · loss {report.loss:.3f}"
        f"{f' ({terms})' if len(report.losses) > 1 else ''}{pace}{left}"
    )


def _pace(per_s: float) -> str:
    return f"{per_s:.3g}/s" if per_s >= 1 else f"{1 / per_s:.3g} s each"


def stopping(before: PanelState) -> PanelState:
    """Return the state between Cancel and the end of the job."""
    return PanelState("Stopping …", "busy", busy=True, done=before.done, total=before.total)


def failed(sentence: str, kind: str = "") -> PanelState:
    """Return the state after an error; the job can be started again, or its remedy tried where there is one."""
    return PanelState(sentence, "error", can_start=True, remedy=REMEDIES.get(kind))


def stopped() -> PanelState:
    """Return the state after a prediction was cancelled."""
    return PanelState("Stopped. Nothing was changed.", can_start=True)


def asks_anyway(bundle: str, fit: Fit) -> PanelState:
    """Return the state in which a model that does not fit the scan has to be confirmed once."""
    return PanelState(f"{bundle}: {caution(fit)}", "warning", can_start=True, remedy=ANYWAY)


def caution(fit: Fit) -> str:
    """Return the worst reason of a verdict, with what to do.

    >>> from voxtrace.fit import FitReason
    >>> caution(Fit((FitReason("check", "slices are 10 mm apart", "compare with thinner slices"),)))
    'Check: slices are 10 mm apart; compare with thinner slices.'
    """
    first = next((reason for reason in fit.reasons if reason.severity == fit.verdict), None)
    if first is None:
        return ""
    remedy = f"; {first.remedy}" if first.remedy else ""
    return f"{fit.verdict.capitalize()}: {first.sentence}{remedy}."


def with_time_left(state: PanelState, seconds: float | None) -> PanelState:
    """Return the state with the time left behind its message.

    >>> with_time_left(PanelState("Segmenting: 3 of 9 windows"), 41.0).message
    'Segmenting: 3 of 9 windows · about 40 s left'
    """
    if seconds is None:
        return state
    return replace(state, message=f"{state.message} · about {time_words(seconds)} left")


def seconds_left(elapsed_s: float, done: int, total: int, expected_s: float | None) -> float | None:
    """Return the time left of a stage: what was measured, and before the first tenth mostly what was expected.

    None where neither is known.

    >>> seconds_left(10.0, 5, 10, None), seconds_left(1.0, 0, 10, 21.0), seconds_left(1.0, 0, 10, None)
    (10.0, 20.0, None)
    """
    expected = None if expected_s is None else max(0.0, expected_s - elapsed_s)
    if not done or total <= 0:
        return expected
    measured = elapsed_s / done * (total - done)
    trust = min(1.0, 10 * done / total)
    return measured if expected is None else trust * measured + (1 - trust) * expected


def finished(steps: int, word: str, seconds: float) -> PanelState:
    """Return the state after a prediction."""
    what = f"Done in {seconds:.1f} s"
    how = f": {steps} {word}s. Step through them below the scan, or with ← and →." if steps > 1 else "."
    return PanelState(what + how, "done", can_start=True)


def finished_timepoints(timepoints: Sequence[int], count: int, seconds: float) -> PanelState:
    """Return the state after time points, counted from 0, of a scan were segmented.

    >>> finished_timepoints((3,), 10, 1.5).message
    'Done in 1.5 s: frame 4 of 10. To step through its decision, run `voxtrace predict … --frame 3` and open the trace.'
    """
    if len(timepoints) == 1:
        how = (
            f"frame {timepoints[0] + 1} of {count}. To step through its decision, run "
            f"`voxtrace predict … --frame {timepoints[0]}` and open the trace."
        )
    else:
        how = f"{len(timepoints)} frames, a result at each. Move the slider to see them."
    return PanelState(f"Done in {seconds:.1f} s: {how}", "done", can_start=True)


def loss_name(term: str) -> str:
    """Return the name of a term of the loss, never that of a score.

    >>> loss_name("dice"), loss_name("cross_entropy"), loss_name("auxiliary_loss")
    ('dice loss', 'cross entropy loss', 'auxiliary loss')
    """
    name = words(term).lower()
    return name if name.endswith("loss") else f"{name} loss"


def words(name: str) -> str:
    """Return an identifier as words.

    >>> words("train_cycles")
    'Train cycles'
    """
    return name.replace("_", " ").strip().capitalize()


def run_name(scan: str, bundle: str, options: PredictOptions, where: str = "") -> str:
    """Return the name of a result: the scan, the bundle, the part of the scan, and every option that was changed.

    >>> run_name("scan", "brain", PredictOptions(keep="labels", seed=3, method_options={"sampler": "ddim"}))
    'scan · brain · seed 3, sampler ddim'
    """
    return " · ".join(filter(None, (scan, bundle, where, ", ".join(changes_of(options)))))


def changes_of(options: PredictOptions, defaults: PredictOptions = KEEP_EVERY_STEP) -> tuple[str, ...]:
    """Return title and value of every option that differs from the defaults.

    >>> changes_of(PredictOptions(mirror=False, keep="labels", overlap=0.25))
    ('mirror off', 'overlap 0.25')
    """
    changed: dict[str, Any] = {}
    for info in options.options():
        value = getattr(options, info.name)
        if isinstance(value, Mapping):
            changed |= {words(name): each for name, each in value.items()}
        elif value != getattr(defaults, info.name):
            changed[info.title] = value
    return tuple(f"{title[:1].lower()}{title[1:]} {_value_text(value)}" for title, value in changed.items())


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def facts(row: Mapping[str, Any], units: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the facts of a step (means over windows) from a trace's summary, as pairs of name and value with unit.

    Facts without a value at this step are left out, and so is the changed fraction where the sentence has it. Of the
    entropy stands what comes to a labelled voxel: its mean over windows is that of the empty space around.

    >>> row = {"step": 0, "entropy": 0.123456, "entropy_per_found": 0.61728, "cost_gflop": 1500.0}
    >>> facts(row, {"entropy": "nat", "raw_entropy": "nat", "cost_gflop": "GFLOP"})
    (('Entropy per labelled voxel', '0.617 nat'), ('Cost', '1,500 GFLOP'))
    """
    changed = {"changed_fraction"} if row.get("changed_voxels") is not None else set()
    left_out = {"changed_voxels", "raw_entropy"} | changed
    shown = {ENTROPY_PER_FOUND if name == ENTROPY else name: unit for name, unit in units.items()}
    return tuple(
        _fact(name, float(row[name]), unit)
        for name, unit in shown.items()
        if name not in left_out and row.get(name) is not None
    )


def _fact(name: str, value: float, unit: str) -> tuple[str, str]:
    stem, _, last = name.rpartition("_")
    if stem and unit and last.lower() in (unit.lower(), f"{unit.lower()}s"):  # the name ends in the unit
        name, unit = stem, last if last.endswith("s") else unit
    title = "Entropy per labelled voxel" if name == ENTROPY_PER_FOUND else words(name)
    if unit == "fraction":
        return title, f"{value:.1%}"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return title, f"{number} {unit}".rstrip()


def step_title(step: int, steps: int, word: str) -> str:
    """Return the title of a step, counted from 1: ``"Cycle 3 of 7"``."""
    return f"{word.capitalize()} {step + 1} of {steps}"


def step_sentence(row: Mapping[str, Any], word: str) -> str:
    """Return a sentence about what a step changed; ``""`` when the step before it was not kept."""
    changed = row.get("changed_voxels")
    if changed is None:
        return ""
    if row["step"] == 0:
        return f"The first {word} found {changed:,} voxels ({row['changed_fraction']:.2%} of the scan)."
    return f"{changed:,} voxels changed against the {word} before ({row['changed_fraction']:.3%} of the scan)."


def legend(
    names: Mapping[int, str],
    colours: Mapping[int, Triple],
    row: Mapping[str, Any],
    interval_of: Callable[[int | str, float], tuple[float, float] | None] = lambda label, ml: None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> tuple[LegendRow, ...]:
    """Return the legend at one step of a trace's summary.

    ``interval_of`` gives the interval of a label, by value, or of a region, by name, for its mL. ``regions``, name ->
    label values, come after the labels, but those that are a label by themselves.
    """
    volumes: Mapping[int, float] = row.get("volume_ml", {})
    labels = tuple(
        LegendRow(
            value,
            colours.get(value, (1.0, 1.0, 1.0)),
            name,
            volumes.get(value, 0.0 if volumes else None),
            interval_of(value, volumes.get(value) or 0.0),
        )
        for value, name in sorted(names.items())
        if value
    )
    groups = {name: values for name, values in (regions or {}).items() if name not in names.values()}
    return labels + tuple(_region_row(name, values, volumes, interval_of) for name, values in groups.items())


def _region_row(
    name: str,
    values: Sequence[int],
    volumes: Mapping[int, float],
    interval_of: Callable[[int | str, float], tuple[float, float] | None],
) -> LegendRow:
    ml = sum(volumes.get(value, 0.0) for value in values)
    return LegendRow(0, (0.0, 0.0, 0.0), name, ml if volumes else None, interval_of(name, ml))
