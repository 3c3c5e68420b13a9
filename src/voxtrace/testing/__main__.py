"""``python -m voxtrace.testing NAME``: hold a method to every promise; exits with 1 where it breaks one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from voxtrace.errors import MethodError
from voxtrace.methods import method_class
from voxtrace.safe_text import brief
from voxtrace.testing.promises import PROMISES


def main(words: Sequence[str]) -> int:
    """Print each promise with "kept" or what broke it, and return the exit code: 0 kept, 1 broken, 2 no such method."""
    if len(words) != 1:
        return _say("usage: python -m voxtrace.testing NAME, the method's name as users type it", 2)
    try:
        method_class(words[0])
    except MethodError as error:
        return _say(str(error), 2)
    broken = [text for promise in PROMISES if (text := _broken(promise, words[0]))]
    return _say(f"{len(PROMISES) - len(broken)} of {len(PROMISES)} promises kept", int(bool(broken)))


def _broken(promise: str, name: str) -> str:
    """Return what broke a promise, "" where it was kept, and print either."""
    try:
        PROMISES[promise](name)
    except (Exception, SystemExit) as error:  # the method of a stranger breaks it in any way
        told = f"{type(error).__name__}: {brief(error)}".rstrip(": ")
        _say(f"BROKEN  {promise}: {told}", 1)
        return told
    _say(f"kept    {promise}", 0)
    return ""


def _say(text: str, code: int) -> int:
    sys.stdout.write(text + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
