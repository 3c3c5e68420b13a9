"""Formats of other programs, which are read and never written: one module each, and one table of who reads what.

freesurfer    FreeSurfer's ``.mgh`` and ``.mgz``
nifti_pair    NIfTI in two files, ``.hdr`` and ``.img``; Analyze 7.5 is refused
gipl          GIPL of the Guy's image processing lab, ITK-SNAP and ITK
minc          MINC 1 (netCDF) and 2 (HDF5)
parrec        Philips PAR/REC
archive       zip archives, unpacked with limits

Headers are parsed here, once, and compared with what the files hold before memory is taken.
"""

from __future__ import annotations

from voxtrace.io.foreign.opening import open_foreign

__all__ = ["open_foreign"]
