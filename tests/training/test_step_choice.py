"""A model whose steps do not all help takes as many as were best on held-back cases, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import fakes
from cases import ball, drain, small_plan
from voxtrace.bundle import Bundle, annotate, card, load
from voxtrace.fit.step_choice import steps_of_all, steps_to_take
from voxtrace.inference import predict
from voxtrace.inference.fold_folder import load_members
from voxtrace.methods import method
from voxtrace.training import step_choice, train
from voxtrace.training.coverage import as_asked
from voxtrace.training.measuring import measure_on
from voxtrace.training.request import TrainRequest
from voxtrace.training.setup import TrainSetup
from voxtrace.training.step_choice import validate_steps
from voxtrace.volume import Case, Geometry, LabelMap, Volume


@dataclass(frozen=True)
class Worsening(fakes.Nearest):
    """Each step adds to the intensity, so that the first is best, however many follow."""

    key: ClassVar[str] = "worsening"
    step_word: ClassVar[str] = "cycle"
    stops_anywhere: ClassVar[bool] = True

    def infer(self, parts: Any, images: Any, rng: Any) -> Any:
        for step in range(self.n_steps):
            yield fakes.Step(parts["score"](images + 0.2 * step), {"mean_intensity": images.mean((1, 2, 3, 4))})


GEOMETRY = Geometry.from_spacing((8, 16, 16), (1.0, 1.0, 1.0))


def _case(number: int) -> Case:
    true = np.zeros(GEOMETRY.shape, np.uint8)
    true[2:6, 4:12, 4 : 10 + number] = 1
    image = true + np.random.default_rng(number).uniform(-0.3, 0.3, true.shape)
    return Case(f"case_{number}", Volume(image[None].astype(np.float32), GEOMETRY), LabelMap(true, GEOMETRY))


CASES = [_case(number) for number in range(3)]


def _chosen(made: Bundle, keep: bool = False) -> tuple[Any, Any]:
    return drain(validate_steps(made, CASES, "cpu", lambda: False, keep))


def test_a_loss_beyond_noise_makes_the_best_step_the_default() -> None:
    assert steps_to_take([0.8744, 0.8757, 0.8721]) == 2
    assert steps_to_take([0.8744, 0.8757, 0.8753]) == 3
    assert steps_to_take([0.87, None]) == 1
    assert steps_to_take([None, None]) == 2


def test_models_together_take_what_is_best_of_all_their_cases() -> None:
    def told(cases: int, *dice: float) -> dict[str, Any]:
        return {"metrics": {"validation": {"cases": cases, "dice_per_step": list(dice)}}}

    assert steps_of_all([told(1, 0.9, 0.8), told(9, 0.8, 0.9)], 2) == 2
    assert steps_of_all([told(9, 0.9, 0.8), told(1, 0.8, 0.9)], 2) == 1
    assert steps_of_all([told(9, 0.9, 0.8), {}], 2) == 2


def test_the_answer_is_validated_with_the_steps_that_are_taken() -> None:
    made = fakes.bundle(Worsening(n_steps=3))
    found, chosen = _chosen(made)
    assert chosen == Worsening(n_steps=1)
    alone, _ = _chosen(replace(made, method=chosen))
    entries = found.to_json()
    assert entries["steps_chosen"] == {"best": 1, "taken": 1, "of": 3, "word": "cycle"}
    assert len(entries["dice_per_step"]) == 3
    assert entries["dice"] == alone.to_json()["dice"]


def test_all_steps_are_kept_where_asked_or_where_steps_depend_on_one_another() -> None:
    found, chosen = _chosen(fakes.bundle(Worsening(n_steps=3)), keep=True)
    assert chosen.steps == 3
    assert found.to_json()["steps_chosen"] == {"best": 1, "taken": 3, "of": 3, "word": "cycle"}
    found, chosen = _chosen(fakes.bundle(fakes.Nearest(n_steps=3, drift=0.2)))
    assert chosen.steps == 3
    assert "steps_chosen" not in found.to_json()


@pytest.fixture
def first_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first step pass for the best."""

    def first(_: Sequence[float | None]) -> int:
        return 1

    monkeypatch.setattr(step_choice, "steps_to_take", first)
    monkeypatch.setattr(step_choice, "best_step", first)


def _train(out: Path, **options: Any) -> Bundle:
    recycling = method("recyclenet", cycles=3)
    made: Bundle = drain(train(recycling, small_plan(iterations=1), [ball(0)], validate=[ball(1)], out=out, **options))
    return made


@pytest.mark.usefixtures("first_is_best")
def test_a_trained_bundle_takes_its_best_step_and_knows_what_was_asked(tmp_path: Path) -> None:
    made = _train(tmp_path / "made")
    assert made.method.steps == 1
    assert as_asked(made).steps == 3
    told = card(tmp_path / "made")["metrics"]["validation"]
    assert len(told["dice_per_step"]) == 3
    text = (tmp_path / "made" / "card.md").read_text(encoding="utf-8")
    assert "1 of 3 cycles was best on validation; predictions take 1; --steps 3 gives all." in text
    assert len(predict(made, ball(1).volume, keep="labels").trace.labels) == 1
    assert len(predict(made, ball(1).volume, keep="labels", steps=3).trace.labels) == 3
    assert _train(tmp_path / "made", resume=True).digest == made.digest
    assert _train(tmp_path / "kept", keep_steps=True).method.steps == 3
    together = load_members([tmp_path / "made", tmp_path / "kept"])
    assert {one.method.steps for one in together} == {steps_of_all([one.card for one in together], 3)}


def test_measuring_looks_at_all_steps_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _train(tmp_path / "made", keep_steps=True)
    monkeypatch.setattr("voxtrace.training.measuring.open_dataset", lambda *_: _Listed())
    monkeypatch.setattr("voxtrace.training.measuring.fold_of", lambda *_: ([ball(0)], [ball(1)]))
    monkeypatch.setattr("voxtrace.training.measuring.refuse_learned", lambda *_: None)
    monkeypatch.setattr(step_choice, "steps_to_take", lambda _: 2)

    def measure(keep: bool = False) -> Bundle:
        found = drain(measure_on(str(made.path), "", 0, "", "cpu", lambda: False, keep_steps=keep))
        annotate(str(made.path), found.entries, method=found.method)
        return load(tmp_path / "made")

    for _ in range(2):
        now = measure()
        assert now.method.steps == 2
        assert now.card["provenance"]["chosen_after_training"] == {"cycles": 3}
        assert len(now.card["metrics"]["validation"]["dice_per_step"]) == 3
    assert measure(keep=True).method.steps == 3
    assert "chosen_after_training" not in load(tmp_path / "made").card["provenance"]


class _Listed:
    files = ()

    def cases(self, _: Any) -> list[Case]:
        return []


def test_another_number_of_steps_is_asked_for_and_the_usual_one_is_not(tmp_path: Path) -> None:
    def asked(name: str, initial: Bundle | None = None, **options: Any) -> bool:
        made = method(name, **options)
        every = made.to_json()["options"]  # as the window's form names them
        request = TrainRequest(tmp_path, options=every)
        return TrainSetup(request, made, small_plan(), (), (), initial, tmp_path, {}).asks_for_steps

    assert not asked("recyclenet")
    assert asked("recyclenet", cycles=3)
    assert not asked("unet")
    assert not asked("recyclenet", _train(tmp_path / "three", keep_steps=True), cycles=3)
