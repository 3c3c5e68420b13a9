"""Spacing, field of view and obliquity of a scan against those that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterator

from voxtrace.fit.reasons import FitReason
from voxtrace.fit.scan_facts import ScanFacts
from voxtrace.fit.training_scans import TrainingScans
from voxtrace.plan import Plan
from voxtrace.preprocess import network_grid
from voxtrace.volume import Triple

COARSER, FAR_COARSER = 2.0, 4.0  # times the coarsest spacing of training
THICK, THINNER = 3.0, 2.0  # slices are thick where they lie 3 times farther apart than pixels; thin below half of that
WIDER, FAR_WIDER = 1.5, 3.0  # times the largest field of view of training
NARROWER, FAR_NARROWER = 0.5, 0.25  # times the smallest
OBLIQUE_DEG = 25.0
_AXES = ("head to feet", "front to back", "left to right")


def spacing(plan: Plan, training: TrainingScans | None, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield why voxels are too coarse, or slices far thinner than a model of thick ones knows.

    Other finer voxels are resampled without loss.
    """
    if training is not None:
        have, coarsest = scan.geometry.spacing_mm, training.spacing_mm[1]
        about = f"training scans had at most {_mm(coarsest)}"
    else:
        have, coarsest = network_grid(scan.geometry, plan).crop_order.spacing_mm, plan.spacing_mm
        about = f"the model works at {_mm(coarsest)}"
    factor = max(a / b for a, b in zip(have, coarsest, strict=True))
    if factor > COARSER:
        severity = "does not fit" if factor > FAR_COARSER else "check"
        found = f"the voxels are {_mm(have)}, {factor:.1f} times too coarse: {about}"
        yield FitReason(severity, found, "use a reconstruction with thinner slices and finer pixels")  # type: ignore[arg-type]
    if training is not None:
        yield from _another_recording(training.spacing_mm[0], scan.geometry.spacing_mm)


def _another_recording(finest: Triple, have: Triple) -> Iterator[FitReason]:
    """Yield that a model of thick slices gets thin ones, as a head in 3-D is to a model of the heart in slices."""
    if max(finest) > THICK * min(finest) and max(finest) > THINNER * max(have):
        found = (
            f"its slices lie {max(have):.3g} mm apart, those of training at least {max(finest):.3g} mm: it is another "
        )
        found += "kind of recording"
        yield FitReason("check", found, "make sure that it shows the part of the body that the model was trained on")


def field_of_view(plan: Plan, training: TrainingScans | None, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield why a scan shows much more, or much less, than training scans did."""
    if training is None:
        yield from _against_window(plan, scan)
        return
    low, high = training.size_mm
    wider = [size / most for size, most in zip(scan.size_mm, high, strict=True)]
    narrower = [size / least for size, least in zip(scan.size_mm, low, strict=True)]
    about = f"the scan covers {_mm(scan.size_mm, whole=True)}, training scans {_mm(low, whole=True)} to "
    about += f"{_mm(high, whole=True)} ({', '.join(_AXES)})"
    if sum(ratio > FAR_WIDER for ratio in wider) >= 2:
        yield FitReason(
            "does not fit", f"{about}: the model only knows a small part of it", "crop the scan to that part"
        )
    elif sum(ratio < FAR_NARROWER for ratio in narrower) >= 2:
        yield FitReason("does not fit", f"{about}: far less than the model needs to see", "use the whole scan")
    elif max(wider) > WIDER:
        remedy = "look for false answers in regions that training did not show, or crop the scan"
        yield FitReason("check", f"{about}: it shows more than the model knows", remedy)
    elif min(narrower) < NARROWER:
        yield FitReason(
            "check", f"{about}: it shows less than the model is used to", "use the whole scan if you have it"
        )


def _against_window(plan: Plan, scan: ScanFacts) -> Iterator[FitReason]:
    """Yield that a scan is far smaller than a window, which is then filled with padding."""
    grid = network_grid(scan.geometry, plan)
    fractions = [n / w for n, w in zip(grid.shape, plan.window, strict=True)]
    if min(fractions) < NARROWER:
        found = f"the scan is {grid.shape} voxels on the model's grid, far smaller than its window {plan.window}"
        yield FitReason("check", found, "use the whole scan if you have it")


def obliquity(scan: ScanFacts) -> Iterator[FitReason]:
    """Yield that the axes of a scan are far from the body's."""
    if scan.geometry.obliquity_deg > OBLIQUE_DEG:
        found = f"the scan lies obliquely, {scan.geometry.obliquity_deg:.0f}° off the body's axes"
        yield FitReason("check", found, "reformat it along the body's axes")


def _mm(values: Triple, *, whole: bool = False) -> str:
    return "×".join(f"{v:.0f}" if whole else f"{v:.3g}" for v in values) + " mm"
