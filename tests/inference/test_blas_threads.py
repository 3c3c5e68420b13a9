"""BLAS is kept to one thread while anybody segments, and gets its threads back afterwards."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from voxtrace.inference.blas_threads import SingleThreadedBlas

pytestmark = pytest.mark.numeric


np.ones((2, 2)) @ np.ones((2, 2))  # numpy's BLAS is loaded


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads() -> object:
    with threadpool_limits(2, user_api="blas"):
        yield


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_the_last_block_lifts_the_limit_whichever_began_first(first_to_end: int) -> None:
    one, blocks = SingleThreadedBlas(), [ExitStack(), ExitStack()]
    assert threads() == {2}
    for block in blocks:
        block.enter_context(one.limited())
        assert threads() == {1}
    blocks[first_to_end].close()
    assert threads() == {1}
    blocks[1 - first_to_end].close()
    assert threads() == {2}


def test_a_block_that_fails_lifts_the_limit() -> None:
    one = SingleThreadedBlas()
    with pytest.raises(ValueError, match="no"), one.limited():
        raise ValueError("no")
    assert threads() == {2}
    with one.limited():
        assert threads() == {1}
