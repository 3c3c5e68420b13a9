"""Who made a file: what DICOM asks of a device, told of a program."""

from __future__ import annotations

from importlib.metadata import version as _installed

NAME = "VoxTrace"


def version() -> str:
    """Return the version of VoxTrace that is installed."""
    return _installed("voxtrace")
