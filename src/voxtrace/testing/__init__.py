"""The promises that every method keeps, for the tests of a method that another package brings.

In a test of that package, with the method's name as users type it::

    import pytest
    from voxtrace.testing import PROMISES

    @pytest.mark.parametrize("promise", PROMISES)
    def test_promise(promise):
        PROMISES[promise]("secondlook")

or, without pytest, ``python -m voxtrace.testing secondlook``. VoxTrace's own methods are held to the same promises.
"""

from __future__ import annotations

from voxtrace.testing.promises import PROMISES

__all__ = ["PROMISES"]
