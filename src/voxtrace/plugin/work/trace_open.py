"""Open a stored trace: its layers, the model that made it, and the scan that was segmented, where it lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from voxtrace.errors import VoxTraceError
from voxtrace.io.child import guarded
from voxtrace.io.suffixes import READABLE
from voxtrace.plugin.layers import contrast, display
from voxtrace.plugin.layers.scalar_maps import layers_beside
from voxtrace.plugin.work.saving import OpenScan
from voxtrace.trace import Trace
from voxtrace.trace.edits import EditedLabels, read_edits
from voxtrace.volume import Volume

_MAX_FOLDERS = 32  # looked into for the scan


@dataclass(frozen=True, eq=False)
class OpenedTrace:
    """A trace, its name in the window, and its scan: the id of an open layer, else a volume, else neither."""

    trace: Trace
    name: str
    scan_id: str = ""
    scan: Volume | None = None
    edited: EditedLabels | None = None  # a person's edits, read into memory

    @property
    def scan_layers(self) -> list[display.LayerData]:
        """The layers of a scan that was found on disk."""
        return display.image_layers(self.scan) if self.scan is not None else []

    def layers(self, scan_id: str = "") -> list[display.LayerData]:
        """Return the layers of the trace, the steps last."""
        known = scan_id or self.scan_id
        steps = display.trace_layer(self.trace, self.name, known)
        if self.edited is not None:
            steps[0].restore(self.edited.labels, self.edited.edits, self.edited.began)
        return [*layers_beside(self.trace, self.name, known), steps]


def open_trace(path: Path, scans: Sequence[OpenScan] = ()) -> OpenedTrace:
    """Return a stored trace with its scan: one that is open, else one that lies beside the trace.

    Raises
    ------
    VoxTraceError
        The trace is damaged.
    """
    trace = Trace.load(path)
    case = path.name.removesuffix(".trace")
    name = trace_title(trace, case)
    fitting = next((one for one in scans if one.geometry.is_close(trace.geometry)), None)
    edited = read_edits(path)
    if fitting is not None:
        return OpenedTrace(trace, name, fitting.id, edited=edited)
    names = list(dict.fromkeys(filter(None, (case, trace.provenance.scan))))
    return OpenedTrace(trace, name, scan=_scan_beside(path, names, trace), edited=edited)


def trace_title(trace: Trace, case: str) -> str:
    """Return the name of a trace's layer: ``case · model``; demonstration models are named as such."""
    about = trace.provenance
    model = about.bundle or about.method_title
    return " · ".join(filter(None, (case, model, "demonstration model" if about.demonstration else "")))


def scan_note(opened: OpenedTrace) -> str:
    """Return what to tell where no scan was found; ``""`` where there is one."""
    if opened.scan_id or opened.scan is not None:
        return ""
    called = opened.trace.provenance.scan
    which = f"The scan {called} that was segmented" if called else "The scan that was segmented"
    return f"{which} is neither open nor beside the trace. Open it first, and then the trace, to see both."


def _scan_beside(path: Path, names: Sequence[str], trace: Trace) -> Volume | None:
    for files in _candidates(_folders(path), names):
        try:
            if guarded.label_names(files[0]):
                continue
            volume = guarded.read(files[0] if len(files) == 1 else list(files))
        except VoxTraceError:  # another file of this name; the trace opens without it
            continue
        if volume.geometry.is_close(trace.geometry) and not contrast.looks_like_labels(volume.data[0]):
            return volume
    return None


def _folders(path: Path) -> Iterator[Path]:
    """Yield the folder of a trace, its neighbours and the folder above with its folders."""
    folder = path.resolve().parent
    for one in (folder, folder.parent):
        yield one
        inside = sorted(child for child in one.iterdir() if child.is_dir() and not (child / "trace.json").is_file())
        yield from islice(inside, _MAX_FOLDERS)


def _candidates(folders: Iterable[Path], names: Sequence[str]) -> Iterator[tuple[Path, ...]]:
    """Yield files that may be the scan: one of its name, or its channels, numbered from 0000."""
    for folder in folders:
        for name in names:
            for suffix in READABLE:
                if (alone := folder / f"{name}{suffix}").exists():
                    yield (alone,)
                channels = list[Path]()
                while (one := folder / f"{name}_{len(channels):04d}{suffix}").exists():
                    channels.append(one)
                if channels:
                    yield tuple(channels)
