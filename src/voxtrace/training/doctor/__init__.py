"""The doctor of datasets: one look at every file, a list of all that is wrong, and a copy without it."""

from __future__ import annotations

from voxtrace.training.doctor.check_dataset import Needs, check_needs, needs_of
from voxtrace.training.doctor.examine import Examination, examine
from voxtrace.training.doctor.faults import Fault
from voxtrace.training.doctor.mend import mend

__all__ = ["Examination", "Fault", "Needs", "check_needs", "examine", "mend", "needs_of"]
