"""Requests for the time points of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari.layers import Image

from voxtrace.errors import GeometryError
from voxtrace.plugin.controllers.layers import known_source, timepoint_count
from voxtrace.plugin.layers.display import KEY
from voxtrace.plugin.layers.timepoints import TimepointsSource
from voxtrace.plugin.models.messages import SegmentRequest, TimepointsRequest


def check_lengths(scans: Sequence[Image]) -> None:
    """Refuse scans with different numbers of time points.

    Raises
    ------
    GeometryError
        The numbers differ; single volumes fit any number.
    """
    lengths = sorted({timepoint_count(scan) for scan in scans} - {1})
    if len(lengths) > 1:
        raise GeometryError(
            f"the chosen images have {' and '.join(map(str, lengths))} frames; expected as many in each. "
            "Choose images of one acquisition."
        )


def timepoints_request(
    request: SegmentRequest, scans: Sequence[Image], timepoints: Sequence[int], count: int
) -> TimepointsRequest:
    """Return the request for these time points of ``count``; ``request`` is for one of them.

    A result of several time points is named after the scan, a result of one after that time point.
    """
    own = [scan.metadata.get(KEY) for scan in scans]
    channels = tuple(
        source if isinstance(source, TimepointsSource) else one
        for source, one in zip(own, request.channels, strict=True)
    )
    whole = known_source(scans[0])
    if len(timepoints) > 1 and whole is not None:
        request = replace(request, name=request.name.replace(request.channels[0].volume.name, whole.volume.name, 1))
    return TimepointsRequest(request, channels, tuple(timepoints), count)
