"""Arithmetic: layers whose bfloat16 or float16 arithmetic is wrong on this machine are computed in float32.

Libraries choose another kernel for each processor and shape, and some kernels are wrong. Seen on processors with
AVX-512 and torch 2.13: the weight gradient of 3×3×3 convolutions in bfloat16 is what lay in memory before (up to 1e38,
inf or nan) where a map has two slices.

When a network runs in bfloat16 or float16, each convolution (1D, 2D, 3D), transposed convolution and linear layer is
checked the first time it is called with a shape: its output and its gradients are compared with float64. A layer that
disagrees is computed in float32 from then on, forward and backward, also inside autocast; its output has the type it
would have had. Networks stay as they are: calls are intercepted while :meth:`ArithmeticCheck.watching` is entered, so
that masked convolutions and functional calls inside methods are covered. What was found is kept in the user's cache
folder, one file for each processor and set of versions.

=========  ===================================================================================
file       what it holds
=========  ===================================================================================
layers     a layer as it is called: kind, shapes, type, memory format
exact      the same layer in float64, at some positions of its kernel
compare    runs a layer on test values and compares
verdicts   what was found, in a file
watch      intercepts the layers of a network while it runs
=========  ===================================================================================

What is found: values that are not finite; values that are wrong by more than the type's rounding anywhere in the
weight gradient, in the bias gradient, in the input gradient of a convolution and in the output of a transposed one;
and at up to 256 positions, at least one in every slice along every axis, in the output of a convolution and the input
gradient of a transposed one (elsewhere these must stay within the largest value that the weights allow).
What is not found: an error that depends on values, such as overflow; one at single voxels between those positions;
one in layers of another kind (attention, norms, activations); one that shows in some calls only.
"""

from __future__ import annotations

from voxtrace.runtime.arithmetic.verdicts import CheckedLayer, remembered
from voxtrace.runtime.arithmetic.watch import ArithmeticCheck

__all__ = ["ArithmeticCheck", "CheckedLayer", "remembered"]
