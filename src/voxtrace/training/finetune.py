"""Fine-tuning: a plan and initial weights from a bundle; weights that do not fit are named."""

from __future__ import annotations

from torch import nn

from voxtrace.bundle import Bundle
from voxtrace.errors import PlanError
from voxtrace.plan import Plan
from voxtrace.training.dataset import Dataset


def finetune_plan(initial: Bundle, dataset: Dataset, *, iterations: int | None = None) -> Plan:
    """Return the bundle's plan with the dataset's labels: same grid, window, normalisation and topology.

    Raises
    ------
    PlanError
        The dataset has another number of channels than the bundle.
    """
    if len(dataset.channels) != initial.plan.n_channels:
        raise PlanError(
            f"{dataset.name} has {len(dataset.channels)} channel(s), {initial.name} expects {initial.plan.n_channels} "
            f"({', '.join(initial.plan.channels)}); fine-tune from a bundle with the same channels."
        )
    changes = {"labels": dataset.labels, "iterations": iterations or initial.plan.iterations}
    return Plan.model_validate(initial.plan.model_dump() | changes)


def load_matching_weights(network: nn.Module, initial: Bundle) -> tuple[str, ...]:
    """Copy every weight of the bundle that fits by name and shape; return the names that stay as initialised."""
    own, given = network.state_dict(), initial.network.state_dict()
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    network.load_state_dict({**own, **fitting})
    return tuple(sorted(set(own) - set(fitting)))
