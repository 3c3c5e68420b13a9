"""A model folder of nnU-Net, imported: its labels here in float32 against nnU-Net's own."""

from __future__ import annotations

from voxtrace.bench.answers import equal_share
from voxtrace.bench.contest import Contest, hold
from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import make_models
from voxtrace.bench.outcome import Outcome
from voxtrace.bench.settings import Settings, nnunet, ours
from voxtrace.bench.works.ct300 import WINDOW_QUICK
from voxtrace.io import read_labels
from voxtrace.metrics import dice

NAME = "voxtrace, imported, float32"
TITLE = "labels of an imported nnU-Net model"


def run(settings: Settings) -> Outcome:
    """Run both once and compare their labels."""
    slices, side = (40, 96) if settings.quick else (120, 320)
    scan = abdomen(settings.inputs, slices, side, settings.seed)
    models = make_models(settings.folder / "models", WINDOW_QUICK if settings.quick else None)
    theirs = nnunet(settings, "imported", scan, models)
    if theirs is None:
        return Outcome(TITLE, Contest({}), (), left_out=("Imported labels need nnU-Net; give --peer.",))
    mine = ours(settings, "imported", NAME, [scan], models.unet, "--runtime", "torch", "--precision", "float32")
    contest = hold([theirs, mine], 1, settings.say)
    one, other = read_labels(mine.labels), read_labels(theirs.labels)
    return Outcome(
        TITLE,
        contest,
        (),
        facts={
            "equal_voxels": round(equal_share(mine.labels, theirs.labels), 6),
            "dice": {str(k): round(dice(one, other, k), 5) for k in sorted(set(other.data.ravel().tolist()) - {0})},
        },
    )
