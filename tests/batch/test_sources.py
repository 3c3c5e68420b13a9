"""What a batch remembers of the files of a case."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

import awkward_dicom
from voxtrace.batch import CaseInput, sources


def test_a_folder_whose_images_are_cases_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = awkward_dicom.save(tmp_path / "study", awkward_dicom.images(awkward_dicom.place()))
    images = sorted(folder.iterdir())
    opened: list[Path] = []
    is_dicom, content_digest = sources.is_dicom, sources.content_digest

    def looked_at(path: Path) -> bool:
        opened.append(path)
        return is_dicom(path)

    def hashed(files: Iterable[Path], base: Path) -> str:
        opened.extend(files := list(files))
        return content_digest(files, base)

    monkeypatch.setattr(sources, "is_dicom", looked_at)
    monkeypatch.setattr(sources, "content_digest", hashed)
    cases = [CaseInput(path.stem, (path,)) for path in images]
    found = [sources.describe_sources(case) for case in cases]
    assert sorted(opened) == sorted(images * 2)
    for name in ("files", "bytes", "sha256"):
        assert len({one[name] for [one] in found}) == 1
    assert all(sources.same_sources(one, case) for one, case in zip(found, cases, strict=True))
    # a file that changes is read again
    content = bytearray(images[3].read_bytes())
    content[-1] ^= 1
    images[3].write_bytes(content)
    assert not any(sources.same_sources(one, case) for one, case in zip(found, cases, strict=True))
    assert sources.describe_sources(cases[0])[0]["sha256"] == content_digest(images, folder)
