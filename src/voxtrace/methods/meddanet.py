"""Med-DANet: a decision network looks at each slice and picks which of four candidates segments it, or none.

Idea: most slices are easy. A model bank of four candidate networks on slices, the cheapest first, is trained jointly;
then the decision network learns which candidate is worth its cost on a slice, and inference runs that one alone::

    phase 1   L = (1/n)·Σ_j dice loss of M_j(x)                      n candidates still in training   (eq. 5)
    phase 2   D learns D*(x) by weighted cross-entropy, M_1 … M_n frozen     on cases that phase 1 left out (ours)

    D*(x) = 0                                                        where P_f = 0                    (eq. 4)
            1 + argmax_i [(1 − α)·S_i + α·softmax_i(1/F_i)]          elsewhere
            unknown, of weight 0             where P_f = 0 and some pixels are not annotated

    inference   a = argmax D(x)                                      0 skip, 1 … 4 a candidate; or skip where D
                                                                     gives it more than ½, say (``decide``, ours)
                y = background where a = 0, else M_a(x)

Legend: x a slice, or a window of it; D decision network; M_1 … M_4 candidates; a action; D* the action that D learns;
P_f foreground pixels of the slice; S_i Dice of M_i on the slice; F_i its cost in GMAC, as the paper counts; α weight of
cost beside Dice.

A slice is a window one voxel thick. M_1 and M_2 leave phase 1 after three quarters of its updates. In networks and in
files the parts keep short keys: ``router`` is D, ``expert1`` … ``expert4`` are M_1 … M_4; phase 1 is ``bank``, phase 2
``router``. Between them D learns on all cases, in ``presence``, where there is anything to segment: that does not
depend on the bank, and cases left out of phase 1 are few.

The networks are in :mod:`voxtrace.nn.model_bank`, what the paper prints in :mod:`voxtrace.methods.published.meddanet`.

References
----------
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022,
arXiv:2206.06575.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxtrace.errors import MethodError, PlanError
from voxtrace.method import Alike, Batch, Figure, Method, Noise, Parts, Phase, Step, TrainState, option
from voxtrace.methods.published import meddanet as published
from voxtrace.methods.published import meddanet_recipe as recipe
from voxtrace.methods.published.meddanet_recipe import BANK, PRESENCE, ROUTER
from voxtrace.nn.across import over_processes
from voxtrace.nn.choice import bank_quality, bank_report, choices_report, not_examined
from voxtrace.nn.losses import dice_loss_over_batch, mean_hard_dice
from voxtrace.nn.model_bank import CANDIDATES, DECISION, WAYS, MedDANetNetwork, costs, decided, slice_topology
from voxtrace.nn.transbts import SHRINKS
from voxtrace.plan import Plan, Shape, check_divisible
from voxtrace.plan.regions import refuse_regions
from voxtrace.windows import Windowing, strided, uniform

DETACHED = 300 / 400  # of the epochs of phase 1, when M_1 and M_2 leave
CANDIDATE_NAMES = ("M1", "M2", "M3", "M4")
TOLERANCE, CORRELATION = 0.01, 0.8  # of Dice between candidates; least of their errors
SMALL = 2  # M_1 and M_2; M_3 and M_4 go on
PUBLISHED_WIDTH = 32  # base width of the plan that nnU-Net makes on a machine like the paper's
LEAST_SIDE, MOST_SLICES, SLICES_IN_A_ROW = 16, 64, 16
KEPT = {"bank": ("keep",)}  # where candidates do not learn
ONE_TERM = {"alpha": (0.0, 1.0)}  # Dice alone decides, or cost alone, which always takes M1
FORCED = {"force": CANDIDATES}  # where D does not decide
LEAST_SCALE = 0.25  # M_1 would be as wide as M_2 below it

BRATS_REGIONS: tuple[tuple[int, ...], ...] = ((1, 2, 3), (1, 3), (3,))  # whole tumour, tumour core, enhancing tumour


@dataclass(frozen=True)
class MedDANet(Method):
    """Four candidate networks on slices and a decision network that picks one for each window."""

    key: ClassVar[str] = "meddanet"
    title: ClassVar[str] = "Med-DANet"
    source: ClassVar[str] = "Wang et al., Med-DANet, ECCV 2022, arXiv:2206.06575"
    facts: ClassVar[dict[str, str]] = {"candidate": "index", "cost_gflop": "GFLOP"}
    value_names: ClassVar[dict[str, tuple[str, ...]]] = {"candidate": ("skip", *CANDIDATE_NAMES)}
    training_facts: ClassVar[dict[str, str]] = {"candidates_in_training": ""}

    setting: Literal["window", "slice"] = option(
        "window", "Decide for each of overlapping windows, or once a slice (the window then is the plane)."
    )
    size: int = option(
        0, "Side of a square window in voxels (published: 128, and 240 by slice); 0 takes the plan's.", low=0, high=1024
    )
    force: Literal["router", "expert1", "expert2", "expert3", "expert4"] = option(
        "router",
        "What decides: the decision network (router), or always one of M1 (expert1) … M4 (expert4).",
        live=True,
    )
    decide: Literal["at_once", "skip_first"] = option(
        "at_once",
        "How D's five scores decide: the largest of all (at_once, paper), or first whether to skip, where that has "
        "more than skip_above, then which network (skip_first): several that are equally good do not share their part.",
        live=True,
        unread_where=FORCED,
    )
    skip_above: float = option(
        0.5,
        "Probability above which decide=skip_first skips: higher runs more slices, misses fewer. Where missing one "
        "costs its Dice S and running one α, S / (S + α).",
        low=0.01,
        high=0.9999,
        live=True,
        unread_where={"decide": ("at_once",), **FORCED},
    )
    alpha: float = option(
        0.001, "α, the weight of cost beside Dice when the best candidate of a slice is chosen.", low=0, high=1
    )
    softmax_on_dice: bool = option(
        False, "Compare candidates by the softmax of their Dice (ablation).", unread_where=ONE_TERM
    )
    softmax_on_cost: bool = option(
        True, "Compare candidates by the softmax of 1/GMAC; off compares 1/GMAC (ablation).", unread_where=ONE_TERM
    )
    choice_cost: Literal["published", "own"] = option(
        "published",
        "F, the cost of the candidates in the choice of the best one: for the published widths and windows, for "
        "which alpha is meant, or of the networks that are trained; narrow ones cost so little that the softmax only "
        "asks for M1.",
        unread_where=ONE_TERM,
    )
    loss_labels: Literal["foreground", "all"] = option(
        "foreground",
        "Labels in the Dice loss of the bank: without the background (released code), or with it (the paper's C, as it "
        "lists four classes).",
        unread_where=KEPT,
    )
    regions: Literal["labels", "brats"] = option(
        "labels", "What Dice is averaged over: each label, or whole tumour, tumour core and enhancing tumour."
    )
    skip_weight: float = option(0.8, "Weight of slices to skip in the decision network's loss.", low=0)
    expert1_weight: float = option(1.0, "Weight of slices for M1 in the decision network's loss.", low=0)
    expert2_weight: float = option(1.0, "Weight of slices for M2 in the decision network's loss.", low=0)
    expert3_weight: float = option(1.1, "Weight of slices for M3 in the decision network's loss.", low=0)
    expert4_weight: float = option(1.2, "Weight of slices for M4 in the decision network's loss.", low=0)
    scale: float = option(
        0.0, "Widths of M1 … M4 as a fraction of the published; 0 suits the plan (1 at base width 32).", low=0, high=2
    )
    held_out: float = option(
        0.25,
        "Fraction of the training cases, where there are 5 or more, that the bank does not learn and the decision "
        "network learns to choose on; 0 gives both all cases.",
        low=0,
        high=0.5,
    )
    variation: Literal["paper", "turned", "strong"] = option(
        "paper",
        "How slices vary: mirrored, intensities shifted (paper), those of the bank also turned by up to 30° and scaled "
        "(turned), or all more often and more, deformed, intensities as nnU-Net's (strong), for few cases.",
        alike_where=(Alike(KEPT, ("paper", "turned")),),
    )
    choice_layers: Literal["all", "last"] = option(
        "all",
        "What learns to choose once the decision network knows where anything is: all of it, or its last layer alone, "
        "for few cases.",
    )
    bank: Literal["learn", "keep"] = option(
        "learn",
        "Train candidates and decision network, or keep the candidates of the bundle that training begins from and "
        "train a new decision network alone, e.g. for another alpha.",
    )
    rate: float = option(
        0.0,
        "First learning rate of M1 … M4; 0 suits the length of the run (0.0001 as published).",
        low=0,
        high=1,
        unread_where=KEPT,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size and (self.size < LEAST_SIDE or self.size % SHRINKS):
            raise MethodError(
                f"meddanet: size is {self.size}; expected 0 or a multiple of {SHRINKS} from {LEAST_SIDE}, e.g. 128."
            )
        if 0 < self.scale < LEAST_SCALE:
            raise MethodError(f"meddanet: scale is {self.scale}; expected 0, or {LEAST_SCALE} to 2.")
        if self.choice_layers == "last" and not self.held_out:
            raise MethodError("meddanet: choice_layers is 'last', but held_out=0 has no phase for it; use e.g. 0.25.")

    # The plan and the networks

    def adapt(self, plan: Plan) -> Plan:
        """Return the plan for windows one voxel thick; an update has about as many voxels as before.

        In-plane the window stays, rounded up to a multiple of 8 (a candidate halves it three times) and at least 16.
        """
        refuse_regions(self.key, plan.regions)  # candidates are compared, and slices skipped, by one label a voxel
        if self.regions == "brats" and plan.n_labels != 1 + len(BRATS_REGIONS):
            raise MethodError(
                f"meddanet: the plan has {plan.n_labels} labels, but regions='brats' needs 4: background, core, edema "
                "and enhancing; use regions='labels'."
            )
        check_divisible(plan.window, plan.topology)
        y, x = (self.size or max(LEAST_SIDE, math.ceil(n / SHRINKS) * SHRINKS) for n in plan.window[1:])
        window: Shape = (1, y, x)
        slices = plan.batch_size * math.prod(plan.window) // math.prod(window)
        return plan.model_copy(
            update={
                "window": window,
                "overlap": 2 / 3 if self.setting == "window" else 0.0,
                "topology": slice_topology(plan.topology.widths[0]),
                "batch_size": min(max(slices, 2), MOST_SLICES),
            }
        )

    def build(self, plan: Plan) -> nn.Module:
        """Return the network: children ``router``, ``expert1`` … ``expert4``, ``skip`` and ``cost``."""
        if plan.window[0] != 1:
            raise PlanError(
                f"window {plan.window} is {plan.window[0]} voxels deep; meddanet sees slices, so pass adapt(plan)."
            )
        return MedDANetNetwork(plan, self.scale_for(plan))

    def scale_for(self, plan: Plan) -> float:
        """Return the candidates' widths as a fraction of the published ones, at least a quarter."""
        return max(LEAST_SCALE, self.scale or plan.topology.widths[0] / PUBLISHED_WIDTH)

    # Training

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return the bank's phase, 400 of 450 parts of the updates, and the decision network's.

        The latter have at least 300 updates, or three tenths of a short run or of a limited time (ours). Fine-tuning
        has all phases: D is trained again for the candidates as they are then. With a bank kept, all updates are D's.
        """
        keeps = self.bank == "keep"
        decision = plan.iterations if keeps else recipe.decision_updates(plan.iterations)
        of_d = recipe.decision_phases(decision, plan, self.held_out, self.variation, self.choice_layers == "last")
        if keeps:
            return of_d
        bank = max(1, plan.iterations - decision)
        return recipe.bank_phase(bank, plan, self.held_out, self.rate_for(bank), self.variation), *of_d

    def kept_phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return the bank's phase where the bank is kept: its verdict is known before D learns."""
        bank = recipe.bank_phase(1, plan, self.held_out, self.rate_for(1), self.variation)
        return (bank,) if self.bank == "keep" else ()

    @property
    def begins_anew(self) -> tuple[str, ...]:
        """The decision network, where the bank is kept: it learns from the beginning, at its own rates."""
        return (recipe.DECISION_WEIGHTS,) if self.bank == "keep" else ()

    def check_start(self, other: Method | None) -> None:
        """Refuse to keep a bank that is not there."""
        if self.bank == "keep" and not isinstance(other, MedDANet):
            raise MethodError(
                "meddanet: bank is 'keep', which keeps the candidates of a bundle of meddanet; give one with --from, "
                "or use bank='learn'."
            )

    def fine_tuned(self, other: Method | None = None) -> Self:
        """Return the method that trains its bank, too, whether the one before kept it or not."""
        return replace(self, bank="learn")

    def rate_for(self, iterations: int) -> float:
        """Return the first rate of phase 1: 1e-4, times the root of how much shorter the run is, at most 20 times."""
        return self.rate or recipe.published_rate(iterations)

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        """Return the Dice losses of the candidates still in training, or the decision network's cross-entropy."""
        net = cast(MedDANetNetwork, network)
        if state.phase.name == BANK:
            # eq. 5: the mean over the n candidates still in training; those that left are not run.
            active = net.candidates[self.left_so_far(state) :]
            first = 0 if self.loss_labels == "all" else 1
            losses = {name: dice_loss_over_batch(M(batch.images), batch.labels, first) for name, M in active}
            return {name: loss / len(active) for name, loss in losses.items()}
        certain = self.is_certain(net, batch)  # (B,)
        scores = net.router(batch.images).float()  # D(x), (B, 5)
        weights = scores.new_tensor([self.skip_weight, *(getattr(self, f"{name}_weight") for name in CANDIDATES)])
        if state.phase.name == PRESENCE:
            shown = net.is_shown(batch.labels)
            log_p = scores.log_softmax(1)
            wrong = -torch.where(shown, log_p[:, 1:].logsumexp(1), log_p[:, 0])  # any candidate, or skip
            weight = torch.where(shown, weights[1:].mean(), weights[0])
        else:
            wanted = self.best_actions(net, batch)  # D*, (B,)
            wrong = functional.cross_entropy(scores, wanted, reduction="none")
            weight = weights[wanted]
        weight = weight * certain
        total = over_processes(weight.sum()).clamp_min(torch.finfo(weight.dtype).eps)
        return {"cross_entropy": over_processes((wrong * weight).sum()) / total}

    def left_so_far(self, state: TrainState) -> int:
        """Return how many candidates, the smallest first, are no longer trained in the bank's phase."""
        return 0 if state.progress < DETACHED else SMALL

    def examine(self, network: nn.Module, phase: Phase, windows: Callable[[], Iterator[Batch]]) -> Mapping[str, Any]:
        """Return whether the bank is worth choosing between (after its phase), or what choices are worth (after D's).

        A bank is when no candidate's mean Dice, over slices that show something, is below that of a cheaper one by more
        than 0.01, the errors of any two correlate above 0.8 (else which is best is chance, and cannot be learned), and
        the best gains half of what skipping misses: untrained candidates are alike, too. All three numbers are ours.
        """
        if phase.name == PRESENCE:
            return {}
        net = cast(MedDANetNetwork, network)
        found = [(self.scores(net, batch), net.is_shown(batch.labels), net.router(batch.images)) for batch in windows()]
        if not found:
            return not_examined(CANDIDATE_NAMES)
        scores = torch.cat([S for S, _, _ in found], 1).cpu()
        shown, D = (torch.cat(parts).cpu() for parts in ([P for _, P, _ in found], [D for _, _, D in found]))
        if phase.name == BANK:
            return bank_report(bank_quality(scores, shown), CANDIDATE_NAMES, TOLERANCE, CORRELATION)
        ways = {way: decided(D, way, self.skip_above) for way in WAYS}
        return choices_report(ways, self.decide, scores, shown, net.cost(torch.arange(DECISION + 1)), CANDIDATE_NAMES)

    def scores(self, net: MedDANetNetwork, batch: Batch) -> Tensor:
        """Return the Dice (5, B) of each action on each slice; candidates are in evaluation mode."""
        answers = (net.skip, *(M for _, M in net.candidates))
        return torch.stack([self.slice_dice(answer(batch.images), batch.labels) for answer in answers])

    def trained_so_far(self, state: TrainState) -> Method:
        """Return the method with the largest candidate alone as long as the decision network does not choose."""
        waits = state.phase.name != ROUTER and self.force == "router"
        return replace(self, force="expert4") if waits else self

    def training_report(self, network: nn.Module, state: TrainState) -> dict[str, float]:
        """Return how many candidates are in training: none once the decision network is."""
        bank = state.phase.name == BANK
        return {"candidates_in_training": len(CANDIDATES) - self.left_so_far(state) if bank else 0}

    def is_certain(self, net: MedDANetNetwork, batch: Batch) -> Tensor:
        """Return of which slices (B,) the wanted action is known.

        A slice that is annotated in part alone, without a label drawn, may show something: nothing says to skip it.
        """
        return net.is_shown(batch.labels) | (batch.labels < net.skip.n_labels).flatten(1).all(1)

    @torch.no_grad()
    def best_actions(self, net: MedDANetNetwork, batch: Batch) -> Tensor:
        """Return D* (B,) of slices; the candidates are in evaluation mode."""
        shown = net.is_shown(batch.labels)  # (B,)
        actions = torch.zeros_like(shown, dtype=torch.int64)  # 0: skip
        if bool(shown.any()):
            x, y = batch.images[shown], batch.labels[shown]
            S = torch.stack([self.slice_dice(M(x), y) for _, M in net.candidates])  # (4, slices shown)
            actions[shown] = 1 + self.worth(S, self.candidate_costs(net, S)).argmax(0)
        return actions

    def candidate_costs(self, net: MedDANetNetwork, S: Tensor) -> Tensor:
        """Return F (4,), GMAC of M_1 … M_4 as the paper counts, on the device and in the number type of S."""
        if self.choice_cost == "own":
            return net.cost.published(S.device).to(S)
        return S.new_tensor(published.TOTALS_DIVIDED_GMAC[128 if self.setting == "window" else 240])

    def worth(self, S: Tensor, F: Tensor) -> Tensor:
        """Return what each candidate is worth on each slice (eq. 4), (4, B), of its Dice S (4, B) and cost F (4,)."""
        if self.softmax_on_dice:
            S = S.softmax(0)
        cheapness = (1.0 / F).softmax(0) if self.softmax_on_cost else 1.0 / F
        return (1.0 - self.alpha) * S + self.alpha * cheapness[:, None]

    def slice_dice(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return S (B,) of logits (B, K, 1, Y, X): Dice of the strongest label, the mean over regions of each slice."""
        return mean_hard_dice(logits, labels, BRATS_REGIONS if self.regions == "brats" else ())

    # Inference

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        """Yield the one decision: each candidate runs once, on the windows with its action; none on the skipped."""
        a = self.choose(parts, images)  # (B,)
        logits = parts["skip"](images)  # (B, K, 1, Y, X)
        for action, name in enumerate(CANDIDATES, start=1):
            chosen = (a == action).nonzero()[:, 0]
            if len(chosen):
                logits = logits.index_copy(0, chosen, parts[name](images[chosen]).to(logits.dtype))
        cost = parts["cost"](a)  # (B,)
        if self.force == "router":
            cost = cost + parts["cost"](torch.full_like(a, DECISION))  # D looks at every window
        yield Step(logits, {"candidate": a.float(), "cost_gflop": cost})

    def choose(self, parts: Parts, images: Tensor) -> Tensor:
        """Return the action a (B,) for each window: 0 to skip it, 1 … 4 for a candidate."""
        if self.force != "router":
            return torch.full((len(images),), 1 + CANDIDATES.index(self.force), device=images.device)
        return decided(parts["router"](images), self.decide, self.skip_above)

    def value_costs(self, plan: Plan) -> dict[str, tuple[float, ...]]:
        """Return the GFLOP of skipping and of M1 … M4 on one window, without the decision network's."""
        of_candidates = costs(plan.n_channels, plan.n_labels, plan.window, self.scale_for(plan), "true")
        return {"candidate": (0.0, *of_candidates[: len(CANDIDATES)])}

    def windowing(self, plan: Plan) -> Windowing:
        """Return windows a third of their side apart (by slice: side by side), overlaps averaged."""
        return Windowing(schedule=strided(SLICES_IN_A_ROW), blend=uniform, slices=SLICES_IN_A_ROW)

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        """Return the published costs."""
        return published.figures()
