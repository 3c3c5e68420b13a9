"""What a layout finds in a dataset: names, channels, labels and the files of each case, whether or not they exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxtrace.plan.regions import LabelRegion


@dataclass(frozen=True)
class FoundCase:
    """The files that a case should have.

    Attributes
    ----------
    name
        Of the case; unique in the dataset.
    images
        A file for each channel, in order, or one file with every channel in its fourth dimension.
    labels
        The label map; None where the layout names none.
    subject
        Who was scanned, as the dataset states it; ``""`` where it does not.
    fold
        The fold that holds the case back, as the dataset states it.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None
    subject: str = ""
    fold: int | None = None


@dataclass(frozen=True)
class FoundDataset:
    """A dataset as its layout describes it; nothing is checked but the structure of its description.

    Attributes
    ----------
    layout
        ``raw``, ``decathlon``, ``listing``, ``brats`` or ``csv``.
    folder
        That paths are relative to.
    source
        The file that describes the dataset, for messages.
    declared
        (name, value) of every label as it is declared, the background included, the ignore label left out; a value may
        come twice.
    ignore
        The value of voxels that are neither learned nor scored, or None.
    ending
        Of image and label files.
    others
        Files beside those of the cases that belong to none, e.g. labels without an image.
    tests
        Cases that no fold trains on, ``imagesTs``, whose names begin with that folder's; they may lack labels.
    regions
        What is learned in place of ``declared`` where labels overlap; see :mod:`voxtrace.plan.regions`.
    hidden
        Files whose name begins with a dot, e.g. the ``._`` files that macOS leaves; they are not read.
    """

    layout: str
    folder: Path
    source: Path
    name: str
    channels: tuple[str, ...]
    declared: tuple[tuple[str, int], ...]
    cases: tuple[FoundCase, ...]
    ignore: int | None = None
    ending: str = ".nii.gz"
    licence: str = ""
    others: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    stated_cases: int | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    tests: tuple[FoundCase, ...] = ()
    regions: tuple[LabelRegion, ...] = ()

    @property
    def labels(self) -> dict[int, str]:
        """Label value -> name; the first name of a value that has several."""
        names: dict[int, str] = {}
        for name, value in self.declared:
            names.setdefault(value, name)
        return dict(sorted(names.items()))
