"""The program that made a label map, as DICOM's algorithm and equipment modules record it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from voxtrace.io.export.codes import text
from voxtrace.io.export.equipment import NAME, version

_HASH_LETTERS = 16  # of SHA-256: enough to tell bundles apart, short enough for DICOM's texts


class RunRecord(Protocol):
    """The record of a run, as a trace keeps it."""

    @property
    def bundle(self) -> str:
        """Name of the bundle."""

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of its weights."""

    @property
    def method(self) -> str:
        """Key of the method."""

    @property
    def method_title(self) -> str:
        """Title of the method."""

    @property
    def version(self) -> str:
        """Version of VoxTrace."""

    @property
    def seconds(self) -> float | None:
        """Wall time of the run."""


@dataclass(frozen=True)
class Algorithm:
    """How labels were computed. Texts are empty and numbers None where they are not known.

    Attributes
    ----------
    bundle
        Name of the bundle.
    weights_sha256
        SHA-256 of its weights in hexadecimal, which is its version; of several joined by " + ".
    method
        Title or key of the method.
    version
        Version of VoxTrace that computed the labels.
    step, steps
        Which step these labels are, counted from 1, and how many there were.
    step_word
        What the method calls a step.
    cost_gflop
        GFLOP of the whole run.
    time_s
        Wall time of the run in seconds.
    """

    bundle: str = ""
    weights_sha256: str = ""
    method: str = ""
    version: str = ""
    step: int | None = None
    steps: int | None = None
    step_word: str = "step"
    cost_gflop: float | None = None
    time_s: float | None = None

    @classmethod
    def of(
        cls, run: RunRecord, steps: int | None = None, step_word: str = "step", cost_gflop: float | None = None
    ) -> Algorithm:
        """Return what a run's record says, with the number of its steps and their cost."""
        return cls(
            bundle=run.bundle,
            weights_sha256=run.weights_sha256,
            method=run.method_title or run.method,
            version=run.version,
            steps=steps,
            step_word=step_word,
            cost_gflop=cost_gflop,
            time_s=run.seconds,
        )

    @property
    def name(self) -> str:
        """The algorithm's name: that of the bundle, or VoxTrace where it is not known."""
        return text(self.bundle) if self.bundle else NAME

    @property
    def bundle_version(self) -> str:
        """The start of the hash of the weights (of each bundle); the version of VoxTrace where it is not known."""
        hashes = " + ".join(one[:_HASH_LETTERS] for one in self.weights_sha256.split(" + ") if one)
        return text(f"weights {hashes}") if hashes else self.version or version()

    @property
    def software(self) -> tuple[str, ...]:
        """The versions of software: of VoxTrace that wrote the file, of the one that computed, and the bundle's."""
        ran = f"computed with {NAME} {self.version}" if self.version and self.version != version() else ""
        bundle = f"{self.bundle}, {self.bundle_version}" if self.bundle else ""
        return (version(), *(text(line) for line in (ran, bundle) if line))

    @property
    def parameters(self) -> dict[str, str]:
        """Names and values of what is known of the run."""
        known = {
            "method": self.method,
            "steps": self.steps,
            self.step_word: self.step,
            "cost_gflop": None if self.cost_gflop is None else f"{self.cost_gflop:.6g}",
            "time_s": None if self.time_s is None else f"{self.time_s:.6g}",
            "weights_sha256": self.weights_sha256,
        }
        return {_plain(name): _plain(str(value)) for name, value in known.items() if value not in (None, "")}

    @property
    def line(self) -> str:
        """What is known in a line of at most 64 characters; ``""`` for nothing."""
        step = f"{self.step_word} {self.step} of {self.steps}" if self.step and self.steps else ""
        parts = [part for part in (step, self.method, self.bundle) if part]
        return text(", ".join(parts)) if parts else ""


def _plain(words: str) -> str:
    """Return a text as AlgorithmParameters, lines of name=value, can hold it."""
    return " ".join(words.replace("=", ":").replace("\\", "/").replace(",", ";").split())
