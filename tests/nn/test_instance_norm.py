"""The norm that keeps its maps' memory format is torch's instance norm, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cases import small_plan
from chance import chance
from voxtrace.method import Batch, TrainState
from voxtrace.methods import method
from voxtrace.nn.instance_norm import WindowNorm
from voxtrace.nn.timeunet import InstanceNorm
from voxtrace.training.training_run import set_layout

pytestmark = pytest.mark.numeric

LAST, FIRST = torch.channels_last_3d, torch.contiguous_format


def _learned(norm: nn.Module, x: Tensor, gradient: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    answer = norm(x)
    answer.backward(gradient)
    assert x.grad is not None
    return [answer.detach(), x.grad, *(p.grad for p in norm.parameters() if p.grad is not None)]


@pytest.mark.parametrize("layout", [LAST, FIRST])
@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("made", [lambda: WindowNorm(4, eps=1e-5, affine=True), lambda: InstanceNorm(4)])
def test_value_and_gradient_are_those_of_instance_norm(made: object, windows: int, layout: torch.memory_format) -> None:
    ours, theirs = made(), nn.InstanceNorm3d(4, eps=1e-5, affine=True).double()  # type: ignore[operator]
    with torch.no_grad():
        ours.weight.copy_(torch.rand(4, generator=chance(1)) + 0.5)
        ours.bias.copy_(torch.randn(4, generator=chance(2)))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(windows, 4, 5, 6, 7, generator=chance(3)).contiguous(memory_format=layout)
    gradient = torch.randn(x.shape, generator=chance(4)).contiguous(memory_format=layout)
    # torch's derivative is wrong for one window in channels-last format
    wanted = _learned(theirs, x.double().contiguous(), gradient.double().contiguous())
    found = _learned(ours, x, gradient)
    assert len(found) == len(wanted) == 4
    for one, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), exact, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("layout", [LAST, FIRST])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_learning_network_keeps_the_memory_format(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x = torch.randn(2, 4, 5, 6, 7, generator=chance(3)).to(dtype).contiguous(memory_format=layout)
    answer = WindowNorm(4, affine=True)(x.requires_grad_())
    assert answer.is_contiguous(memory_format=layout)
    assert answer.dtype == dtype
    assert not answer._is_view()  # an activation in place on a view copies its gradient


@pytest.mark.parametrize("key", ["unet", "e2enet", "cdlunet", "recyclenet"])
@pytest.mark.parametrize("encoder", ["plain", "residual"])
def test_the_gradient_of_a_single_window_does_not_depend_on_the_memory_format(key: str, encoder: str) -> None:
    made = method(key)
    plan = small_plan(batch_size=1)
    plan = made.adapt(plan.model_copy(update={"topology": plan.topology.model_copy(update={"encoder": encoder})}))
    torch.manual_seed(0)
    network = made.build(plan)
    images, labels = torch.randn(1, 1, *plan.window, generator=chance(1)), torch.zeros(1, *plan.window).long()
    labels[:, 4:12, 4:12, 4:12] = 1
    found = []
    for layout in (FIRST, LAST):
        set_layout(network, layout)
        network.zero_grad()
        phase = made.phases(plan)[0]
        batch = Batch(images.contiguous(memory_format=layout), labels)
        terms = made.loss(network, batch, TrainState(phase, 0, torch.Generator().manual_seed(0)))
        torch.stack(list(terms.values())).sum().backward()
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert found[0]
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-4, rtol=1e-3, msg=name)


def test_a_map_of_one_voxel_is_refused_where_torch_refuses_it() -> None:
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        WindowNorm(4, affine=True)(torch.zeros(2, 4, 1, 1, 1))
    assert torch.equal(InstanceNorm(4)(torch.ones(1, 4, 1, 1, 1)), torch.zeros(1, 4, 1, 1, 1))
