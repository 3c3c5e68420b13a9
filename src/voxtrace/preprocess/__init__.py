"""Preprocessing: a volume on the network's grid, a few planes at a time, and label maps beside it.

Four stages, in this order; each is public and can be called alone:

=================  ==================================================================================
frame              which part of the array the network sees, and which way round; all of it, unless the plan says so
statistics         one pass over the native planes, float64: mean and deviation of each channel
normalisation      on the native grid, plane by plane (nnU-Net normalises before it resamples)
resampling         each normalised plane in-plane (Y, X), then across planes (Z)
=================  ==================================================================================

The network grid covers the same box as the input, so that voxel *borders* coincide, not voxel centres::

    input, 6 voxels        |--0--|--1--|--2--|--3--|--4--|--5--|
    network, 4 voxels      |---0----|---1----|---2----|---3----|      centre of 1: (1 + 0.5)·6/4 − 0.5 = 1.75

Planes are made by one piece of code whether a few are asked for (inference) or all (training), so both see the
same numbers to the last bit.
"""

from __future__ import annotations

from voxtrace.preprocess.axis import AxisWeights, Interpolation, axis_weights
from voxtrace.preprocess.body import body_frame
from voxtrace.preprocess.frame import Frame, Placer, frame_of
from voxtrace.preprocess.grid import NetworkGrid, grid_of, network_grid, network_volume
from voxtrace.preprocess.intensity import Intensity, intensities
from voxtrace.preprocess.labels import network_labels
from voxtrace.preprocess.stream import PlaneStream

__all__ = [
    "AxisWeights",
    "Frame",
    "Intensity",
    "Interpolation",
    "NetworkGrid",
    "Placer",
    "PlaneStream",
    "axis_weights",
    "body_frame",
    "frame_of",
    "grid_of",
    "intensities",
    "network_grid",
    "network_labels",
    "network_volume",
]
