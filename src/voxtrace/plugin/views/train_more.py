"""Fields of the training panel that are seldom changed: seed, rate, average, passes, weights and folder of labels."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFormLayout, QLineEdit, QSpinBox, QWidget

from voxtrace.plugin.models.train_more import TrainMore
from voxtrace.plugin.views.fields import NumberBox
from voxtrace.plugin.views.widgets import fill, picker

WEIGHTS = ("last", "best")
MAX_SEED, MAX_PASSES = 2**31 - 1, 4096


class MoreView(QWidget):
    """A field for each value of :class:`~voxtrace.plugin.models.train_more.TrainMore`."""

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.seed, self.passes = QSpinBox(), QSpinBox()
        self.rate, self.average = NumberBox(1e-9, 10.0, "the method's own"), NumberBox(1e-3, 0.999999, "none")
        self.weights, self.labels = picker("Weights of the last iteration, or of the best validation."), QLineEdit()
        self._describe()
        form = QFormLayout(self)
        form.setContentsMargins(12, 0, 0, 0)
        for name, widget in (
            ("Seed", self.seed),
            ("Learning rate", self.rate),
            ("Average", self.average),
            ("Passes", self.passes),
            ("Weights", self.weights),
            ("Labels", self.labels),
        ):
            widget.setAccessibleName(name)
            form.addRow(name, widget)
        for box in (self.seed, self.passes, self.rate, self.average):
            box.valueChanged.connect(lambda *_: self.edited.emit())
        self.weights.currentIndexChanged.connect(lambda *_: self.edited.emit())
        self.labels.textChanged.connect(lambda *_: self.edited.emit())
        self.fill(TrainMore())

    def _describe(self) -> None:
        self.seed.setRange(0, MAX_SEED)
        self.passes.setRange(1, MAX_PASSES)
        self.labels.setPlaceholderText("the dataset's own")
        tips = {
            self.seed: "Start of the random numbers; the same seed gives the same weights.",
            self.rate: "Learning rate at the beginning of a phase.",
            self.average: "Validate and store a moving average of the weights: how much of it stays in an update, e.g. "
            "0.999.",
            self.passes: "Spread the windows of an update over so many passes: less memory, the same update.",
            self.labels: "Folder in the dataset with the labels to learn, e.g. labelsChosen.",
        }
        for widget, tip in tips.items():
            widget.setToolTip(tip)
        fill(self.weights, WEIGHTS, 0)

    @property
    def values(self) -> TrainMore:
        """The values of the fields."""
        return TrainMore(
            self.seed.value(),
            self.rate.number,
            self.average.number or 0.0,
            self.passes.value(),
            "best" if self.weights.currentIndex() else "last",
            self.labels.text().strip(),
        )

    def fill(self, more: TrainMore) -> None:
        """Fill in every field, and report that once."""
        with QSignalBlocker(self):
            self.seed.setValue(more.seed)
            self.rate.set_number(more.rate)
            self.average.set_number(more.average or None)
            self.passes.setValue(more.accumulate)
            self.weights.setCurrentIndex(WEIGHTS.index(more.weights))
            self.labels.setText(more.labels)
        self.edited.emit()

    def reset(self) -> None:
        """Fill in what a training usually has."""
        self.fill(TrainMore())
