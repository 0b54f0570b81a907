"""`fairhouse key` and `fairhouse sample` as a person types them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess

import psycopg

from settings import Settings
from tests import typed

READ = "SELECT symbol, scale FROM assets WHERE starts_with(id, %s) ORDER BY symbol"


def fairhouse(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return typed.fairhouse(*words, env={**os.environ, **environment})


def test_a_key_is_shown_once_and_its_digest_is_let_in_beside_the_others() -> None:
    first = fairhouse("key", "--name", "till")
    setting = first.stdout.strip().splitlines()[-1]
    known = setting.removeprefix("FAIRHOUSE_API_KEYS='").removesuffix("'")
    words = ("key", "--name", "branch", "--role", "wallets:read", "--casino", "other")
    done = fairhouse(*words, FAIRHOUSE_API_KEYS=known)
    assert done.returncode == 0, done.stderr
    _, _, secret, *_, line = done.stdout.strip().splitlines()
    said = json.loads(line.removeprefix("FAIRHOUSE_API_KEYS='").removesuffix("'"))
    assert secret not in line
    till, branch = Settings(_env_file=None, api_keys=said).api_keys
    assert (till.name, till.roles) == ("till", ["wallets:read", "wallets:write"])
    assert (branch.name, branch.roles, branch.casino) == ("branch", ["wallets:read"], "other")
    assert branch.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in first.stdout


def test_a_key_with_an_unknown_role_or_a_bad_name_is_refused() -> None:
    for words in (("--name", "till", "--role", "everything"), ("--name", "Till!")):
        done = fairhouse("key", *words)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.strip().count("\n") == 0


def test_samples_are_given_by_a_command_that_may_be_repeated(database_url: str) -> None:
    told = {"FAIRHOUSE_DATABASE_URL": database_url, "FAIRHOUSE_DEFAULT_CASINO": "shop"}
    first, again = fairhouse("sample", **told), fairhouse("sample", **told)
    assert (first.stdout.strip(), again.stdout.strip()) == (
        "8 balances opened in shop",
        "0 balances opened in shop",
    )
    with psycopg.connect(database_url) as connection:
        found = connection.execute(READ, ("casino:shop/",)).fetchall()
    assert found == [("DIAMONDS", 0), ("GOLD_COINS", 0), ("LOYALTY_POINTS", 0)]


def test_samples_are_refused_in_production(database_url: str) -> None:
    told = {"FAIRHOUSE_DATABASE_URL": database_url, "FAIRHOUSE_SEED_KEY": "11" * 32}
    done = fairhouse("sample", FAIRHOUSE_ENVIRONMENT="production", **told)
    assert (done.returncode, done.stdout) == (2, "")
    with psycopg.connect(database_url) as connection:
        assert connection.execute(READ, ("casino:fairhouse/",)).fetchall() == []


def test_samples_for_a_database_that_is_not_there_are_refused_in_a_line() -> None:
    done = fairhouse("sample", FAIRHOUSE_DATABASE_URL="postgresql://me:s3cr3t@127.0.0.1:1/x")
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "s3cr3t" not in done.stderr
