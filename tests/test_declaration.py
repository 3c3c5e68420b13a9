"""Options declared as fields: listed, checked and described from the declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from voxtrace.declaration import Alike, OptionInfo, checked, described, option, options_of
from voxtrace.errors import MethodError, UsageError


@dataclass(frozen=True)
class Painted:
    """Options of each kind."""

    coats: int = option(2, "How often.", low=1, high=9)
    thickness_mm: float | None = option(None, "Of a coat.", low=0.0, unset="the paint's own")
    colour: Literal["red", "blue"] = option("red", "Which colour.", title="Paint", details="Blue fades.")
    glossy: bool | None = option(None, "Shine or not.", unset="as the maker says")
    remark: str = option("", "Free text.", suggestions=("dry",), where=("window",))
    recipe: Mapping[str, Any] = option({}, "Parts.", where=())
    plain: int = 3
    dries_in: int = option(1, "Hours.", unread_where={"glossy": (True,), "colour": ("blue",)})
    thinned: int = option(
        10, "Drops.", alike_where=(Alike({"colour": ("red",)}, range(5, 20)), Alike({"plain": (0,), "coats": (1,)}))
    )


INFOS = {info.name: info for info in options_of(Painted)}


def test_each_field_is_listed_in_order_with_its_type() -> None:
    kinds = {name: (info.kind, info.optional, info.default) for name, info in INFOS.items()}
    assert list(kinds.items()) == [
        ("coats", (int, False, 2)),
        ("thickness_mm", (float, True, None)),
        ("colour", (str, False, "red")),
        ("glossy", (bool, True, None)),
        ("remark", (str, False, "")),
        ("recipe", (Mapping, False, {})),
        ("plain", (int, False, 3)),
        ("dries_in", (int, False, 1)),
        ("thinned", (int, False, 10)),
    ]
    assert INFOS["colour"].choices == ("red", "blue")
    assert [INFOS[name].where for name in ("coats", "remark", "recipe")] == [("command", "window"), ("window",), ()]


def test_a_form_has_a_label_and_the_word_for_unset() -> None:
    assert [INFOS[name].title for name in ("colour", "thickness_mm")] == ["Paint", "Thickness mm"]
    assert INFOS["glossy"].unset == "as the maker says"
    assert INFOS["glossy"].sentence == "Shine or not; as the maker says if unset."
    assert INFOS["coats"].sentence == "How often."


@pytest.mark.parametrize(
    ("name", "value"),
    [("coats", 1), ("coats", 9), ("thickness_mm", None), ("thickness_mm", 0), ("glossy", False), ("recipe", {"a": 1})],
)
def test_values_within_the_declaration_pass(name: str, value: Any) -> None:
    assert checked(INFOS[name], value) == value


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("coats", 0, "coats is 0; expected 1 to 9."),
        ("coats", 2.5, "coats is 2.5; expected a whole number."),
        ("coats", True, "coats is True; expected a number."),
        ("coats", None, "coats is None; expected a number."),
        ("thickness_mm", -1, "thickness_mm is -1; expected at least 0.0."),
        ("thickness_mm", float("nan"), "thickness_mm is nan; expected a number."),
        ("colour", "green", "colour is 'green'; choose one of red, blue."),
        ("glossy", 1, "glossy is 1; expected true or false."),
        ("remark", 4, "remark is 4; expected text."),
        ("recipe", "a=1", "recipe is 'a=1'; expected names and values."),
    ],
)
def test_other_values_are_refused_in_a_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        checked(INFOS[name], value)
    assert str(refused.value) == sentence


def test_the_error_names_whose_option_it_is() -> None:
    with pytest.raises(MethodError, match=r"^brush: coats is 10; expected 1 to 9"):
        checked(INFOS["coats"], 10, error=MethodError, of="brush")


def test_numbers_of_numpy_become_those_of_python() -> None:
    value = checked(INFOS["coats"], np.int64(3))
    assert (type(value), value) == (int, 3)
    assert type(checked(INFOS["thickness_mm"], np.float32(0.5))) is float


def test_the_reference_says_all_of_it() -> None:
    page = described(Painted)
    assert "coats : int, default 2\n    How often. 1 to 9." in page
    assert "colour : {'red', 'blue'}, default 'red'\n    Which colour. Blue fades." in page
    assert "thickness_mm : float or None, default None\n    Of a coat; the paint's own if unset. At least 0.0." in page


def test_methods_declare_the_same_way() -> None:
    from voxtrace.method import OptionInfo as InfoOfMethods
    from voxtrace.method import option as option_of_methods

    assert InfoOfMethods is OptionInfo
    assert option_of_methods is option


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"colour": "red", "thinned": 6}, "colour=red does not tell it from 10"),
        ({"colour": "red", "thinned": 4}, ""),
        ({"colour": "blue", "thinned": 6}, ""),
        ({"plain": 0, "coats": 1, "thinned": 4}, "plain=0 with coats=1 does not read it"),
        ({"plain": 0, "coats": 2, "thinned": 4}, ""),
    ],
)
def test_an_option_says_with_which_settings_its_values_do_the_same(values: dict[str, Any], why: str) -> None:
    assert INFOS["thinned"].idle_with(values, before=10) == why
    assert INFOS["thinned"].unread == (
        "With colour=red all values from 5 on do the same. Not read with plain=0 and coats=1."
    )


@pytest.mark.parametrize(
    ("values", "switch"),
    [({"glossy": True}, "glossy=true"), ({"glossy": False, "colour": "blue"}, "colour=blue"), ({"colour": "red"}, "")],
)
def test_an_option_says_which_setting_leaves_it_unread(values: dict[str, Any], switch: str) -> None:
    assert INFOS["dries_in"].unread_with(values) == switch
    assert INFOS["dries_in"].unread == "Not read with glossy=true or colour=blue."
    assert INFOS["coats"].unread == ""
