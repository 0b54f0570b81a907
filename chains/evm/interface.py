"""A contract's ABI, as far as its events go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chains.errors import BadInterface
from chains.evm.address import keccak256
from chains.evm.codec import Shape, shape_of

MOST_INDEXED = 3


@dataclass(frozen=True, slots=True)
class EventShape:
    """An event: its name here, its canonical signature, its fields as (name, shape, indexed)."""

    name: str
    signature: str
    fields: tuple[tuple[str, Shape, bool], ...]

    @property
    def topic(self) -> bytes:
        return keccak256(self.signature.encode())

    @property
    def indexed(self) -> int:
        return sum(indexed for _, _, indexed in self.fields)


def read_interface(abi: Mapping[str, Any] | Sequence[Any]) -> tuple[EventShape, ...]:
    """The events of an ABI, or of a compiler's file that holds one under `abi`.

    Overloads share no topic, so each goes by its whole signature; anonymous events have no topic
    to know them by and are left out.
    """
    try:
        entries = abi["abi"] if isinstance(abi, Mapping) else abi
        events = [
            _event(entry)
            for entry in entries
            if entry["type"] == "event" and not entry.get("anonymous")
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInterface(f"this is no contract ABI: {error!r}") from error
    overloads = Counter(name for name, _ in {(e.name, e.signature) for e in events})
    return tuple(
        EventShape(e.signature, e.signature, e.fields) if overloads[e.name] > 1 else e
        for e in events
    )


def _event(entry: Mapping[str, Any]) -> EventShape:
    name = entry["name"]
    fields: dict[str, tuple[Shape, bool]] = {}
    for place, parameter in enumerate(entry["inputs"]):
        field = parameter.get("name") or f"arg{place}"
        if field in fields:
            raise BadInterface(f"event {name} has two fields named {field}")
        fields[field] = (shape_of(parameter), bool(parameter.get("indexed")))
    signature = f"{name}({','.join(shape.signature for shape, _ in fields.values())})"
    event = EventShape(name, signature, tuple((f, s, i) for f, (s, i) in fields.items()))
    if event.indexed > MOST_INDEXED:
        raise BadInterface(f"event {name} has {event.indexed} indexed fields")
    return event
