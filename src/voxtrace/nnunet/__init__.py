"""Models of nnU-Net v2 become bundles.

=================  ==================================================================================
folder             a trained model as nnU-Net lays it out: plans, dataset, folds
checkpoint         the tensors of one fold, read without running anything
architecture       what the plans say of the network, as a topology
plan               what they say of everything else, as a plan
weights            nnU-Net's tensors under the names of ours
convert            all of that together
=================  ==================================================================================

What cannot be taken over exactly is refused, in one sentence.

References
----------
Isensee et al., "nnU-Net", Nature Methods 18, 2021; written against version 2.8.1.
"""

from __future__ import annotations

from voxtrace.nnunet.convert import import_model
from voxtrace.nnunet.folder import ModelFolder, open_folder

__all__ = ["ModelFolder", "import_model", "open_folder"]
