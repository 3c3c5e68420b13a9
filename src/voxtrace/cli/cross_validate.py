"""``voxtrace train --cv``: every fold in turn, then the pooled scores."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from voxtrace.cli.interrupt import stop_on_interrupt
from voxtrace.cli.output import echo, print_json, print_line, print_table, reserve_stdout_for_json
from voxtrace.cli.show_training import show_training
from voxtrace.errors import UsageError
from voxtrace.training.request import TrainRequest

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle


def cross_validate(request: TrainRequest, train: Callable[[TrainRequest], Bundle], as_json: bool) -> None:
    """Train every fold with ``train`` and print the scores of all held-back cases together."""
    from voxtrace.training.cross_validation import set_up_folds
    from voxtrace.training.pooled_scores import score_table

    if int(os.environ.get("WORLD_SIZE", "1") or 1) > 1:
        raise UsageError("--cv trains in one process; start each fold with torchrun and --fold N --out OUT/fold_N.")
    with reserve_stdout_for_json(as_json):
        with stop_on_interrupt() as cancel:
            folds = show_training(set_up_folds(request, cancel))
        summary: dict[str, Any] = {}
        for number, asked in enumerate(folds.requests):
            echo(f"fold {number}, the last is {len(folds.requests) - 1}")
            train(asked)
            summary = folds.write_summary()
    if as_json:
        print_json({"bundle": str(folds.out), **summary})
        return
    print_table(*score_table(summary))
    print_line(f"the bundle of {len(folds.requests)} folds lies in {folds.out}")
