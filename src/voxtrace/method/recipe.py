"""How a phase of training goes: its optimiser, schedule, augmentation and which cases it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal


def equally(scores: Mapping[str, float], progress: float) -> float:
    """Return 1: every case is drawn with the same probability."""
    return 1.0


def poly(iteration: int, iterations: int) -> float:
    """Return nnU-Net's fraction of the first learning rate, ``(1 − iteration/iterations)^0.9``.

    Examples
    --------
    >>> round(poly(250, 1000), 7)
    0.7718895
    """
    return float((1.0 - iteration / iterations) ** 0.9)


@dataclass(frozen=True)
class Optimiser:
    """How weights follow gradients; the defaults are nnU-Net's (Isensee et al. 2021).

    Attributes
    ----------
    kind
        ``sgd`` has Nesterov momentum; ``adam`` adds weight decay to the gradient (L2), ``adamw`` decouples it.
    rate
        Learning rate where the schedule is 1.
    momentum, betas, amsgrad
        The first is read by ``sgd`` only, the others by ``adam`` and ``adamw`` only.
    weight_decay, clip_norm
        As torch has them; gradients are clipped to a global norm of ``clip_norm``.
    schedule
        (iteration, iterations) of the phase -> fraction of ``rate``.
    """

    kind: Literal["sgd", "adam", "adamw"] = "sgd"
    rate: float = 0.01
    momentum: float = 0.99
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 3e-5
    amsgrad: bool = False
    clip_norm: float = 12.0
    schedule: Callable[[int, int], float] = poly


@dataclass(frozen=True)
class Augmentation:
    """How windows are varied in training; the defaults are nnU-Net's.

    Attributes
    ----------
    rotation_p, rotation_degrees
        Probability and largest angle about each axis; flat windows turn in-plane, up to ``flat_rotation_degrees``.
    scale_p, scale, scale_per_axis
        Probability and range of the factor, the same along each axis or drawn for each.
    elastic_p
        Probability of an elastic deformation, in-plane for flat windows (α 0 to 200, σ 9 to 13 voxels, as nnU-Net v1
        has it in 2D).
    shift_voxels
        Largest displacement of the window along (Z, Y, X) from where it was drawn.
    intensity
        ``full`` is nnU-Net's noise, blur, brightness, contrast, low resolution and gamma; ``linear`` is
        x·U(0.9, 1.1) + U(−0.1, 0.1) for each channel (Med-DANet); ``none``.
    mirror
        Mirror along the plan's ``mirror_axes``, each with probability one half.
    """

    rotation_p: float = 0.2
    rotation_degrees: float = 30.0
    flat_rotation_degrees: float = 180.0
    scale_p: float = 0.2
    scale: tuple[float, float] = (0.7, 1.4)
    scale_per_axis: bool = False
    elastic_p: float = 0.0
    shift_voxels: tuple[int, int, int] = (0, 0, 0)
    intensity: Literal["full", "linear", "none"] = "full"
    mirror: bool = True


NO_AUGMENTATION = Augmentation(rotation_p=0.0, scale_p=0.0, intensity="none", mirror=False)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one objective, e.g. "easy", then "hard". Each begins with a fresh optimiser.

    Attributes
    ----------
    name
        Name of the phase in records.
    iterations
        Optimiser updates in it.
    trains
        Prefix of the parameters that get gradients, or several; ``""`` is all. Everything else is in evaluation mode.
    case_weight
        Relative probability of drawing a case, given its scores and the progress 0..1 through the phase. It gets
        scores, not voxels, so that a curriculum can weigh thousands of cases without reading them. Beside those of
        ``voxtrace score`` there are ``cases``, their number, and ``place``, 0..1: where a case is in a fixed shuffle.
    optimiser, augmentation
        How weights follow gradients; how windows are varied.
    foreground, batch_size
        Fraction of a mini-batch that is centred on a labelled voxel; windows in an update, of all processes
        together; 0 is the plan's, of each.
    least_time_fraction
        Where time is limited, the fraction of it that the phase has at least; phases without share what is left by
        their iterations.
    """

    name: str
    iterations: int
    trains: str | tuple[str, ...] = ""
    case_weight: Callable[[Mapping[str, float], float], float] = equally
    optimiser: Optimiser = Optimiser()
    augmentation: Augmentation = Augmentation()
    foreground: float = 0.33
    batch_size: int = 0
    least_time_fraction: float = 0.0
