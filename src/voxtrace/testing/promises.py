"""What engine and trainer rely on in every method: a function a promise, each takes the method's name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError
from voxtrace.inference.step_check import check_step
from voxtrace.method import Batch, Method, OptionInfo, Step, TrainState
from voxtrace.methods import method, method_class, recorded
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.testing.balls import ball
from voxtrace.testing.chance import chance, drawn
from voxtrace.testing.tolerance import CountedLayers, InFloat64, distance
from voxtrace.windows import Decision, Window

BATCH = 2
LEAST_DICE = 0.8  # of a ball that was not seen, after a minute's training at most

Promise = Callable[[str], None]

PROMISES: dict[str, Promise] = {}
"""Name of each promise -> function that takes a method's name; it raises AssertionError where the promise is broken."""


def _promise(check: Promise) -> Promise:
    """List a promise; it draws numbers of its own, on one thread, so that its answer repeats exactly."""

    @wraps(check)
    def alone(name: str) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with drawn():
                check(name)
        finally:
            torch.set_num_threads(threads)

    PROMISES[check.__name__] = alone
    return alone


def _require(held: object, otherwise: str) -> None:
    if not held:
        raise AssertionError(otherwise)


def _plan(name: str, **changes: Any) -> Plan:
    plan = Plan.example(labels=2, window=(16, 16, 16), base_width=4)
    return method(name).adapt(plan.model_copy(update={"batch_size": BATCH, **changes}))


@drawn()
def _built(name: str) -> tuple[Method, Plan, nn.Module]:
    m, plan = method(name), _plan(name)
    return m, plan, m.build(plan)


def _parts(network: nn.Module) -> Any:
    return dict(network.eval().named_children())


def _noise(plan: Plan, seed: int = 0, windows: int = BATCH) -> GridNoise:
    return GridNoise(seed, [Window(0, 0, 0)] * windows, plan.window, (), "cpu")


def _images(plan: Plan, channels: int | None = None) -> Tensor:
    return torch.randn(BATCH, channels or plan.n_channels, *plan.window, generator=chance(1))


def _steps(m: Method, plan: Plan, network: nn.Module, seed: int = 0) -> list[Step]:
    with torch.no_grad():
        return list(m.infer(_parts(network), _images(plan), _noise(plan, seed)))


def _batch(plan: Plan) -> Batch:
    rng = chance(3)
    labels = torch.randint(0, plan.n_labels, (BATCH, *plan.window), generator=rng)
    return Batch(torch.randn(BATCH, plan.n_channels, *plan.window, generator=rng), labels)


@_promise
def adapting_a_plan_twice_is_adapting_it_once(name: str) -> None:
    """``adapt(adapt(plan)) == adapt(plan)``."""
    plan = _plan(name)
    _require(method(name).adapt(plan) == plan, "adapt changes a plan that it has adapted already.")


@_promise
def no_weight_depends_on_an_option_that_may_change_after_training(name: str) -> None:
    """Options that are ``live`` change neither plan nor shapes of weights, where their values are not refused."""
    m, plan, network = _built(name)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    for info in (info for info in m.options() if info.live):
        for value in _other_values(info):
            try:
                changed, told = replace(m, **{info.name: value}), f"{info.name} is live, but with {value!r} "
            except MethodError:  # not beside the other options as they are
                continue
            _require(changed.adapt(plan) == plan, f"{told}the plan is another.")
            found = {key: v.shape for key, v in changed.build(plan).state_dict().items()}
            _require(found == shapes, f"{told}the weights have other names or shapes.")


def _other_values(info: OptionInfo) -> list[Any]:
    if info.choices:
        return list(info.choices)
    if info.kind is bool:
        return [True, False]
    numbers = [value for value in (info.low, info.high) if value is not None]
    return numbers or (["1"] if info.kind is str else [info.default + 1])


@_promise
def what_the_weights_tell_is_json(name: str) -> None:
    """``describe`` goes into ``bundle.json``."""
    m, _, network = _built(name)
    told = m.describe(network)
    _require(json.loads(json.dumps(told)) == told, "what describe returns is not the same after JSON.")


@_promise
def a_method_says_whether_it_draws_random_numbers(name: str) -> None:
    """``random`` is true where, and only where, another seed gives another answer."""
    m, plan, network = _built(name)
    first, other = (_steps(m, plan, network, seed) for seed in (0, 1))
    same = all(torch.equal(a.logits, b.logits) for a, b in zip(first, other, strict=True))
    _require(
        same is not m.random, f"random is {m.random}, but two seeds give {'one answer' if same else 'two answers'}."
    )


@_promise
def values_that_have_names_have_a_cost_each_or_none(name: str) -> None:
    """``value_costs`` has as many numbers as ``value_names`` has names, and each step stays within them."""
    m, plan, network = _built(name)
    costs = m.value_costs(plan)
    _require(
        costs.keys() <= m.value_names.keys(), f"value_costs has {sorted(costs)}, value_names {sorted(m.value_names)}."
    )
    for fact, of_values in costs.items():
        _require(len(of_values) == len(m.value_names[fact]), f"{fact} has {len(of_values)} costs; expected one a name.")
    for step in _steps(m, plan, network):
        for fact, names in m.value_names.items():
            values = (step.facts if fact in m.facts else step.slice_facts)[fact]
            _require(((values >= 0) & (values < len(names))).all(), f"a step gives {fact} a value that has no name.")


@_promise
def windows_cover_every_voxel_of_a_small_volume(name: str) -> None:
    """``windowing`` visits each voxel, in ascending z, with positive weights."""
    plan = _plan(name)
    how = method(name).windowing(plan)
    blend = how.blend(plan.window)
    _require(blend.shape == plan.window, f"blend is {tuple(blend.shape)}; expected the window {plan.window}.")
    _require((blend > 0).all(), "blend has a weight of 0 or less.")
    shape = tuple(n + n // 2 for n in plan.window)
    seen, lowest = np.zeros(shape, bool), 0
    for row in _rows(method(name), plan, shape):
        _require(row[0].z >= lowest, f"a window at z {row[0].z} follows one at {lowest}; expected ascending z.")
        lowest = row[0].z
        _require(
            all(lowest <= w.z < lowest + how.slices for w in row), f"a row spans more than its {how.slices} slices."
        )
        for w in row:
            seen[tuple(slice(a, a + n) for a, n in zip(w, plan.window, strict=True))] = True
    _require(seen.all(), f"{(~seen).sum()} of {seen.size} voxels lie in no window.")


def _rows(m: Method, plan: Plan, shape: tuple[int, ...]) -> Iterator[list[Window]]:
    """Yield the rows of windows, each answered with windows that are full of label 1."""
    rows = m.windowing(plan).schedule(cast(Any, shape), plan.window, plan.overlap)
    facts, labels = dict.fromkeys(m.facts, 0.0), np.ones(plan.window, np.uint8)
    row = next(rows, None)
    while row is not None:
        yield list(row)
        try:
            row = rows.send([Decision(w, facts, labels) for w in row])
        except StopIteration:
            return


@_promise
def options_return_from_json(name: str) -> None:
    """Options go into ``bundle.json`` and come back."""
    record = json.loads(json.dumps(method(name).to_json()))
    _require(record["name"] == name, f"to_json gives the name {record['name']!r}; expected {name!r}.")
    _require(recorded(record) == method(name), "the options are others after JSON.")


@_promise
def every_option_is_described_in_a_sentence(name: str) -> None:
    """Help and form show it."""
    for info in method_class(name).options():
        _require(info.help.endswith("."), f"{info.name} is described by {info.help!r}; expected a sentence.")


@_promise
def an_unknown_option_is_refused_by_name(name: str) -> None:
    """And a known one is named."""
    try:
        method(name, depht=3)
    except MethodError as error:
        _require("no option 'depht'" in str(error), f"an unknown option is refused as {str(error)!r}.")
    else:
        raise AssertionError("an option that the method does not have is accepted.")


@_promise
def an_option_that_another_one_switches_off_is_refused(name: str) -> None:
    """``unread_where`` and ``alike_where`` name options and values that exist; what then does nothing is refused."""
    for info in method_class(name).options():
        for switches, other in _idle_settings(info):
            method(name, **switches)  # alone it is a choice like any
            try:
                method(name, **switches, **{info.name: other})
            except MethodError as error:
                _require("does nothing" in str(error), f"{info.name} beside {switches} is refused as {str(error)!r}.")
            else:
                raise AssertionError(f"{info.name}={other!r} is accepted, although it does nothing with {switches}.")


def _idle_settings(info: OptionInfo) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield values of other options, and one of this option that then does the same as its default."""
    other = next(other for other in _other_values(info) if other != info.default)
    yield from (({name: value}, other) for name, values in info.unread_where.items() for value in values)
    for alike in info.alike_where:
        same = alike.values if alike.values is not None else (info.default, other)
        if info.default in same:
            switches = {name: values[0] for name, values in alike.where.items()}
            yield switches, next(value for value in same if value != info.default)


@_promise
def each_step_is_a_full_answer_with_the_facts_it_declares(name: str) -> None:
    """As many steps as ``steps`` says, logits (B, K, Z, Y, X) of finite numbers, each declared name and no other."""
    m, plan, network = _built(name)
    steps, expected = _steps(m, plan, network), (BATCH, plan.n_labels, *plan.window)
    _require(len(steps) == m.steps, f"infer yields {len(steps)} steps; expected {m.steps}.")
    for number, step in enumerate(steps, start=1):
        told = f"step {number}: "
        _require(step.logits.shape == expected, f"{told}logits are {tuple(step.logits.shape)}; expected {expected}.")
        _require(torch.isfinite(step.logits).all(), f"{told}logits hold nan or inf.")
        for what, found, declared in (("facts", step.facts, m.facts), ("extras", step.extras, m.extras)):
            _require(set(found) == set(declared), f"{told}{what} are {sorted(found)}; declared are {sorted(declared)}.")
        for what, values in step.facts.items():
            _require(values.shape == (BATCH,), f"{told}{what} is {tuple(values.shape)}; expected ({BATCH},).")
        for what, values in step.extras.items():
            _require(values.shape == expected, f"{told}{what} is {tuple(values.shape)}; expected {expected}.")
        check_step(m, number - 1, step)


@_promise
def a_method_that_may_stop_anywhere_answers_as_with_fewer_steps(name: str) -> None:
    """Step k of N is the answer of ``with_steps(k)``, where ``stops_anywhere``, so that training may choose k."""
    m, plan, network = _built(name)
    if not m.stops_anywhere:
        return
    every = _steps(m, plan, network)
    for number in range(1, m.steps):
        last = _steps(m.with_steps(number), plan, network)[-1]
        _require(torch.equal(last.logits, every[number - 1].logits), f"step {number} of {m.steps} is another answer")


@_promise
def the_last_bias_moves_the_logits_of_its_label_alone(name: str) -> None:
    """At every step, where a ``last_bias`` is declared, so that offsets of it can match volumes."""
    m, plan, network = _built(name)
    if not m.last_bias:
        return
    before = [step.logits.clone() for step in _steps(m, plan, network)]
    with torch.no_grad():
        network.get_parameter(m.last_bias)[1] += 0.5
    for step, old in zip(_steps(m, plan, network), before, strict=True):
        moved = step.logits - old  # (B, K, Z, Y, X)
        _require(torch.equal(moved[:, 0], torch.zeros_like(moved[:, 0])), f"{m.last_bias}[1] moves another label")
        _require(torch.allclose(moved[:, 1], moved.new_tensor(0.5), atol=1e-5), f"{m.last_bias}[1] is not added once")


@_promise
def the_same_seed_gives_the_same_answer(name: str) -> None:
    """To the last bit, in one process and on one thread."""
    m, plan, network = _built(name)
    first, second = _steps(m, plan, network, seed=5), _steps(m, plan, network, seed=5)
    same = all(torch.equal(a.logits, b.logits) for a, b in zip(first, second, strict=True))
    _require(same, "two runs with one seed differ; draw from rng alone.")


@_promise
def windows_in_a_batch_do_not_see_each_other(name: str) -> None:
    """Windows get the same answer alone and beside another, as far as float32 can tell."""
    m, plan, network = _built(name)
    images, parts = _batch(plan).images, _parts(network)

    def steps(n: int) -> Iterator[Step]:
        return iter(m.infer(parts, images[:n], _noise(plan, windows=n)))

    with torch.no_grad():
        together, alone = list(steps(BATCH)), list(steps(1))
        with InFloat64(), CountedLayers(network) as done:
            exact = [(step.logits.double(), done.rounding()) for step in steps(1)]
    for both, one, (logits, allowed) in zip(together, alone, exact, strict=True):
        for what, found in (("beside another", both.logits[:1]), ("alone", one.logits)):
            away = distance(found, logits)
            _require(away <= allowed, f"a window {what} is {away:.2g} away from float64; {allowed:.2g} is allowed.")


@_promise
def weights_follow_channels_and_labels_that_change_places(name: str) -> None:
    """Fine-tuning matches them by name. Labels only where no noise is drawn for them: it would stay where it is."""
    from voxtrace.training.takeover import take_over

    m, first = method(name), Plan.example(channels=2, labels=3, window=(16, 16, 16), base_width=4)
    swapped, rows = {0: "background", 1: "label 2", 2: "label 1"}, [0, 1, 2] if m.random else [0, 2, 1]
    others = first.model_copy(
        update={"channels": first.channels[::-1], "labels": first.labels if m.random else swapped}
    )
    old, new = m.adapt(first), m.adapt(others)
    start = Bundle(m, old, m.build(old).eval())
    network = m.build(new)
    _require(take_over(m, new, network, start).complete, "not every weight was found again by name.")
    images = _images(old, channels=2)
    with torch.no_grad(), InFloat64():
        before = list(m.infer(_parts(start.network), images, _noise(old)))
        after = list(m.infer(_parts(network), images.flip(1), _noise(old)))
    for was, now in zip(before, after, strict=True):
        torch.testing.assert_close(now.logits, was.logits[:, rows], rtol=1e-6, atol=1e-6)


@_promise
def inference_can_be_abandoned_midway(name: str) -> None:
    """Users stop it."""
    m, plan, network = _built(name)
    task = m.infer(_parts(network), _batch(plan).images, _noise(plan))
    with torch.no_grad():
        next(task)
    _require(hasattr(task, "close"), "infer returns no generator; yield the steps.")
    task.close()  # type: ignore[attr-defined]


@_promise
def each_phase_gives_gradients_to_what_it_names_and_to_nothing_else(name: str) -> None:
    """``loss`` returns scalars, and the gradients of their sum reach what ``trains`` names."""
    from voxtrace.training.phase_loop import freeze

    m, plan, network = _built(name)
    for phase in m.phases(plan):
        trained = freeze(network, phase.trains)
        terms = m.loss(network, _batch(plan), TrainState(phase, 0, chance()))
        _require(all(term.ndim == 0 for term in terms.values()), "a term of the loss is no scalar.")
        torch.autograd.backward(torch.stack(list(terms.values())).sum())
        _require(trained, f"phase {phase.name} trains {phase.trains!r}, which names no parameter.")
        for parameter_name, parameter in network.named_parameters():
            _require(
                (parameter.grad is None) or parameter_name.startswith(phase.trains),
                f"phase {phase.name} gives {parameter_name} a gradient, but trains {phase.trains!r}.",
            )
        _require(any(p.grad is not None and p.grad.any() for p in trained), f"phase {phase.name} gives no gradient.")


@_promise
def it_answers_in_half_precision_too(name: str) -> None:
    """Parts may answer in bfloat16, which not every operation of torch takes."""
    from voxtrace.inference import predict

    m, plan, network = _built(name)
    result = predict(Bundle(m, plan, network.eval()), ball(99).volume, precision="bfloat16", device="cpu")
    _require(result.trace.n_steps == m.steps, f"{result.trace.n_steps} steps; expected {m.steps}.")


@_promise
def it_learns_a_ball(name: str) -> None:
    """160 iterations on eight balls, and one that it has not seen."""
    from voxtrace.inference import predict
    from voxtrace.metrics import dice
    from voxtrace.training import train

    plan, cases, unseen = _plan(name, iterations=160, mirror_axes=()), [ball(s) for s in range(8)], ball(99)
    with tempfile.TemporaryDirectory(prefix="voxtrace-", ignore_cleanup_errors=True) as folder:
        task = train(method(name), plan, cases, out=Path(folder) / "ball", precision="float32", device="cpu")
        try:
            while True:
                next(task)
        except StopIteration as end:
            bundle: Bundle = end.value
        found = dice(predict(bundle, unseen.volume, precision="float32").labels, unseen.labels, 1)
    _require(found > LEAST_DICE, f"a ball is found with a Dice of {found:.2f}; expected more than {LEAST_DICE}.")
