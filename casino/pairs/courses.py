"""The course of a pair: opened, committed, active, played, retired, revealed.

Players open, choose and retire by commands. What follows from the chain is one transaction of its
caller's each, and what is next follows from what stands: whoever keeps pairs may die between any
two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from casino import rows
from casino.commands import Answer, Command, Desk, Shelf, Undecided
from casino.outbox import Message, statement
from casino.pairs.booths import Booth
from casino.pairs.records import (
    ACTIVE,
    RETIRED,
    REVEALED,
    UNPLAYED,
    WAITING,
    Door,
    Fresh,
    FreshPairs,
    Opening,
    Openings,
    PairKey,
    Pairs,
    Standing,
)
from games.fairness.pairs import check_client_seed
from games.fairness.rounds import Beacon
from ledger.accounts import Account
from ledger.errors import Refusal

NAMESPACE = "pairs"

FOREIGN = b"""
UPDATE pair_batches SET state = 'foreign'
WHERE booth_id = %s AND number = %s AND state IN ('drawn', 'sent')
"""
# Pairs of a batch that nobody may play, whatever stands in it.
UNPLAYABLE = b"""
UPDATE pairs SET state = 'unplayed' WHERE booth_id = %s AND number = %s AND state = 'waiting'
RETURNING player_id, epoch, account, clock_timestamp()
"""
# What the chain shows already must not be played, whatever this database says.
KNOWN = b"""
UPDATE pairs SET state = CASE state WHEN 'active' THEN 'retired' ELSE 'unplayed' END,
    retired_at = CASE state WHEN 'active' THEN clock_timestamp() END
WHERE booth_id = %s AND number = %s AND place = ANY(%s::int[]) AND state IN ('waiting', 'active')
RETURNING player_id, epoch, account, clock_timestamp(), state, bets, stake, payout, last
"""
EVERY = b"""
UPDATE pairs SET state = CASE state WHEN 'active' THEN 'retired' ELSE 'unplayed' END,
    retired_at = CASE state WHEN 'active' THEN clock_timestamp() END
WHERE booth_id = %s AND state IN ('waiting', 'active')
RETURNING player_id, epoch, account, clock_timestamp(), state, bets, stake, payout, last
"""
RESUMES = b"UPDATE pair_booths SET resumes = true WHERE id = %s"
CONFIRMED = b"""
UPDATE pair_batches SET state = 'confirmed', confirmed_at = clock_timestamp(), tx = %s,
    position = %s, committed_at = %s, final_at = %s
WHERE booth_id = %s AND number = %s AND state IN ('drawn', 'sent')
RETURNING root, count, tx, confirmed_at
"""
COMMITTED = b"""
SELECT player_id, epoch, account, place, commit FROM pairs
WHERE booth_id = %s AND number = %s ORDER BY place
"""
DRAWN = b"""
SELECT p.player_id, p.epoch, p.account, p.place, p.commit, b.root, b.count, b.kind,
    clock_timestamp()
FROM pairs p JOIN pair_batches b USING (booth_id, number)
WHERE p.booth_id = %s AND p.number = %s ORDER BY p.place
"""
ACTIVATED = b"""
UPDATE pair_batches SET beacon = %s, activation = %s, activated_at = clock_timestamp()
WHERE booth_id = %s AND number = %s AND state = 'confirmed' AND activation IS NULL
"""
# Of a player's pairs one is in play: the next one is as soon as that one is retired.
PROMOTED = b"""
UPDATE pairs p SET state = 'active', active_at = clock_timestamp()
FROM pair_batches b
WHERE p.booth_id = %s AND p.state = 'waiting' AND b.booth_id = p.booth_id AND b.number = p.number
    AND b.activation IS NOT NULL AND NOT EXISTS (
        SELECT FROM pairs a
        WHERE a.booth_id = p.booth_id AND a.player_id = p.player_id AND a.state = 'active')
RETURNING p.player_id, p.epoch, p.account, p.active_at, b.beacon, b.activation
"""
SHOWN = b"""
UPDATE pairs SET state = 'revealed', seed = %s, revealed_at = clock_timestamp()
WHERE player_id = %s AND epoch = %s AND state = 'retired'
RETURNING account, revealed_at, bets
"""


class UnknownPair(Refusal):
    """Nobody opened it, or it is another player's."""

    code = "UNKNOWN_PAIR"


class PairWaiting(Refusal):
    """Its seed is not yet committed and activated, or the pair before it is still in play.

    To open another one is refused as well as long as one waits.
    """

    code = "PAIR_WAITING"


class PairRetired(Refusal):
    """It takes no more bets, and its seed is, or will be, revealed."""

    code = "PAIR_RETIRED"


class PairUnplayed(Refusal):
    """It ended before it was active: its seed was never committed, or must not be played any more.

    Its player may open another one.
    """

    code = "PAIR_UNPLAYED"


class BadClientSeed(Refusal):
    """It is not 1 to 64 bytes of UTF-8."""

    code = "BAD_CLIENT_SEED"


class ClientSeedFixed(Refusal):
    """It stands since the first bet."""

    code = "CLIENT_SEED_FIXED"


@dataclass(frozen=True, kw_only=True)
class Open(Command):
    """The next pair of a player: its epoch is the one before it plus 1.

    Where none is `offered` any more nothing is decided: who asks again hears what was before.
    """

    booth: Booth
    player_id: int
    client_seed: bytes | None = None
    offered: bool = True

    @property
    def verb(self) -> str:
        return "pair.open"

    def asked(self) -> Mapping[str, Any]:
        chosen = None if self.client_seed is None else self.client_seed.hex()
        return {"player": self.player_id, "client_seed": chosen}

    def accounts(self) -> Iterable[Account]:
        return ()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Openings, self._door

    def decide(self, desk: Desk) -> Answer:
        if not self.offered:
            raise ended()
        if self.client_seed is not None:
            checked(self.client_seed)
        openings = desk.shelf(Openings)
        newest, waiting = openings.get(self._door) or Opening(None, None)
        if waiting is not None:
            key = PairKey(self.player_id, waiting)
            raise PairWaiting(f"the pair {key} waits already", pair=str(key))
        key = PairKey(self.player_id, 0 if newest is None else newest + 1)
        account = f"player:{self.player_id}"
        place = (self.booth.id, self.casino_id, account, self.booth.asset)
        fresh = Fresh(*place, self.client_seed, desk.books.now)
        desk.shelf(FreshPairs).put(key, fresh)
        openings.put(self._door, Opening(key.epoch, key.epoch))
        data = {
            "client_seed": _hex(self.client_seed),
            "bond": {"network": self.booth.network, "program": self.booth.program},
        }
        desk.messages.append(message(self.booth, key, account, "pair.opened", fresh.at, data))
        body = {"account": account, "state": WAITING, "at": fresh.at.isoformat(), **data}
        return Answer({"pair": str(key), "epoch": key.epoch, **body})

    @property
    def _door(self) -> Door:
        return Door(self.booth.id, self.player_id)


@dataclass(frozen=True, kw_only=True)
class OfPair(Command):
    """A command about one pair, which it locks."""

    booth: Booth
    pair: PairKey

    def accounts(self) -> Iterable[Account]:
        return ()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Pairs, self.pair

    def standing(self, desk: Desk) -> Standing:
        """The pair behind its lock. Raises `UnknownPair`, `PairRetired` and `PairUnplayed`."""
        found = desk.shelf(Pairs).get(self.pair)
        if found is None or found.booth_id != self.booth.id:
            raise UnknownPair(f"there is no pair {self.pair}", pair=str(self.pair))
        if found.state in (RETIRED, REVEALED):
            raise PairRetired(f"the pair {self.pair} is {found.state}", pair=str(self.pair))
        if found.state == UNPLAYED:
            said = f"the pair {self.pair} ended before it was active: open another one"
            raise PairUnplayed(said, pair=str(self.pair))
        return found

    def waits(self) -> PairWaiting:
        said = f"the pair {self.pair} is not active yet: its commitment is not final, or its beacon"
        said += " is still to come, or the pair before it is in play"
        return PairWaiting(said, pair=str(self.pair))


@dataclass(frozen=True, kw_only=True)
class Choose(OfPair):
    """The player's own seed, as often as he likes until the first bet."""

    client_seed: bytes

    @property
    def verb(self) -> str:
        return "pair.client_seed"

    def asked(self) -> Mapping[str, Any]:
        return {"pair": str(self.pair), "client_seed": self.client_seed.hex()}

    def decide(self, desk: Desk) -> Answer:
        checked(self.client_seed)
        pair = self.standing(desk)
        if pair.bets:
            said = f"the client seed of {self.pair} stands since its first bet"
            raise ClientSeedFixed(said, pair=str(self.pair))
        desk.shelf(Pairs).put(self.pair, replace(pair, client_seed=self.client_seed))
        data = {"client_seed": self.client_seed.hex(), "commit": _hex(pair.commit)}
        desk.messages.append(
            message(self.booth, self.pair, pair.account, "pair.chosen", desk.books.now, data)
        )
        return Answer({"pair": str(self.pair), "state": pair.state, **data})


@dataclass(frozen=True, kw_only=True)
class Retire(OfPair):
    """The end of a pair: no bet comes after it, and the keeper reveals its seed."""

    @property
    def verb(self) -> str:
        return "pair.retire"

    def asked(self) -> Mapping[str, Any]:
        return {"pair": str(self.pair)}

    def decide(self, desk: Desk) -> Answer:
        pair = self.standing(desk)
        if pair.state != ACTIVE:
            raise self.waits()
        retired = replace(pair, state=RETIRED, retired_at=desk.books.now)
        desk.shelf(Pairs).put(self.pair, retired)
        desk.messages.append(told_retired(self.booth, self.pair, retired, desk.books.now))
        return Answer({"pair": str(self.pair), **_sums(retired)})


def ended() -> Undecided:
    """Nobody plays pairs here now; who played before hears what was decided then."""
    return Undecided(Answer({"detail": "this house plays no pairs now"}, code="PAIRS_ENDED"))


def checked(client_seed: bytes) -> None:
    """Raises `BadClientSeed`."""
    try:
        check_client_seed(client_seed)
    except ValueError as error:
        raise BadClientSeed(str(error)) from error


def told_retired(booth: Booth, key: PairKey, pair: Standing, at: datetime) -> Message:
    return message(booth, key, pair.account, "pair.retired", at, _sums(pair))


async def confirm(
    connection: rows.Connection,
    booth: Booth,
    number: int,
    *,
    tx: str,
    position: int,
    time: int,
    final_at: int,
) -> bool:
    """A batch is final on chain: tell every pair where it stands; False when that was known."""
    found = await _rows(connection, CONFIRMED, tx, position, time, final_at, booth.id, number)
    if not found:
        return False
    [(root, count, tx, at)] = found
    said = {"number": number, "root": bytes(root).hex(), "places": count, "tx": tx}
    messages = []
    for player_id, epoch, account, place, commit in await _rows(
        connection, COMMITTED, booth.id, number
    ):
        data = {"commitment": {**said, "place": place, "commit": bytes(commit).hex()}}
        key = PairKey(player_id, epoch)
        messages.append(message(booth, key, account, "pair.committed", at, data))
    await _tell(connection, messages)
    return True


async def tell_drawn(connection: rows.Connection, booth: Booth, number: int) -> None:
    """Tell every pair of a batch what it is bound to, before anything of it is on chain."""
    found = await _rows(connection, DRAWN, booth.id, number)
    messages = []
    for player_id, epoch, account, place, commit, root, count, kind, at in found:
        said = {"number": number, "place": place, "places": count, "root": bytes(root).hex()}
        said |= {"commit": bytes(commit).hex(), "kind": kind, "final": False}
        key = PairKey(player_id, epoch)
        messages.append(message(booth, key, account, "pair.drawn", at, {"commitment": said}))
    await _tell(connection, messages)


async def disown(connection: rows.Connection, booth: Booth, number: int) -> bool:
    """The chain has another root under a batch's number: its pairs end unplayed.

    False when that was known.
    """
    if (await connection.execute(FOREIGN, (booth.id, number))).rowcount == 0:
        return False
    await end_unplayed(connection, booth, number)
    return True


async def end_unplayed(connection: rows.Connection, booth: Booth, number: int) -> int:
    """End the pairs of a batch that wait and can never be played; how many."""
    found = await _rows(connection, UNPLAYABLE, booth.id, number)
    await _tell(connection, [_unplayed(booth, *one) for one in found])
    return len(found)


async def end_known(
    connection: rows.Connection, booth: Booth, number: int, places: Sequence[int]
) -> int:
    """End the pairs of a batch whose seeds somebody has shown, as after a restore; how many."""
    return await _end(connection, booth, KNOWN, booth.id, number, list(places))


async def end_every(connection: rows.Connection, booth: Booth) -> int:
    """End every pair that is not retired yet, and let seeds be committed where the chain is."""
    await connection.execute(RESUMES, (booth.id,))
    return await _end(connection, booth, EVERY, booth.id)


async def _end(connection: rows.Connection, booth: Booth, query: bytes, *values: Any) -> int:
    messages, found = [], await _rows(connection, query, *values)
    for player_id, epoch, account, at, state, bets, stake, payout, last in found:
        key = PairKey(player_id, epoch)
        if state == UNPLAYED:
            messages.append(_unplayed(booth, player_id, epoch, account, at))
            continue
        sums = {"bets": bets, "stake": str(stake), "payout": str(payout)}
        data = {"state": state, **sums, "last": None if last is None else bytes(last).hex()}
        messages.append(message(booth, key, account, "pair.retired", at, data))
    await _tell(connection, messages)
    return len(found)


def _unplayed(booth: Booth, player_id: int, epoch: int, account: str, at: datetime) -> Message:
    key = PairKey(player_id, epoch)
    return message(booth, key, account, "pair.unplayed", at, {"state": UNPLAYED})


async def activate(
    connection: rows.Connection, booth: Booth, number: int, beacon: Beacon, evidence: bytes
) -> bool:
    """Keep the beacon that came after a batch was final; False when there is one.

    `evidence` is drand's signature, or nothing.
    """
    said = {
        "kind": beacon.kind.decode(),
        "chain_hash": beacon.chain_hash.hex(),
        "round": str(beacon.round),
        "randomness": beacon.randomness.hex(),
        "evidence": evidence.hex(),
    }
    values = (Jsonb(said), beacon.hash, booth.id, number)
    return (await connection.execute(ACTIVATED, values)).rowcount > 0


async def promote(connection: rows.Connection, booth: Booth) -> list[PairKey]:
    """Let players play the pairs that have their beacon, one of each player at a time."""
    found = await _rows(connection, PROMOTED, booth.id)
    messages, keys = [], []
    for player_id, epoch, account, at, beacon, activation in found:
        key = PairKey(player_id, epoch)
        data = {"beacon": beacon, "activation": bytes(activation).hex()}
        messages.append(message(booth, key, account, "pair.active", at, data))
        keys.append(key)
    await _tell(connection, messages)
    return keys


async def show(connection: rows.Connection, booth: Booth, key: PairKey, seed: bytes) -> bool:
    """The final chain shows the seed of a retired pair; False when that was known."""
    found = await _rows(connection, SHOWN, seed, *key)
    for account, at, bets in found:
        data = {"seed": seed.hex(), "bets": bets}
        await _tell(connection, [message(booth, key, account, "pair.revealed", at, data)])
    return bool(found)


def message(
    booth: Booth, key: PairKey, account: str, type: str, at: datetime, data: dict[str, Any]
) -> Message:
    """`server_time` is the database's clock when it was said."""
    about = {"pair": str(key), "player": account, "epoch": key.epoch}
    about["server_time"] = at.isoformat(timespec="milliseconds")
    return Message(NAMESPACE, type, booth.casino, about | data, player=str(key.player_id))


def _sums(pair: Standing) -> dict[str, Any]:
    sums = {"bets": pair.bets, "stake": str(pair.stake), "payout": str(pair.payout)}
    return {"state": pair.state, **sums, "last": _hex(pair.last)}


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


async def _rows(connection: rows.Connection, query: bytes, *values: Any) -> list[Any]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def _tell(connection: rows.Connection, messages: Sequence[Message]) -> None:
    if messages:
        await connection.execute(*statement(messages))
