"""Segment one file with nnU-Net v2 on the CPU, as ``nnUNetv2_predict -device cpu --disable_tta -npp 1 -nps 1`` does.

python with_nnunet.py MODEL_FOLDER INPUT OUTPUT THREADS
"""

from __future__ import annotations

import sys


def main(model: str, image: str, output: str, threads: int) -> None:
    """Write the label map of an image to OUTPUT, which ends in .nii.gz."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.set_num_threads(threads)
    predictor = nnUNetPredictor(
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
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
