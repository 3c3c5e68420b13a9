"""Import of models of nnU-Net v2 as bundles.

=================  ==================================================================================
folder             a trained model in nnU-Net's layout: plans, dataset, folds
checkpoint         the tensors of one fold, read without running code from the file
architecture       the network of nnU-Net's plans as a topology
plan               everything else in them as a plan
weights            nnU-Net's tensors under the names of ours
resampling         how images and probabilities are resampled
convert            the whole import
advice, remedies   what to do with a model that cannot be imported
=================  ==================================================================================

A model that cannot be reproduced exactly is refused with a sentence that says why.

References
----------
Isensee et al., "nnU-Net", Nature Methods 18, 2021; written against version 2.8.1.
"""

from __future__ import annotations

from voxtrace.nnunet.convert import import_model
from voxtrace.nnunet.folder import ModelFolder, open_folder

__all__ = ["ModelFolder", "import_model", "open_folder"]
