"""The facts a casino understands, and how an event's arguments become their fields."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chains.chain import Fact, Raw
from chains.errors import BadManifest, Undecodable
from chains.straight import compile_function

IGNORED = "ignored"
UNMAPPED = "system_event"
LONGEST_AMOUNT = 10**78
"""What NUMERIC(78,0) holds, which is more than a uint256."""
LONGEST_NUMBER = 2**63 - 1
SAFE_NUMBER = 2**53 - 1
"""JSON readers lose digits above this, so larger numbers travel as text."""
WORDS = ("const", "sum", "call")

Mapped = Callable[[Mapping[str, Any], Raw], list[Fact]]
Calls = Mapping[str, Callable[[Mapping[str, Any]], object]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A field of a fact: text, amount, number or document."""

    kind: str
    required: bool = True


def _wanted(**kinds: str) -> dict[str, Wanted]:
    return {name: Wanted(kind.rstrip("?"), not kind.endswith("?")) for name, kind in kinds.items()}


FACTS: dict[str, dict[str, Wanted]] = {
    "bet_placed": _wanted(
        bet="text",
        player="text",
        game="text",
        stake="amount",
        choice="document?",
        index="number?",
        client_seed="text?",
        deadline="number?",
    ),
    "bet_settled": _wanted(bet="text", player="text?", payout="amount?", outcome="document?"),
    "bet_refunded": _wanted(bet="text", amount="amount"),
    "deposited": _wanted(player="text", amount="amount"),
    "withdrawn": _wanted(player="text", amount="amount", request="text?"),
    "seed_committed": _wanted(
        first="number", count="number", kind="text", root="text", reveal_by="number"
    ),
    "seed_revealed": _wanted(index="number", seed="text"),
    "jackpot_won": _wanted(player="text", amount="amount", pool="text?", bet="text?"),
    "pool_registered": _wanted(pool="text", manager="text?", config="document?"),
    "fee_charged": _wanted(pool="text?", bet="text?", amount="amount", fee_type="text?"),
    UNMAPPED: {},
    IGNORED: {},
}


def compile_fact(
    kind: str, fields: Mapping[str, Any], known: Iterable[str] | None, calls: Calls
) -> Mapped:
    """A function that makes the fact of an event; `known` are the event's fields, once known."""
    if kind == IGNORED:
        return lambda args, raw: []
    wanted = FACTS.get(kind)
    if wanted is None or kind == UNMAPPED:
        raise BadManifest(f"unknown fact {kind!r}{nearest(kind, FACTS)}")
    for name in fields:
        if name not in wanted:
            raise BadManifest(f"fact {kind} has no field {name!r}{nearest(name, wanted)}")
    missing = [name for name, want in wanted.items() if want.required and name not in fields]
    if missing:
        raise BadManifest(f"fact {kind} needs {', '.join(missing)}")
    source = Source(tuple(known) if known is not None else None, calls)
    values = [
        f"{name!r}: {want.kind}({name!r}, {source.expression(fields[name])}, {want.required})"
        if name in fields
        else f"{name!r}: None"
        for name, want in wanted.items()
    ]
    text_ = (
        "def fact(args, raw):\n"
        "    try:\n"
        "        fields = {" + ", ".join(values) + "}\n"
        "    except (KeyError, IndexError, TypeError) as error:\n"
        "        raise Undecodable(f'the event lacks a mapped field: {error}') from error\n"
        f"    return [Fact({kind!r}, raw.position, raw.tx, raw.index, raw.time, fields)]"
    )
    return compile_function(text_, source.scope, "fact")


class Source:
    """Writes the expression of one field of a fact."""

    def __init__(self, known: tuple[str, ...] | None, calls: Calls) -> None:
        self._known = known
        self._calls = calls
        self.scope: dict[str, Any] = {
            "Fact": Fact,
            "Undecodable": Undecodable,
            "text": text,
            "amount": amount,
            "number": number,
            "document": document,
        }

    def expression(self, wish: Any) -> str:
        """From what a manifest says to Python: a name, a list, a word, or a table of those."""
        if isinstance(wish, str):
            return self._path(wish)
        if isinstance(wish, list):
            return self.expression({self._last(name): name for name in wish})
        if not isinstance(wish, Mapping) or not wish:
            raise BadManifest(f"{wish!r} is neither a field, a list of fields nor a table")
        if len(wish) == 1 and (word := next(iter(wish))) in WORDS:
            return self._word(word, wish[word])
        inner = ", ".join(f"{key!r}: {self.expression(value)}" for key, value in wish.items())
        return "{" + inner + "}"

    def _word(self, word: str, value: Any) -> str:
        if word == "const":
            return repr(value)
        if word == "sum":
            if not isinstance(value, list) or not value:
                raise BadManifest("a sum is a list of fields")
            return "(" + " + ".join(self.expression(one) for one in value) + ")"
        if value not in self._calls:
            raise BadManifest(f"no function {value!r} in the interpreter file beside the manifest")
        name = f"call{len(self.scope)}"
        self.scope[name] = self._calls[value]
        return f"{name}(args)"

    def _path(self, path: str) -> str:
        first, *rest = path.split(".")
        if self._known is not None and first not in self._known:
            raise BadManifest(f"the event has no field {first!r}{nearest(first, self._known)}")
        steps = "".join(f"[{step if step.isdigit() else repr(step)}]" for step in rest)
        return f"args[{first!r}]{steps}"

    @staticmethod
    def _last(name: Any) -> str:
        if not isinstance(name, str):
            raise BadManifest(f"{name!r} is no name of a field")
        return name.rsplit(".", 1)[-1]


def text(name: str, value: Any, required: bool) -> str | None:
    """Text as a database takes it; bytes are hex, an enum without fields is its variant."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict) and "variant" in value:
        return str(value["variant"])
    absent(name, value, required, "text")
    return None


def amount(name: str, value: Any, required: bool) -> int | None:
    """Minor units, never less than none."""
    if type(value) is int and 0 <= value < LONGEST_AMOUNT:
        return value
    absent(name, value, required, "an amount")
    return None


def number(name: str, value: Any, required: bool) -> int | None:
    if type(value) is int and 0 <= value <= LONGEST_NUMBER:
        return value
    absent(name, value, required, "a number of 63 bits")
    return None


def document(name: str, value: Any, required: bool) -> dict[str, Any] | None:
    """Something JSON can hold."""
    if value is None:
        absent(name, value, required, "a document")
        return None
    plain = jsonable(value)
    return plain if isinstance(plain, dict) else {name: plain}


def absent(name: str, value: Any, required: bool, what: str) -> None:
    if value is not None or required:
        raise Undecodable(f"{name} is not {what}: {str(value)[:80]}")


def jsonable(value: Any) -> Any:
    """Bytes as hex, large numbers and infinities as text, no NUL in texts."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -SAFE_NUMBER <= value <= SAFE_NUMBER else str(value)
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    return [jsonable(one) for one in value]


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word."""
    names = [name for name in known if name != UNMAPPED]
    close = difflib.get_close_matches(word, names, 1)
    return f"; did you mean {close[0]!r}?" if close else f" (known: {', '.join(names) or 'none'})"
