"""A torch module as an OpenVINO model, for inputs of fixed shapes.

The frontend is called directly. ``openvino.convert_model`` would do the same, and report to its maker over the
network that it was called; and it takes instance norms apart, which the processor then computes in several passes.
"""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.runtime.openvino.structure import Form, flatten, unflatten

# torch.export and warning filters belong to the whole process.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Inputs:
    """What a part is called with: the form of its arguments, and shape and dtype of each tensor in it."""

    form: Form
    tensors: tuple[tuple[tuple[int, ...], torch.dtype], ...]


@dataclass(frozen=True)
class Converted:
    """An OpenVINO model, and the form of the answer that its outputs make up."""

    model: Any
    form: Form


def convert(child: nn.Module, inputs: Inputs) -> Converted:
    """Return the model of ``child`` in evaluation mode; nothing is computed, and weights are not copied."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        # Torch warns of its own deprecated calls while it copies a graph.
        warnings.simplefilter("ignore")
        examples = tuple(torch.empty(shape, dtype=dtype) for shape, dtype in inputs.tensors)
        answers: list[Form] = []
        adapter = _Adapter(child, inputs.form, answers.append)
        graph = torch.export.export(adapter, examples, strict=False).run_decompositions(_decompositions())
        model = _load(graph.module())
    del graph
    # Exported graphs refer to themselves.
    gc.collect()
    return Converted(model, answers[-1])


class _Adapter(nn.Module):
    """Calls a part with a flat list of tensors and returns its answer as one; tells the form of the answer."""

    def __init__(self, child: nn.Module, form: Form, tell: Callable[[Form], None]) -> None:
        super().__init__()
        self.child = child
        self._form, self._tell = form, tell

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the tensors of the answer."""
        args, kwargs = unflatten(self._form, tensors)
        answers: list[Tensor] = []
        self._tell(flatten(self.child(*args, **kwargs), answers))
        return tuple(answers)


def _decompositions() -> Any:
    """Return torch's decompositions, less those of operations that OpenVINO has itself."""
    from openvino.frontend.pytorch.torchdynamo.export_decompositions import ops_to_not_decompose
    from torch.export.decomp_utils import CustomDecompTable

    table: Any = CustomDecompTable()  # type: ignore[no-untyped-call]
    whole: Sequence[Callable[..., Any]] = (*ops_to_not_decompose(), torch.ops.aten.instance_norm.default)
    for operation in whole:
        if operation in table:
            table.pop(operation)
    return table


def _load(graph: nn.Module) -> Any:
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchFXPythonDecoder(graph, dynamic_shapes=False)
    loaded = frontend.load(decoder)
    return frontend.convert(loaded)
