"""From a transaction as a node gave it to raws, and from raws to named arguments."""

from __future__ import annotations

import binascii
import struct
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from chains.chain import Raw
from chains.errors import BadAddress, RetryLater, Undecodable
from chains.solana.address import event_authority, from_base58
from chains.solana.codec import Codec, Reader
from chains.solana.interface import ACCOUNTS, InstructionShape, read_interface
from chains.solana.logs import spoken_by
from chains.solana.message import Instruction, read_message

EVENT_TAG = bytes.fromhex("e445a52e51cb9a1d")
"""What `emit_cpi!` puts before the event: sha256("anchor:event")[:8], reversed."""
KINDS = ("data", "cpi", "instruction")
# Places in a tx that several followed programs share without meeting: an instruction by where it
# ran, a line of the log by its number, and what a cut log lost by whose it is.
OUTER = 1 << 16
DATA_INDEX = 1 << 30
"""Data lines are numbered from here, above every instruction."""
LOST_INDEX = 1 << 31

Table = list[tuple[int, dict[bytes, tuple[str, Callable[..., dict[str, object]]]]]]
body_reader = msgspec.msgpack.Decoder(tuple[list[str], bytes])


class Decoder:
    """Decodes the raws of one program by its IDL."""

    def __init__(self, interface: dict[str, Any], address: str) -> None:
        idl = read_interface(interface)
        codec = Codec(idl.types)
        self._address = address
        self._fields: dict[str, tuple[str, ...]] = {}
        events, instructions = [], []
        for event in idl.events:
            names = tuple(name for name, _ in event.fields)
            self._fields[event.name] = names
            reader = whole(codec.compile(event.fields))
            events.append((event.discriminator, (event.name, reader)))
        for shape in idl.instructions:
            name = f"{shape.name}()" if shape.name in self._fields else shape.name
            self._fields[name] = (*(field for field, _ in shape.fields), ACCOUNTS)
            verb = self._instruction(shape, codec.compile(shape.fields))
            instructions.append((shape.discriminator, (name, verb)))
        self._verbs = frozenset(name for _, (name, _) in instructions)
        self._events: Table = by_length(events)
        self._instructions: Table = by_length(instructions)

    def fields(self) -> dict[str, tuple[str, ...]]:
        """Every event and instruction with the names of its fields."""
        return dict(self._fields)

    def instructions(self) -> frozenset[str]:
        """The names among them that are instructions."""
        return self._verbs

    def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]:
        """The name and arguments of a raw; Undecodable says why not."""
        try:
            if kind != "instruction":
                for length, table in self._events:
                    found = table.get(body[:length])
                    if found is not None:
                        return found[0], found[1](body, length)
                raise Undecodable(unknown(body))
            return self._decode_instruction(body)
        except (struct.error, IndexError) as error:
            raise Undecodable("too short for its layout") from error
        except RecursionError as error:
            raise Undecodable("nested too deeply") from error

    def _decode_instruction(self, body: bytes) -> tuple[str, dict[str, object]]:
        try:
            accounts, data = body_reader.decode(body)
        except msgspec.MsgspecError as error:
            raise Undecodable("this is no stored instruction") from error
        for length, table in self._instructions:
            found = table.get(data[:length])
            if found is not None:
                return found[0], found[1](data, length, accounts)
        raise Undecodable(unknown(data))

    def _instruction(
        self, shape: InstructionShape, read: Reader
    ) -> Callable[[bytes, int, list[str]], dict[str, object]]:
        """Arguments, then the accounts by name. Anchor ignores what follows the arguments."""
        program = self._address

        def verb(data: bytes, start: int, accounts: list[str]) -> dict[str, object]:
            args: dict[str, object] = read(data, start)[0]
            named: dict[str, object] = {}
            for (path, optional), account in zip(shape.accounts, accounts, strict=False):
                place(named, path, None if optional and account == program else account)
            if len(accounts) > len(shape.accounts):
                named["remaining"] = accounts[len(shape.accounts) :]
            args[ACCOUNTS] = named
            return args

        return verb


def whole(read: Reader) -> Callable[[bytes, int], dict[str, object]]:
    """An event is all of its bytes."""

    def event(body: bytes, start: int) -> dict[str, object]:
        args: dict[str, object]
        args, end = read(body, start)
        if end != len(body):
            raise Undecodable(f"{len(body) - end} bytes left over")
        return args

    return event


def by_length(entries: list[tuple[bytes, tuple[str, Callable[..., Any]]]]) -> Table:
    """Discriminators grouped by length, longest first."""
    lengths = sorted({len(begins) for begins, _ in entries}, reverse=True)
    return [
        (length, {begins: entry for begins, entry in entries if len(begins) == length})
        for length in lengths
    ]


def unknown(body: bytes) -> str:
    if not body:
        return "the log of this transaction is not whole: events may be missing"
    return f"nothing in the interface begins with {body[:8].hex()}"


def place(named: dict[str, object], path: str, account: str | None) -> None:
    """Accounts may be grouped: `group.name` becomes a dict in a dict."""
    *groups, last = path.split(".")
    for group in groups:
        named = named.setdefault(group, {})  # type: ignore[assignment]
    named[last] = account


def candidates(answer: Any, address: str, kinds: Container[str] = KINDS) -> list[Raw]:
    """What one `getTransaction` result holds of our program; a failed transaction holds nothing."""
    if answer is None:
        raise RetryLater("the node does not know this transaction yet")
    try:
        meta = answer["meta"]
        if meta is None:
            raise RetryLater("the node gave the transaction without its effects")
        if meta["err"] is not None:
            return []
        return [raw for raw in _found(answer, meta, address) if raw.kind in kinds]
    except (
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        ValueError,
        binascii.Error,
        BadAddress,
    ) as error:
        raise Undecodable(f"the transaction is malformed: {error!r}") from error


def _found(answer: Mapping[str, Any], meta: Mapping[str, Any], address: str) -> Iterator[Raw]:
    message = read_message(answer["transaction"], meta)
    position, tx, tx_index = answer["slot"], message.tx, answer.get("transactionIndex")
    seconds = answer.get("blockTime")
    time = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    groups = {g["index"]: g["instructions"] for g in meta.get("innerInstructions") or ()}
    frames: list[int] = []
    spoke: set[int] = set()
    called: Counter[bytes] = Counter()
    for outer, instruction in enumerate(message.instructions):
        run = (instruction, *(message.instruction(raw) for raw in groups.get(outer, ())))
        for place_, one in enumerate(run):
            if one.program != address:
                continue
            data = from_base58(one.data) if isinstance(one.data, str) else one.data
            index = outer * OUTER + place_
            frames.append(index)
            caller = emitter(run, place_, address) if data.startswith(EVENT_TAG) else None
            if caller is not None:
                spoke |= {index, outer * OUTER + caller}
                body, kind = data[len(EVENT_TAG) :], "cpi"
                called[body] += 1
            else:
                body, kind = msgspec.msgpack.encode((list(one.accounts), data)), "instruction"
            yield Raw(position, tx, index, kind, body, None, tx_index, time)
    if not frames:
        return
    lines = meta.get("logMessages")
    spoken = spoken_by(address, lines or ())
    only_logged = False
    for number, line in spoken.data:
        if called[line]:
            # Said in the log and by self-call: one event, at the place that no cut log takes away.
            called[line] -= 1
            continue
        only_logged = True
        yield Raw(position, tx, DATA_INDEX + number, "data", line or b"\0", None, tx_index, time)
    # Whoever called itself is taken to do so for every event, unless the log shows otherwise.
    cut = lines is None or spoken.broken is not None
    unseen = (index for at, index in enumerate(frames) if at not in spoken.closed)
    if cut and any(only_logged or index not in spoke for index in unseen):
        # An empty body is never decodable: it stands in the dead letters for what was cut off.
        index = LOST_INDEX + int.from_bytes(from_base58(address)[:4], "big")
        yield Raw(position, tx, index, "data", b"", None, tx_index, time)


def emitter(run: Sequence[Instruction], place_: int, address: str) -> int | None:
    """Where the program stands that called itself here, signed as its event authority."""
    height = run[place_].height
    if tuple(run[place_].accounts) != (event_authority(address),):
        return None
    for at in range(place_ - 1, -1, -1):
        before = run[at].height if at else 1
        if height is None:
            # Old nodes give no heights: the caller must then at least be among those that ran.
            if run[at].program == address:
                return at
        elif before is not None and before < height:
            return at if before == height - 1 and run[at].program == address else None
    return None
