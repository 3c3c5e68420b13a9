"""Made-up CT and MR with known truth, from a seed: for tests, for the demo, and for learning the program.

They are drawn from simple solids, bent by smooth random fields, and are no substitute for patients.
"""

from voxtrace.phantoms.abdomen import abdomen_ct
from voxtrace.phantoms.brain import brain_tumour_mr

__all__ = ["abdomen_ct", "brain_tumour_mr"]
