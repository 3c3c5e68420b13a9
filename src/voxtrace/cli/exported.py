"""What ``voxtrace export`` was given: opened when a format asks for it, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.cli.export_trace import algorithm_of, answer_of, is_trace, write_steps
from voxtrace.errors import OutputError
from voxtrace.io.formats import written_format

if TYPE_CHECKING:
    from voxtrace.io.export import Algorithm, ExportOptions, Written
    from voxtrace.trace import Trace
    from voxtrace.volume import LabelMap


@dataclass(frozen=True)
class Exported:
    """A label map, a volume or a trace on disk.

    Attributes
    ----------
    path
        The file or folder.
    source
        The DICOM images it belongs to, which contours need; None where they are not known.
    only
        Names of the regions to take from an RTSTRUCT; empty for all.
    made_in
        The trace of the run that made a label map; None where it is not known.
    """

    path: Path
    source: Path | None = None
    only: tuple[str, ...] = ()
    made_in: Path | None = None

    @cached_property
    def is_trace(self) -> bool:
        """Whether it is the folder of a trace."""
        return is_trace(self.path)

    @cached_property
    def is_series(self) -> bool:
        """Whether it is a folder of DICOM images, which formats that hold voxels store as a volume."""
        from voxtrace.io.suffixes import is_zarr

        return self.path.is_dir() and not self.is_trace and not is_zarr(self.path)

    @cached_property
    def trace(self) -> Trace | None:
        """The trace that it is, or that made it; None where there is none."""
        from voxtrace.trace import Trace

        folder = self.path if self.is_trace else self.made_in
        return None if folder is None else Trace.load(folder)

    @cached_property
    def labels(self) -> LabelMap:
        """The label map; of a trace that of its last step."""
        from voxtrace.io.child.guarded import is_rtstruct, is_seg, read_labels, read_rtstruct, read_seg

        if self.is_trace and self.trace is not None:
            return answer_of(self.trace, self.path.stem)
        if is_rtstruct(self.path):
            return read_rtstruct(self.path, self.source, self.only)
        return read_seg(self.path) if is_seg(self.path) else read_labels(self.path)

    @property
    def note(self) -> str:
        """What the label map warns of, once it was opened; ``""`` for nothing."""
        # a cached property that was asked for stands in the instance
        opened: LabelMap | None = self.__dict__.get("labels")
        return opened.note if opened is not None else ""

    @property
    def algorithm(self) -> Algorithm:
        """What computed it, as far as it is known."""
        from voxtrace.io.export import Algorithm

        return Algorithm() if self.trace is None else algorithm_of(self.trace)

    def open_for(self, out: Sequence[Path]) -> None:
        """Open the label map where any of the files to write needs it; what cannot be read ends before any is written.

        Raises
        ------
        ReadError, GeometryError
            When it cannot be read.
        """
        known = [chosen for path in out if (chosen := written_format(path)) is not None]
        if any(chosen.holds != "map" and not (self.is_series and chosen.holds == "voxels") for chosen in known):
            _ = self.labels

    def write(self, path: Path, options: ExportOptions, *, maps: bool) -> Written:
        """Write it in the format that the name ends in; a trace and a name without ending: every step, as DICOM.

        Raises
        ------
        OutputError
            As :func:`voxtrace.io.export.export`.
        """
        from voxtrace.io.child.guarded import read
        from voxtrace.io.export import export_all

        chosen = written_format(path)
        if chosen is None and self.is_trace and self.trace is not None:
            return write_steps(self.trace, path, options, maps=maps)
        if chosen is not None and chosen.holds == "map":
            if self.is_trace:
                raise OutputError(f"{path}: a trace holds several maps; name a folder and add --maps.")
            return export_all(read(self.path), path, options)
        if chosen is not None and chosen.holds == "voxels" and self.is_series:
            return export_all(read(self.path), path, options)
        return export_all(self.labels, path, options)
