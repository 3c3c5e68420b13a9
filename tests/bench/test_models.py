from __future__ import annotations

from pathlib import Path

import pytest
import torch

from chance import chance
from tolerance import Counted, InFloat64, distance
from voxtrace.bench.models import NETWORK, Models, as_cdlunet, make_models
from voxtrace.bundle import Bundle, load
from voxtrace.errors import BundleError
from voxtrace.nn.flops import flops

pytestmark = pytest.mark.numeric


WINDOW = (8, 16, 24)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return make_models(tmp_path_factory.mktemp("models"), WINDOW)


def answer(bundle: Bundle) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(bundle.network(images()))


def images() -> torch.Tensor:
    return torch.randn(1, 1, *WINDOW, generator=chance())


def test_every_contender_has_the_same_network(models: Models) -> None:
    original = load(NETWORK)
    with InFloat64(), Counted(original.network) as done:
        exact = answer(original)
    assert distance(answer(original), exact) <= done.rounding()
    for made in (load(models.unet), load(models.cdlunet)):  # the U-Net through nnU-Net's names and back
        assert distance(answer(made), exact) <= done.rounding()
        with InFloat64():
            assert distance(answer(made), exact) <= done.rounding(torch.float64)


def test_the_network_is_of_lightunets_size() -> None:
    plan = load(NETWORK).plan
    assert plan.window == (32, 128, 192)
    assert plan.spacing_mm == (4.0, 1.2, 1.2)
    assert plan.n_labels == 14


def test_cdlunet_does_no_less_work_for_the_same_answer(models: Models) -> None:
    unet, cdlunet = (load(path).network for path in (models.unet, models.cdlunet))
    assert flops(cdlunet, (1, *WINDOW)) > flops(unet, (1, *WINDOW))


def test_a_bias_that_cdlunet_lacks_is_refused() -> None:
    bundle = load(NETWORK)
    bundle.network.state_dict()["decide.heads.0.bias"][0] = 1.0
    with pytest.raises(BundleError, match="CDL-UNet has no such bias"):
        as_cdlunet(bundle)


def test_models_are_made_anew_for_another_window(models: Models, tmp_path: Path) -> None:
    make_models(tmp_path, WINDOW)
    again = make_models(tmp_path, (16, 16, 16))
    assert load(again.unet).plan.window == load(again.cdlunet).plan.window == (16, 16, 16)
