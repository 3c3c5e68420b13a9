from __future__ import annotations

from dataclasses import dataclass

import pytest

from voxtrace.cli.method_options import method_options
from voxtrace.errors import MethodError, UsageError
from voxtrace.method import option
from voxtrace.methods.recyclenet import RecycleNet


@dataclass(frozen=True)
class Switched(RecycleNet):
    deep_supervision: bool = option(True, "A switch.")


def test_settings_and_flags_take_the_declared_type() -> None:
    assert method_options(Switched, ["cycles=5"], ["--train-cycles", "2", "--norm=layer"]) == {
        "cycles": 5,
        "train_cycles": 2,
        "norm": "layer",
    }


@pytest.mark.parametrize(
    ("words", "value"),
    [(["--deep-supervision"], True), (["--no-deep-supervision"], False), (["--deep-supervision=no"], False)],
)
def test_switches_need_no_value(words: list[str], value: bool) -> None:
    assert method_options(Switched, [], words) == {"deep_supervision": value}


def test_a_value_may_hold_dashes_and_equals() -> None:
    assert method_options(Switched, ["norm=a-b=c"], []) == {"norm": "a-b=c"}
    assert method_options(Switched, [], ["--norm=a-b=c"]) == {"norm": "a-b=c"}


@pytest.mark.parametrize("settings", [["colour=red"], ["cycles=many"], ["deep_supervision=perhaps"]])
def test_unknown_names_and_wrong_types_are_refused(settings: list[str]) -> None:
    with pytest.raises(MethodError):
        method_options(Switched, settings, [])


@pytest.mark.parametrize("words", [["--cycles"], ["--itterations", "5"], ["stray"]])
def test_words_that_mean_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        method_options(Switched, [], words)


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="no value"):
        method_options(Switched, ["cycles"], [])


def test_an_option_that_may_be_unset_takes_none() -> None:
    @dataclass(frozen=True)
    class Unsettable(RecycleNet):
        least: int | None = option(None, "A number.", unset="any")

    assert method_options(Unsettable, ["least=none"], []) == {"least": None}
    assert method_options(Unsettable, ["least=4"], []) == {"least": 4}
