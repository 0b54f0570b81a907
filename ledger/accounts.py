"""Accounts: names that hold a balance of one asset, and the rule of each kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ledger.errors import UnknownAccount

CASH, BONUS = "cash", "bonus"
LONGEST = 200
FEW = 10_000  # one command names the same account five times


class Account(NamedTuple):
    """An account by its name, such as `player:17:cash`, `house:stakes`, `system:treasury`."""

    casino_id: int
    name: str
    asset: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What all accounts of a pattern have in common; no floor means it may go below zero."""

    pattern: re.Pattern[str]
    colour: str
    least: int | None = None
    most: int | None = None


def _kind(pattern: str, colour: str = CASH, **limits: int) -> Kind:
    return Kind(re.compile(pattern), colour, **limits)


WORD = "[a-z0-9_]+"

# The first that matches a name is its kind.
KINDS = (
    _kind(r"player:\d+:cash", least=0),
    _kind(r"player:\d+:bonus", BONUS, least=0),
    # What a player owes the house, for wins that were taken back after they were spent.
    _kind(r"player:\d+:debt", most=0),
    _kind(rf"(house|system)(:{WORD})*:bonus", BONUS),
    _kind(rf"(house|system)(:{WORD})+"),
    # The other side of deposits: what lies on a chain or at a bank, as seen from there.
    _kind(r"custody(:[A-Za-z0-9_.-]+)+"),
)


def kind(name: str) -> Kind:
    """Raises `UnknownAccount`."""
    found = _kinds.get(name)
    if found is None:
        found = next((one for one in KINDS if one.pattern.fullmatch(name)), None)
        if found is None or len(name) > LONGEST:
            raise UnknownAccount(f"{name!r} is not the name of an account", account=name)
        if len(_kinds) > REMEMBERED:
            _kinds.clear()
        _kinds[name] = found
    return found


REMEMBERED = 100_000
_kinds: dict[str, Kind] = {}


@lru_cache(maxsize=FEW)
def cash(casino_id: int, player_id: int, asset: str) -> Account:
    return Account(casino_id, f"player:{player_id}:cash", asset)


@lru_cache(maxsize=FEW)
def debt(casino_id: int, player_id: int, asset: str) -> Account:
    return Account(casino_id, f"player:{player_id}:debt", asset)


@lru_cache(maxsize=FEW)
def bonus(casino_id: int, player_id: int, asset: str) -> Account:
    return Account(casino_id, f"player:{player_id}:bonus", asset)
