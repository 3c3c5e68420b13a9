"""Scans to compare on, as files: phantoms of any size from a seed, and real scans where they are installed.

A large phantom is drawn at half the resolution, doubled along each axis and given fresh noise, because drawing needs a
dozen arrays of its size. A longer scan is the phantom followed by its reflections.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from voxtrace.io import write
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.volume import Array, Case, Geometry, LabelMap, Shape, Triple, Volume

NOISE_HU = 12.0
DRAWN: Shape = (150, 256, 256)
SEQUENCES = ("flair", "t1c", "t1", "t2")  # of a real glioma, in the order of the phantom's channels


@dataclass(frozen=True)
class Scan:
    """A case as files: one path for each channel, and the reference labels where they are known."""

    name: str
    channels: tuple[Path, ...]
    truth: Path | None = None


def abdomen(folder: Path, slices: int, side: int, seed: int, spacing_mm: Triple = (2.0, 0.8, 0.8)) -> Scan:
    """Return a made-up abdominal CT of ``slices`` × ``side`` × ``side`` voxels with its truth; an existing one is kept.

    The phantom has at most 300 slices of its own; the rest are its reflections.
    """
    name = f"abdomen-{slices}x{side}x{side}-seed{seed}"
    scan = Scan(name, (folder / f"{name}.nii.gz",), folder / f"{name}-truth.nii.gz")
    if not all(path.is_file() for path in (*scan.channels, folder / f"{name}-truth.nii.gz")):
        drawn = min(slices, 2 * DRAWN[0])
        case = doubled(_half_size((drawn, side, side), seed, spacing_mm), seed)
        _write(lengthened(case, slices), scan)
    return scan


def tumour(folder: Path, shape: Shape, seed: int, spacing_mm: Triple) -> Scan:
    """Return a made-up brain with a tumour, four channels, with its truth; an existing one is kept."""
    name = f"tumour-{'x'.join(map(str, shape))}-seed{seed}"
    channels = tuple(folder / f"{name}_{c:04d}.nii.gz" for c in range(len(SEQUENCES)))
    scan = Scan(name, channels, folder / f"{name}-truth.nii.gz")
    if not all(path.is_file() for path in channels):
        _write(brain_tumour_mr(seed, shape, spacing_mm), scan)
    return scan


def glioma(folder: Path, real_data: Path) -> Scan | None:
    """Return the first real glioma, copied to names that end in the channel number; None if there is none."""
    for patient in sorted((real_data / "mr_brain_tumour").glob("*")):
        files = [patient / f"{sequence}.nii.gz" for sequence in SEQUENCES]
        if all(file.is_file() for file in files):
            channels = tuple(folder / f"glioma_{c:04d}.nii.gz" for c in range(len(files)))
            folder.mkdir(parents=True, exist_ok=True)
            for file, channel in zip(files, channels, strict=True):
                shutil.copyfile(file, channel)
            return Scan("glioma", channels)
    return None


def hippocampi(real_data: Path, most: int, part: str = "val") -> list[Scan]:
    """Return cases of the real hippocampus dataset's first fold, ``val`` or ``train``; empty if it is not installed."""
    dataset = real_data / "Dataset004_Hippocampus"
    splits = dataset / "splits_final.json"
    if not splits.is_file():
        return []
    names = json.loads(splits.read_text(encoding="utf-8"))[0][part][:most]
    return [
        Scan(name, (dataset / "imagesTr" / f"{name}_0000.nii.gz",), dataset / "labelsTr" / f"{name}.nii.gz")
        for name in names
    ]


def doubled(case: Case, seed: int) -> Case:
    """Return a CT of twice as many voxels along each axis over the same box, with the noise of its own resolution."""
    rng = np.random.default_rng([seed, 3])
    coarse, labels = case.volume.data[0], case.labels.data
    shape = _doubled(coarse.shape)
    fine = np.empty((1, *shape), np.int16)
    # One plane at a time: noise for the whole volume would take as much memory as the scan.
    for z in range(shape[0]):
        plane = _twice(coarse[z // 2]).astype(np.float32)
        noise = rng.standard_normal(plane.shape, dtype=np.float32) * NOISE_HU
        fine[0, z] = np.clip(np.rint(ndimage.uniform_filter(plane, 3) + noise), -1024, 3071)
    geometry = _over(shape, case.volume.geometry, 0.5)
    truth = np.repeat(_twice(labels), 2, axis=0)
    return _case(case, fine, truth, geometry)


def lengthened(case: Case, slices: int) -> Case:
    """Return the case with ``slices`` slices: its own, then their reflections, as often as it takes."""
    z = np.pad(np.arange(case.labels.data.shape[0]), (0, slices - case.labels.data.shape[0]), mode="reflect")
    geometry = _over((slices, *case.labels.data.shape[1:]), case.volume.geometry, 1.0)
    return _case(case, case.volume.data[:, z], case.labels.data[z], geometry)


def _half_size(shape: Shape, seed: int, spacing_mm: Triple) -> Case:
    half = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
    return abdomen_ct(seed, half, (2 * spacing_mm[0], 2 * spacing_mm[1], 2 * spacing_mm[2]))


def _twice(planes: Array) -> Array:
    return np.repeat(np.repeat(planes, 2, axis=-2), 2, axis=-1)


def _doubled(shape: Sequence[int]) -> Shape:
    return 2 * shape[0], 2 * shape[1], 2 * shape[2]


def _over(shape: Shape, geometry: Geometry, factor: float) -> Geometry:
    """Return the geometry with ``factor`` times the spacing of another, from the same first corner on."""
    mm = geometry.spacing_mm
    spacing = (mm[0] * factor, mm[1] * factor, mm[2] * factor)
    # Centre of the first voxel: the corner of the box stays where it is.
    z, y, x = (o - mm / 2 + s / 2 for o, mm, s in zip(geometry.origin_mm, mm, spacing, strict=True))
    return Geometry.from_spacing(shape, spacing, (z, y, x))


def _case(like: Case, image: Array, labels: Array, geometry: Geometry) -> Case:
    volume = Volume(image, geometry, modality="CT", channels=like.volume.channels, name=like.name)
    return Case(like.name, volume, LabelMap(labels, geometry, like.labels.names, like.labels.colours, like.name))


def _write(case: Case, scan: Scan) -> None:
    """Write truth and channels."""
    # The channels come last: where they exist, the truth was written, too.
    if scan.truth is not None:
        write(case.labels, scan.truth)
    for channel, path in enumerate(scan.channels):
        image = case.volume.data[channel : channel + 1]
        write(Volume(image, case.volume.geometry, modality=case.volume.modality, name=scan.name), path)
