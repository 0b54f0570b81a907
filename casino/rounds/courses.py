"""The course of a round: scheduled, opened, closed with a signed root, drawn, ended; or void.

Each step is one transaction of its caller's, and what is next follows from what stands: whoever
carries a round may die between any two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from casino import rows
from casino.outbox import Message, statement
from casino.rounds import batches
from casino.rounds.bets import NAMESPACE
from casino.rounds.seats import WAITING
from casino.rounds.tables import Table
from chains.signers import Signer
from db.session import tuples
from games.fairness import rounds
from games.fairness.rounds import Beacon, SignedRoot
from games.fairness.stream import Stream

LATE = "its seed became final too late"
OVERDUE = "its seed could not be shown in time"

# A round whose seed was not final before it opened never takes a bet.
SCHEDULE = b"""
INSERT INTO rounds (table_id, number, batch_first, opens_at, closes_at, state, reason, ended_at)
SELECT b.table_id, n, b.first, o.at, o.at + make_interval(secs => b.period - b.lead),
    CASE WHEN o.at > b.confirmed_at THEN 'waiting' ELSE 'skipped' END,
    CASE WHEN o.at > b.confirmed_at THEN NULL ELSE %s END,
    CASE WHEN o.at > b.confirmed_at THEN NULL ELSE b.confirmed_at END
FROM round_batches b
CROSS JOIN generate_series(b.first, b.first + b.count - 1) n
CROSS JOIN LATERAL (
    SELECT to_timestamp(b.opens + (n - b.first) * b.period) AS at
) o
WHERE b.table_id = %s AND b.first = %s AND b.state = 'confirmed'
ON CONFLICT (table_id, number) DO NOTHING
"""
OPENED = b"""
UPDATE rounds r SET opened_at = clock_timestamp()
FROM round_batches b
WHERE r.state = 'waiting' AND r.opened_at IS NULL AND r.table_id = %s
    AND r.opens_at <= clock_timestamp() AND r.closes_at > clock_timestamp()
    AND b.table_id = r.table_id AND b.first = r.batch_first
RETURNING r.number, r.opens_at, r.closes_at, r.opened_at, b.first, b.count, b.root, b.tx
"""
UNDER_WAY = b"""
SELECT r.number, r.state, r.opens_at, r.closes_at, r.reason, b.beacon, b.pay_id, clock_timestamp()
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.state IN ('waiting', 'closed', 'drawn')
ORDER BY r.closes_at LIMIT %s
"""
LOOK = b"""
SELECT r.number, r.state, r.opens_at, r.closes_at, r.reason, b.beacon, b.pay_id, clock_timestamp()
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.number = %s AND r.state IN ('waiting', 'closed', 'drawn')
"""
# Whoever places a bet holds this row until it stands: after this, no bet came in time.
CLOSING = b"""
SELECT r.state, r.closes_at, r.bets, r.stake, r.liability, clock_timestamp(), b.signer
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.number = %s FOR UPDATE OF r
"""
LEAVES = b"SELECT leaf FROM round_bets WHERE table_id = %s AND number = %s ORDER BY position"
CLOSE = b"""
UPDATE rounds SET state = 'closed', root = %s, signature = %s, closed_at = clock_timestamp()
WHERE table_id = %s AND number = %s AND state = 'waiting' RETURNING closed_at
"""
STANDING = b"""
SELECT r.root, b.beacon, (
    SELECT network FROM networks WHERE name = split_part(b.beacon, ':', 2)
)
FROM rounds r JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.number = %s AND r.state = 'closed' AND r.reason IS NULL
FOR UPDATE OF r
"""
# Once bettors may claim from the bond, the seed stays hidden.
DRAW = b"""
UPDATE rounds r SET state = 'drawn', seed = %s, beacon = %s, outcome = %s, result = %s,
    drawn_at = clock_timestamp()
FROM round_batches b
WHERE r.table_id = %s AND r.number = %s AND b.table_id = r.table_id AND b.first = r.batch_first
    AND clock_timestamp() <= r.closes_at + make_interval(secs => b.reveal_window)
RETURNING r.drawn_at
"""
GIVE_UP = b"""
UPDATE rounds SET reason = %s
WHERE table_id = %s AND number = %s AND state = 'closed' AND reason IS NULL RETURNING number
"""
LAPSED = b"""
SELECT r.bets FROM rounds r
JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
WHERE r.table_id = %s AND r.number = %s AND r.state IN ('waiting', 'closed') AND r.reason IS NULL
    AND clock_timestamp() > r.closes_at + make_interval(secs => b.reveal_window)
FOR UPDATE OF r
"""
LAPSE = b"""
UPDATE rounds SET state = 'closed', root = coalesce(root, %s), signature = coalesce(signature, ''),
    closed_at = coalesce(closed_at, clock_timestamp()), reason = %s
WHERE table_id = %s AND number = %s
"""
END = b"""
UPDATE rounds r SET state = CASE WHEN r.reason IS NULL THEN 'settled' ELSE 'void' END,
    payout = e.payout, ended_at = clock_timestamp()
FROM (
    SELECT coalesce(sum(payout), 0) AS payout, count(*) FILTER (WHERE payout > 0) AS paid,
        count(*) FILTER (WHERE state = 'placed') AS open
    FROM round_bets WHERE table_id = %s AND number = %s
) e
WHERE r.table_id = %s AND r.number = %s AND e.open = 0
    AND (r.state = 'drawn' OR r.state = 'closed' AND r.reason IS NOT NULL)
RETURNING r.state, r.reason, e.payout, e.paid, r.ended_at
"""


class WrongSigner(Exception):
    """The key that is to sign is not the one that the round's batch was committed with."""

    def __init__(self, address: bytes, batch: bytes) -> None:
        super().__init__(
            f"its batch is bound to the signer 0x{batch.hex()}, and our key is of"
            f" 0x{address.hex()}: FAIRHOUSE_SIGNER_KEY is wrong"
        )


class WrongBeacon(Exception):
    """A draw is not of the beacon that the round's batch was committed with."""

    def __init__(self, committed: str, beacon: Beacon) -> None:
        other = f"{beacon.kind.decode()} {beacon.chain_hash.hex()}"
        super().__init__(f"its batch is bound to the beacon {committed}, and this is of {other}")


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A round that is not over; `now` is the database's clock when it was looked at.

    `beacon` and `pay_id` are those of its batch, whatever its table's are by now.
    """

    number: int
    state: str
    opens_at: datetime
    closes_at: datetime
    reason: str | None
    beacon: str
    pay_id: int
    now: datetime

    @property
    def opens_s(self) -> float:
        """How many seconds are left until it opens."""
        return (self.opens_at - self.now).total_seconds()

    @property
    def due_s(self) -> float:
        """How many seconds are left until it closes; less than none when it should have."""
        return (self.closes_at - self.now).total_seconds()


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a round came to."""

    outcome: bytes
    result: Any


async def schedule(connection: rows.Connection, table: Table, first: int) -> int:
    """Make the rounds of a batch that is final on chain; how many are new."""
    return (await connection.execute(SCHEDULE, (LATE, table.id, first))).rowcount


async def under_way(connection: rows.Connection, table: Table, most: int = 64) -> list[UnderWay]:
    """Rounds that are not over, in the order in which they close."""
    return [UnderWay(*row) for row in await tuples(connection, UNDER_WAY, table.id, most)]


async def standing(connection: rows.Connection, table: Table, number: int) -> UnderWay | None:
    """A round as it is now, or None when it is over."""
    found = await tuples(connection, LOOK, table.id, number)
    return UnderWay(*found[0]) if found else None


async def open_due(connection: rows.Connection, table: Table) -> list[int]:
    """Tell of rounds that are open now and were not told of."""
    found = await tuples(connection, OPENED, table.id)
    messages = []
    for number, opens_at, closes_at, at, first, count, root, tx in found:
        data = {
            "opens_at": _text(opens_at),
            "closes_at": _text(closes_at),
            "asset": table.asset,
            "commitment": {"first": first, "count": count, "root": bytes(root).hex(), "tx": tx},
        }
        messages.append(_message(table, number, "round.opened", at, data))
    await _tell(connection, messages)
    return [row[0] for row in found]


async def close(
    connection: rows.Connection, table: Table, number: int, sign: Signer
) -> SignedRoot | None:
    """Fix and sign the root of all bets, once it is time; None when it is not, or was done.

    Raises `WrongSigner`: no verifier would take what another key signed.
    """
    [(state, closes_at, count, stake, liability, now, signer)] = await tuples(
        connection, CLOSING, table.id, number
    )
    if state != WAITING or now < closes_at:
        return None
    if bytes(signer) != sign.address:
        raise WrongSigner(sign.address, bytes(signer))
    root = await _root(connection, table, number, count)
    signed = SignedRoot(table.place(number), root, count, int(liability))
    signature = sign(signed.digest)
    [(at,)] = await tuples(connection, CLOSE, signed.root, signature, table.id, number)
    data = {
        "bets": count,
        "stake": str(stake),
        "asset": table.asset,
        "liability": str(liability),
        "root": signed.root.hex(),
        "signature": signature.hex(),
        "closes_at": _text(closes_at),
    }
    await _tell(connection, [_message(table, number, "round.closed", at, data)])
    return signed


async def draw(
    connection: rows.Connection,
    table: Table,
    number: int,
    *,
    seed: bytes,
    beacon: Beacon,
    evidence: dict[str, Any],
) -> Drawn | None:
    """Reveal the seed and what follows from it; None for a round that is not to be drawn now.

    One whose seed is overdue by now is given up instead: its bettors may claim from the bond.
    `evidence` is what lets anybody check the beacon by itself, as plain values. Raises
    `WrongBeacon`, and shows nothing, for a draw of another beacon than the batch is bound to.
    """
    found = await tuples(connection, STANDING, table.id, number)
    if not found:
        return None
    [(root, committed, network)] = found
    known = batches.chain_hash(committed, network)
    if (beacon.kind, beacon.chain_hash) != (batches.kind(committed), known):
        raise WrongBeacon(committed, beacon)
    outcome = table.place(number).outcome(seed=seed, bets_root=bytes(root), beacon=beacon.hash)
    drawn = Drawn(outcome, table.rules.draw(Stream(outcome)))
    told = {
        "kind": beacon.kind.decode(),
        "chain_hash": beacon.chain_hash.hex(),
        "round": str(beacon.round),
        "randomness": beacon.randomness.hex(),
    }
    result = {"drawn": drawn.result}
    done = await tuples(
        connection, DRAW, seed, Jsonb(told | evidence), outcome, Jsonb(result), table.id, number
    )
    if not done:
        await give_up(connection, table, number, OVERDUE)
        return None
    [(at,)] = done
    data = {"seed": seed.hex(), "beacon": told, "outcome": outcome.hex(), "result": drawn.result}
    await _tell(connection, [_message(table, number, "round.result", at, data)])
    return drawn


async def give_up(connection: rows.Connection, table: Table, number: int, reason: str) -> bool:
    """A closed round that cannot be drawn will be void, for good; False when it is too late."""
    return bool(await tuples(connection, GIVE_UP, reason, table.id, number))


async def lapse(connection: rows.Connection, table: Table, number: int) -> bool:
    """Give a round up if its seed is overdue by now; one that nobody could close stays unsigned."""
    found = await tuples(connection, LAPSED, table.id, number)
    for (count,) in found:
        root = await _root(connection, table, number, count)
        await connection.execute(LAPSE, (root, OVERDUE, table.id, number))
    return bool(found)


async def end(connection: rows.Connection, table: Table, number: int) -> str | None:
    """Settled or void, once every bet has ended; None as long as one has not."""
    found = await tuples(connection, END, table.id, number, table.id, number)
    if not found:
        return None
    [(state, reason, payout, paid, at)] = found
    data = {"payout": str(payout), "paid": paid, "asset": table.asset}
    if reason is not None:
        data["reason"] = reason
    await _tell(connection, [_message(table, number, f"round.{state}", at, data)])
    return str(state)


async def _root(connection: rows.Connection, table: Table, number: int, count: int) -> bytes:
    leaves = [bytes(row[0]) for row in await tuples(connection, LEAVES, table.id, number)]
    if len(leaves) != count:
        raise RuntimeError(f"round {number} of {table.name}: {len(leaves)} bets, not {count}")
    return rounds.bets_root(leaves)


async def _tell(connection: rows.Connection, messages: Sequence[Message]) -> None:
    if messages:
        await connection.execute(*statement(messages))


def _message(table: Table, number: int, type: str, at: datetime, data: dict[str, Any]) -> Message:
    """`server_time` is the database's clock when it was said: countdowns run by it."""
    about = {"table": table.name, "round": number, "game": table.game, "server_time": _text(at)}
    return Message(NAMESPACE, type, table.casino, about | data, game=table.game)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
