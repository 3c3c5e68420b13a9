"""The receipt of a training: show it, measure what fine-tuning changed, keep the new model or roll back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.train_receipt import TrainReceipt, with_change, with_note
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner
from voxtrace.plugin.work.train_change import measuring_change


class ReceiptSetter(Protocol):
    """Where a receipt is shown."""

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show what a training made; None hides it."""


class TrainReceiptController:
    """Shows receipts in the training panel.

    ``show`` shows a state of the panel, ``use`` chooses a model in the Segment panel.
    """

    def __init__(
        self,
        bundles: BundleRegistry,
        view: ReceiptSetter,
        runner: Runner,
        show: Callable[[panel_state.PanelState], None],
        use: Callable[[Path], None],
    ) -> None:
        self._bundles, self._view, self._runner, self._show, self._use = bundles, view, runner, show, use
        self._made: TrainReceipt | None = None
        self._after = panel_state.PanelState()  # shown once all is measured
        self.measuring = False

    def clear(self) -> None:
        """Hide the receipt."""
        self._made = None
        self._view.show_receipt(None)

    def begin(self, made: TrainReceipt, dataset: Path, after: panel_state.PanelState) -> None:
        """Show a receipt; of a fine-tuned model, measure what changed, and then show the state ``after``."""
        self._made, self._after = made, after
        self._view.show_receipt(made)
        if made.before is None:
            self._show(after)
        else:
            self._measure(dataset, only_old=False)

    def measure_old(self, dataset: Path) -> None:
        """Measure what changed on the cases that the model before held back of the dataset it was trained on."""
        if self._made is not None and self._made.before is not None and not self._runner.busy:
            self._measure(dataset, only_old=True)

    def keep(self) -> None:
        """Choose the new model in the Segment panel."""
        if self._made is not None:
            self._use(self._made.folder)

    def roll_back(self) -> None:
        """Take the new model off the list and choose the one before; no file is removed."""
        made = self._made
        if made is None or made.before is None or self._runner.busy:
            return
        self._use(made.before)
        self._bundles.forget(made.folder)
        self.clear()
        sentence = (
            f"Rolled back to {made.before.name}. {made.folder.name} is off the list of models; its folder stays: "
            f"{made.folder}. Delete it if it is not wanted, or press Browse… in the Segment panel to take it up again."
        )
        self._show(panel_state.PanelState(sentence, "done"))

    def _measure(self, dataset: Path, only_old: bool) -> None:
        made = self._made
        assert made is not None
        assert made.before is not None
        self.measuring = True
        self._show(panel_state.PanelState("Measuring what fine-tuning changed …", "busy", busy=True))
        self._runner.start(partial(measuring_change, made.before, made.folder, dataset, only_old), self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._show(panel_state.working(event.progress))
            return
        self.measuring = False
        made = self._made
        assert made is not None
        if isinstance(event, Done):
            made = with_change(made, event.result)
        else:
            why = event.sentence if isinstance(event, Failed) else "it was stopped."
            made = with_note(made, f"What fine-tuning changed was not measured: {why}")
        self._made = made
        self._view.show_receipt(made)
        self._show(self._after)
