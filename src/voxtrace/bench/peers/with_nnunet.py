"""Segment one file with nnU-Net v2 on the CPU, as ``nnUNetv2_predict -device cpu --disable_tta -npp 1 -nps 1`` does.

python with_nnunet.py MODEL_FOLDER INPUT OUTPUT THREADS [BITS]

nnU-Net sums windows in 16 bits. With BITS 32 it sums in 32, which separates its rounding from a difference of models.
"""

from __future__ import annotations

import functools
import sys


def main(model: str, image: str, output: str, threads: int, bits: int = 16) -> None:
    """Write the label map of an image to OUTPUT, which ends in .nii.gz."""
    import torch
    from nnunetv2.inference import predict_from_raw_data as nnunet

    torch.set_num_threads(threads)
    if bits == 32:
        # nnU-Net has no setting for it: its accumulators take torch.half, and its weights a dtype argument.
        torch.half, weights = torch.float32, nnunet.compute_gaussian
        nnunet.compute_gaussian = functools.partial(weights, dtype=torch.float32)
        nnunet.compute_gaussian.cache_clear = weights.cache_clear
    predictor = nnunet.nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.initialize_from_trained_model_folder(model, use_folds=(0,))
    truncated = output.removesuffix(".nii.gz")
    predictor.predict_from_files(
        [[image]], [truncated], num_processes_preprocessing=1, num_processes_segmentation_export=1
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:]))
