"""Duplicates and races of several processes leave the books that one clerk would have left."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from ledger import foresight
from tests.reliability import LONG
from tests.reliability.bank import PLAYERS, command
from tests.reliability.conftest import ask, banker, broken

# Commands of each process.
COUNT = int(os.environ.get("FAIRHOUSE_STORM") or (250_000 if LONG else 1_000))
PROCESSES = 4

ORDER = """
SELECT r.key::bigint, r.code, e.version FROM requests r
LEFT JOIN transfers t ON t.id = r.transfer_id
LEFT JOIN entries e ON e.transfer_id = t.id
    AND e.account_id = (SELECT id FROM accounts WHERE name = %s)
WHERE r.scope = 'bank'
"""


def stormed(url: str, *, times: int, shared: bool) -> list[list[str]]:
    """The answers of four processes that decide at once, the same commands or each its own."""
    spans = [(1, 1) if shared else (1 + place, PROCESSES) for place in range(PROCESSES)]
    made = [banker(url, first, step, COUNT, 32, times) for first, step in spans]
    # All are listened to at once: who is not heard stops, as soon as the pipe is full.
    with ThreadPoolExecutor(PROCESSES) as ears:
        said = [out for out, _ in ears.map(lambda process: process.communicate(timeout=3600), made)]
    assert [process.returncode for process in made] == [0] * PROCESSES
    return [line.split() for out in said for line in out.splitlines()]


def totals() -> str:
    return "SELECT name, balance::bigint, version FROM accounts ORDER BY name"


def replayed(numbers: Sequence[int]) -> dict[str, int]:
    """What one clerk would have: accepted commands, one after the other, in plain Python."""
    balances: Counter[str] = Counter()
    for number in numbers:
        one = command(number, PLAYERS)
        balances[one.source] -= one.amount
        balances[one.target] += one.amount
    return dict(balances)


def test_doubled_and_shuffled_commands_of_four_processes_count_once(bank_url: str) -> None:
    answers = stormed(bank_url, times=5, shared=True)
    assert not [line for line in answers if line[0] == "!"]
    said: dict[str, set[str]] = {}
    for number, code, *_ in answers:
        said.setdefault(number, set()).add(code)
    assert len(said) == COUNT
    assert all(len(codes) == 1 for codes in said.values()), "an answer changed"
    stands = ask(bank_url, "SELECT key::bigint, code FROM requests WHERE scope = 'bank'")
    assert {(str(key), code or "-") for key, code in stands} == {
        (number, *codes) for number, codes in said.items()
    }
    accepted = [key for key, code in stands if code is None]
    balances = {name: balance for name, balance, _ in ask(bank_url, totals())}
    assert {name: balance for name, balance in replayed(accepted).items() if balance} == {
        name: balance for name, balance in balances.items() if balance
    }
    assert broken(bank_url) == {}


def test_what_was_answered_is_what_some_clerk_would_have_answered(bank_url: str) -> None:
    """Every account's entries, replayed in their order, allow what was accepted, step by step."""
    answers = stormed(bank_url, times=1, shared=False)
    assert not [line for line in answers if line[0] == "!"]
    refused = {
        int(number): (int(began), int(ended))
        for number, code, began, ended in answers
        if code == "INSUFFICIENT_FUNDS"
    }
    assert {code for _, code, *_ in answers} == {"-", "INSUFFICIENT_FUNDS"}
    rows = ask(
        bank_url,
        "SELECT a.name, e.after::bigint, extract(epoch FROM e.at) * 1e9, r.key::bigint"
        " FROM entries e JOIN accounts a ON a.id = e.account_id"
        " JOIN requests r ON r.transfer_id = e.transfer_id"
        " WHERE a.name LIKE 'player:%%' ORDER BY a.id, e.version",
    )
    steps: dict[str, list[tuple[float, int]]] = {}
    for name, after, at, number in rows:
        one = command(number, PLAYERS)
        before = steps.setdefault(name, [(0.0, 0)])[-1][1]
        change = one.amount * ((one.target == name) - (one.source == name))
        assert before + change == after >= 0
        steps[name].append((float(at), after))
    near = foresight.NEAR / timedelta(microseconds=1) * 1000
    for number, (began, ended) in refused.items():
        one = command(number, PLAYERS)
        line = steps.get(one.source, [(0.0, 0)])
        # Some balance of its while it was decided: the last before it was asked, or one until
        # its answer. Entries carry the moment of decision, which was that near to their locks.
        last = max(at for at, _ in line if at <= began - near or at == 0.0)
        seen = [after for at, after in line if last <= at <= ended]
        assert min(seen) < one.amount, f"{number} was refused at balances of {seen}"
    assert broken(bank_url) == {}


def test_no_deadlock_among_processes_that_move_between_the_same_accounts(bank_url: str) -> None:
    answers = stormed(bank_url, times=1, shared=False)
    assert not [line for line in answers if line[0] == "!"]
    assert len(answers) == PROCESSES * COUNT
    [(deadlocks,)] = ask(
        bank_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0
    assert broken(bank_url) == {}
