"""Take one law out of the house, and a test says so: each law is held by a test that can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reliability import LONG
from tests.reliability.conftest import ROOT

COPIED = ("api", "casino", "chains", "db", "games", "ledger", "local", "queues", "studio", "tests")
FILES = ("logs.py", "settings.py", "pyproject.toml")


@dataclass(frozen=True)
class Mutant:
    """A law left out: where it stands, what it says, what stands there instead, who must notice."""

    file: str
    law: str
    instead: str
    test: str


BOOKS = "db/migrations/versions/0008_books_at_once.py"
LEDGER = "db/migrations/versions/0007_ledger.py"
STORM = "tests/reliability/test_storms.py::"
MUTANTS = {
    "no lock": Mutant(
        BOOKS,
        "SELECT * FROM accounts WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE",
        "SELECT * FROM accounts WHERE id = ANY(ids) ORDER BY id",
        "tests/ledger/test_posting.py::test_many_at_once_never_lose_an_update",
    ),
    "no order of locks": Mutant(
        BOOKS,
        "WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE\n",
        "WHERE id = ANY(ids)"
        " ORDER BY id * CASE pg_backend_pid() % 2 WHEN 0 THEN 1 ELSE -1 END FOR NO KEY UPDATE\n",
        STORM + "test_no_deadlock_among_processes_that_move_between_the_same_accounts",
    ),
    "no unique key": Mutant(
        LEDGER,
        "    PRIMARY KEY (scope, key)\n",
        "    CHECK (true)\n",
        "tests/casino/test_commands.py::test_a_key_is_one_even_where_nothing_else_is_shared",
    ),
    "no sum of zero": Mutant(
        "db/migrations/versions/0014_entries_at_a_glance.py",
        "WHERE s.rest <> 0\n",
        "WHERE false\n",
        "tests/ledger/test_laws.py::test_entries_that_break_a_law_are_refused",
    ),
    "no memory of refusals": Mutant(
        "casino/commands.py",
        "    desk.keep(command, answer, fingerprint=fingerprint)\n",
        "    if answer.code is None:\n"
        "        desk.keep(command, answer, fingerprint=fingerprint)\n",
        "tests/casino/test_commands.py::test_a_refusal_stays_refused_when_funds_come_later",
    ),
    "no tombstone": Mutant(
        "casino/providers/calls.py",
        "        if found is None:\n            calls.put(",
        "        if False:\n            calls.put(",
        "tests/casino/providers/test_calls.py"
        "::test_a_batch_that_holds_a_whole_round_is_decided_in_its_order",
    ),
    "no looking whether it is as foreseen": Mutant(
        "db/migrations/versions/0023_as_foreseen.py",
        "    IF told IS DISTINCT FROM states OR",
        "    IF",
        "tests/casino/test_foresight.py"
        "::test_money_that_another_process_moved_or_set_aside_is_seen",
    ),
    "no looking at what is held": Mutant(
        "ledger/books.py",
        "return self.balance - self.held",
        "return self.balance",
        "tests/ledger/test_holds.py::test_what_is_held_is_not_spent",
    ),
}


# Deadlocks come by chance, and a short storm may pass without one.
TRIED = [name for name, one in MUTANTS.items() if LONG or not one.test.startswith(STORM)]


@pytest.mark.parametrize("name", TRIED)
def test_a_house_without_one_of_its_laws_fails_its_tests(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    for folder in COPIED:
        shutil.copytree(ROOT / folder, tmp_path / folder)  # compiled files too: they are as new
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path / file)
    changed = tmp_path / mutant.file
    said = changed.read_text()
    assert said.count(mutant.law) == 1, f"{mutant.law!r} does not stand once in {mutant.file}"
    changed.write_text(said.replace(mutant.law, mutant.instead))
    told = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    told |= {"FAIRHOUSE_LONG": "", "FAIRHOUSE_STORM": "400", "PYTEST_ADDOPTS": ""}
    told |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # some take longer to load than the test
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"]
    words = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, mutant.test]
    done = subprocess.run(
        words, cwd=tmp_path, env=told, capture_output=True, text=True, timeout=240, check=False
    )
    # 1: tests ran and failed. Anything else means that nothing was tried.
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-2000:]
    assert "error" not in done.stdout.splitlines()[-1], done.stdout[-3000:]
