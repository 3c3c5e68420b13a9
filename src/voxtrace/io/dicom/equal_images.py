"""Whether images at the same position are copies of each other."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom.pixels import PixelDecoder
from voxtrace.io.dicom.rescale import rescaled_plane
from voxtrace.io.dicom.slices import Slice
from voxtrace.io.dicom.stack import SliceStack


def differing(stack: SliceStack) -> tuple[Slice, Slice] | None:
    """Return two images at the same position whose values differ; None where all are equal.

    Only images at such positions are decoded. Those that cannot be decoded are passed over: opening the series tells.
    """
    decoder = PixelDecoder()
    for images in (several for several in stack.positions if len(several) > 1):
        with suppress(ReadError):
            first = rescaled_plane(decoder.stored(images[0].source), images[0]).values
            for other in images[1:]:
                if not np.array_equal(first, rescaled_plane(decoder.stored(other.source), other).values):
                    return images[0], other
    return None
