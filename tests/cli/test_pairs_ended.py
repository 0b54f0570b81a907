"""`fairhouse pairs retire-all` as an operator types it after a restore."""

from __future__ import annotations

import psycopg

from tests.cli.test_keys import fairhouse

MADE = """
INSERT INTO casinos (slug, name) VALUES ('first', 'First');
INSERT INTO pair_booths (casino_id, network, program, asset, beacon, games, least, most, most_win,
    most_player)
SELECT id, 'eip155:1', '0x01', 'x', 'drand', '{}', 1, 1, 1, 1 FROM casinos WHERE slug = 'first';
INSERT INTO pairs (player_id, epoch, booth_id, casino_id, account, asset)
SELECT 7, 0, id, casino_id, 'player:7', 'x' FROM pair_booths;
"""


def test_every_pair_is_ended_by_a_command_and_the_audit_log_says_why(database_url: str) -> None:
    told = {"FAIRHOUSE_DATABASE_URL": database_url}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(MADE)
        done = fairhouse("pairs", "retire-all", "--reason", "an older database", **told)
        assert (done.returncode, done.stdout.split(" ")[0]) == (0, "1"), done.stderr
        states = "SELECT p.state, b.resumes FROM pairs p JOIN pair_booths b ON b.id = p.booth_id"
        assert connection.execute(states).fetchall() == [("unplayed", True)]
        notes = "SELECT actor, action, reason FROM audit"
        assert connection.execute(notes).fetchall() == [
            ("terminal", "pairs.retire_all", "an older database")
        ]
