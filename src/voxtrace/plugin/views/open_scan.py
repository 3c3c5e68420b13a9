"""The dialog that asks for a scan."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog

from voxtrace.io.formats import READ

_VOLUMES = " ".join(f"*{ending}" for one in READ if one.holds != "images" for ending in one.endings)
_FILTERS = ("Scans and DICOM (*)", f"Volumes ({_VOLUMES})", "DICOM (*.dcm *.ima *.DCM *.IMA)")


def ask_for_scan(folder: Path) -> Path | None:
    """Ask for a file; any file of a DICOM series stands for its folder. None when the user cancels."""
    title = "Open a scan: a volume file, or any file of a DICOM or OME-Zarr folder"
    chosen, _ = QFileDialog.getOpenFileName(QApplication.activeWindow(), title, str(folder), ";;".join(_FILTERS))
    return Path(chosen) if chosen else None
