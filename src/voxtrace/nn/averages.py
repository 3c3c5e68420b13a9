"""Averages of several answers of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def mean_logits(answers: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean probability of several answers (B, K, Z, Y, X); a single one is unchanged."""
    if len(answers) == 1:
        return answers[0]
    # log of a mean of exponentials, without leaving the logarithm.
    return torch.stack([logits.log_softmax(1) for logits in answers]).logsumexp(0) - math.log(len(answers))


def running_mean_logits(mean: Tensor, answer: Tensor, count: int) -> Tensor:
    """Return the logarithm of the mean probability of ``count`` answers, from that of all but the last, and the last.

    Both (B, K, Z, Y, X); ``mean`` holds logits or logarithms of probabilities of ``count`` - 1 answers.
    """
    before = mean.log_softmax(1) + math.log(count - 1)
    return torch.logaddexp(before, answer.log_softmax(1)) - math.log(count)


def running_mean_of_regions(mean: Tensor, answer: Tensor, count: int) -> Tensor:
    """Return the logit of the mean probability of ``count`` answers of which each logit stands for itself (sigmoid).

    As :func:`running_mean_logits`, from that of all but the last, and the last; both (B, R, Z, Y, X).
    """
    inside, outside = (
        torch.logaddexp(logsigmoid(sign * mean) + math.log(count - 1), logsigmoid(sign * answer)) for sign in (1, -1)
    )
    return inside - outside
