"""The equipment attributes of DICOM files that VoxTrace writes."""

from __future__ import annotations

from importlib.metadata import version as _installed

NAME = "VoxTrace"


def version() -> str:
    """Return the version of VoxTrace that is installed."""
    return _installed("voxtrace")
