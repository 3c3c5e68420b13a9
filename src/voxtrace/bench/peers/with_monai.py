"""Segment one CT with MONAI's SlidingWindowInferer on the CPU in float32.

python with_monai.py BUNDLE INPUT OUTPUT THREADS

Steps and transforms are those of MONAI's model zoo bundles for CT: load, resample, normalise, half overlapping windows
blended by a Gaussian, probabilities resampled to the scan's own grid, labels.
"""

from __future__ import annotations

import sys


def main(model: str, image: str, output: str, threads: int) -> None:
    """Write the label map of an image to OUTPUT."""
    import nibabel
    import numpy as np
    import torch
    from monai.data import decollate_batch
    from monai.inferers import SlidingWindowInferer
    from monai.transforms import (
        Activationsd,
        AsDiscreted,
        Compose,
        EnsureChannelFirstd,
        Invertd,
        LoadImaged,
        NormalizeIntensityd,
        ScaleIntensityRanged,
        Spacingd,
    )

    from voxtrace.bundle import load

    torch.set_num_threads(threads)
    bundle = load(model)
    (depth, height, width), (rule,) = bundle.plan.window, bundle.plan.normalisation
    lower, upper = rule.lower, rule.upper
    before = Compose(
        [
            LoadImaged("image", image_only=True),
            EnsureChannelFirstd("image"),
            Spacingd("image", pixdim=bundle.plan.spacing_mm[::-1], mode="bilinear"),
            ScaleIntensityRanged("image", a_min=lower, a_max=upper, b_min=lower, b_max=upper, clip=True),
            NormalizeIntensityd("image", subtrahend=np.array(rule.mean), divisor=np.array(rule.std)),
        ]
    )
    after = Compose(
        [
            Activationsd("pred", softmax=True),
            Invertd("pred", transform=before, orig_keys="image", nearest_interp=False, to_tensor=True),
            AsDiscreted("pred", argmax=True),
        ]
    )
    # MONAI's arrays are (C, X, Y, Z)
    inferer = SlidingWindowInferer((width, height, depth), sw_batch_size=1, overlap=0.5, mode="gaussian")
    with torch.inference_mode():
        case = before({"image": image})
        batch = case["image"][None]
        case["pred"] = inferer(batch, lambda x: bundle.network(x.permute(0, 1, 4, 3, 2)).permute(0, 1, 4, 3, 2))
        case = {"image": case["image"], "pred": decollate_batch(case["pred"])[0]}
        labels = after(case)["pred"]
    array = np.asarray(labels[0]).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, np.asarray(labels.affine)), output)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
