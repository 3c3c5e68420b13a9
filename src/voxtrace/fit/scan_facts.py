"""What a scan is like, from its header and a sample of its voxels: modality, size, spacing, intensities."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtrace.preprocess.body import AIR_HU, MARGIN_MM
from voxtrace.volume import Array, Geometry, Shape, Triple, Volume

PERCENTILES = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0)
SAMPLE = 100_000  # voxels of a channel; a 512×512×300 scan is sampled in about 10 ms
_AIR_OF_CT_HU = (-1100.0, -700.0)
_TISSUE_OF_CT_HU = -50.0  # fat is darker than this; other scanners give hardly any negative values


@dataclass(frozen=True)
class ChannelFacts:
    """Intensities of one channel, from a sample.

    Attributes
    ----------
    percentiles, mean, std
        Of the sampled values, the first at ``PERCENTILES``; ``inside`` holds the same without exact zeros.
    zero_fraction
        Fraction of exact zeros.
    digest
        Equal for channels with the same sampled values.
    """

    percentiles: tuple[float, ...]
    mean: float
    std: float
    zero_fraction: float
    inside: tuple[tuple[float, ...], float, float] = ((), 0.0, 1.0)
    digest: int = 0

    @property
    def looks_like_ct(self) -> bool:
        """Whether there is air as CT shows it, near −1000 HU; scanners pad the corners of the image with less."""
        low, high = _AIR_OF_CT_HU
        return self.percentiles[0] <= high and any(low <= value <= high for value in self.percentiles)

    @property
    def may_be_ct(self) -> bool:
        """Whether enough values are negative for a CT that shows no air."""
        return self.percentiles[0] < _TISSUE_OF_CT_HU


@dataclass(frozen=True)
class ScanFacts:
    """What is compared with a model.

    Attributes
    ----------
    geometry
        Where the voxels lie, (Z, Y, X) in canonical orientation.
    modality
        As the file states it: ``CT``, ``MR``, ``PT`` …; ``""`` where it does not.
    names
        Names of the channels; empty when they have none.
    channels
        Intensities of each.
    body
        Voxels along (Z, Y, X) of the box around everything that is not air of a CT; the whole shape for other scans.
    made_up
        Whether it is a phantom of VoxTrace, as its header says.
    """

    geometry: Geometry
    modality: str
    names: tuple[str, ...]
    channels: tuple[ChannelFacts, ...]
    body: Shape
    made_up: bool = False

    @property
    def size_mm(self) -> Triple:
        """Field of view along (Z, Y, X)."""
        z, y, x = (n * mm for n, mm in zip(self.geometry.shape, self.geometry.spacing_mm, strict=True))
        return z, y, x

    @property
    def recognised(self) -> str:
        """The stated modality; else ``CT`` where the values are those of one, and ``""`` where nothing tells."""
        if self.modality:
            return self.modality
        return "CT" if self.channels and all(channel.looks_like_ct for channel in self.channels) else ""


def facts_of(scan: Volume | Sequence[Volume]) -> ScanFacts:
    """Return what a scan is like; of several volumes, the channels of one case, geometry and modality are the first's.

    Reads about 100,000 voxels a channel, whatever the size.
    """
    volumes = (scan,) if isinstance(scan, Volume) else tuple(scan)
    if len(volumes) > 1:
        return _together([facts_of(volume) for volume in volumes])
    volume = volumes[0]
    sampled = [_sampled(channel) for channel in volume.data]
    channels = tuple(_channel(values) for values in sampled)
    found = ScanFacts(
        geometry=volume.geometry,
        modality=volume.modality,
        names=volume.channels,
        channels=channels,
        body=volume.geometry.shape,
        made_up=volume.made_up,
    )
    return replace(found, body=_body(sampled, volume.geometry)) if found.recognised == "CT" else found


def _together(several: Sequence[ScanFacts]) -> ScanFacts:
    first = several[0]
    names = tuple(name for one in several for name in one.names)
    channels = tuple(channel for one in several for channel in one.channels)
    modalities = {one.modality for one in several if one.modality}
    return replace(
        first,
        modality=modalities.pop() if len(modalities) == 1 else first.modality,
        names=names if len(names) == len(channels) else (),
        channels=channels,
        made_up=all(one.made_up for one in several),
    )


def _sampled(data: Array) -> Array:
    """Return at most about ``SAMPLE`` voxels (z, y, x) of an array (Z, Y, X), evenly spread."""
    stride = max(1, round((data.size / SAMPLE) ** (1 / 3)))
    return np.asarray(data[::stride, ::stride, ::stride])


def _channel(sampled: Array) -> ChannelFacts:
    values = sampled[np.isfinite(sampled)].astype(np.float64) if sampled.dtype.kind == "f" else sampled.ravel()
    if not values.size:
        return ChannelFacts((0.0,) * len(PERCENTILES), 0.0, 0.0, 1.0)
    inside = values[values != 0]
    percentiles, mean, std = _spread(values)
    return ChannelFacts(
        percentiles=percentiles,
        mean=mean,
        std=std,
        zero_fraction=1.0 - inside.size / values.size,
        inside=_spread(inside if inside.size else values),
        digest=zlib.crc32(values.tobytes()),
    )


def _spread(values: Array) -> tuple[tuple[float, ...], float, float]:
    found = tuple(float(v) for v in np.percentile(values, PERCENTILES))
    return found, float(values.mean()), float(values.std())


def _body(sampled: Sequence[Array], geometry: Geometry) -> Shape:
    """Return the size of the box around the body of a CT along (Y, X), as prediction crops it; whole along Z."""
    solid = np.any([channel > AIR_HU for channel in sampled], axis=0)
    shape = list(geometry.shape)
    for axis, others in ((1, (0, 2)), (2, (0, 1))):
        lines = np.flatnonzero(solid.any(others))
        if lines.size:
            stride = geometry.shape[axis] / solid.shape[axis]
            voxels = (lines[-1] - lines[0] + 1) * stride + 2 * MARGIN_MM / geometry.spacing_mm[axis]
            shape[axis] = min(geometry.shape[axis], math.ceil(voxels))
    return shape[0], shape[1], shape[2]
