"""From logs as a node gave them to raws, and from raws to named arguments."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterable, Mapping
from typing import Any

from chains.chain import Raw
from chains.errors import BadInterface, Undecodable
from chains.evm.codec import WORD, Codec, EventReader
from chains.evm.interface import read_interface
from chains.evm.logs import Log, raws

KINDS = ("log",)
TOPIC = 1 + WORD


class Decoder:
    """Decodes the logs of one contract by its ABI.

    One topic may have several layouts (same types, other fields indexed): those with as many
    topics as the log are tried in the order of the ABI.
    """

    def __init__(self, interface: Mapping[str, Any] | list[Any], address: str) -> None:
        self._address = address
        self._fields: dict[str, tuple[str, ...]] = {}
        self._layouts: dict[bytes, tuple[tuple[str, EventReader], ...]] = {}
        codec = Codec()
        for event in read_interface(interface):
            names = tuple(name for name, _, _ in event.fields)
            known = self._fields.setdefault(event.name, names)
            if set(known) != set(names):
                raise BadInterface(f"event {event.name} has layouts with different field names")
            begins = bytes((1 + event.indexed,)) + event.topic
            layout = (event.name, codec.compile(event.fields))
            self._layouts[begins] = (*self._layouts.get(begins, ()), layout)

    def fields(self) -> dict[str, tuple[str, ...]]:
        """Every event with the names of its fields."""
        return dict(self._fields)

    def instructions(self) -> frozenset[str]:
        """None: on the EVM only logs are read."""
        return frozenset()

    def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]:
        """The name and arguments of a raw; Undecodable says why not."""
        layouts = self._layouts.get(body[:TOPIC])
        if layouts is None:
            raise Undecodable(self._unknown(body))
        reason = ""
        for name, read in layouts:
            try:
                return name, read(body)
            except Undecodable as error:
                reason = reason or error.reason
            except (struct.error, OverflowError):
                reason = reason or "too short for its layout"
        raise Undecodable(reason)

    def _unknown(self, body: bytes) -> str:
        if not body or body[0] == 0:
            return "an anonymous log: no topic to know it by"
        topic = body[1:TOPIC]
        if any(begins[1:] == topic for begins in self._layouts):
            return f"{body[0] - 1} indexed fields, which no layout of this event has"
        return f"no event of the interface has the topic {topic.hex()}"


def candidates(
    answer: Iterable[Log | Mapping[str, Any]], address: str, kinds: Container[str] = KINDS
) -> list[Raw]:
    """What an answer of `eth_getLogs` holds of our contract."""
    return raws(answer, address) if "log" in kinds else []
