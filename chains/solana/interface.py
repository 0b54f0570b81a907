"""An Anchor IDL, old (before 0.30) or new, brought to one shape."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chains.errors import BadInterface
from chains.solana.codec import Type, members

ACCOUNTS = "accounts"


@dataclass(frozen=True, slots=True)
class EventShape:
    """An event: how its bytes begin, and its fields."""

    name: str
    discriminator: bytes
    fields: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class InstructionShape:
    """An instruction: how its data begins, its arguments, its accounts (path, optional)."""

    name: str
    discriminator: bytes
    fields: tuple[tuple[str, Type], ...]
    accounts: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """All of an IDL that decoding needs."""

    address: str | None
    types: Mapping[str, Mapping[str, Any]]
    events: tuple[EventShape, ...]
    instructions: tuple[InstructionShape, ...]


def read_interface(idl: Mapping[str, Any]) -> Interface:
    """The IDL in one shape; BadInterface says what is wrong with it."""
    try:
        types = {
            d["name"]: d for d in (*idl.get("accounts", ()), *idl.get("types", ())) if "type" in d
        }
        return Interface(
            address=idl.get("address") or idl.get("metadata", {}).get("address"),
            types=types,
            events=tuple(_events(idl.get("events") or (), types)),
            instructions=tuple(_instructions(idl.get("instructions") or ())),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInterface(f"this is no Anchor IDL: {error!r}") from error


def snake(name: str) -> str:
    """placeBet -> place_bet, as Anchor names instructions before hashing."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z])([A-Z][a-z])", r"\1_\2", name).lower()


def discriminator(space: str, name: str) -> bytes:
    """The eight bytes Anchor puts first: sha256("event:Name") or sha256("global:verb")."""
    return hashlib.sha256(f"{space}:{name}".encode()).digest()[:8]


def _events(
    events: Sequence[Mapping[str, Any]], types: Mapping[str, Mapping[str, Any]]
) -> Iterator[EventShape]:
    for event in events:
        name = event["name"]
        given = event.get("discriminator")
        begins = bytes(given) if given is not None else discriminator("event", name)
        if not begins:
            raise BadInterface(f"event {name} has an empty discriminator")
        if "fields" in event:
            fields = event["fields"]
        elif name in types:
            if types[name]["type"].get("kind") != "struct":
                raise BadInterface(f"event {name} is no struct")
            if types[name].get("generics"):
                raise BadInterface(f"event {name} is generic; generics are not supported")
            fields = types[name]["type"].get("fields")
        else:
            raise BadInterface(f"event {name} has neither fields nor a type of that name")
        yield EventShape(name, begins, tuple(members(fields)[0]))


def _instructions(instructions: Sequence[Mapping[str, Any]]) -> Iterator[InstructionShape]:
    for instruction in instructions:
        name = instruction["name"]
        given = instruction.get("discriminator")
        begins = bytes(given) if given is not None else discriminator("global", snake(name))
        fields = tuple((arg["name"], arg["type"]) for arg in instruction.get("args") or ())
        if any(field == ACCOUNTS for field, _ in fields):
            raise BadInterface(f"instruction {name} has an argument named {ACCOUNTS}")
        accounts = tuple(_accounts(instruction.get("accounts") or (), ""))
        yield InstructionShape(name, begins, fields, accounts)


def _accounts(accounts: Sequence[Mapping[str, Any]], within: str) -> Iterator[tuple[str, bool]]:
    for account in accounts:
        path = f"{within}{account['name']}"
        if "accounts" in account:
            yield from _accounts(account["accounts"], f"{path}.")
        else:
            yield path, bool(account.get("optional") or account.get("isOptional"))
