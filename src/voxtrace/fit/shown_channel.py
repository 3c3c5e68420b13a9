"""Which channel of a scan pictures of a model show: the one that its card names, else the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtrace.errors import UsageError
from voxtrace.safe_text import brief

SHOWN_CHANNEL = "shown_channel"  # in a card: name of a channel of the plan


def shown_channel(record: Mapping[str, Any]) -> int:
    """Return the number of the channel that pictures show.

    Examples
    --------
    >>> shown_channel({"plan": {"channels": ["T1", "FLAIR"]}, "shown_channel": "FLAIR"})
    1
    >>> shown_channel({"plan": {"channels": ["T1", "FLAIR"]}})
    0
    """
    channels = [str(name) for name in record["plan"]["channels"]]
    name = record.get(SHOWN_CHANNEL)
    return channels.index(str(name)) if name in channels else 0


def check_shown_channel(record: Mapping[str, Any], name: str) -> None:
    """Refuse a name that is no channel of the model.

    Raises
    ------
    UsageError
        With the names that it has.
    """
    channels = [str(one) for one in record["plan"]["channels"]]
    if name not in channels:
        raise UsageError(f"{brief(name)} is no channel of this model; expected one of {brief(', '.join(channels))}.")
