"""Voxel-wise loops of inference: what is computed for every voxel between the network and the label map.

===============  ======================================================================
file             what it holds
===============  ======================================================================
argmax_entropy   labels, log Σ exp, changed voxels and entropy of logits
accumulate       blending windows into a ring of planes, and averaging one plane of it
upsample_argmax  the strongest label of planes, enlarged to the input grid
upsample_paint   regions above a threshold, painted on the input grid
exp_log          e^x and log x for these loops
===============  ======================================================================
"""
