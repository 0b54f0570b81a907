"""`fairhouse verify file`: a proof checked by a person at a terminal, without any network."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli import proofs as rooms
from games.fairness import published
from games.fairness.verify import read_facts, verify
from tests import typed

CASES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in json.loads(published.FILE.read_text())["proofs"]
}
GOOD = CASES["eip155 bet dice"]


def fairhouse(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return typed.fairhouse("verify", "file", *words, env=os.environ)


def written(folder: Path, proof: object) -> Path:
    path = folder / "proof.json"
    path.write_text(json.dumps(proof))
    return path


def test_a_good_proof_shows_every_step_and_claims_no_more_than_was_checked(tmp_path: Path) -> None:
    done = fairhouse(written(tmp_path, GOOD["proof"]))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["mark", "step", "expected", "found"]
    for mark, name in (("✓ ok", "commitment"), ("✓ ok", "beacon"), ("– not checked", "on chain")):
        assert any(line.startswith(mark) and f"{name}  " in line for line in lines), name
    assert lines[-1] == (
        "Nothing failed, and this is not proved yet: 11 of 15 steps hold, "
        "4 could not be checked without a node."
    )


def test_a_tampered_proof_ends_with_one_and_says_what_failed(tmp_path: Path) -> None:
    tampered = copy.deepcopy(GOOD["proof"])
    tampered["bet"]["payout"] = str(int(tampered["bet"]["payout"]) + 1)
    done = fairhouse(written(tmp_path, tampered))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "This proof does not hold: payout failed."
    told = fairhouse(written(tmp_path, tampered), "--json")
    assert told.returncode == 1
    said = json.loads(told.stdout)
    assert said["holds"] is False
    assert [row["step"] for row in said["steps"] if row["status"] == "failed"] == ["payout"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no proof: it is not JSON"),
        (b"\xff\xfe", "is no proof: it is not JSON"),
        (b"[" * 100_000, "is no proof: it is not JSON"),
        (b"[]", "is no proof: proof: is no object"),
        (b"{}", "is no proof: kind: is missing"),
        (json.dumps(GOOD["proof"] | {"round": 12}).encode(), "is no proof: round: is no number"),
    ],
)
def test_what_is_no_proof_is_one_line_and_nothing_else(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "proof.json"
    path.write_bytes(content)
    with pytest.raises(rooms.Refused) as refused:
        rooms.steps(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named_and_ends_with_two(tmp_path: Path) -> None:
    done = fairhouse(tmp_path / "nothing.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().endswith("nothing.json cannot be read: No such file or directory")
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_published_proof_gets_its_steps_from_real_curves() -> None:
    for name, case in CASES.items():
        if "steps" not in case:
            continue
        facts = None if case["facts"] is None else read_facts(case["facts"])
        told = verify(case["proof"], facts=facts, recover=rooms.recover, drand=rooms.drand)
        assert [[one.name, one.status] for one in told] == case["steps"], name


def test_a_proof_holds_only_when_every_step_was_checked() -> None:
    told = verify(
        GOOD["proof"],
        facts=read_facts(GOOD["facts"]),
        recover=rooms.recover,
        drand=rooms.drand,
    )
    assert rooms.holds(told) is True
    assert rooms.verdict(told) == "This proof holds: all 15 steps were checked and are right."
    blind = verify(GOOD["proof"], facts=read_facts(GOOD["facts"]), recover=rooms.recover)
    assert rooms.holds(blind) is None
    rooms.show(Console(quiet=True), blind, as_json=False)
    assert "not proved yet: 14 of 15 steps hold" in rooms.verdict(blind)
