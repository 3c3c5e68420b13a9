"""E2ENet with S = 0.9 and 0.8 against the same weights in a dense network, which multiplies by the zeros.

The networks have the published width and random weights, on which time does not depend.
"""

from __future__ import annotations

from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import NETWORK
from voxtrace.bench.outcome import Outcome, compare_time_and_memory
from voxtrace.bench.results import compare_without_startup, equal_fraction, reason_if_labels_differ
from voxtrace.bench.runner import run_rounds
from voxtrace.bench.settings import BenchSettings, voxtrace_competitor
from voxtrace.bundle import Bundle, load, save
from voxtrace.methods import method
from voxtrace.plan import Plan, Shape

SPARSITIES = (0.9, 0.8)
SAME_ANSWER = 0.99
MM = (4.0, 1.2, 1.2)


def run(settings: BenchSettings) -> Outcome:
    """Run each network and its dense counterpart in turn."""
    (slices, side), window, width = ((40, 96), (16, 32, 32), 4) if settings.quick else ((96, 192), (32, 128, 128), 32)
    scan = abdomen(settings.inputs, slices, side, settings.seed)
    competitors = {}
    for sparsity in SPARSITIES:
        sparse = _network(sparsity, window, width)
        for name, bundle in ((_sparse(sparsity), sparse), (_dense(sparsity), dense_counterpart(sparse))):
            model = save(bundle, settings.folder / "models" / f"e2enet {name}".replace(" ", "-"))
            competitors[name] = voxtrace_competitor(settings, "sparsity", name, [scan], model)
    results = run_rounds(list(competitors.values()), settings.repeats, settings.echo)
    rows, equal = [], {}
    for small, large in ((_sparse(s), _dense(s)) for s in SPARSITIES):
        equal[small] = equal_fraction(competitors[small].labels, competitors[large].labels)
        withheld = reason_if_labels_differ(equal[small], SAME_ANSWER)
        rows += [
            compare_time_and_memory(results, small, large, withheld)[0],
            compare_without_startup(results, small, large, withheld),
        ]
    return Outcome("E2ENet", results, rows, {"equal_voxels": {name: round(v, 5) for name, v in equal.items()}})


def dense_counterpart(bundle: Bundle) -> Bundle:
    """Return the same network with every kernel on; those that were off keep their zeros."""
    made = method("e2enet", sparsity=0.0)
    network = made.build(bundle.plan)
    # Masks of ones: kernels that were off keep weights of 0 and are computed.
    weights = bundle.network.state_dict()
    network.load_state_dict({name: t.new_ones(t.shape) if name.endswith(".mask") else t for name, t in weights.items()})
    return Bundle(made, bundle.plan, network.eval(), bundle.card)


def _network(sparsity: float, window: Shape, width: int) -> Bundle:
    import torch

    made, normalisation = method("e2enet", sparsity=sparsity), load(NETWORK).plan.normalisation
    example = Plan.example(labels=14, window=window, spacing_mm=MM, base_width=width)
    plan = made.adapt(example.model_copy(update={"normalisation": normalisation, "mirror_axes": ()}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = made.build(plan)
    return Bundle(made, plan, network.eval(), {"name": "e2enet", "mirror": False})


def _sparse(sparsity: float) -> str:
    return f"S = {sparsity}"


def _dense(sparsity: float) -> str:
    return f"dense counterpart of S = {sparsity}"
