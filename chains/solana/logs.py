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

    `closed` holds those of its frames that were seen to end, numbered as they began; `broken`
    says why the lines after some point are missing or cannot be attributed.
    """

    data: tuple[tuple[int, bytes], ...]
    closed: frozenset[int]
    broken: str | None


def spoken_by(program: str, lines: Sequence[str]) -> Spoken:
    """The data lines written while `program` was the running one."""
    stack: list[str] = []
    data: list[tuple[int, bytes]] = []
    begun, running, closed = 0, list[int](), set[int]()

    def so_far(broken: str | None) -> Spoken:
        return Spoken(tuple(data), frozenset(closed), broken)

    for number, line in enumerate(lines):
        if line.startswith(WRITTEN):
            if stack and stack[-1] == program and line.startswith(DATA):
                data.append((number, payload(line[len(DATA) :])))
        elif line == TRUNCATED:
            return so_far("the node cut the log")
        elif match := INVOKE.fullmatch(line):
            stack.append(match[1])
            if len(stack) != int(match[2]):
                return so_far("the log's frames do not nest")
            if match[1] == program:
                running.append(begun)
                begun += 1
        elif match := END.fullmatch(line):
            if not stack or stack.pop() != match[1]:
                return so_far("the log's frames do not nest")
            if match[1] == program:
                closed.add(running.pop())
    return so_far("the log ends inside a frame" if stack else None)


def payload(text: str) -> bytes:
    """The bytes of a data line; several fields or bad base64 stay as the text they came as."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()
