"""Bundle: a trained model as it lies on disk.

::

    liver-recyclenet/
    ├── bundle.json           method and options, plan, provenance, metrics, licence, SHA-256 of every file
    ├── weights.safetensors   numbers only, float32 or float16
    └── card.md               the same for a reader, beside it pictures that it shows

A convolution whose kernels are masked (:mod:`voxtrace.nn.masked`) is stored without the kernels that are off:
``<name>.weight.active`` (active kernels, kz, ky, kx), in row order of the mask, and ``<name>.mask.bits``, eight kernels
a byte. A bundle that has such a convolution is of format 2, every other one is of format 1.

Loading checks each hash and that every weight is finite, builds the network from the method's name and copies the
numbers in. Nothing in a bundle is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.atomic import atomic_folder
from voxtrace.bundle.weights import check_storable as _check_storable
from voxtrace.bundle.weights import fill, masked_modules, packed, read_weights, stored_weights, unpacked
from voxtrace.bundle.weights import fits_half as fits_half
from voxtrace.bundle.weights import is_half as is_half
from voxtrace.errors import BundleError, MethodError
from voxtrace.fit import SEVERITY, Fit, card_text, check_record, drawings, facts_of, fit
from voxtrace.fit.cost import CHOICES
from voxtrace.plan.regions import label_facts
from voxtrace.safe_text import brief, json_text, read_json

if TYPE_CHECKING:
    from torch import nn

    from voxtrace.method import Method
    from voxtrace.plan import Plan
    from voxtrace.volume import Volume

FORMAT, PACKED_FORMAT = "voxtrace-bundle/1", "voxtrace-bundle/2"
JSON, WEIGHTS, CARD = "bundle.json", "weights.safetensors", "card.md"
PICTURE = ".png"  # ending of pictures of cases
Pictures = Mapping[str, bytes]  # content by name of the file
SHIPPED = Path(__file__).parents[1] / "shipped"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model: what it is, how it was made, and a network with its weights.

    Attributes
    ----------
    method, plan
        Enough to build the network again.
    network
        In evaluation mode, float32, on the CPU.
    card
        ``name``, ``licence``, ``intended_use``, ``provenance``, ``metrics``, ``mirror`` (whether inference mirrors by
        default), ``demonstration`` (trained on made-up scans alone), and what :mod:`voxtrace.fit` reads:
        ``training_scans``, ``cost``, ``intervals``, ``expected``.
    path
        Where it was loaded from, or None.
    digest
        SHA-256 of ``bundle.json``'s content; it names this very model. Empty before saving.
    pooled
        SHA-256 of what a cross-validation worked out from the held-back cases of all its folds, where this is one of
        them and ``card`` says that in place of what its own cases told; empty otherwise.
    """

    method: Method
    plan: Plan
    network: nn.Module
    card: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None
    digest: str = ""
    pooled: str = ""

    @property
    def name(self) -> str:
        """What the bundle is called."""
        return str(self.card.get("name") or (self.path.name if self.path else self.method.key))

    @property
    def demonstration(self) -> bool:
        """Whether it was trained on made-up scans alone, so that its answer on a patient means nothing."""
        return bool(self.card.get("demonstration", False))

    @property
    def record(self) -> dict[str, Any]:
        """What :mod:`voxtrace.fit` reads of it: the card with plan and digest, as ``card(path)`` returns them."""
        return {**self.card, "plan": json.loads(self.plan.model_dump_json()), "digest": self.digest}


def load(path: str | Path) -> Bundle:
    """Return the bundle in a folder, or the shipped one of that name, after checking every hash.

    Raises
    ------
    BundleError
        A file is missing or altered, the format is unknown, the weights do not fit the method by shape or type, a
        weight is nan or inf, or the network would be far larger than the file of its weights.
    """
    from voxtrace.methods import recorded
    from voxtrace.nn.build_limit import limited_build
    from voxtrace.plan import Plan

    folder = find(path)
    record = card(folder)
    try:
        made = recorded(record["method"])
        plan = Plan.model_validate(record["plan"])
        made.adapt(plan)  # refuses a plan that the method cannot use
        with limited_build((folder / WEIGHTS).stat().st_size):
            network = made.build(plan)
    except MemoryError:
        raise
    except Exception as error:  # a method that is built from a stranger's numbers fails in many ways
        reason = f"does not describe a model this version can build: {brief(error)}"
        raise BundleError(f"{folder / JSON} {reason}") from error
    fill(network, unpacked(network, read_weights(folder / WEIGHTS), folder), folder)
    about = {k: v for k, v in record.items() if k not in ("method", "plan", "files", "digest", "format")}
    return Bundle(made, plan, network.eval(), about, folder, record["digest"])


def save(bundle: Bundle, path: str | Path, *, half: bool = False, pictures: Pictures | None = None) -> Path:
    """Write a bundle folder, whole or not at all, and return its path.

    ``half`` stores floating-point weights as float16 (half the size; they are float32 again when loaded). ``pictures``
    are further files by name that the card shows.

    Raises
    ------
    BundleError
        A weight is nan or inf, or beyond the range of float16 (with ``half``), or a kernel that its mask switches off
        has weights that are not 0.
    """
    weights = _serialised(bundle.network, half)
    with atomic_folder(path) as folder:
        (folder / WEIGHTS).write_bytes(weights)
        _write_record(bundle, folder, pictures or {})
    return Path(path)


def _serialised(network: nn.Module, half: bool) -> bytes:
    from safetensors.torch import save as serialised

    _check_storable(network, half)
    return serialised(packed(network, stored_weights(network, half)))


def _write_record(bundle: Bundle, folder: Path, pictures: Pictures) -> None:
    """Write ``card.md`` with its pictures and ``bundle.json`` beside the weights that lie in a folder."""
    (folder / CARD).write_text(readable_card(bundle, _sha256(folder / WEIGHTS)), encoding="utf-8")
    shown = {**pictures, **{name: text.encode() for name, text in drawings(bundle.card).items()}}
    for name, content in shown.items():
        (folder / name).write_bytes(content)
    record = {
        "format": PACKED_FORMAT if masked_modules(bundle.network) else FORMAT,
        "method": bundle.method.to_json(),
        "plan": json.loads(bundle.plan.model_dump_json()),
        **bundle.card,
        "files": {name: _sha256(folder / name) for name in (WEIGHTS, CARD, *shown)},
    }
    record["digest"] = _digest(record)
    (folder / JSON).write_text(json_text(record) + "\n", encoding="utf-8")


def verdict(bundles: Sequence[Bundle], scan: Volume) -> Fit:
    """Return the most severe of the verdicts whether bundles fit a scan; see :func:`voxtrace.fit.fit`."""
    facts = facts_of(scan)
    return max((fit(bundle.record, facts) for bundle in bundles), key=lambda found: SEVERITY[found.verdict])


def annotate(
    path: str | Path,
    changes: Mapping[str, Any],
    pictures: Pictures | None = None,
    method: Method | None = None,
    network: nn.Module | None = None,
) -> Path:
    """Write entries into the card of a bundle, in place of those of that name, and return its folder.

    The weights and other files stay as they are, byte for byte; the digest follows the card. An entry of None is taken
    out. ``pictures`` replaces those of cases; None leaves them. ``method`` is the bundle's with other options that may
    change after training. ``network`` has other weights than the bundle, which are stored in its place, as float16
    where the bundle's are.

    Raises
    ------
    BundleError
        As :func:`load`.
    OutputError
        The folder cannot be written.
    """
    bundle = load(path)
    folder = find(path)
    card = {name: value for name, value in {**bundle.card, **changes}.items() if value is not None}
    before = {file.name: file for file in folder.iterdir() if file.is_file() and file.suffix == PICTURE}
    shown = {name: file.read_bytes() for name, file in before.items()} if pictures is None else dict(pictures)
    with atomic_folder(folder) as temporary:
        for file in folder.iterdir():
            if file.is_file() and file.name not in (JSON, CARD, *before, *drawings(bundle.card)):
                shutil.copy2(file, temporary / file.name)
        if network is not None:
            (temporary / WEIGHTS).write_bytes(_serialised(network, is_half(bundle.network)))
        _write_record(replace(bundle, card=card, method=method or bundle.method), temporary, shown)
    return folder


def window_cost(method: Method, plan: Plan, network: nn.Module) -> dict[str, Any]:
    """Return what a card says of the cost of one window: GFLOP of a pass, steps, and whether each step is a pass.

    Of networks that are chosen between, each is counted once, which is more than any window costs; beside that stands
    what each choice costs alone. What was run on the mean is known once cases were segmented.
    """
    from voxtrace.nn.flops import flops

    gflop = flops(network, (plan.n_channels, *plan.window))
    choices = {
        name: round(alone, 6)
        for fact, costs in method.value_costs(plan).items()
        for name, alone in zip(method.value_names[fact], costs, strict=True)
    }
    return {
        "gflop_per_window": round(gflop, 6),
        "steps": method.steps,
        "steps_are_passes": _is_repeated(method),
        **({CHOICES: choices} if choices else {}),
    }


def _is_repeated(method: Method) -> bool:
    """Return whether a method may take one step more, so that each step is a pass through the network."""
    try:
        method.with_steps(method.steps + 1)
    except MethodError:
        return False
    return True


def card(path: str | Path) -> dict[str, Any]:
    """Return what ``bundle.json`` says, after checking every hash; needs no torch.

    Raises
    ------
    BundleError
        A file is missing, altered or not of this format.
    """
    folder = find(path)
    try:
        record = read_json(folder / JSON)
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder / JSON} cannot be read as JSON ({brief(error)}); copy the bundle again.") from error
    if not isinstance(record, dict) or record.get("format") not in (FORMAT, PACKED_FORMAT):
        raise BundleError(
            f"{folder} is not a bundle of format {FORMAT} or {PACKED_FORMAT}; it may come from a newer version."
        )
    check_record(record, folder / JSON)
    _check_hashes(folder, record)
    return record


def verify(path: str | Path) -> None:
    """Check that a bundle is complete, unaltered and that its weights fit its method; raise BundleError if not."""
    load(path)


def shipped() -> dict[str, Path]:
    """Return the bundles that come with the package, by name."""
    return {f.parent.name: f.parent for f in sorted(SHIPPED.glob(f"*/{JSON}"))}


def find(path: str | Path) -> Path:
    """Return the folder a path or a shipped bundle's name stands for."""
    folder = Path(path)
    if (folder / JSON).is_file():
        return folder
    if str(path) in shipped():
        return shipped()[str(path)]
    if folds := sorted(folder.glob(f"fold_*/{JSON}")):
        raise BundleError(f"{path} is a folder of folds; give one of them, e.g. {folds[0].parent}.")
    known = ", ".join(shipped()) or "none"
    raise BundleError(f"{path} is neither a bundle folder (with {JSON}) nor a shipped bundle; shipped are {known}.")


def readable_card(bundle: Bundle, weights: str = "") -> str:
    """Return the card as Markdown; ``weights`` is the SHA-256 of their file."""
    plan = bundle.plan
    facts = {
        "method": f"{bundle.method.title} ({bundle.method.source})",
        "options": json.dumps(bundle.method.to_json()["options"]),
        "channels": ", ".join(plan.channels),
        **label_facts(plan.labels, plan.regions),
        "network grid": f"{plan.spacing_mm} mm, window {plan.window} (Z, Y, X)",
        "licence": str(bundle.card.get("licence", "not stated")),
        **({"SHA-256 of the weights": weights} if weights else {}),
    }
    return card_text(bundle.name, facts, {**bundle.record, "method": bundle.method.to_json()})


def _check_hashes(folder: Path, record: dict[str, Any]) -> None:
    told = record.get("digest")
    if told != _digest({k: v for k, v in record.items() if k != "digest"}):
        raise BundleError(f"{folder / JSON} was altered: its content does not match its digest. Copy the bundle again.")
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file() or name not in record["files"]:
            raise BundleError(f"{folder} lacks {name}; copy the bundle again.")
        if _sha256(folder / name) != record["files"][name]:
            raise BundleError(f"{folder / name} was altered: its SHA-256 is not as recorded. Copy the bundle again.")
    for name in set(record["files"]) - {WEIGHTS, CARD}:  # pictures, which may be taken out
        plain = Path(name).name == name
        if not plain or ((folder / name).is_file() and _sha256(folder / name) != record["files"][name]):
            raise BundleError(f"{folder / brief(name)} was altered: its SHA-256 is not as recorded. Remove it.")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(record: Mapping[str, Any]) -> str:
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
