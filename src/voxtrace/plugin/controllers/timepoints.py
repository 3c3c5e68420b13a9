"""Turns what is asked about a scan over time into runs on its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari.layers import Image

from voxtrace.errors import GeometryError
from voxtrace.plugin.controllers.layers import frames_of, known_source
from voxtrace.plugin.layers.display import KEY
from voxtrace.plugin.layers.timepoints import FramesSource
from voxtrace.plugin.models.messages import FramesRequest, SegmentRequest


def check_lengths(scans: Sequence[Image]) -> None:
    """Refuse scans over time that do not go together.

    Raises
    ------
    GeometryError
        They have different numbers of frames; single volumes go with any.
    """
    lengths = sorted({frames_of(scan) for scan in scans} - {1})
    if len(lengths) > 1:
        raise GeometryError(
            f"the chosen images have {' and '.join(map(str, lengths))} frames; expected as many in each. "
            "Choose images of one film."
        )


def frames_request(request: SegmentRequest, scans: Sequence[Image], frames: Sequence[int], count: int) -> FramesRequest:
    """Return what to ask about these frames of ``count``; ``request`` asks about one of them.

    A result of several frames has the film's name, a result of one that frame's.
    """
    own = [scan.metadata.get(KEY) for scan in scans]
    channels = tuple(
        film if isinstance(film, FramesSource) else one for film, one in zip(own, request.channels, strict=True)
    )
    whole = known_source(scans[0])
    if len(frames) > 1 and whole is not None:
        request = replace(request, name=request.name.replace(request.channels[0].volume.name, whole.volume.name, 1))
    return FramesRequest(request, channels, tuple(frames), count)
