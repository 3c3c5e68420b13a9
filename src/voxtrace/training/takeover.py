"""What a network takes over from a bundle that it starts from: weights by name and shape, channels and labels by name.

Which axes of which weights count channels or labels follows from the method alone: they are those that grow in a
network built for one channel or one label more. Along an axis that counts both, image channels come first, then labels,
as :meth:`voxtrace.method.Method.build` promises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.bundle import Bundle
from voxtrace.errors import PlanError
from voxtrace.fit.card_sections import LEARNED, TRAINED
from voxtrace.method import Method, Phase
from voxtrace.plan import Normalisation, Plan
from voxtrace.plan.regions import LabelRegion
from voxtrace.training.finetune import match_channels, match_outputs
from voxtrace.training.learned import learned_images
from voxtrace.training.new_labels import Axes, begin_rare


@dataclass(frozen=True)
class Takeover:
    """What was taken over from a bundle, and what begins anew.

    Attributes
    ----------
    initial
        The bundle.
    channels
        For each channel the bundle's that it continues, 0-based.
    labels
        New value -> old value of the labels whose rows were taken over, the background included; of regions, the place
        among these.
    anew
        Names of tensors that are, whole or in some rows, as initialised.
    sentences
        What a person should know of it.
    answers
        Whether the labels that were taken over are answered as by the bundle: all weights but those of new labels are.
    new_rows
        Rows that belong to new labels, by the name of the weight.
    """

    initial: Bundle
    channels: tuple[int, ...]
    labels: Mapping[int, int]
    anew: tuple[str, ...]
    sentences: tuple[str, ...]
    answers: bool
    new_rows: Mapping[str, Sequence[int]]

    @property
    def complete(self) -> bool:
        """Whether no weight begins anew."""
        return not self.anew

    @property
    def keeps(self) -> bool:
        """Whether the bundle knows a label, or region, that is learned on."""
        return any(self.labels) or bool(self.labels and self.initial.plan.regions)

    def to_json(self, plan: Plan) -> dict[str, Any]:
        """Return name and digest of the bundle, and what became of its channels and labels, for a card."""
        old, new = self.initial.plan, plan
        return {
            "name": self.initial.name,
            "digest": self.initial.digest,
            **_trained(self.initial),
            LEARNED: sorted(learned_images(self.initial.card)),
            "channels": {new.channels[now]: old.channels[before] for now, before in enumerate(self.channels)},
            "labels": {new.outputs[now]: old.outputs[before] for now, before in self.labels.items()},
            "labels_anew": _anew(new, self.labels),
            "labels_dropped": _dropped(old, self.labels),
            "told": list(self.sentences),
        }


def _trained(initial: Bundle) -> dict[str, Any]:
    """Return how long a bundle was trained, with those that it began from itself; {} where its card does not say."""
    made = initial.card.get("provenance", {})
    before = made.get("initial", {}).get(TRAINED, {})
    own = {name: made[name] for name in ("iterations", "seconds") if isinstance(made.get(name), (int, float))}
    total = {name: round(value + before.get(name, 0), 1) for name, value in own.items()}
    return {TRAINED: total} if total else {}


def take_over(method: Method, plan: Plan, network: nn.Module, initial: Bundle) -> Takeover:
    """Copy what fits of a bundle's weights into a network that was built for a plan; return what was taken over.

    Buffers, such as masks and running statistics, are taken over only with all weights of their module.

    Raises
    ------
    PlanError
        Channels do not match, the network reads them by their place, or no weight fits; or weights that no phase trains
        are not the bundle's.
    """
    channels = match_channels(initial, plan.channels)
    if channels != tuple(range(len(channels))) and not method.may_reorder_channels(plan, channels):
        names = ", ".join(initial.plan.channels)
        raise PlanError(
            f"{method.key} treats channels by their place, and {initial.name} has them in the order {names}; number "
            "them so in dataset.json and in the names of the images."
        )
    labels = match_outputs(initial.plan, plan)
    axes = counting_axes(method, plan)
    given = {name: one for name, one in initial.network.state_dict().items() if not _begins_anew(method, name)}
    before = initial.plan.n_outputs
    parts = {
        name: _joined(tensor, given.get(name), axes[name], _Match(channels, labels, plan.n_outputs, before))
        for name, tensor in network.state_dict().items()
    }
    parameters = [name for name, _ in network.named_parameters()]
    if not any(parts[name] is not None for name, tensor in network.named_parameters() if tensor.ndim > 1):
        raise PlanError(
            f"no weight of {initial.name} ({initial.method.key}) fits {method.key} with these options; train without "
            "--from, or with the bundle's own method and options."
        )
    refused = {_module(name) for name in parameters if parts[name] is None}
    for name in set(parts) - set(parameters):
        if _module(name) in refused:
            parts[name] = None
    network.load_state_dict({**network.state_dict(), **{name: part[0] for name, part in parts.items() if part}})
    rows: dict[str, list[int]] = {}
    if any(labels) and not (plan.regions or initial.plan.regions):  # else there is no answer to keep
        new = [value for value in plan.labels if value not in labels]
        taken = {name for name, part in parts.items() if part}
        rows = begin_rare(network, (sorted(labels), new), plan.n_channels, axes, taken)
    anew = tuple(sorted(name for name, part in parts.items() if part is None or not part[1]))
    whole = [name for name in parameters if parts[name] is None]
    _check_untrained(method, plan, initial, [name for name in parameters if name in anew])
    unfit = sum(not _begins_anew(method, name) for name in whole)
    told = tuple(_sentences(method, plan, initial, channels, labels, (unfit, len(parameters))))
    alike = bool(plan.regions) == bool(initial.plan.regions)
    answers = alike and not whole and any(plan.regions or k for k in labels)
    return Takeover(initial, channels, labels, anew, told, answers, rows)


def learns_anew(method: Method, phase: Phase) -> bool:
    """Return whether a phase trains nothing but weights that a bundle does not give."""
    trained = (phase.trains,) if isinstance(phase.trains, str) else phase.trains
    return all(_begins_anew(method, prefix) for prefix in trained)


def _begins_anew(method: Method, name: str) -> bool:
    return name.startswith(method.begins_anew)


def _check_untrained(method: Method, plan: Plan, initial: Bundle, anew: Sequence[str]) -> None:
    """Refuse weights that neither are the bundle's nor are trained."""
    trained = [phase.trains for phase in method.phases(plan)]
    left = [name for name in anew if not any(name.startswith(prefix) for prefix in trained)]
    if left:
        raise PlanError(
            f"{len(left)} weights that {method.key} keeps as they are, e.g. {left[0]}, do not fit the labels or "
            f"options asked for; keep those of {initial.name}, or train all of its weights."
        )


@torch.no_grad()
def counting_axes(method: Method, plan: Plan) -> dict[str, Axes]:
    """Return for each tensor of a method's network how much each axis grows with a channel, and with a label, more."""
    one_channel = plan.model_copy(
        update={
            "channels": (*plan.channels, "one more"),
            "normalisation": (*plan.normalisation, Normalisation()),
        }
    )
    one_label = plan.model_copy(update={"labels": {**plan.labels, plan.n_labels: "one more"}})
    if plan.regions:
        value = plan.n_labels
        one_region = LabelRegion(name="one more", values=(value,), paints=value)
        one_label = one_label.model_copy(update={"regions": (*plan.regions, one_region)})
    now, channel, label = (_shapes(method, one) for one in (plan, one_channel, one_label))
    return {
        name: tuple(
            (more_c - size, more_k - size)
            for size, more_c, more_k in zip(shape, channel[name], label[name], strict=True)
        )
        for name, shape in now.items()
    }


def _shapes(method: Method, plan: Plan) -> dict[str, torch.Size]:
    """Return the shape of each tensor of a network, built without memory for its weights."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {name: tensor.shape for name, tensor in method.build(plan).state_dict().items()}


@dataclass(frozen=True)
class _Match:
    """Old channel of each channel, new label -> old label, and the number of labels now and before."""

    channels: Sequence[int]
    labels: Mapping[int, int]
    n_labels: int
    n_before: int

    def rows(self, size: int, counts: tuple[int, int]) -> tuple[list[int], list[int], int] | None:
        """Return rows of an axis, the rows that they continue, and the size before; None where that is not known."""
        by_channel, by_label = counts
        if counts == (0, 0):
            return list(range(size)), list(range(size)), size
        first = by_channel * len(self.channels)  # images first, then labels
        if max(counts) > 1 or size != first + by_label * self.n_labels:
            return None
        now, before = (list(range(first)), list(self.channels)) if by_channel else ([], [])
        if by_label:
            now += [first + value for value in self.labels]
            before += [first + value for value in self.labels.values()]
        return now, before, first + by_label * self.n_before


def _joined(own: Tensor, given: Tensor | None, axes: Axes, match: _Match) -> tuple[Tensor, bool] | None:
    """Return a tensor with what it takes over, and whether that is all of it; None where nothing fits."""
    if given is None or given.ndim != own.ndim:
        return None
    joined, taken = own.clone(), given.to(own.device, own.dtype, copy=True)
    index: list[Tensor] = []
    for axis, counts in enumerate(axes):
        rows = match.rows(own.shape[axis], counts)
        if rows is None or rows[2] != given.shape[axis]:
            return None
        index.append(torch.tensor(rows[0], device=own.device))
        taken = taken.index_select(axis, torch.tensor(rows[1], device=own.device)) if any(counts) else taken
    if not any(any(counts) for counts in axes):
        return taken, True
    joined[torch.meshgrid(*index, indexing="ij")] = taken
    return joined, taken.numel() == own.numel()


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _sentences(
    method: Method,
    plan: Plan,
    initial: Bundle,
    channels: Sequence[int],
    labels: Mapping[int, int],
    anew: tuple[int, int],
) -> list[str]:
    """Return what a person should know: of channels, normalisation, labels, weights and options."""
    old, said = initial.plan, []
    pairs = [(name, old.channels[before]) for name, before in zip(plan.channels, channels, strict=True)]
    if tuple(channels) != tuple(range(len(channels))) or any(now.lower() != was.lower() for now, was in pairs):
        said.append("channels continue the bundle's: " + ", ".join(f"{now} its {was}" for now, was in pairs))
    for now, before in enumerate(channels):
        rule, was = plan.normalisation[now], old.normalisation[before]
        if rule != was:
            said.append(f"{plan.channels[now]} is normalised as the new data ask ({rule.scheme}), not as in the bundle")
    if new := _anew(plan, labels):
        kept = [name for value, name in plan.outputs.items() if (value or plan.regions) and value in labels]
        said.append(f"initialised anew: {', '.join(new)}; taken over: {', '.join(kept) or 'no label'}")
    if gone := _dropped(old, labels):
        said.append(
            f"labels of the bundle that the dataset does not have, and the new bundle forgets: {', '.join(gone)}"
        )
    if anew[0]:
        said.append(f"{anew[0]} of {anew[1]} weights do not fit and are initialised anew")
    if method.begins_anew:
        said.append(f"begins anew, as asked: {', '.join(name.rstrip('.') for name in method.begins_anew)}")
    return [*said, *_options(method, initial)]


def _anew(plan: Plan, labels: Mapping[int, int]) -> list[str]:
    return [name for value, name in plan.outputs.items() if value not in labels]


def _dropped(old: Plan, labels: Mapping[int, int]) -> list[str]:
    return [name for value, name in old.outputs.items() if value not in labels.values()]


def _options(method: Method, initial: Bundle) -> list[str]:
    """Return the options in which a method differs from the bundle's, or another method from its own, in words."""
    now = method.to_json()["options"]
    if method.key != initial.method.key:
        usual = type(method)().to_json()["options"]
        told = ", ".join(f"{name} {value}" for name, value in now.items() if value != usual[name])
        return [f"from {initial.method.key} to {method.key}{f' with {told}' if told else ''}"]
    was = initial.method.to_json()["options"]
    changed = [f"{name} {value} (in the bundle {was[name]})" for name, value in now.items() if value != was.get(name)]
    return [f"options: {', '.join(changed)}"] if changed else []
