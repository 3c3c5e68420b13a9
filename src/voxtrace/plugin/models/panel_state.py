"""What the panels say: frozen states, and the pure functions that make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.messages import Learned, Stage
from voxtrace.volume import Triple

Mood = Literal["hint", "busy", "done", "error"]

NO_SCAN = "Open a scan first: File ▸ Open File(s)… or Open Folder… for DICOM, or File ▸ Open Sample ▸ VoxTrace."
NO_BUNDLE = "No model is known yet: press Browse… and choose a bundle folder."


@dataclass(frozen=True)
class PanelState:
    """What a panel shows while nothing, or something, goes on.

    Attributes
    ----------
    message, mood
        One sentence, and whether it is a hint, progress, success or an error.
    can_start
        Whether the button that starts is enabled.
    busy
        Whether a job runs: the options are locked and Cancel is enabled.
    done, total
        Progress; a total of 0 with ``busy`` is a bar that only moves.
    """

    message: str = ""
    mood: Mood = "hint"
    can_start: bool = False
    busy: bool = False
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class LegendRow:
    """A label in the legend: colour, name and its volume at the step that is shown."""

    value: int
    colour: Triple
    name: str
    volume_ml: float | None

    @property
    def volume_text(self) -> str:
        """The volume with a sensible number of digits, ``"–"`` when it is not known."""
        ml = self.volume_ml
        if ml is None:
            return "–"
        return f"{ml:,.0f} mL" if ml >= 100 else f"{ml:.1f} mL" if ml >= 10 else f"{ml:.2f} mL"


def idle(bundle: KnownBundle | None, channels: Sequence[str | None], frames: int = 1) -> PanelState:
    """Return the state before a run: what is missing, or what to press next; ``frames`` are those of the scan."""
    if bundle is None:
        return PanelState(NO_BUNDLE)
    if not any(channels):
        return PanelState(NO_SCAN)
    missing = [name for name, chosen in zip(bundle.channels, channels, strict=False) if chosen is None]
    if missing:
        return PanelState(f"Choose an image for {' and '.join(missing)}.")
    over_time = (
        f" It takes the frame that the slider stands on, one of {frames}, and keeps its answer." if frames > 1 else ""
    )
    return PanelState(f"Ready. Press Segment.{over_time}", can_start=True)


def working(stage: Stage | Learned) -> PanelState:
    """Return the state in the middle of a run."""
    if isinstance(stage, Learned):
        return PanelState(_learned(stage), "busy", busy=True, done=stage.iteration, total=stage.total)
    return PanelState(stage.text, "busy", busy=True, done=stage.done, total=stage.total)


def _learned(report: Learned) -> str:
    several = len(report.phases) > 1
    where = f"Phase {words(report.phase).lower()} ({report.phases.index(report.phase) + 1} of {len(report.phases)}) · "
    terms = ", ".join(f"{words(name).lower()} {value:.3f}" for name, value in report.losses.items())
    return (
        f"{where if several else ''}Iteration {report.iteration:,} of {report.total:,} · loss {report.loss:.3f}"
        f"{f' ({terms})' if len(report.losses) > 1 else ''}"
    )


def stopping(before: PanelState) -> PanelState:
    """Return the state between the press of Cancel and the end of the run."""
    return PanelState("Stopping …", "busy", busy=True, done=before.done, total=before.total)


def failed(sentence: str) -> PanelState:
    """Return the state after an error; it can be tried again."""
    return PanelState(sentence, "error", can_start=True)


def finished(steps: int, word: str, seconds: float) -> PanelState:
    """Return the state after a prediction: what there is, what to do with it."""
    what = f"Done in {seconds:.1f} s"
    how = f": {steps} {word}s. Step through them below, or press Play." if steps > 1 else "."
    return PanelState(what + how, "done", can_start=True)


def finished_frames(frames: Sequence[int], count: int, seconds: float) -> PanelState:
    """Return the state after frames, counted from 0, of a scan over time were segmented.

    >>> finished_frames((3,), 10, 1.5).message
    'Done in 1.5 s: frame 4 of 10. To step through its decision, run `voxtrace predict … --frame 3` and open the trace.'
    """
    if len(frames) == 1:
        how = (
            f"frame {frames[0] + 1} of {count}. To step through its decision, run "
            f"`voxtrace predict … --frame {frames[0]}` and open the trace."
        )
    else:
        how = f"{len(frames)} frames, a result at each. Move the slider to see them."
    return PanelState(f"Done in {seconds:.1f} s: {how}", "done", can_start=True)


def words(name: str) -> str:
    """Return a name from a program in plain words.

    >>> words("train_cycles")
    'Train cycles'
    """
    return name.replace("_", " ").strip().capitalize()


def run_name(scan: str, bundle: str, options: Mapping[str, Any], seed: int) -> str:
    """Return what to call a result: the scan, the bundle, and what was chosen in place of its defaults.

    >>> run_name("scan", "brain", {"sampler": "ddim"}, 3)
    'scan · brain · sampler ddim, seed 3'
    """
    chosen = [f"{words(name).lower()} {value}" for name, value in options.items()] + ([f"seed {seed}"] if seed else [])
    return " · ".join([scan, bundle, *([", ".join(chosen)] if chosen else [])])


def facts(row: Mapping[str, Any], units: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what a step of a trace's summary tells, means over windows, as pairs of words and value with unit.

    Facts that are not known at this step are left out, and so is the changed fraction where the sentence says it.

    >>> facts({"step": 0, "entropy": 0.123456, "cost_gflop": 1500.0}, {"entropy": "nat", "cost_gflop": "GFLOP"})
    (('Entropy', '0.123 nat'), ('Cost', '1,500 GFLOP'))
    """
    said = {"changed_voxels"} | ({"changed_fraction"} if row.get("changed_voxels") is not None else set())
    return tuple(
        _fact(name, float(row[name]), unit)
        for name, unit in units.items()
        if name not in said and row.get(name) is not None
    )


def _fact(name: str, value: float, unit: str) -> tuple[str, str]:
    stem, _, last = name.rpartition("_")
    if stem and unit and last.lower() in (unit.lower(), f"{unit.lower()}s"):  # the unit, said in the name
        name, unit = stem, last if last.endswith("s") else unit
    if unit == "fraction":
        return words(name), f"{value:.1%}"
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return words(name), f"{number} {unit}".rstrip()


def step_title(step: int, steps: int, word: str) -> str:
    """Return what is shown now, counted from 1: ``"Cycle 3 of 7"``."""
    return f"{word.capitalize()} {step + 1} of {steps}"


def step_sentence(row: Mapping[str, Any], word: str) -> str:
    """Return what a step changed; ``""`` when its predecessor was not kept."""
    changed = row.get("changed_voxels")
    if changed is None:
        return ""
    if row["step"] == 0:
        return f"The first {word} found {changed:,} voxels ({row['changed_fraction']:.2%} of the scan)."
    return f"{changed:,} voxels changed against the {word} before ({row['changed_fraction']:.3%} of the scan)."


def legend(names: Mapping[int, str], colours: Mapping[int, Triple], row: Mapping[str, Any]) -> tuple[LegendRow, ...]:
    """Return the legend at one step of a trace's summary."""
    volumes: Mapping[int, float] = row.get("volume_ml", {})
    return tuple(
        LegendRow(value, colours.get(value, (1.0, 1.0, 1.0)), name, volumes.get(value, 0.0 if volumes else None))
        for value, name in sorted(names.items())
        if value
    )


def changes(summary: Sequence[Mapping[str, Any]]) -> tuple[float, ...]:
    """Return how many voxels each step changed; NaN for the first, which has none before it, and where unknown."""
    counts = (float("nan") if row["step"] == 0 else row.get("changed_voxels") for row in summary)
    return tuple(float("nan") if count is None else float(count) for count in counts)
