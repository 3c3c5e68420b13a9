"""A check that a step carries what its method declares, before anything is computed from it."""

from __future__ import annotations

from voxtrace.errors import MethodError
from voxtrace.method import Method, Step


def check_step(method: Method, step: int, decided: Step) -> None:
    """Refuse a step whose facts, slice facts, maps or label maps are not those that the method declares.

    Facts may be missing and count as NaN; slice facts and all maps may not.

    Raises
    ------
    MethodError
        An undeclared name, a missing slice fact or map, or one of the wrong shape.
    """
    n, n_labels, depth, height, width = decided.logits.shape
    outputs = (
        ("facts", decided.facts, method.facts, (n,)),
        ("slice_facts", decided.slice_facts, method.slice_facts, (n, depth)),
        ("maps", decided.maps, method.maps, (n, depth, height, width)),
        ("label_maps", decided.label_maps, method.label_maps, (n, n_labels, depth, height, width)),
    )
    for kind, values, declared, shape in outputs:
        who = f"step {step + 1} of {method.key}"
        for name in values.keys() - declared.keys():
            raise MethodError(
                f"{who} has {name!r} among its {kind}, which {type(method).__name__}.{kind} does not declare. "
                "Declare it there with its unit."
            )
        for name in declared.keys() - values.keys() if kind != "facts" else ():
            raise MethodError(f"{who} lacks {name!r} of {type(method).__name__}.{kind}; give it at every step.")
        for name, tensor in values.items():
            if tuple(tensor.shape) != shape:
                raise MethodError(f"{who} has {name!r} of shape {tuple(tensor.shape)}; expected {shape}.")
