"""Preprocessing: a volume on the network's grid, a few planes at a time, and label maps beside it.

Four stages, in this order; each is public and can be called alone:

=================  ==================================================================================
crop and order     which part of the array the network sees, in which axis order; all of it unless the plan says so
statistics         one pass over the native planes, float64: mean and deviation of each channel
normalisation      on the native grid, plane by plane (nnU-Net normalises before it resamples)
resampling         each normalised plane in-plane (Y, X), then across planes (Z)
=================  ==================================================================================

The network grid covers the same box as the input, so that voxel *borders* coincide, not voxel centres::

    input, 6 voxels        |--0--|--1--|--2--|--3--|--4--|--5--|
    network, 4 voxels      |---0----|---1----|---2----|---3----|      centre of 1: (1 + 0.5)·6/4 − 0.5 = 1.75

Inference asks for a few planes and training for all; both use the same code, so both see the same numbers to the
last bit.
"""

from __future__ import annotations

from voxtrace.preprocess.axis import AxisWeights, Interpolation, axis_weights
from voxtrace.preprocess.body import body_spans, crop_to_body
from voxtrace.preprocess.crop_order import CropAndOrder, LabelPaster, find_crop_order
from voxtrace.preprocess.grid import NetworkGrid, body_box, grid_of, network_grid
from voxtrace.preprocess.intensity import Intensity, intensities
from voxtrace.preprocess.labels import network_labels
from voxtrace.preprocess.stream import PlaneStream, network_volume

__all__ = [
    "AxisWeights",
    "CropAndOrder",
    "Intensity",
    "Interpolation",
    "LabelPaster",
    "NetworkGrid",
    "PlaneStream",
    "axis_weights",
    "body_box",
    "body_spans",
    "crop_to_body",
    "find_crop_order",
    "grid_of",
    "intensities",
    "network_grid",
    "network_labels",
    "network_volume",
]
