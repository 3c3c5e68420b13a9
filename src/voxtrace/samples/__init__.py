"""Real scans that come with the package, so that a first look needs no data and no download.

Both are crops of Colin27, the average of 27 T1 MR scans of one volunteer (Holmes et al., J Comput Assist Tomogr 22
(1998) 324). They lie in a standard space, in which a brain is larger than life: volumes are not the volunteer's.
``LICENCE.txt`` beside them has the conditions; ``sample_data/make_hippocampus.py`` cuts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class SampleScan:
    """A scan that comes with the package.

    Attributes
    ----------
    name
        That of its file, without ``.nii``.
    title
        What it shows, for people.
    bundle
        The shipped bundle that was trained on scans of this kind.
    """

    name: str
    title: str
    bundle: str

    @property
    def path(self) -> Path:
        """Its file, NIfTI."""
        return FOLDER / f"{self.name}.nii"


SAMPLES = (
    SampleScan("hippocampus_right", "Right hippocampus of a volunteer (T1 MR, Colin27)", "hippocampus-recyclenet"),
    SampleScan("hippocampus_left", "Left hippocampus of a volunteer (T1 MR, Colin27)", "hippocampus-recyclenet"),
)
ORIGIN = "average of 27 scans of one volunteer, in a standard space that is larger than life"


def sample(name: str) -> SampleScan:
    """Return the sample of a name.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    return {scan.name: scan for scan in SAMPLES}[name]
