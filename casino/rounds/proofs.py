"""Proofs of rounds and bets: all that anybody needs to check one by themselves, in one file."""

from __future__ import annotations

from typing import Any

from casino import rows
from casino.rounds import batches
from casino.rounds.settlements import plain
from casino.rounds.tables import Table
from db.session import tuples
from games.fairness import merkle
from games.fairness.rounds import DRAND, Beacon, Schedule
from games.fairness.verify import RoundProof, written
from games.fairness.verify.proofs import Bets, Commitment, ProvedBet, Shown

ROUND = b"""
SELECT r.root, r.bets, r.liability, r.signature, r.beacon, r.seed, r.outcome, r.result,
    b.first, b.count, b.opens, b.period, b.lead, b.reveal_window, b.beacon, b.max_liability,
    b.signer, b.root, b.tx, b.position, b.committed_at, p.encoded
FROM rounds r
JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
JOIN pay_tables p ON p.id = b.pay_id
WHERE r.table_id = %s AND r.number = %s AND r.state IN ('drawn', 'settled')
"""
COMMITS = b"SELECT commit FROM round_seeds WHERE table_id = %s AND batch_first = %s ORDER BY number"
LEAVES = b"SELECT leaf FROM round_bets WHERE table_id = %s AND number = %s ORDER BY position"
BET = b"""
SELECT position, bet, payee, stake, liability, account, params, payout FROM round_bets
WHERE table_id = %s AND number = %s AND bet = %s
"""
WHERE = b"SELECT table_id, number FROM round_bets WHERE bet = %s"


async def where(connection: rows.Connection, bet: bytes) -> tuple[int, int] | None:
    """The table and the round of a bet."""
    found = await tuples(connection, WHERE, bet)
    return (int(found[0][0]), int(found[0][1])) if found else None


async def proof(
    connection: rows.Connection, table: Table, number: int, bet: bytes | None = None
) -> dict[str, object] | None:
    """The proof of a round, or of one of its bets, as `docs/fairness/proof.md` has it.

    None for a round that is not drawn: as long as there is no result there is nothing to prove.
    """
    found = await tuples(connection, ROUND, table.id, number)
    if not found:
        return None
    root, count, liability, signature, beacon, seed, outcome, result, *batch = found[0]
    schedule, commitment, pays = await _committed(connection, table, number, batch)
    said = RoundProof(
        round=table.place(number),
        schedule=schedule,
        commitment=commitment,
        seed=bytes(seed),
        bets=Bets(bytes(root), count, int(liability), bytes(signature)),
        beacon=_shown(beacon),
        outcome=bytes(outcome),
        draw=plain(result["drawn"]),
        bet=None if bet is None else await _bet(connection, table, number, bet, pays),
    )
    return written(said)


async def _committed(
    connection: rows.Connection, table: Table, number: int, batch: list[Any]
) -> tuple[Schedule, Commitment, bytes]:
    *scheduled, root, tx, position, time, pays = batch
    schedule = batches.schedule(scheduled)
    commits = [bytes(row[0]) for row in await tuples(connection, COMMITS, table.id, schedule.first)]
    siblings = tuple(merkle.Tree.over(commits).proof(number - schedule.first))
    said = tx.removeprefix("0x").encode()
    return schedule, Commitment(said, position, time, bytes(root), siblings), bytes(pays)


async def _bet(
    connection: rows.Connection, table: Table, number: int, bet: bytes, pays: bytes
) -> ProvedBet:
    [row] = await tuples(connection, BET, table.id, number, bet)
    position, id, payee, stake, liability, account, params, payout = row
    leaves = [bytes(one[0]) for one in await tuples(connection, LEAVES, table.id, number)]
    return ProvedBet(
        position=position,
        bet_id=bytes(id),
        payee=bytes(payee),
        stake=int(stake),
        liability=int(liability),
        account=account.encode(),
        asset=table.asset.encode(),
        game=table.game.encode(),
        params=bytes(params),
        pay_table=pays,
        proof=tuple(merkle.Tree.over(leaves).proof(position)),
        payout=int(payout),
    )


def _shown(said: dict[str, Any]) -> Shown:
    beacon = Beacon(
        said["kind"].encode(),
        bytes.fromhex(said["chain_hash"]),
        int(said["round"]),
        bytes.fromhex(said["randomness"]),
    )
    evidence = bytes.fromhex(said["evidence"]) if beacon.kind == DRAND else b""
    return Shown(beacon, evidence)
