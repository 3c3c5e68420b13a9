"""The dialog that asks for a scan."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QApplication, QFileDialog

_FILTERS = (
    "Scans and DICOM (*)",
    "NIfTI, NRRD, MetaImage (*.nii *.nii.gz *.nrrd *.mha *.mhd)",
    "DICOM (*.dcm *.ima *.DCM *.IMA)",
)


def ask_for_scan(folder: Path) -> Path | None:
    """Ask for a file; any file of a DICOM series stands for its folder. None when the user cancels."""
    title = "Open a scan: a NIfTI, NRRD or MetaImage file, or any file of a DICOM folder"
    chosen, _ = QFileDialog.getOpenFileName(QApplication.activeWindow(), title, str(folder), ";;".join(_FILTERS))
    return Path(chosen) if chosen else None
