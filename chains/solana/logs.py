"""Where a program spoke: the log lines of one transaction, attributed to frames.

Only the runtime's own lines move the stack. What a program writes always stands behind
`Program log: ` or `Program data: `, so no text of its own can look like an invocation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from chains.solana.address import ALPHABET

DATA = "Program data: "
WRITTEN = ("Program log: ", DATA)
TRUNCATED = "Log truncated"
ID = rf"([{ALPHABET}]{{32,44}})"
INVOKE = re.compile(rf"Program {ID} invoke \[(\d{{1,3}})\]")
END = re.compile(rf"Program {ID} (?:success|failed(?:: .*)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one program wrote with sol_log_data, by line number, and whether the record is whole.

    `closed` counts its frames that were seen to end; `broken` says why the lines after some
    point are missing or cannot be attributed.
    """

    data: tuple[tuple[int, bytes], ...]
    closed: int
    broken: str | None


def spoken_by(program: str, lines: Sequence[str]) -> Spoken:
    """The data lines written while `program` was the running one."""
    stack: list[str] = []
    data: list[tuple[int, bytes]] = []
    closed = 0
    for number, line in enumerate(lines):
        if line.startswith(WRITTEN):
            if stack and stack[-1] == program and line.startswith(DATA):
                data.append((number, payload(line[len(DATA) :])))
        elif line == TRUNCATED:
            return Spoken(tuple(data), closed, "the node cut the log")
        elif match := INVOKE.fullmatch(line):
            stack.append(match[1])
            if len(stack) != int(match[2]):
                return Spoken(tuple(data), closed, "the log's frames do not nest")
        elif match := END.fullmatch(line):
            if not stack or stack.pop() != match[1]:
                return Spoken(tuple(data), closed, "the log's frames do not nest")
            closed += match[1] == program
    if stack:
        return Spoken(tuple(data), closed, "the log ends inside a frame")
    return Spoken(tuple(data), closed, None)


def payload(text: str) -> bytes:
    """The bytes of a data line; several fields or bad base64 stay as the text they came as."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
