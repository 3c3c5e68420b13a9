"""Phantoms: made-up CT and MR with known labels, from a seed, for tests, the demo and first steps.

They are drawn from simple solids that smooth random fields deform, and do not replace scans of patients.
"""

from voxtrace.phantoms.abdomen import abdomen_ct
from voxtrace.phantoms.brain import brain_tumour_mr
from voxtrace.phantoms.lesions import varied_lesions_mr

__all__ = ["abdomen_ct", "brain_tumour_mr", "varied_lesions_mr"]
