"""What docs/wallets.md tells people to type works as it stands, and its tables are whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.errors import REFUSED
from casino import samples
from db import session as db_session
from db.session import transaction
from tests.api.conftest import Api, key

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/wallets.md").read_text()
CURLS = [line for line in PAGE.splitlines() if line.startswith("curl ")]
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
async def sampled(api: Api) -> None:
    """The samples, as `fairhouse sample` gives them."""
    db_session.configure(api.database_url)
    try:
        async with transaction() as session:
            await samples.give(session, "fairhouse")
    finally:
        await db_session.close()


def typed(line: str, api: Api) -> Any:
    """What a line of the page answers, against this house."""
    here = line.replace("http://127.0.0.1:3000", api.url)
    command = here.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
    secret = key("till")["authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        ["sh", "-c", command],
        env={"KEY": secret, "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on the PATH")
def test_every_line_of_the_page_works_and_moves_what_it_says(api: Api, sampled: None) -> None:
    assert len(CURLS) == 8
    answers = [typed(line, api) for line in CURLS]
    balances = {one["asset"]["symbol"]: one["available"] for one in answers[1]["balances"]}
    assert balances["GOLD_COINS"] == "1000"
    assert [one["balance"] for one in answers[4:]] == ["1100", "1110", "1050", "1000"]
    assert [typed(line, api) for line in CURLS[4:]] == answers[4:]


def test_every_code_of_the_books_has_the_status_that_the_page_promises() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert {"INSUFFICIENT_FUNDS", "VERSION_MISMATCH", "LIMIT_EXCEEDED"} <= told.keys()
    for code, status in told.items():
        assert REFUSED.get(code, 422) == int(status)


def test_every_code_of_the_page_is_one_of_the_code() -> None:
    told = set(re.findall(r"`([a-z]+_[a-z_]+)`", PAGE.split("## Refusals")[1]))
    rooms = [*ROOT.glob("api/*.py"), *ROOT.glob("api/routes/*.py")]
    said = " ".join(room.read_text() for room in rooms)
    assert len(told) > 15
    assert {code for code in told if f'"{code}"' not in said} == set()


@pytest.mark.parametrize("statement", SQL)
def test_every_statement_of_the_page_runs(api: Api, statement: str) -> None:
    with psycopg.connect(api.database_url) as connection:
        connection.execute(statement.encode())
        connection.rollback()


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).is_file(), target
