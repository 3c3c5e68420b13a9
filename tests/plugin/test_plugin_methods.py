"""What the window knows of methods comes from their classes alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from fakes import Nearest
from made_methods import Blurred, Capped
from voxtrace.errors import MethodError
from voxtrace.inference.options import KEEP_EVERY_STEP
from voxtrace.methods import METHODS, method
from voxtrace.methods.unet import UNet
from voxtrace.plugin.models.methods import MethodRegistry, capabilities
from voxtrace.plugin.models.panel_state import run_name


def test_only_live_options_are_offered_and_not_the_one_that_steps_stands_for() -> None:
    able = capabilities(Blurred())
    assert [info.name for info in able.options] == ["strength", "kernel", "sharp", "repeats", "remark"]
    assert (able.steps, able.max_steps, able.step_word) == (2, 20, "look")
    assert able.extras == ("seen_through_noise",)
    assert able.sentence == "Blurred, 2 looks"


def test_a_method_at_its_most_steps_still_lets_a_user_take_fewer() -> None:
    able = capabilities(Capped())
    assert able.options == ()
    assert able.steps == 5
    assert able.max_steps == 100


def test_a_fixed_number_of_steps_is_not_offered() -> None:
    able = capabilities(UNet())
    assert (able.steps, able.max_steps, able.sentence) == (1, 0, "U-Net")


@pytest.mark.parametrize("key", METHODS)
def test_every_method_can_be_described(key: str) -> None:
    able = capabilities(METHODS[key]())
    assert able.title == METHODS[key].title
    assert {info.name for info in able.options} <= set(able.values)


def test_a_method_whose_choices_do_not_all_go_together_can_be_described() -> None:
    """Deciding at once would leave ``skip_above`` unread, and is refused beside it."""
    able = capabilities(method("meddanet", decide="skip_first", skip_above=0.97))
    assert (able.values["skip_above"], able.every_window) == (0.97, {})


def test_an_unknown_method_or_option_offers_nothing() -> None:
    method_registry = MethodRegistry({"nearest": Nearest})
    assert method_registry.capabilities("other", {}) is None
    assert method_registry.capabilities("nearest", {"colour": 3}) is None
    assert method_registry.capabilities("nearest", {"n_steps": 1000}) is None
    with pytest.raises(MethodError, match="n_steps is 1000"):
        method_registry.create("nearest", {"n_steps": 1000})


def test_a_result_is_named_by_what_was_chosen() -> None:
    assert run_name("scan", "liver", KEEP_EVERY_STEP) == "scan · liver"
    chosen = replace(KEEP_EVERY_STEP, seed=7, mirror=False, overlap=0.25, method_options={"n_runs": 3})
    assert run_name("scan", "liver", chosen) == "scan · liver · mirror off, overlap 0.25, seed 7, n runs 3"


def test_the_panels_open_without_torch() -> None:
    code = (
        "import sys; import voxtrace.plugin.models.methods, voxtrace.plugin.npe2.viewer_state,"
        " voxtrace.plugin.controllers.segment, voxtrace.plugin.controllers.train; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
