"""``voxtrace demo``: a shipped model on a synthetic CT, step by step; needs no data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_facts, print_json, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from voxtrace.inference import Result
    from voxtrace.volume import Case, LabelMap

BUNDLE = "abdomen-phantom-recyclenet"
SEED = 9001  # a phantom that the bundle was not trained on


@dataclass(frozen=True)
class DemoOutputs:
    """The files that the demo writes."""

    out: Path

    @property
    def image(self) -> Path:
        """The synthetic CT."""
        return self.out / "abdomen.nii.gz"

    @property
    def labels(self) -> Path:
        """The predicted label map."""
        return self.out / "abdomen_labels.nii.gz"

    @property
    def trace(self) -> Path:
        """The trace of the prediction."""
        return self.out / "abdomen.trace"

    @property
    def picture(self) -> Path:
        """A picture of the steps."""
        return self.out / "steps.png"


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("demo_output"),
    window: Annotated[bool, typer.Option("--window/--no-window", help="Open napari where there is a display.")] = True,
    as_json: AsJson = False,
) -> None:
    """Segment a synthetic abdominal CT with a shipped model and show how the segmentation came about.

    Writes the CT, the label map, the trace and a picture of the steps, prints the Dice with the true
    labels, and opens napari where it is installed and there is a display.
    """
    outputs = DemoOutputs(out)
    with reserve_stdout_for_json(as_json):
        facts = _make(outputs)
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
    if window:
        _open_window(outputs)


def _make(outputs: DemoOutputs) -> dict[str, Any]:
    from voxtrace.bundle import load
    from voxtrace.cli.picture import draw_steps
    from voxtrace.io import write
    from voxtrace.phantoms import abdomen_ct

    bundle = load(BUNDLE)
    echo("making an abdominal CT from a seed …")
    case = abdomen_ct(seed=SEED)
    write(case.volume, outputs.image)
    result = _segment(bundle, case, outputs.trace)
    write(result.labels, outputs.labels)
    draw_steps(case.volume, result.trace, outputs.picture)
    return {
        "image": str(outputs.image),
        "labels": str(outputs.labels),
        "trace": str(outputs.trace),
        "picture": str(outputs.picture),
        "steps": result.trace.n_steps,
        "seconds": round(result.seconds, 2),
        "dice": _mean_dice(result.labels, case.labels),
    }


def _segment(bundle: Any, case: Case, trace: Path) -> Result:
    from voxtrace.inference import segment
    from voxtrace.inference.options import KEEP_EVERY_STEP

    with stop_on_interrupt() as cancel, progress_bar() as bar:
        task = bar.add_task("segmenting", total=None)
        engine = segment(bundle, case.volume, KEEP_EVERY_STEP, store=trace, cancel=cancel)
        while True:
            try:
                progress = next(engine)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            bar.update(task, description=progress.stage, completed=progress.done, total=progress.total)


def _mean_dice(prediction: LabelMap, truth: LabelMap) -> float:
    from voxtrace.metrics import dice

    return sum(dice(prediction, truth, value) for value in truth.values) / len(truth.values)


def _open_window(outputs: DemoOutputs) -> None:
    """Open napari, or say why it cannot be opened."""
    if importlib.util.find_spec("napari") is None:
        echo('no window: napari is not installed; pip install "voxtrace[all]" brings it.')
    elif not _has_display():
        echo("no window: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set).")
    else:
        _show(outputs)


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def _show(outputs: DemoOutputs) -> None:
    """Open napari in a child process, and wait until its window is closed."""
    echo("opening napari …")
    panel = ["--with", "voxtrace", "Segment and step through"]
    files = [str(outputs.image), str(outputs.trace)]
    subprocess.run([sys.executable, "-m", "napari", "--plugin", "voxtrace", *files, *panel], check=False)
