"""``voxtrace demo``: a shipped model on a scan that comes with the package, step by step; needs no data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_facts, print_json, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from voxtrace.inference import Result
    from voxtrace.volume import LabelMap, Volume

REAL = "hippocampus_right"
PHANTOM, PHANTOM_BUNDLE = "abdomen", "abdomen-phantom-recyclenet"
SEED = 9001  # a phantom that the bundle was not trained on


@dataclass(frozen=True)
class DemoCase:
    """A scan to step through, the bundle for it, and its true labels where they are known."""

    bundle: str
    volume: Volume
    truth: LabelMap | None = None


@dataclass(frozen=True)
class DemoOutputs:
    """The files that the demo writes."""

    out: Path
    stem: str = REAL

    @property
    def image(self) -> Path:
        """The scan."""
        return self.out / f"{self.stem}.nii.gz"

    @property
    def labels(self) -> Path:
        """The predicted label map."""
        return self.out / f"{self.stem}_labels.nii.gz"

    @property
    def trace(self) -> Path:
        """The trace of the prediction."""
        return self.out / f"{self.stem}.trace"

    @property
    def picture(self) -> Path:
        """A picture of the steps."""
        return self.out / "steps.png"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo_output"),
    window: Annotated[bool, typer.Option("--window/--no-window", help="Open napari where there is a display.")] = True,
    phantom: Annotated[bool, typer.Option("--phantom", help="A made-up CT in place of the real MR.")] = False,
    as_json: AsJson = False,
) -> None:
    """Segment a real MR of the hippocampus and show how the segmentation came about.

    Writes the scan, the label map, the trace and a picture of the steps, prints what was found, and opens napari at
    the first step where it is installed and there is a display. Scan and model come with the package.
    With --phantom, it is a made-up abdominal CT, whose true labels are known: the Dice with them is printed, too.
    """
    outputs = DemoOutputs(out, PHANTOM if phantom else REAL)
    with reserve_stdout_for_json(as_json):
        case = _made_up() if phantom else _real()
        facts = _make(case, outputs)
    if as_json:
        print_json(facts)
    else:
        print_facts({name: value for name, value in facts.items() if value is not None})
    if window:
        _open_window(outputs, case.bundle)


def _real() -> DemoCase:
    from voxtrace.io import read
    from voxtrace.samples import ORIGIN, sample

    chosen = sample(REAL)
    echo(f"{chosen.title}: {ORIGIN}")
    return DemoCase(chosen.bundle, read(chosen.path))


def _made_up() -> DemoCase:
    from voxtrace.phantoms import abdomen_ct

    echo("making an abdominal CT from a seed …")
    case = abdomen_ct(seed=SEED)
    return DemoCase(PHANTOM_BUNDLE, case.volume, case.labels)


def _make(case: DemoCase, outputs: DemoOutputs) -> dict[str, Any]:
    from voxtrace.bundle import load
    from voxtrace.cli.picture import draw_steps
    from voxtrace.io import write

    bundle = load(case.bundle)
    write(case.volume, outputs.image)
    result = _segment(bundle, case.volume, outputs.trace)
    write(result.labels, outputs.labels)
    draw_steps(case.volume, result.trace, outputs.picture)
    return {
        "image": str(outputs.image),
        "labels": str(outputs.labels),
        "trace": str(outputs.trace),
        "picture": str(outputs.picture),
        "bundle": case.bundle,
        "steps": result.trace.n_steps,
        "seconds": round(result.seconds, 2),
        "volume_ml": _volumes_ml(result),
        "dice": None if case.truth is None else _mean_dice(result.labels, case.truth),
    }


def _segment(bundle: Any, volume: Volume, trace: Path) -> Result:
    from voxtrace.inference import segment
    from voxtrace.inference.options import KEEP_EVERY_STEP
    from voxtrace.kernels.switches import GROUPS, without

    # In a new environment other runtimes and kernels first compile their loops: that takes longer than all of this run.
    options = replace(KEEP_EVERY_STEP, runtime="torch")
    with without(*GROUPS), stop_on_interrupt() as cancel, progress_bar() as bar:
        task = bar.add_task("segmenting", total=None)
        engine = segment(bundle, volume, options, store=trace, cancel=cancel)
        while True:
            try:
                progress = next(engine)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            bar.update(task, description=progress.stage, completed=progress.done, total=progress.total)


def _volumes_ml(result: Result) -> dict[str, float]:
    """Return mL of each label of the answer, by its name."""
    last = list(result.trace.summary())[-1]["volume_ml"]
    return {result.trace.names[value]: ml for value, ml in last.items() if value}


def _mean_dice(prediction: LabelMap, truth: LabelMap) -> float:
    from voxtrace.metrics import dice

    return sum(dice(prediction, truth, value) for value in truth.values) / len(truth.values)


def _open_window(outputs: DemoOutputs, bundle: str) -> None:
    """Open napari, or say why it cannot be opened."""
    if importlib.util.find_spec("napari") is None:
        echo('no window: napari is not installed; pip install "voxtrace[all]" brings it.')
    elif not _has_display():
        echo("no window: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set).")
    else:
        _show(outputs, bundle)


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def _show(outputs: DemoOutputs, bundle: str) -> None:
    """Open napari in a child process, and wait until its window is closed."""
    echo("opening napari …")
    shown = [str(outputs.image), str(outputs.trace), bundle]
    subprocess.run([sys.executable, "-m", "voxtrace.plugin.npe2.demo_window", *shown], check=False)
