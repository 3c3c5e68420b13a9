"""Which model segments the scan: cards with a verdict each, those that fit first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psygnal import Signal

from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle
from voxtrace.plugin.models.model_cards import ModelCard, ModelVerdict, in_order, model_card, preselected
from voxtrace.plugin.work.verdicts import FitJudge, FitQuestion

# Runs a function elsewhere and passes its result on; a later call drops the result of an earlier one.
Background = Callable[[Callable[[], Any], Callable[[Any], None]], None]


def at_once(function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
    """Run a function here and now; a :data:`Background` without threads."""
    on_result(function())


class ModelChoice:
    """The known models on the chosen scan; emits ``changed`` when verdicts arrive or the choice changes.

    A model that was picked stays chosen, also where it does not fit. Without a pick the first real one that fits is
    chosen, and none where none fits.
    """

    changed = Signal()

    def __init__(self, bundles: BundleRegistry, background: Background = at_once) -> None:
        self._bundles, self._background, self._judge = bundles, background, FitJudge()
        self._verdicts: dict[Path, ModelVerdict] = {}
        self._asked: Any = None
        self._picked: Path | None = None
        self._before: Path | None = None  # what was chosen before the verdicts were asked for anew
        self.pending = False  # whether verdicts were asked for and are not there yet
        bundles.changed.connect(self.changed.emit)

    def close(self) -> None:
        """Disconnect from the bundles."""
        self._bundles.changed.disconnect(self.changed.emit)
        self._background = _nowhere

    @property
    def order(self) -> tuple[KnownBundle, ...]:
        """The models as the picker shows them."""
        return in_order(self._bundles.bundles, self._verdicts)

    def cards(self, method: Callable[[KnownBundle], str]) -> tuple[ModelCard, ...]:
        """Return a card for each model, in the picker's order; ``method`` names its method."""
        return tuple(model_card(known, self._verdicts.get(known.path), method(known)) for known in self.order)

    @property
    def chosen(self) -> KnownBundle | None:
        """The model that will segment."""
        known = self._bundles.bundles
        kept = self._picked or (self._before if self.pending else None)
        picked = next((k for k in known if k.path == kept), None)
        return picked or preselected(known, self._verdicts)

    @property
    def verdict(self) -> ModelVerdict | None:
        """The verdict on the chosen model; None while it is not known."""
        chosen = self.chosen
        return self._verdicts.get(chosen.path) if chosen is not None else None

    def pick(self, index: int) -> None:
        """Choose a model by its place in the picker."""
        self._picked = self.order[index].path
        self.changed.emit()

    def pick_bundle(self, known: KnownBundle) -> None:
        """Choose a model."""
        self._picked = known.path
        self.changed.emit()

    def ask(
        self, images: Mapping[Path, tuple[str, ...]], question: Callable[[KnownBundle], FitQuestion | None]
    ) -> None:
        """Find out whether each model fits, and emit ``changed`` when it is known.

        Parameters
        ----------
        images
            Folder of a model -> unique ids of the images that it would get; the same ids ask nothing anew.
        question
            Makes the question about a model.
        """
        asked = {path: (id(known.record), images[path]) for path, known in self._by_path.items() if path in images}
        if asked == self._asked:
            return
        before = self.chosen
        self._asked, self._before, self.pending = asked, before.path if before else None, True
        self._verdicts = {}
        questions = [made for path in asked if (made := question(self._by_path[path])) is not None]
        if questions:
            self._background(lambda: self._judge.verdicts(questions), self._take)
        else:
            self._take({})

    @property
    def _by_path(self) -> dict[Path, KnownBundle]:
        return {known.path: known for known in self._bundles.bundles}

    def _take(self, verdicts: dict[Path, ModelVerdict]) -> None:
        self._verdicts, self.pending = verdicts, False
        self.changed.emit()


def _nowhere(function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
    """Run nothing; the panel is gone."""
