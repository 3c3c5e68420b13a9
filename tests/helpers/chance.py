"""Random numbers that depend on a seed and on nothing else; :mod:`voxtrace.testing` ships them."""

from voxtrace.testing.chance import chance as chance  # noqa: PLC0414
from voxtrace.testing.chance import drawn as drawn  # noqa: PLC0414
