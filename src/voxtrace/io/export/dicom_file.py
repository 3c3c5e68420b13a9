"""A DICOM file that appears whole or not at all, and whose faults end in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, VoxTraceError


@contextmanager
def dicom_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file takes its name at the end.

    Raises
    ------
    OutputError
        When the headers of the source images hold what no DICOM file can be made of; the values are not told, as they
        may be a patient's.
    """
    with warnings.catch_warnings():  # values of the source are checked; what is left is only copied
        warnings.simplefilter("ignore")
        with usable_headers(path), atomic_file(path) as temporary:
            yield temporary


@contextmanager
def usable_headers(path: Path | str) -> Iterator[None]:
    """Turn any fault of the DICOM libraries into one sentence that begins with ``path``."""
    try:
        yield
    except (VoxTraceError, OSError):
        raise
    except Exception as error:  # they have errors of many classes
        raise OutputError(
            f"{path}: the headers of the source images hold values that no DICOM file can be made of "
            f"({type(error).__name__}). Export the images again from where they come from, or write .seg.nrrd or "
            ".nii.gz, which refer to no images."
        ) from error
