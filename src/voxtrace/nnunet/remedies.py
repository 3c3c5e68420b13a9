"""What to do with a model that is not imported: the ends of several sentences."""

from __future__ import annotations

RETRAIN = (
    "train it again with nnU-Net's own trainer and plans (nnUNetv2_train without -tr and -p), or segment with "
    "nnUNetv2_predict and open its label maps here"
)
OTHER_FILES = (
    "copy plans.json, dataset.json and the checkpoint from one training; a trainer with a network of its own is not "
    "reproduced here, segment with nnUNetv2_predict instead"
)
