"""What clients and the feed say to each other; nothing here waits or sends.

A client says `{"type": "subscribe", "channels": ["bets"], "filters": {"game": "range"}}`, the feed
says `{"type": "bet.placed", "data": {...}, "timestamp": ms, "seq": n, "epoch": "..."}`.
A player is named by an address in any of its spellings, or by CAIP-10.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from api import accounts
from chains.errors import BadAddress

CHANNELS = ("bets", "jackpots", "pairs", "players", "rounds", "stats")
FILTERS = ("casino", "game", "player")
MOST_TEXT = 128


class BadCommand(Exception):
    """A frame that is no command; `code` is for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Filters:
    """What a message must match; an empty filter matches everything.

    `player` is an address as we write it, and `network` is there when it was given as CAIP-10.
    """

    casino: str = ""
    game: str = ""
    player: str = ""
    network: str = ""

    def match(self, casino: str, game: str, player: str, network: str) -> bool:
        return (
            (not self.casino or self.casino == casino)
            and (not self.game or self.game == game)
            and (not self.player or self.player == player)
            and (not self.network or self.network == network)
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a channel: sequence numbers mean something within one epoch only."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    channels: tuple[str, ...]
    filters: Filters = field(default_factory=Filters)
    since: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    pass


Command = Subscribe | Unsubscribe | Ping


def parse(frame: str | bytes) -> Command:
    """The command in a frame. Raises `BadCommand`."""
    if isinstance(frame, bytes):
        raise BadCommand("binary", "commands are text frames")
    try:
        said = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise BadCommand("not_json", f"a command is a JSON object: {error}") from error
    if not isinstance(said, dict):
        raise BadCommand("not_object", "a command is a JSON object")
    match said.get("type"):
        case "subscribe":
            return Subscribe(
                _channels(said), _filters(said.get("filters")), _since(said.get("since"))
            )
        case "unsubscribe":
            return Unsubscribe(_channels(said))
        case "ping":
            return Ping()
        case other:
            raise BadCommand("unknown_type", f"unknown type {str(other)[:40]!r}")


def _channels(said: dict[str, Any]) -> tuple[str, ...]:
    channels = said.get("channels")
    if not isinstance(channels, list) or not channels:
        raise BadCommand("no_channels", "channels is a list of at least one name")
    for channel in channels:
        if channel not in CHANNELS:
            known = ", ".join(CHANNELS)
            raise BadCommand("unknown_channel", f"no channel {str(channel)[:40]!r}; known: {known}")
    return tuple(dict.fromkeys(channels))


def _filters(said: Any) -> Filters:
    if said is None:
        return Filters()
    if not isinstance(said, dict) or not set(said) <= set(FILTERS):
        raise BadCommand("bad_filter", f"filters may hold {', '.join(FILTERS)}")
    for value in said.values():
        if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT:
            raise BadCommand("bad_filter", f"a filter is a text of 1 to {MOST_TEXT} characters")
    if "player" not in said:
        return Filters(**said)
    try:
        account = accounts.parse(said["player"])
    except BadAddress as error:
        raise BadCommand("bad_filter", f"player is an address or CAIP-10: {error}") from error
    return Filters(**said | {"player": account.address, "network": account.network})


def _since(said: Any) -> dict[str, Place]:
    if said is None:
        return {}
    if not isinstance(said, dict) or not set(said) <= set(CHANNELS):
        raise BadCommand("bad_since", "since maps channels to their epoch and seq")
    places = {}
    for channel, place in said.items():
        match place:
            case {"epoch": str(epoch), "seq": int(seq)} if 0 <= seq < 2**63:
                places[channel] = Place(epoch[:MOST_TEXT], seq)
            case _:
                raise BadCommand("bad_since", "since maps channels to their epoch and seq")
    return places


def encode(type: str, **fields: Any) -> bytes:
    """A frame of the feed's own, stamped with the time in milliseconds."""
    return orjson.dumps({"type": type, **fields, "timestamp": int(time.time() * 1000)})
