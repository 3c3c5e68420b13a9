"""What a run tells of itself: events on disk, TensorBoard's files, its state, and lines where there is no terminal."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import ball, drain, small_plan
from voxtrace.cli import show_training as shown
from voxtrace.errors import Cancelled, OutputError, UsageError
from voxtrace.methods import METHODS, method
from voxtrace.trace import Trace
from voxtrace.training import TrainProgress, train
from voxtrace.training.advice import advise
from voxtrace.training.events import EVENTS, EventLog, read_events
from voxtrace.training.run_state import run_state
from voxtrace.training.tensorboard import ScalarFile, crc32c
from voxtrace.training.watch import Pace

CASES = [ball(seed) for seed in range(4)]


def _events(path: Path) -> list[dict[str, Any]]:
    return list(read_events(path / EVENTS))


def _train(name: str, out: Path, **about: Any) -> Any:
    return train(method(name), small_plan(), CASES[:3], out=out, validate=CASES[3:], device="cpu", **about)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_reports_what_it_declares(name: str, tmp_path: Path) -> None:
    drain(_train(name, tmp_path / "b", validate_every=6))
    events = _events(tmp_path / "b")
    updates = [event for event in events if event["event"] == "update"]
    assert [update["done"] for update in updates] == list(range(1, len(updates) + 1))
    declared = set(method(name).training_facts)
    for update in updates:
        assert set(update["method"]) == declared
        assert all(np.isfinite(value) for value in (*update["method"].values(), *update["loss"].values()))
        assert 0 <= update["busy"] <= 1
        assert update["memory_mb"] > 1
    seen = [event for event in events if event["event"] == "validation"]
    assert seen
    assert seen[-1]["dice_per_label"].keys() == {"label 1"}
    assert seen[-1]["cases"] == pytest.approx({CASES[3].name: seen[-1]["dice"]})


def test_cases_of_a_phase_are_named_with_their_chance(tmp_path: Path) -> None:
    drain(_train("unet", tmp_path / "b"))
    drain(_train("unet", tmp_path / "c", anonymous_names=True))
    (phase,) = (event for event in _events(tmp_path / "b") if event["event"] == "phase")
    assert phase["cases"] == pytest.approx({case.name: 1 / 3 for case in CASES[:3]}, abs=1e-5)
    assert "ball_" not in (tmp_path / "c" / EVENTS).read_text()
    assert "case_0004" in (tmp_path / "c" / EVENTS).read_text()


def test_what_is_done_again_is_told_once(tmp_path: Path) -> None:
    answers = iter([False] * 9 + [True])
    with pytest.raises(Cancelled):
        drain(_train("unet", tmp_path / "b", cancel=lambda: next(answers)))
    log = tmp_path / "b.work" / EVENTS
    with log.open("a") as file:  # as if it had been killed later, while it wrote
        file.write(json.dumps({"event": "update", "time": "", "done": 11, "total": 12}) + '\n{"event": "upd')
    drain(_train("unet", tmp_path / "b", resume=True))
    updates = [event["done"] for event in _events(tmp_path / "b") if event["event"] == "update"]
    assert updates == list(range(1, 13))
    assert [event["resumed"] for event in _events(tmp_path / "b") if event["event"] == "begin"] == [False, True]


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    EventLog(tmp_path / EVENTS).write("validation", 1, 2, dice=None, dice_per_label={"a": float("nan")})
    (event,) = _events(tmp_path)
    assert event["dice_per_label"] == {"a": None}
    EventLog(None).write("update", 1, 2)  # a process that does not write


def test_the_state_of_a_run_is_read_while_it_trains(tmp_path: Path) -> None:
    run = _train("recyclenet", tmp_path / "b", validate_every=2, checkpoint_every=3)
    for progress in run:
        if progress.loss and progress.iteration == 5:
            break
    state = run_state(tmp_path / "b.work", datetime.now(UTC))
    run.close()
    assert (state["kind"], state["method"], state["phase"]) == ("training run", "recyclenet", "train")
    assert (state["done"], state["total"], state["checkpoint_at"], state["validated_at"]) == (5, 12, 3, 4)
    assert state["prepared_cases"] == 3
    assert 0 <= state["silent_s"] < 60
    assert state["method_report"]["most_cycles"] in (1, 2)


def test_a_folder_that_has_just_begun_has_a_state(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"method": {"name": "unet", "options": {}}}')
    state = run_state(tmp_path)
    assert (state["method"], state["done"], state["total"], state["loss"]) == ("unet", 0, None, None)


def _records(data: bytes) -> list[bytes]:
    """Return the messages of a file in TensorFlow's record format, after their checksums were compared."""

    def masked(crc: int) -> int:
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32

    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        message = data[12 : 12 + length]
        assert struct.unpack("<I", data[8:12])[0] == masked(crc32c(data[:8]))
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(crc32c(message))
        found.append(message)
        data = data[16 + length :]
    return found


def test_tensorboard_is_told_in_its_own_format(tmp_path: Path) -> None:
    board = ScalarFile(tmp_path / "tb")
    board.add(300, {"loss/dice": -0.5})
    (file,) = (tmp_path / "tb").iterdir()
    version, event = _records(file.read_bytes())
    assert version.endswith(b"\x1a\x0dbrain.Event:2")
    value = b"\x0a\x09loss/dice\x15" + struct.pack("<f", -0.5)  # Summary.Value: tag, simple_value
    summary = b"\x0a" + bytes([len(value)]) + value
    assert event[9:] == b"\x10\xac\x02" + b"\x2a" + bytes([len(summary)]) + summary  # step 300 is ac 02


def test_a_run_writes_for_tensorboard(tmp_path: Path) -> None:
    drain(_train("unet", tmp_path / "b", tensorboard=tmp_path / "tb"))
    (file,) = (tmp_path / "tb").iterdir()
    text = file.read_bytes()
    assert all(name in text for name in (b"loss/dice", b"rate", b"dice_per_label/label 1"))


def test_where_there_is_no_terminal_a_line_is_told_each_minute(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = iter(np.arange(0.0, 10_000.0, 10.0))

    def run() -> Any:
        for n in range(1, 25):
            dice = 0.0 if n == 12 else None
            yield TrainProgress("train", n, 24, {"dice": -0.5}, 0.01, dice, iterations_per_s=0.1)
        return "made"

    assert shown.show_training(run(), clock=lambda: float(next(clock))) == "made"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train 1/24: loss -0.500  rate 0.01  0.1/s  4 min left"
    assert 4 <= len(lines) <= 7
    assert sum("Dice 0.000" in line for line in lines) >= 2  # at the validation and after it


def test_other_processes_say_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")

    def run() -> Any:
        yield TrainProgress("train", 1, 2, {"dice": -0.5}, 0.01, 0.5)

    shown.show_training(run())
    assert capsys.readouterr().err == ""


def test_waiting_for_windows_is_told_from_computing() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])

    def batches() -> Any:
        for _ in range(4):
            now[0] += 1.0  # prepared for a second
            yield None

    for _ in pace.waited(batches()):
        now[0] += 3.0
        with pace.paused():
            now[0] += 100.0
    assert (pace.per_second, pace.busy) == pytest.approx((4 / 16, 12 / 16))


def test_advice_comes_when_a_validation_has_levelled_off() -> None:
    rising = [0.1, 0.3, 0.45, 0.55, 0.62, 0.67, 0.7]
    level = [0.70, 0.7008, 0.7012, 0.7014, 0.7015, 0.70155, 0.7016]
    assert advise(rising, 5) is None
    assert advise(level[:5], 5) is None  # too few to say
    advice = advise(level, 5)
    assert advice is not None
    assert 0 <= advice.expected_gain < 0.002
    assert "0.000 Dice" in advice.sentence


def test_validation_judges_what_is_trained_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []

    def quick(bundle: Any, cases: Any, device: str) -> Any:
        judged.append(bundle.method)
        return quick_dice(bundle, cases, device)

    from voxtrace.training import watch
    from voxtrace.training.validation import quick_dice

    monkeypatch.setattr(watch, "quick_dice", quick)
    drain(_train("recyclenet", tmp_path / "a", validate_every=1))
    assert [m.cycles for m in judged] == [1] * 3 + [2] * 2 + [3] * 7
    judged.clear()
    bundle = drain(_train("meddanet", tmp_path / "b", validate_every=1))
    assert {m.force for m in judged[:-3]} == {"expert4"}
    assert judged[-1].force == bundle.method.force == "router"


def test_a_case_is_shown_as_it_is_learned(tmp_path: Path) -> None:
    drain(_train("unet", tmp_path / "b", preview=CASES[0].name, validate_every=4))
    trace = Trace.load(tmp_path / "b.preview")
    assert trace.labels.shape == (3, 16, 16, 16)
    assert trace.facts["iteration"][:, 0].tolist() == [4, 8, 12]
    assert np.isfinite(trace.facts["dice"]).all()
    assert trace.step_word == "validation"
    (tmp_path / "d.preview").mkdir()
    with pytest.raises(OutputError, match=r"d\.preview exists already; move it away"):
        drain(_train("unet", tmp_path / "d", preview=CASES[0].name))
    with pytest.raises(UsageError, match=r"--preview nobody names no case; give one of ball_003"):
        drain(_train("unet", tmp_path / "c", preview="nobody"))
