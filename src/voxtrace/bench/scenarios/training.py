"""Training: updates of ``voxtrace train`` against those of nnU-Net's trainer, by one plan on the same cases.

On a CPU nnU-Net trains in float32. It is compared with the precision that ``voxtrace train`` takes by itself here, and
with float32. Each round trains with each for some updates in a process of its own; what is compared is the time of an
update, loader included, without the first ones, and the memory of all processes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from voxtrace.bench.measure import Measured
from voxtrace.bench.outcome import Comparison, Outcome
from voxtrace.bench.runner import Competitor, RoundResults, run_rounds
from voxtrace.bench.settings import PEERS, BenchSettings, cores, voxtrace
from voxtrace.bench.training_inputs import QUICK, TrainingInputs, TrainingPlan, make_inputs
from voxtrace.errors import EngineError
from voxtrace.training.events import EVENTS, read_events

TITLE = "training: an update"
PEER, DEFAULT, FLOAT32 = "nnU-Net, float32", "voxtrace", "voxtrace, float32"
UPDATES, AHEAD = 6, 2  # timed, and before those that are timed


@dataclass(frozen=True)
class TrainerPace:
    """Seconds an update took, and the fraction of them in which it did not wait for windows."""

    seconds: float
    busy: float


def run(settings: BenchSettings) -> Outcome:
    """Train with each in turn and compare."""
    inputs = make_inputs(settings, QUICK if settings.quick else TrainingPlan())
    competitors = [_ours(settings, inputs, DEFAULT, "auto"), _ours(settings, inputs, FLOAT32, "float32")]
    if settings.peer is not None:
        competitors.insert(0, _peer(settings, inputs))
    paces: dict[str, list[TrainerPace]] = {one.name: [] for one in competitors}
    results = run_rounds(
        competitors, settings.repeats, settings.echo, lambda one, took: paces[one.name].append(_pace(one, took))
    )
    rows = [row for ours in (DEFAULT, FLOAT32) if settings.peer for row in _compared(results, paces, ours)]
    left_out = () if settings.peer else ("nnU-Net's trainer was left out; give --peer.",)
    return Outcome(TITLE, results, rows, _facts(paces, competitors), left_out)


def _ours(settings: BenchSettings, inputs: TrainingInputs, name: str, precision: str) -> Competitor:
    out = settings.out("training", name)
    words = (inputs.dataset, "--method", "unet", "--plan", inputs.plan, "--iterations", AHEAD + UPDATES, "--device")
    options = ("cpu", "--precision", precision, "--out", out / "bundle")
    command = voxtrace("train", *(str(word) for word in (*words, *options)))
    return Competitor(name, command, out, out, _threads())


def _peer(settings: BenchSettings, inputs: TrainingInputs) -> Competitor:
    words = (settings.peer, PEERS / "training_with_nnunet.py", inputs.folder, UPDATES, AHEAD, cores())
    out = settings.out("training", PEER)
    return Competitor(PEER, [str(word) for word in words], out, out)


def _threads() -> dict[str, str]:
    """Return what gives a program as many threads as there are cores, whatever the shell says."""
    return {name: str(cores()) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def _pace(competitor: Competitor, took: Measured) -> TrainerPace:
    """Return the pace that a run told: nnU-Net's script on standard output, ``voxtrace train`` in its events."""
    if competitor.name == PEER:
        told = json.loads(took.output.splitlines()[-1])
        return TrainerPace(float(told["seconds"]), float(told["busy"]))
    return pace_of_events(competitor.out / "bundle" / EVENTS)


def pace_of_events(file: Path) -> TrainerPace:
    """Return the pace of the updates after the first ``AHEAD`` from the events of a run.

    Raises
    ------
    EngineError
        The file does not tell of that many updates.
    """
    updates = [event for event in read_events(file) if event["event"] == "update"]
    if len(updates) <= AHEAD:
        raise EngineError(f"{file} tells of {len(updates)} updates, expected more than {AHEAD}.")
    (before, waited_before), (after, waited) = (_so_far(updates[at]) for at in (AHEAD - 1, -1))
    seconds = after - before
    return TrainerPace(seconds / (len(updates) - AHEAD), 1 - max(0.0, waited - waited_before) / seconds)


def _so_far(update: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds that a run had taken at an update, and those of them that it had waited for windows."""
    seconds = update["iteration"] / update["iterations_per_s"]
    return seconds, (1 - update["busy"]) * seconds


def _compared(results: RoundResults, paces: dict[str, list[TrainerPace]], ours: str) -> list[Comparison]:
    seconds = {name: [pace.seconds for pace in paces[name]] for name in (ours, PEER)}
    return [
        Comparison("time", ours, PEER, seconds[ours], seconds[PEER], about="loader included"),
        Comparison("memory", ours, PEER, results.peaks_mb(ours), results.peaks_mb(PEER), about="all processes"),
    ]


def _facts(paces: dict[str, list[TrainerPace]], competitors: Sequence[Competitor]) -> dict[str, Any]:
    return {
        "updates_a_second": {name: round(1 / median(p.seconds for p in each), 3) for name, each in paces.items()},
        "time_not_spent_waiting_for_windows": {
            name: round(median(p.busy for p in each), 4) for name, each in paces.items()
        },
        "precision": {one.name: _precision(one) for one in competitors if one.name != PEER},
    }


def _precision(competitor: Competitor) -> str:
    begun = next(event for event in read_events(competitor.out / "bundle" / EVENTS) if event["event"] == "begin")
    return str(begun["precision"])
