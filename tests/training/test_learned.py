"""Cases that a bundle learned do not judge it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import ball, small_plan
from voxtrace.bundle import Bundle
from voxtrace.errors import DatasetError
from voxtrace.methods import method
from voxtrace.training.identity import identify
from voxtrace.training.learned import learned_images, refuse_learned
from voxtrace.volume import Case, Volume


def two_channels(seed: int) -> Case:
    """A ball with a second channel that is empty, as where a sequence is missing."""
    case = ball(seed)
    data = np.concatenate([case.volume.data, np.zeros_like(case.volume.data)])
    return replace(case, volume=Volume(data, case.volume.geometry, "MR"))


def bundle_of(*learned: Case, before: tuple[str, ...] = ()) -> Bundle:
    provenance = {"training": [identify(case).to_json() for case in learned], "initial": {"learned": list(before)}}
    plan = small_plan()
    return Bundle(method("unet"), plan, torch.nn.Identity(), {"name": "start", "provenance": provenance})


def test_a_learned_case_is_refused_and_a_shared_channel_is_none() -> None:
    start = bundle_of(two_channels(0))
    refuse_learned(start, [two_channels(1)])
    with pytest.raises(DatasetError, match=r"start was trained on .* of the cases held back now.*; hold back none"):
        refuse_learned(start, [two_channels(1), two_channels(0)])


def test_what_the_start_of_a_start_learned_counts() -> None:
    grandparent = bundle_of(two_channels(0))
    start = bundle_of(two_channels(1), before=tuple(learned_images(grandparent.card)))
    with pytest.raises(DatasetError, match="; do that"):
        refuse_learned(start, [two_channels(0)], "do that")
