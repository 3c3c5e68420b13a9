"""DICOM parametric maps through highdicom: a number for each voxel of the source images.

Whole numbers up to 65535 are stored in 16 bits and compressed without loss, others as float32, which DICOM does not
compress. NaN stays NaN. Names ending in ``.map.dcm`` mean this format.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.io.export.codes import text
from voxtrace.io.export.copied_attributes import series_number
from voxtrace.io.export.dicom_file import dicom_file
from voxtrace.io.export.dicomseg import RLE, equipment, space_of
from voxtrace.io.export.on_grid import ScalarMap
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.export.source_references import highdicom_sources, reference_source_frames
from voxtrace.io.export.sources import SourceImages, match
from voxtrace.io.export.verify_seg import verify_frames
from voxtrace.volume import Array, LabelMap, Volume

if TYPE_CHECKING:
    from highdicom.pm import ParametricMap, RealWorldValueMapping
    from highdicom.sr import CodedConcept

_UNCOMPRESSED = "1.2.840.10008.1.2.1"
_DERIVED = ("110001", "DCM", "Image Processing")
# units with a code of their own in UCUM; others become an annotation, {nat}
_UNITS = {"": "1", "fraction": "1", "probability": "1", "mm": "mm", "mL": "mL", "s": "s", "%": "%", "HU": "[hnsf'U]"}
_LONGEST_CODE = 16


def write(item: LabelMap | Volume, path: Path, options: ExportOptions) -> Written:
    """Write a volume of one channel as a parametric map that refers to its source images.

    Raises
    ------
    OutputError
        When the volume has several channels or no finite number, knows no source images, or the file read back
        differs.
    GeometryError
        When the volume is not on the grid of its source images.
    """
    if isinstance(item, LabelMap):
        return write_map(ScalarMap(item.data, item.geometry, item.name), path, options)
    if len(item.data) != 1:
        raise OutputError(f"{path}: {item.name} has {len(item.data)} channels; expected one. Write them one by one.")
    return write_map(ScalarMap(item.data[0], item.geometry, item.name, options.unit), path, options)


def write_map(item: ScalarMap, path: Path, options: ExportOptions) -> Written:
    """Write a scalar map as :func:`write` does."""
    array, sources = match(item, options.source)
    return write_matched(replace(item, data=stored(array, path)), sources, path, options)


def write_matched(item: ScalarMap, sources: SourceImages, path: Path, options: ExportOptions) -> Written:
    """Write a scalar map whose ``data`` are the planes of the source images, (Z, Y, X), as stored."""
    with dicom_file(path, sources) as temporary:
        _parametric_map(item, sources, options).save_as(temporary)
        verify_frames(temporary, item.data, sources, path)
    return Written((path,), sources.notes)


def stored(array: Array, path: Path) -> Array:
    """Return the numbers in a type that DICOM stores.

    Raises
    ------
    OutputError
        When none is finite.
    """
    if array.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(array, dtype=np.uint16)  # the standard has no parametric map of 8 bits
    numbers = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(numbers).any():
        raise OutputError(f"{path.name}: the map holds no finite number; expected at least one voxel with a value.")
    return numbers


def _parametric_map(item: ScalarMap, sources: SourceImages, options: ExportOptions) -> ParametricMap:
    from highdicom import UID, VOILUTTransformation
    from highdicom.pm import ParametricMap

    first, more = highdicom_sources(sources)
    whole = np.issubdtype(item.data.dtype, np.integer)
    low, high = _range(item.data)
    made = ParametricMap(
        source_images=first,
        further_source_images=more,
        pixel_array=item.data,
        series_instance_uid=options.series_uid or UID(),
        series_number=series_number(sources.headers[0], 3000),
        sop_instance_uid=UID(),
        instance_number=1,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_meaning(item, low, high)],
        voi_lut_transformations=[
            VOILUTTransformation((low + high) / 2, max(float(high - low), 1e-6), voi_lut_function="LINEAR_EXACT")
        ],
        transfer_syntax_uid=RLE if whole else _UNCOMPRESSED,
        content_label="MAP",
        content_description=_explained(item),
        series_description=text(item.name),
        specific_character_set="ISO_IR 192",
        **equipment(options.algorithm),
        **space_of(sources),
    )
    made.Laterality = ""  # may be empty, but not absent
    reference_source_frames(made, sources, _DERIVED)
    return made


def _range(array: Array) -> tuple[Any, Any]:
    """Return the smallest and largest number, of the type that tells DICOM how they are stored."""
    if np.issubdtype(array.dtype, np.integer):
        return int(array.min()), int(array.max())
    finite = array[np.isfinite(array)]
    return float(finite.min()), float(finite.max())


def _meaning(item: ScalarMap, low: Any, high: Any) -> RealWorldValueMapping:
    from highdicom.pm import RealWorldValueMapping

    return RealWorldValueMapping(
        lut_label=text(item.name)[:_LONGEST_CODE].strip(),
        lut_explanation=_explained(item),
        unit=unit_of(item.unit),
        value_range=(low, high),
        slope=1,
        intercept=0,
    )


def _explained(item: ScalarMap) -> str:
    return text(item.explanation or item.name)


def unit_of(unit: str) -> CodedConcept:
    """Return a unit as a code of UCUM: its own where it has one, else an annotation of the number 1."""
    from highdicom.sr import CodedConcept

    plain = "".join(letter for letter in unit if (letter.isascii() and letter.isalnum()) or letter in " _-/")
    code = _UNITS.get(unit) or (f"{{{plain}}}" if plain and len(plain) <= _LONGEST_CODE - 2 else "1")
    return CodedConcept(code, "UCUM", text(unit) if unit else "no units")
