"""One list of formats: what is offered, written, told in help and in the manifest for napari is that list."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

import voxtrace
from voxtrace.errors import OutputError
from voxtrace.io import formats
from voxtrace.io.export import ExportOptions, Written
from voxtrace.io.formats import READ, WRITTEN, Format, endings, written_ending, written_format
from voxtrace.plugin.work.path_kinds import kind_of_path
from voxtrace.volume import Geometry, LabelMap

MANIFEST = yaml.safe_load((Path(__file__).resolve().parents[2] / "napari.yaml").read_text(encoding="utf-8"))
GZIP_ALONE = ".gz"  # what npe2 before 0.9 makes of ".nii.gz"


def labels() -> LabelMap:
    return LabelMap(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4), (3.0, 2.0, 1.0)), {1: "liver"})


def test_napari_is_offered_every_file_that_can_be_read() -> None:
    [reader] = MANIFEST["contributions"]["readers"]
    read = [*endings(READ), *(ending for one in READ for ending in one.voxels_beside)]
    assert sorted(reader["filename_patterns"]) == sorted(f"*{ending}" for ending in read)


def test_every_ending_that_is_offered_is_a_scan_or_label_map_for_the_window(tmp_path: Path) -> None:
    for ending in endings(READ):
        (tmp_path / f"a{ending}").write_bytes(bytes(128) + b"DICM")
        assert kind_of_path(tmp_path / f"a{ending}") == "scan", ending


def test_every_format_that_is_read_has_a_line_in_the_docs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "scans.md").read_text(encoding="utf-8")
    opened = page[page.index("## What can be opened") : page.index("### In the window")]
    missing = [ending for one in READ if one.holds == "voxels" for ending in one.endings if f"`{ending}`" not in opened]
    assert not missing


def test_napari_is_offered_every_format_that_can_be_written() -> None:
    offered = [ending for writer in MANIFEST["contributions"]["writers"] for ending in writer["filename_extensions"]]
    assert sorted(offered) == sorted([*endings(WRITTEN), GZIP_ALONE])


@pytest.mark.parametrize("one", WRITTEN, ids=lambda one: one.ending)
def test_each_writer_is_there(one: Format) -> None:
    assert callable(import_module(one.writer).write)


def test_no_ending_is_written_in_two_formats() -> None:
    known = endings(WRITTEN)
    assert len(set(known)) == len(known)


@pytest.mark.parametrize(
    ("name", "ending"), [("a.seg.nrrd", ".seg.nrrd"), ("a.nrrd", ".nrrd"), ("A.NII.GZ", ".nii.gz")]
)
def test_the_longest_ending_that_fits_counts(name: str, ending: str) -> None:
    assert written_ending(name) == ending
    found = written_format(name)
    assert found is not None
    assert ending in found.endings


def test_what_is_only_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="names no format that can be written"):
        voxtrace.write(labels(), tmp_path / "a.ima")


def test_a_format_is_added_by_an_entry_and_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(item: Any, path: Path, options: ExportOptions) -> Written:
        path.write_text(f"{item.names[1]} {int(item.data.sum())}")
        return Written((path,))

    monkeypatch.setitem(sys.modules, "count_writer", SimpleNamespace(write=write))
    added = Format("Count of voxels", (".count.txt",), "table", writer="count_writer")
    monkeypatch.setattr(formats, "WRITTEN", (*WRITTEN, added))
    assert voxtrace.write(labels(), tmp_path / "a.count.txt").read_text() == "liver 24"


def test_the_list_of_formats_is_read_without_numpy() -> None:
    code = "import sys, voxtrace.io.formats; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
