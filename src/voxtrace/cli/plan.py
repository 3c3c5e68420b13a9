"""``voxtrace plan``: what is wrong with a dataset, what it looks like, and the plan that follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import AsJson, DatasetFolder, Device, Spacing, WindowSize, spacing_mm, window_voxels
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import print_facts, print_json, print_line, reserve_stdout_for_json
from voxtrace.cli.show_training import show_training
from voxtrace.errors import UsageError

if TYPE_CHECKING:
    from voxtrace.training import Fingerprint
    from voxtrace.training.doctor import Examination, Fault
    from voxtrace.training.plan_command import Planned

Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Write plan and folds to this file, for `voxtrace train --plan FILE`.", show_default=False
    ),
]
Fix = Annotated[
    Path | None,
    typer.Option(
        help="Write a copy of the dataset without its faults into this new folder: headers copied where only the "
        "origin differs, labels re-mapped, cases left out that cannot be mended.",
        show_default=False,
    ),
]
Unnamed = Annotated[
    Literal["leave-out", "background"],
    typer.Option(
        help="With --fix, what becomes of label values that dataset.json does not name and that cannot be re-mapped: "
        "the case is left out, or they become background; the voxels of each are counted, case by case."
    ),
]
Labels = Annotated[
    str, typer.Option(help="Folder in DATASET with the labels to learn, as for `voxtrace train`.", show_default=False)
]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Windows in an update in place of the planned number.")]


def plan(
    dataset: DatasetFolder,
    device: Device = "auto",
    memory_gb: Annotated[
        float | None, typer.Option(min=1.0, help="Memory of the device to plan for; its own if unset.")
    ] = None,
    window: WindowSize = None,
    spacing: Spacing = None,
    batch_size: BatchSize = None,
    labels: Labels = "",
    out: Out = None,
    fix: Fix = None,
    unnamed: Unnamed = "leave-out",
    as_json: AsJson = False,
) -> None:
    """Read every file of a dataset once; list all that is wrong with it, and print the plan for a device.

    Exit code 0: nothing is wrong (notes may be worth a look); 1: there are faults, each with what to do about it;
    3: no case can be used. With --fix, 0 says that the copy has none of the faults.
    """
    from voxtrace.training.doctor import examine
    from voxtrace.training.plan_command import PlanChoices, plan_examined

    if fix and out:
        raise UsageError("--out does not go with --fix; plan the copy: `voxtrace plan COPY --out FILE`.")
    if unnamed == "background" and not fix:
        raise UsageError("--unnamed background changes label maps, in a copy alone; give --fix NEW as well.")
    choices = PlanChoices(device, memory_gb, window_voxels(window), spacing_mm(spacing), batch_size, labels)
    with reserve_stdout_for_json(as_json):
        with stop_on_interrupt() as cancel:
            examined = show_training(examine(dataset, labels, cancel, to_background=unnamed == "background"))
        planned = plan_examined(examined, choices)
        if out and planned.document:
            planned.document.write(out)
        left_out = _fix(examined, fix)
    if as_json:
        print_json(_document(examined, planned, out, fix, left_out))
    else:
        _print(examined, planned, out, fix, left_out)
    _exit(examined, planned, fix)


def _fix(examined: Examination, fix: Path | None) -> tuple[str, ...]:
    from voxtrace.training.doctor import mend

    return mend(examined, fix) if fix else ()


def _document(
    examined: Examination, planned: Planned, out: Path | None, fix: Path | None, left_out: tuple[str, ...]
) -> dict[str, Any]:
    made = planned.document
    document: dict[str, Any] = {
        "dataset": examined.found.name,
        "layout": examined.found.layout,
        "cases": len(examined.cases),
        "faults": [fault.to_json() for fault in (*examined.faults, *planned.faults)],
        "left_out": list(_left_out(examined)),
        "fingerprint": _fingerprint(made.found) if made else None,
        "plan": json.loads(made.plan.model_dump_json()) if made else None,
        "folds": [{"train": list(a), "val": list(b)} for a, b in made.folds] if made else [],
        "needs": asdict(planned.needs) if planned.needs else None,
    }
    if out and made:
        document["out"] = str(out)
    if fix:
        document["fix"] = {"folder": str(fix), "left_out": list(left_out)}
    return document


def _print(
    examined: Examination, planned: Planned, out: Path | None, fix: Path | None, left_out: tuple[str, ...]
) -> None:
    faults = (*examined.faults, *planned.faults)
    bad = sum(fault.level == "fault" for fault in faults)
    print_line(
        f"{examined.found.name}: {len(examined.cases)} cases, {len(examined.usable)} of them usable; "
        f"{bad} faults, {len(faults) - bad} notes"
    )
    for fault in faults:
        print_line(_line(fault))
    if out_of := _left_out(examined):
        print_line(f"left out: {', '.join(out_of)}")
    if made := planned.document:
        print_line()
        print_facts(_fingerprint(made.found))
        print_line()
        print_facts(json.loads(made.plan.model_dump_json()))
    if planned.needs:
        print_line()
        print_facts(asdict(planned.needs))
    for sentence in _ends(examined, planned, out, fix, left_out):
        print_line(sentence)


def _ends(
    examined: Examination, planned: Planned, out: Path | None, fix: Path | None, left_out: tuple[str, ...]
) -> list[str]:
    """Return what was written, and what to do next, as sentences."""
    said = []
    if not planned.document:
        said.append(f"no plan: {planned.why_not}")
    if planned.document and (out or planned.kept):
        said.append(f"plan and folds lie in {out or planned.kept}")
    if fix:
        without = f"without {', '.join(left_out)}" if left_out else "with every case"
        said.append(f"the copy lies in {fix}, {without}; plan it: voxtrace plan {fix}")
    elif any(fault.mending for fault in examined.bad):
        said.append("a copy without the faults: voxtrace plan DATASET --fix OUT")
    return said


def _line(fault: Fault) -> str:
    case = f"{fault.case}: " if fault.case else ""
    mending = f" [--fix: {fault.mending}]" if fault.mending else ""
    return f"  {fault.level:5}  {fault.kind:20}  {case}{fault.what} → {fault.remedy}{mending}"


def _left_out(examined: Examination) -> tuple[str, ...]:
    """Return the cases and files that a plan of this dataset is made without."""
    usable = {one.case.name for one in examined.usable}
    cases = [one.case.name for one in examined.cases if one.case.name not in usable]
    return (*cases, *(path.name for path in (*examined.found.others, *examined.found.hidden)))


def _exit(examined: Examination, planned: Planned, fix: Path | None) -> None:
    bad = [fault for fault in (*examined.bad, *planned.faults) if fault.level == "fault"]
    left = [fault for fault in bad if not (fix and fault.mending)]
    if not examined.usable and not fix:
        raise typer.Exit(NOTHING_DONE)
    if left:
        raise typer.Exit(SOME_FAILED)


def _fingerprint(found: Fingerprint) -> dict[str, Any]:
    import numpy as np

    shapes = np.asarray(found.shapes)
    return {
        "cases": len(found.shapes),
        "median_shape": [int(n) for n in np.median(shapes, axis=0)],
        "smallest_shape": shapes.min(axis=0).tolist(),
        "largest_shape": shapes.max(axis=0).tolist(),
        "median_spacing_mm": list(found.median_spacing_mm),
        "foreground": [
            dict(zip(("percentile_0_5", "percentile_99_5", "mean", "std"), stats, strict=True))
            for stats in found.foreground
        ],
        "zero_fraction": found.zero_fraction,
    }
