"""Where the answers to one scan differ: steps, members whose vote was taken, or results of several methods.

The voxels that differ are joined to regions and ordered by mL at stake, so that a person looks at a few places and
leaves the calm rest alone. Only the voxels that differ are kept in memory; label maps are read a few planes at a time.
"""

from __future__ import annotations

from voxtrace.trace.disagreement.answers import (
    Answers,
    LabelPlanes,
    of_choices,
    of_label_maps,
    of_members,
    of_steps,
    offered,
)
from voxtrace.trace.disagreement.naming import with_common_values
from voxtrace.trace.disagreement.regions import Disagreement, Place, PlaceLimits, Undecided, regions

__all__ = [
    "Answers",
    "Disagreement",
    "LabelPlanes",
    "Place",
    "PlaceLimits",
    "Undecided",
    "of_choices",
    "of_label_maps",
    "of_members",
    "of_steps",
    "offered",
    "regions",
    "with_common_values",
]
