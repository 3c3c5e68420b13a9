"""Train the network that ``voxtrace bench`` compares engines with.

    python scripts/train_bench.py OUT [--cases 12] [--iterations 1200] [--seed 0] [--start BUNDLE] [--resume]

A U-Net of LightUnet's size for spacing 4.0×1.2×1.2 mm, window 32×128×192 and 14 labels, on life-size made-up abdominal
CT; labels 6 to 13 stay unused. It is trained in smaller windows, for it is fully convolutional. The transposed
convolutions and the heads keep their bias at 0, so that the same weights are weights of CDL-UNet, which has none there.
It starts from the shipped abdomen-phantom-cdlunet, whose kernels see the same organs at 5×3×3 mm, or goes on from a
bundle that it made before.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from train_phantom import Phantoms

from voxtrace.bench.models import cdlunet_name
from voxtrace.bundle import Bundle, load, save
from voxtrace.method import Phase
from voxtrace.methods.unet import UNet
from voxtrace.phantoms import abdomen_ct
from voxtrace.plan import Normalisation, Plan, Shape, Topology, Triple
from voxtrace.training import train

SPACING_MM: Triple = (4.0, 1.2, 1.2)
WINDOW: Shape = (32, 128, 192)
TRAINED_IN: Shape = (24, 64, 96)
SHAPE: Shape = (150, 230, 290)  # as long as the scans that are compared on, 600 mm, with what lies beyond the organs
ORGANS = ("background", "liver", "spleen", "kidneys", "aorta", "spine")
LABELS = dict(enumerate((*ORGANS, *(f"unused {n}" for n in range(6, 14)))))
START, RATE = "abdomen-phantom-cdlunet", 0.01
TOPOLOGY = Topology(
    widths=(16, 32, 64, 128),
    kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
)
CT = Normalisation(scheme="ct", lower=-18.0, upper=418.0, mean=142.69327, std=92.66478255900189)


@dataclass(frozen=True)
class Unbiased(UNet):
    """A U-Net that trains all but the biases which CDL-UNet lacks."""

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """Return the one phase."""
        names = [name for name, _ in self.build(plan).named_parameters()]
        trained = tuple(n for n in names if not (n.endswith(".bias") and (".up." in n or ".heads." in n)))
        return (Phase("training", plan.iterations, trains=trained),)


def plan(iterations: int) -> Plan:
    """Return the plan that the network is trained with."""
    return Plan(
        spacing_mm=SPACING_MM,
        window=TRAINED_IN,
        channels=("CT",),
        labels=LABELS,
        normalisation=(CT,),
        topology=TOPOLOGY,
        mirror_axes=(),
        augmentation=0.0,
        batch_dice=True,
        batch_size=2,
        iterations=iterations,
        modality="CT",
    )


def start(plan: Plan, before: str) -> Bundle:
    """Return a bundle made before, or CDL-UNet's weights as a U-Net: middles of deep kernels, 0 for unused labels."""
    bundle, method = load(before), UNet()
    if bundle.method == method:
        return bundle
    shipped = bundle.network.state_dict()
    network = method.build(plan)
    weights = network.state_dict()
    for name, tensor in weights.items():
        given = shipped.get(cdlunet_name(name))
        if given is None:
            tensor.zero_()  # a bias that CDL-UNet lacks
        elif given.shape[0] < tensor.shape[0]:
            tensor.zero_()[: len(given)] = given
        else:
            tensor.copy_(given if given.shape == tensor.shape else given[:, :, 1:2])
    network.load_state_dict(weights)
    return Bundle(method, plan, network, {"name": bundle.name})


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, and print how far it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", default=START)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    draw: Any = partial(abdomen_ct, shape=SHAPE, spacing_mm=SPACING_MM)
    cases = Phantoms(draw, range(given.cases))
    about = {
        "name": "bench",
        "licence": "Apache-2.0",
        "intended_use": "To compare engines. Trained on made-up scans alone; its labels on real ones mean nothing.",
        "provenance": {"dataset": f"voxtrace.phantoms.abdomen_ct at 4.0×1.2×1.2 mm, seeds 0 to {given.cases - 1}"},
    }
    trained = given.out.with_name(f"{given.out.name}.small-window")
    made = plan(given.iterations)
    run = {"out": trained, "seed": given.seed, "rate": RATE, "resume": given.resume}
    run |= {"initial": start(made, given.start)}
    for event in train(Unbiased(), made, cases, about=about, **run):
        if event.iteration % 10 == 0 or event.phase == "done":
            losses = ", ".join(f"{name} {value:.3f}" for name, value in event.loss.items())
            print(f"{event.phase} {event.iteration}/{event.total} {losses} {event.seconds:.0f} s", flush=True)
    bundle = load(trained)
    save(replace(bundle, plan=bundle.plan.with_window(WINDOW)), given.out, half=True)
    shutil.rmtree(trained)


if __name__ == "__main__":
    main()
