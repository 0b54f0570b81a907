"""The steps of a proof, checked with all that a terminal has, and shown as a table with ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from coincurve import PublicKey
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chains.beacons import Forged
from chains.beacons.drand import QUICKNET, check
from chains.evm.address import keccak256
from cli.proofs.facts import Refused
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

MARKS = {OK: ("✓", "green"), FAILED: ("✗", "red"), UNCHECKED: ("?", "yellow")}


def checked(proof: Any, facts: Facts | None) -> list[Step]:
    """Every step of a proof as its file holds it. Raises `Refused` for one that is malformed."""
    try:
        return verify(proof, facts=facts, recover=recover, drand=drand)
    except Malformed as error:
        raise Refused(f"the proof is malformed: {error}") from error


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The Ethereum-style address that made a signature, or None."""
    compact = signature[:64] + bytes([signature[64] - 27])
    try:
        key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError:
        return None
    return keccak256(key.format(compressed=False)[1:])[12:]


def drand(number: int, signature: bytes) -> bool:
    """Whether quicknet made this signature for a round."""
    try:
        check(QUICKNET, number, signature)
    except Forged:
        return False
    return True


def show(
    console: Console, title: str, steps: Sequence[Step], facts: Facts | None, *, as_json: bool
) -> bool:
    """A line for each step, what was expected where it does not hold, a verdict; if all hold."""
    well = all(step.status == OK for step in steps)
    if as_json:
        said = {"proof": title, "holds": well, "steps": [asdict(step) for step in steps]}
        said["facts"] = None if facts is None else write_facts(facts)
        console.out(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode(), highlight=False)
        return well
    console.print(Text(title, "bold"), soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=True, padding=(0, 1))
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for step in steps:
        mark, colour = MARKS[step.status]
        found = Text(step.found, "" if step.status == OK else colour)
        if step.status != OK:
            found.append(f"\nexpected: {step.expected}", "dim")
        table.add_row(Text(mark, colour), step.name, found)
    console.print(table)
    console.print(verdict(steps), soft_wrap=True)
    return well


def verdict(steps: Sequence[Step]) -> Text:
    failed = [step.name for step in steps if step.status == FAILED]
    open_ = [step.name for step in steps if step.status == UNCHECKED]
    if failed:
        return Text(f"it does not hold: {', '.join(failed)}", MARKS[FAILED][1])
    if open_:
        said = f"nothing is wrong, and it is not proved: {', '.join(open_)} could not be checked"
        return Text(said, MARKS[UNCHECKED][1])
    return Text(f"it holds: all {len(steps)} steps", MARKS[OK][1])
