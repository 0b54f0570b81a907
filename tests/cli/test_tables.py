"""`fairhouse table` as an operator types it."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from cli import tables
from settings import Settings
from tests.cli.test_keys import fairhouse

MADE = """
INSERT INTO casinos (slug, name) VALUES ('first', 'First'), ('second', 'Second');
INSERT INTO round_tables (casino_id, name, game, pay_id, asset, network, program, beacon, least,
    most, most_win, most_player, coins, units, paused_at, trouble)
SELECT c.id, t.name, 'dice', 1, 'x', 'eip155:1', c.slug, 'drand', 1, 1, 1, 1, 1, 1, now(), 'late'
FROM casinos c JOIN (
    VALUES ('first', 'dice'), ('first', 'dice-2'), ('second', 'dice')
) t(slug, name) ON t.slug = c.slug
"""
STANDING = """
SELECT c.slug || ' ' || t.name FROM round_tables t JOIN casinos c ON c.id = t.casino_id
WHERE paused_at IS NOT NULL OR trouble IS NOT NULL ORDER BY 1
"""


def test_a_stopped_table_goes_on_by_a_command_and_the_audit_log_says_why(database_url: str) -> None:
    told = {"FAIRHOUSE_DATABASE_URL": database_url}

    def resume(name: str, casino: str = "") -> bool:
        settings = Settings(_env_file=None, database_url=database_url)
        return asyncio.run(tables.resume(settings, name, casino, ""))

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(MADE)
        done = fairhouse("table", "resume", "dice-2", "--reason", "a dead RPC", **told)
        assert (done.returncode, done.stdout) == (0, "dice-2 goes on\n"), done.stderr
        refused = fairhouse("table", "resume", "dice", **told)
        refusal = "several tables are called dice: name the casino, too"
        assert (refused.returncode, refused.stderr.strip()) == (2, refusal)
        assert not resume("dice-2")
        with pytest.raises(tables.Refused, match="no table is called dice-2 in second"):
            resume("dice-2", "second")
        assert resume("dice", "second")
        assert connection.execute(STANDING).fetchall() == [("first dice",)]
        notes = connection.execute("SELECT actor, action, reason FROM audit ORDER BY id").fetchall()
    assert notes == [
        ("terminal", "table.resumed", "a dead RPC"),
        ("terminal", "table.resumed", None),
    ]
