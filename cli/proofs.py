"""Proofs put to the proof: every step as a line of a table, offline or with facts of a chain."""

from __future__ import annotations

from pathlib import Path

import orjson
from coincurve import PublicKey
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chains.beacons import Forged
from chains.beacons.quicknet import QUICKNET, check
from chains.evm.address import keccak256
from games.fairness.verify import (
    FAILED,
    OK,
    UNCHECKED,
    Facts,
    Malformed,
    Step,
    verify,
    write_facts,
)

MARKS = {OK: ("✓ ok", "green"), FAILED: ("✗ failed", "red"), UNCHECKED: ("– not checked", "yellow")}
LARGEST = 200_000_000  # bytes; a pair of 65,536 bets is about half of it


class Refused(Exception):
    """A file that is no proof, in one line."""


def steps(file: Path) -> list[Step]:
    """What can be said of a proof without asking any chain. Raises `Refused`."""
    try:
        return verify(read_file(file), recover=recover, drand=drand)
    except Malformed as malformed:
        raise Refused(f"{file} is no proof: {malformed}") from None


def checked(proof: object, facts: Facts) -> list[Step]:
    """What can be said of a proof with what a chain says of it. Raises `Refused`."""
    try:
        return verify(proof, facts=facts, recover=recover, drand=drand)
    except Malformed as malformed:
        raise Refused(f"the proof is malformed: {malformed}") from None


def read_file(file: Path) -> object:
    try:
        if file.stat().st_size > LARGEST:
            raise Refused(f"{file} is too large for a proof")
        return orjson.loads(file.read_bytes())
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError:
        raise Refused(f"{file} is no proof: it is not JSON") from None


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The address that made a signature r || s || v with v of 27 or 28; None for nobody's."""
    made = signature[:64] + bytes([signature[64] - 27])
    try:
        key = PublicKey.from_signature_and_message(made, digest, hasher=None)
    except Exception:  # of what kind, coincurve does not say
        return None
    return keccak256(key.format(compressed=False)[1:])[-20:]


def drand(number: int, signature: bytes) -> bool:
    """Whether quicknet made it for its round of this number."""
    try:
        check(QUICKNET, number, signature)
    except Forged:
        return False
    return True


def show(console: Console, told: list[Step], facts: Facts | None = None, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"step": one.name, "status": one.status, "expected": one.expected, "found": one.found}
            for one in told
        ]
        said: dict[str, object] = {"holds": holds(told), "steps": rows}
        if facts is not None:
            said["facts"] = write_facts(facts)
        console.out(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode(), highlight=False)
        return
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("mark", no_wrap=True)
    table.add_column("step", no_wrap=True)
    for name in ("expected", "found"):
        table.add_column(name, overflow="fold")
    for one in told:
        mark, colour = MARKS[one.status]
        table.add_row(Text(mark, colour), one.name, Text(one.expected), Text(one.found))
    console.print(table)
    console.print(Text(verdict(told, asked=facts is not None)), soft_wrap=True)


def holds(told: list[Step]) -> bool | None:
    """None while something is unchecked, and nothing has failed."""
    found = {one.status for one in told}
    return False if FAILED in found else None if UNCHECKED in found else True


def verdict(told: list[Step], *, asked: bool = False) -> str:
    """One sentence that never says more than was checked; whether a node was `asked`."""
    counts = {status: sum(one.status == status for one in told) for status in MARKS}
    if counts[FAILED]:
        first = next(one.name for one in told if one.status == FAILED)
        more = f", and {counts[FAILED] - 1} more" if counts[FAILED] > 1 else ""
        return f"This proof does not hold: {first} failed{more}."
    if counts[UNCHECKED]:
        without = "" if asked else " without a node"
        return (
            f"Nothing failed, and this is not proved yet: {counts[OK]} of {len(told)} steps hold, "
            f"{counts[UNCHECKED]} could not be checked{without}."
        )
    return f"This proof holds: all {len(told)} steps were checked and are right."
