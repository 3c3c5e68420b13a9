"""What `evidence.py stepping` orders voxels and cases by, and how well each order finds the errors.

Voxels: the first 11 % of the organ's volume, exactly, of an order. Every order breaks its ties by the surface of the
answer first (both sides of every border between labels) and then at random, so that each is compared with the surface
at random. Cases: each number has a direction that is fixed beforehand, see ``NUMBERS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy

from voxtrace.bundle import Bundle
from voxtrace.fit import case_features
from voxtrace.fit.predicted_dice import measured_dice_prediction, rank_correlation, rank_correlation_interval
from voxtrace.inference import predict, sliding_window
from voxtrace.inference.score_plane import ScorePlane
from voxtrace.inference.second_choice import SecondChoice
from voxtrace.metrics import mean_interval
from voxtrace.trace import Trace
from voxtrace.trace.combine import majority
from voxtrace.volume import Array, Case

BUDGET = 0.11  # of the organ's volume that a person looks at
FEWEST = 6  # cases, below which none are ordered
KEPT = (1.0, 0.9, 0.75, 0.5)  # the surest cases of which the mean Dice is told
RESAMPLES = 2000
SURFACE, MARGIN, DOUBT, SETTLED = "surface at random", "margin", "in doubt", "settled late"
SEEDS, MEMBERS, OTHERS = "seeds disagree", "margin, mean of the seeds", "the other bundles disagree"
# Number of a case -> +1 where the worse case has more of it, -1 where it has less.
NUMBERS = {
    "entropy of a labelled voxel": 1,
    "mean entropy": 1,
    "volume in doubt, of the organ": 1,
    "doubt for each voxel of the surface": 1,
    "changed after the first step": 1,
    "changed by the last step": 1,
    "Dice of the first against the last step": -1,
    "Dice that the probabilities expect": -1,
    "Dice of the seeds against their vote": -1,
    "Dice of the other bundles against this": -1,
    "volume": -1,
}
_FEATURES = {
    "entropy of a labelled voxel": "entropy",
    "changed after the first step": "undecided",
    "changed by the last step": "last_change",
    "volume": "volume_ml",
}
_GRADES, _LABELS = 400_000, 512  # steps of a margin from 1 to -1; room for the label beside it, in an int32


@dataclass(eq=False)
class Look:
    """A case as a bundle answered it.

    Attributes
    ----------
    answer, wrong
        (Z, Y, X) labels, and whether each is another than the reference's.
    orders
        Name -> (Z, Y, X), what the voxels are ordered by, highest first.
    numbers
        Of the case, by the names of ``NUMBERS``.
    features
        Of the trace; see :func:`voxtrace.fit.case_features`.
    dice
        Mean Dice over the labels.
    places
        Name -> (Z, Y, X), the places that a trace names.
    """

    answer: Array
    wrong: Array
    orders: dict[str, Array]
    numbers: dict[str, float]
    features: Mapping[str, float]
    dice: float
    places: Mapping[str, Array]
    found: dict[str, tuple[float, float]] = field(default_factory=dict)


class GradedChoice(SecondChoice):
    """The second choice, and beside it the margin by which the answer's label leads, of every voxel."""

    margins: ClassVar[list[Array]] = []

    def labels(self, choice: Array, planes: Array) -> Array:
        """Return the second choice, and keep the margins (Y, X), of planes in ascending order."""
        GradedChoice.margins.append((1.0 - choice // _LABELS * (2.0 / _GRADES)).astype(np.float32))
        return super().labels(choice % _LABELS, planes)

    def _in_doubt(self, padded: ScorePlane) -> Array:
        doubt, scores = super()._in_doubt(padded), self._walk.inside(padded.scores)[: self._steps]
        if scores.shape[1] < 2:
            return doubt
        scores = scores.softmax(1) if self._average == "logits" else scores
        mean, answer = scores.mean(0), scores[-1].argmax(0, keepdim=True)
        margin = mean.gather(0, answer)[0] - mean.scatter(0, answer, -1.0).amax(0)
        grade = ((1.0 - margin.clamp(-1.0, 1.0)) * (_GRADES / 2)).round().cpu().numpy().astype(np.int32)
        return doubt + _LABELS * grade


@contextmanager
def grading() -> Iterator[None]:
    """Let the engine keep margins while the block runs."""
    usual, GradedChoice.margins[:] = sliding_window.SecondChoice, []
    sliding_window.SecondChoice = GradedChoice  # type: ignore[misc]
    try:
        yield
    finally:
        sliding_window.SecondChoice = usual  # type: ignore[misc]


def run(model: Bundle, case: Case, seed: int = 0) -> tuple[Trace, Array, Array]:
    """Return the trace of a prediction, the margins (Z, Y, X), and the last step's probabilities (Z, K, Y, X)."""
    planes: list[Array] = []
    with grading():
        result = predict(
            model, case.volume, keep="labels", seed=seed, probe=lambda _z, values: planes.append(values.copy())
        )
    return result.trace, np.stack(GradedChoice.margins), np.nan_to_num(np.stack(planes))


def look(model: Bundle, case: Case, seeds: int, score: Callable[[Array], float]) -> Look:
    """Return a case as a bundle answers it; of several seeds their vote, beside which stands the first seed's trace."""
    trace, margin, probabilities = run(model, case)
    answer = np.asarray(trace.labels[-1])
    doubt = np.asarray(trace.second[:]) != answer  # type: ignore[index]
    orders = {SURFACE: np.zeros(margin.shape, np.float32), MARGIN: -margin, DOUBT: doubt.astype(np.float32)}
    if trace.n_steps > 1:
        orders[SETTLED] = trace.settled_at().astype(np.float32)
    numbers = _numbers(trace, answer, doubt) | {"Dice that the probabilities expect": expected(answer, probabilities)}
    if seeds > 1:
        answer = _with_seeds(model, case, range(1, seeds), (answer, margin), orders, numbers)
    wrong = answer != np.asarray(case.labels.data)
    return Look(answer, wrong, orders, numbers, case_features(trace), score(answer), _places(trace, doubt))


def _places(trace: Trace, doubt: Array) -> dict[str, Array]:
    settled, kept = trace.settled_at(), trace.n_steps
    found = {"in doubt": doubt}
    if kept > 1:
        found["changed after the first step"] = settled > 0
    if kept > 2:
        found["changed in the last third"] = settled >= kept - max(1, kept // 3)
    return found


def _with_seeds(
    model: Bundle,
    case: Case,
    seeds: Sequence[int],
    first: tuple[Array, Array],
    orders: dict[str, Array],
    numbers: dict[str, float],
) -> Array:
    """Return the vote of the first seed and others, and add what their disagreement tells."""
    runs = [
        first,
        *((np.asarray(trace.labels[-1]), margin) for trace, margin, _ in (run(model, case, s) for s in seeds)),
    ]
    answers = [answer for answer, _ in runs]
    vote = majority(np.stack(answers))
    orders[SEEDS] = np.sum([vote != answer for answer in answers], axis=0).astype(np.float32)
    orders[MEMBERS] = -np.mean([np.where(answer == vote, margin, -margin) for answer, margin in runs], axis=0)
    numbers["Dice of the seeds against their vote"] = agreement(vote, answers)
    return vote


def _numbers(trace: Trace, answer: Array, doubt: Array) -> dict[str, float]:
    features, labelled = case_features(trace), max(1, int(np.count_nonzero(answer)))
    found = {name: features[key] for name, key in _FEATURES.items() if key in features}
    found["mean entropy"] = float(np.nanmean(trace.facts["entropy"][-1]))
    found["volume in doubt, of the organ"] = np.count_nonzero(doubt) / labelled
    found["doubt for each voxel of the surface"] = np.count_nonzero(doubt) / max(1, np.count_nonzero(border(answer)))
    if trace.n_steps > 1:
        found["Dice of the first against the last step"] = agreement(answer, [np.asarray(trace.labels[0])])
    return found


def with_the_others(looks: Mapping[str, Sequence[Look]]) -> None:
    """Add to every case where, and how much, the other bundles' answers differ; nothing for a single bundle."""
    for name, own in looks.items():
        for number, one in enumerate(own):
            others = [theirs[number].answer for other, theirs in looks.items() if other != name]
            if others:
                one.orders[OTHERS] = np.sum([answer != one.answer for answer in others], axis=0).astype(np.float32)
                one.numbers["Dice of the other bundles against this"] = agreement(one.answer, others)


def agreement(answer: Array, others: Sequence[Array]) -> float:
    """Return the mean Dice of other answers against one, over the labels of either."""
    values = [value for value in np.unique(answer) if value]
    found = [_overlap(answer == value, other == value) for other in others for value in values]
    return float(np.mean(found)) if found else np.nan


def _overlap(one: Array, other: Array) -> float:
    return 2.0 * np.count_nonzero(one & other) / max(1, np.count_nonzero(one) + np.count_nonzero(other))


def expected(answer: Array, probabilities: Array) -> float:
    """Return the mean Dice over the answer's labels if each voxel had its labels as often as they are probable."""
    found = [
        2.0 * float(p[answer == value].sum()) / (np.count_nonzero(answer == value) + float(p.sum()))
        for value in np.unique(answer)
        if value
        for p in (probabilities[:, value],)
    ]
    return float(np.mean(found)) if found else np.nan


def border(answer: Array) -> Array:
    """Return the voxels (Z, Y, X) on both sides of every border between labels."""
    edge = np.zeros(answer.shape, bool)
    for axis in range(3):
        differs = np.diff(answer, axis=axis) != 0
        for side in ((1, 0), (0, 1)):
            edge |= np.pad(differs, [side if a == axis else (0, 0) for a in range(3)])
    return edge


def first_of(order: Array, surface: Array, count: int, seed: int = 0) -> Array:
    """Return the positions of the first voxels of an order, highest first; ties: the surface, then at random."""
    flat, edge = order.ravel(), surface.ravel()
    may = np.flatnonzero((flat > flat.min()) | edge)
    chance = np.random.default_rng(seed).random(len(may))
    return may[np.lexsort((chance, ~edge[may], -flat[may]))[:count]]


def caught(one: Look, order: Array) -> tuple[float, float]:
    """Return the part of a case's errors in the first 11 % of the organ's volume, and the part of these that is wrong.

    NaN where there is no error, or no answer.
    """
    count = round(BUDGET * int(np.count_nonzero(one.answer)))
    hit = int(one.wrong.ravel()[first_of(order, border(one.answer), count)].sum())
    errors = int(np.count_nonzero(one.wrong))
    return (hit / errors if errors else np.nan), (hit / count if count else np.nan)


def best(one: Look) -> tuple[float, float]:
    """Return what a measure without a fault would hold, and the errors as a part of the organ's volume."""
    labelled, errors = int(np.count_nonzero(one.answer)), int(np.count_nonzero(one.wrong))
    return min(1.0, BUDGET * labelled / max(1, errors)), errors / max(1, labelled)


def voxel_table(looks: Sequence[Look]) -> dict[str, Any]:
    """Print and return what the first 11 % of every order hold, with 95 % bootstrap intervals over cases."""
    top, errors = np.mean([best(one) for one in looks], axis=0)
    print(f"errors are {errors:.1%} of the organ's volume; a measure without a fault would hold {top:.0%}")
    print("| first 11 % by | errors held | wrong among them |\n|---|---|---|")
    table: dict[str, Any] = {"best": top, "errors": errors}
    for name in looks[0].orders:
        for one in looks:
            one.found[name] = caught(one, one.orders[name])
        held, wrong = (mean_interval(column) for column in zip(*(one.found[name] for one in looks), strict=True))
        print(f"| {name} | {_percent(held)} | {_percent(wrong)} |", flush=True)
        table[name] = {"held": vars(held), "wrong": vars(wrong)}
    for name in looks[0].places:
        found = [caught_by(one.places[name], one) for one in looks]
        part, precision, within = table[f"all {name}"] = np.nanmean(found, axis=0).tolist()
        print(f"all {name}: {part:.1%} of the organ's volume, wrong in {precision:.0%}, {within:.0%} of the errors")
    return table


def caught_by(mask: Array, one: Look) -> tuple[float, float, float]:
    """Return the volume of a mask as a part of the organ's, how many of its voxels are wrong, and errors it holds."""
    inside, hit = int(np.count_nonzero(mask)), int(np.count_nonzero(mask & one.wrong))
    labelled, errors = int(np.count_nonzero(one.answer)), int(np.count_nonzero(one.wrong))
    return inside / max(1, labelled), hit / inside if inside else np.nan, hit / max(1, errors)


def _percent(found: Any) -> str:
    return f"{found.mean:.0%} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def case_table(looks: Sequence[Look]) -> dict[str, Any]:
    """Print and return how each number orders the cases: rank correlation, AUROC of the worst tenth, risk-coverage."""
    dice = np.asarray([one.dice for one in looks])
    if len(looks) < FEWEST:
        print(f"order of cases: not testable here, {len(looks)} cases")
        return {}
    heads = " / ".join(f"{part:.0%}" for part in KEPT)
    print(f"| number of a case | rank correlation | AUROC of the worst tenth | Dice of the surest {heads} | area |")
    print("|---|---|---|---|---|")
    least, chance = area(-dice, dice), float(np.mean(1.0 - dice))
    table: dict[str, Any] = {"least": least, "chance": chance}
    for name, direction in NUMBERS.items():
        values = np.asarray([one.numbers.get(name, np.nan) for one in looks])
        if np.isfinite(values).all():
            table[name] = ordered(direction * values, dice)
            print(f"| {name} | {_row(table[name], direction)} |", flush=True)
    print(f"area under risk (1 - Dice) over coverage: {chance:.4f} by chance, {least:.4f} at the least")
    return table


def _row(found: Mapping[str, Any], direction: int) -> str:
    rho, *ends = (direction * value for value in found["rank_correlation"])
    auroc = "{:.2f} [{:.2f}, {:.2f}]".format(*found["auroc"])
    kept = " / ".join(f"{value:.4f}" for value in found["kept"])
    return f"{rho:+.2f} [{min(ends):+.2f}, {max(ends):+.2f}] | {auroc} | {kept} | {found['area']:.4f}"


def ordered(risk: Array, dice: Array, seed: int = 0) -> dict[str, Any]:
    """Return how a risk orders cases by their Dice.

    ``rank_correlation`` (of the risk with the Dice) and ``auroc`` of the worst tenth, each with its 95 % interval, by
    Bonett and Wright and by bootstrap; mean Dice of the surest cases (``kept``); and the ``area`` under the risk.
    """
    rho = rank_correlation(risk, dice)
    worst = dice <= np.sort(dice)[max(1, round(len(dice) / 10)) - 1]
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(dice), len(dice)) for _ in range(RESAMPLES)]
    again = [auroc(risk[one], worst[one]) for one in drawn if 0 < worst[one].sum() < len(one)]
    low, high = np.percentile(again, [2.5, 97.5])
    surest = dice[np.argsort(risk, kind="stable")]
    return {
        "rank_correlation": (rho, *rank_correlation_interval(rho, len(dice))),
        "auroc": (auroc(risk, worst), float(low), float(high)),
        "kept": [float(surest[: max(1, round(part * len(dice)))].mean()) for part in KEPT],
        "area": area(risk, dice),
    }


def foretelling(looks: Sequence[Look]) -> dict[str, Any]:
    """Print and return how well a regression on a trace's features foretells the Dice of each case left out.

    With all features, and without each of them.
    """
    names = sorted({name for one in looks for name in one.features})
    found: dict[str, Any] = {}
    for left_out in ("", *names):
        features = [{name: v for name, v in one.features.items() if name != left_out} for one in looks]
        if record := measured_dice_prediction(features, [one.dice for one in looks]):
            low, high = record["rank_correlation_ci95"]
            found[left_out] = record
            print(
                f"regression {f'without {left_out}' if left_out else 'on ' + ', '.join(names)}: rank correlation "
                f"{record['rank_correlation']:+.2f} [{low:+.2f}, {high:+.2f}], mean error {record['error']:.4f}, where "
                f"each case is given the mean {record['error_without']:.4f}",
                flush=True,
            )
    return found


def set_apart(looks: Sequence[Look]) -> dict[str, list[float]]:
    """Print and return the Dice of the cases that each feature alone would call unlike the others.

    As *What is usual* does: further out than half the width of the middle 90 % of the other cases.
    """
    dice, found = np.asarray([one.dice for one in looks]), {}
    for name in sorted({name for one in looks for name in one.features}) if len(looks) >= FEWEST else ():
        values = np.asarray([one.features.get(name, np.nan) for one in looks])
        others = [np.nanquantile(np.delete(values, k), (0.05, 0.95)) for k in range(len(values))]
        reach = [(low - (high - low) / 2, high + (high - low) / 2) for low, high in others]
        apart = [k for k, (low, high) in enumerate(reach) if not low <= values[k] <= high]
        found[name] = dice[apart].tolist()
        worse = int((dice[apart] < dice.mean()).sum())
        print(f"unlike the others by {name}: {len(apart)}, of which {worse} have less than the mean Dice", flush=True)
    return found


def auroc(risk: Array, worst: Array) -> float:
    """Return how often a case of the worst has the higher risk than one of the others; equal ones count half."""
    ranks, n = scipy.stats.rankdata(risk), int(worst.sum())
    return float((ranks[worst].sum() - n * (n + 1) / 2) / (n * (len(worst) - n)))


def area(risk: Array, dice: Array) -> float:
    """Return the mean of 1 - Dice of the surest k cases, over every k."""
    lost = 1.0 - dice[np.argsort(risk, kind="stable")]
    return float(np.mean(np.cumsum(lost) / np.arange(1, len(lost) + 1)))
