"""The keeper's work on a table: its seeds committed ahead, its roots anchored, its seeds revealed.

What is next follows from the database and from the final chain. Where a round could not be fair, no
more are committed, and the table says why: the bond is too small, a commitment came too late, a
reveal was missed.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from casino.rounds import batches, courses, tables
from casino.rounds.seats import SKIPPED
from casino.rounds.tables import Limits, Table
from casino.sealed import Sealer
from chains.errors import ChainError
from games.fairness import merkle
from games.fairness.rounds import MAX_ROUNDS, NO_BETS, SEED, Schedule
from settings import Settings, TableSetting
from workers import senders
from workers.backing import NoKey, housed, met
from workers.bonds import Bond, Statement
from workers.houses import REFUSED
from workers.leader import Connection
from workers.rests import RESEND_S, Rests
from workers.sealed import WrongKey

REFUSED_S = 4.0  # how long what a chain refused is left alone
ANCHOR_S = 30.0  # a root waits at most so long for others to be anchored with it
ANCHOR_PART = 0.1  # of the reveal window, where that is less
ANCHOR_MOST = 6
LEAST_AHEAD_S = 10.0  # between drawing a batch and its first round, if finality takes less
AHEAD_S = 120.0  # another batch is committed when less than that is left of the last one
HOT_S = 0.25  # the part of a reveal window in which an unrevealed seed is an alarm

UNCONFIRMED = b"""
SELECT root, first, count, opens, period, lead, reveal_window, beacon, max_liability, signer
FROM round_batches WHERE table_id = %s AND state <> 'confirmed' ORDER BY first
"""
LAST = b"""
SELECT coalesce(max(first + count), 0), coalesce(max(opens + count * period), 0),
    extract(epoch FROM clock_timestamp())::float
FROM round_batches WHERE table_id = %s
"""
BATCH = b"""
INSERT INTO round_batches (table_id, first, count, root, opens, period, lead, reveal_window,
    beacon, max_liability, signer, pay_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
SEEDS = (
    "COPY round_seeds (table_id, number, batch_first, sealed, commit) FROM STDIN (FORMAT BINARY)"
)
SENT = b"""
UPDATE round_batches SET state = 'sent', tx = %s
WHERE table_id = %s AND first = %s AND state <> 'confirmed'
"""
CONFIRMED = b"""
UPDATE round_batches SET state = 'confirmed', confirmed_at = clock_timestamp(), tx = %s,
    position = %s, committed_at = %s
WHERE table_id = %s AND first = %s AND state <> 'confirmed'
"""
FORGET_BATCH = b"""
DELETE FROM round_batches WHERE table_id = %s AND first = %s AND state <> 'confirmed'
"""
FORGET_SEEDS = b"DELETE FROM round_seeds WHERE table_id = %s AND batch_first = %s"
# Rounds that are over on our side and not on the chain's, the oldest first, and since when.
BEHIND = b"""
SELECT r.number, r.batch_first, r.state, r.root, r.bets, r.liability,
    extract(epoch FROM r.closes_at)::float, extract(epoch FROM clock_timestamp())::float,
    b.reveal_window, r.anchored_at IS NOT NULL, s.sealed
FROM rounds r
JOIN round_batches b ON b.table_id = r.table_id AND b.first = r.batch_first
JOIN round_seeds s ON s.table_id = r.table_id AND s.number = r.number
WHERE r.table_id = %s AND r.state <> 'waiting' AND r.revealed_at IS NULL
    AND r.closes_at < clock_timestamp()
    AND r.closes_at > clock_timestamp() - make_interval(secs => b.reveal_window + 3600)
ORDER BY r.number LIMIT 512
"""
ANCHORED = b"""
UPDATE rounds SET anchored_at = clock_timestamp()
WHERE table_id = %s AND number = ANY(%s) AND anchored_at IS NULL
"""
REVEALED = b"""
UPDATE rounds SET revealed_at = clock_timestamp()
WHERE table_id = %s AND number = ANY(%s) AND revealed_at IS NULL
"""
ANCHOR_TX = b"UPDATE rounds SET anchor_tx = %s WHERE table_id = %s AND number = ANY(%s)"
REVEAL_TX = b"UPDATE rounds SET reveal_tx = %s WHERE table_id = %s AND number = %s"
NEWEST = b"""
SELECT number, sealed FROM round_seeds WHERE table_id = %s ORDER BY number DESC LIMIT 1
"""
COMMITS = b"""
SELECT commit FROM round_seeds WHERE table_id = %s AND batch_first = %s ORDER BY number
"""
RELEASABLE = b"""
SELECT first FROM round_batches
WHERE table_id = %s AND state = 'confirmed' AND released_at IS NULL
    AND opens + count * period + reveal_window + %s < extract(epoch FROM clock_timestamp())
ORDER BY first LIMIT 4
"""
RELEASED = b"""
UPDATE round_batches SET released_at = clock_timestamp() WHERE table_id = %s AND first = %s
"""
SKIPPED_OF = b"""
SELECT count(*) FROM rounds WHERE table_id = %s AND batch_first = %s AND state = 'skipped'
"""
STOPPED = b"SELECT paused_at IS NOT NULL FROM round_tables WHERE id = %s"
PAUSE = b"UPDATE round_tables SET paused_at = clock_timestamp() WHERE id = %s AND paused_at IS NULL"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a table's batches are made: so many rounds, each so long, each backed by so much."""

    count: int
    period: int
    lead: int
    reveal_window: int
    max_liability: int


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A batch that is not final on chain, as it was drawn."""

    root: bytes
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Behind:
    """A round that is over, and how far the chain has followed; by the database's clock."""

    number: int
    first: int
    state: str
    statement: Statement
    closes_at: float
    now: float
    reveal_window: int
    anchored: bool
    sealed: bytes = field(repr=False)

    @property
    def shown(self) -> bool:
        """Whether its seed may be revealed: it was drawn, or the round never took a bet."""
        return self.state in ("drawn", "settled", SKIPPED)

    @property
    def overdue_at(self) -> float:
        """When bettors may claim, unless its seed is there."""
        return self.closes_at + self.reveal_window

    @property
    def left_s(self) -> float:
        return self.overdue_at - self.now

    @property
    def over_s(self) -> float:
        return self.now - self.closes_at


async def begin(
    settings: Settings, setting: TableSetting, connection: Connection, wallets: senders.Wallets
) -> TableKeeper | None:
    """The keeper of a table whose node answered; None while its network is unknown.

    Raises `ChainError`, among them `NoKey` and `WrongKey`.
    """
    table = await declared(settings, setting, connection)
    if table is None:
        return None
    bond = await met(settings, setting, table.network, wallets)
    if bond is None:
        raise NoKey(f"no keeper key for table {setting.name}: it gets no rounds")
    sealer = Sealer(bytes.fromhex(settings.seed_key))
    await opens(connection, sealer, table)
    return TableKeeper(table, paced(setting), bond, connection, sealer)


async def opens(connection: Connection, sealer: Sealer, table: Table) -> None:
    """Raises `WrongKey` when the seeds drawn before do not open: more must not be drawn."""
    for number, sealed in await (await connection.execute(NEWEST, (table.id,))).fetchall():
        try:
            sealer.open(place(table, number), bytes(sealed))
        except ValueError as error:
            raise WrongKey(f"table {table.name} on {table.network}") from error


@dataclass
class TableKeeper:
    """The work on one table; `tick` does whatever is due."""

    table: Table
    pace: Pace
    bond: Bond
    connection: Connection
    sealer: Sealer
    rests: Rests = field(default_factory=Rests)
    resumed_at: float = 0.0  # what was missed before, somebody has looked into
    trees: dict[int, merkle.Tree] = field(default_factory=dict)

    async def tick(self) -> None:
        """One look at batches and rounds. Raises `ChainError` when the node is away."""
        await self.bond.renew()
        waiting = await self.unconfirmed()
        for batch in waiting:
            await self.carry(batch)
        behind = await self.followed(await self.behind())
        await self.anchor(behind)
        await self.reveal(behind)
        if await self.watched(behind) and not waiting:
            await self.provide()
        if not self.rests.begun("release"):
            await self.release()

    async def close(self) -> None:
        """Nothing: its connection and its bond's wallet are not its own."""

    async def unconfirmed(self) -> list[Unconfirmed]:
        found = await self._rows(UNCONFIRMED, self.table.id)
        return [_unconfirmed(row) for row in found]

    async def carry(self, batch: Unconfirmed) -> None:
        """Bring a batch on chain and see it become final there, or drop it when it is too late."""
        name, schedule = self.table.name, batch.schedule
        held = await self.bond.committed(name, schedule.first, finalized=True)
        if held is not None:
            await self.confirmed(batch, held.root)
            return
        if await self.bond.committed(name, schedule.first, finalized=False) is not None:
            return  # it is there and not final yet
        if await self.bond.clock() > schedule.opens + RESEND_S:
            # By its own clock the contract takes nothing that has begun, so this never lands:
            # nobody saw these seeds.
            await self.forget(schedule.first)
            await self.trouble(f"the seeds from {schedule.first} were committed too late")
            return
        if self.rests.begun(("commit", schedule.first)):
            return
        try:
            tx = await self.bond.commit(name, batch.root, schedule)
        except REFUSED as error:
            logger.warning("{}: committing from {}: {}", self.table.name, schedule.first, error)
            await self.trouble(f"the bond does not take the seeds from {schedule.first}")
            return
        await self.connection.execute(SENT, (tx, self.table.id, schedule.first))

    async def confirmed(self, batch: Unconfirmed, root: bytes) -> None:
        first = batch.schedule.first
        if root != batch.root:
            await self.forget(first)
            await self.trouble(f"the chain holds seeds from {first} that are not ours")
            return
        landed = await self.bond.landed(self.table.name, first)
        if landed is None:
            return  # the node that was asked does not know yet; it will
        place = (landed.tx, landed.position, landed.time)
        async with self.connection.transaction():
            await self.connection.execute(CONFIRMED, (*place, self.table.id, first))
            await courses.schedule(self.connection, self.table, first)
        await self.trouble(None)
        name, last = self.table.name, first + batch.schedule.count - 1
        logger.info("{}: rounds {} to {} are final", name, first, last)
        [(skipped,)] = await self._rows(SKIPPED_OF, self.table.id, first)
        if skipped:  # and /health says so until a later batch is in time
            logger.error("{}: {} of them never open, they are final too late", name, skipped)

    async def forget(self, first: int) -> None:
        async with self.connection.transaction():
            await self.connection.execute(FORGET_BATCH, (self.table.id, first))
            await self.connection.execute(FORGET_SEEDS, (self.table.id, first))

    async def provide(self) -> None:
        """Draw the next batch when the last one is nearly over; it opens after it is final.

        By the database's clock, as rounds open and close: this machine's may be wrong.
        """
        [(drawn, ends, now)] = await self._rows(LAST, self.table.id)
        ahead = max(LEAST_AHEAD_S, 2 * (await self.bond.lag() or 0.0))
        if ends - now > AHEAD_S + ahead:
            return
        standing = await self.bond.standing()
        needed = 2 * self.pace.count * self.pace.max_liability
        if standing.paused:
            await self.trouble("the bond's owner has stopped commitments")
            return
        if standing.free < needed:
            await self.trouble(f"the bond has {standing.free} free, and a batch needs {needed}")
            return
        following = await self.bond.following(self.table.name)
        if following != drawn:
            await self.trouble(f"the chain is at round {following}, and our seeds at {drawn}")
            return
        schedule = Schedule(
            first=drawn,
            count=self.pace.count,
            opens=max(int(ends), int(now + ahead) + 1),
            period=self.pace.period,
            lead=self.pace.lead,
            reveal_window=self.pace.reveal_window,
            kind=batches.kind(self.table.beacon),
            max_liability=self.pace.max_liability,
            signer=standing.signer,
        )
        await self.carry(await self.draw(schedule))

    async def draw(self, schedule: Schedule) -> Unconfirmed:
        """A new batch, on disk before anybody hears of it."""
        table = self.table
        numbers = range(schedule.first, schedule.first + schedule.count)
        seeds = {number: secrets.token_bytes(SEED) for number in numbers}
        commits = [table.place(number).commit(seed) for number, seed in seeds.items()]
        root = merkle.Tree.over(commits).root
        times = (schedule.opens, schedule.period, schedule.lead, schedule.reveal_window)
        bound = (table.beacon, schedule.max_liability, schedule.signer, table.pay_id)
        async with self.connection.transaction():
            cursor = self.connection.cursor()
            await cursor.execute(
                BATCH, (table.id, schedule.first, schedule.count, root, *times, *bound)
            )
            async with cursor.copy(SEEDS) as copy:
                copy.set_types(["int4", "int8", "int8", "bytea", "bytea"])
                for (number, seed), commit in zip(seeds.items(), commits, strict=True):
                    sealed = self.sealer.seal(place(table, number), seed)
                    await copy.write_row((table.id, number, schedule.first, sealed, commit))
        return Unconfirmed(root, schedule)

    async def behind(self) -> list[Behind]:
        return [_behind(row) for row in await self._rows(BEHIND, self.table.id)]

    async def followed(self, behind: Sequence[Behind]) -> list[Behind]:
        """Note what the final chain has by now; the rounds that are left to do something about."""
        left: list[Behind] = []
        for first, group in itertools.groupby(behind, key=lambda one: one.first):
            mine = list(group)
            held = await self.bond.committed(self.table.name, first, finalized=True)
            unknown = [one.number for one in mine if not one.anchored]
            there = await self.bond.anchored(self.table.name, first, unknown) if unknown else []
            anchored = [number for number, is_there in zip(unknown, there, strict=True) if is_there]
            bits = 0 if held is None else held.revealed
            revealed = [one.number for one in mine if bits >> (one.number - first) & 1]
            if anchored:
                await self.connection.execute(ANCHORED, (self.table.id, anchored))
            if revealed:
                await self.connection.execute(REVEALED, (self.table.id, revealed))
            left += [one for one in mine if one.number not in revealed]
        return left

    async def anchor(self, behind: Sequence[Behind]) -> None:
        """Fix what was signed, several rounds together, within a minute of their close."""
        waiting = [
            one
            for one in behind
            if one.left_s > 0 and not one.anchored and not self.rests.now(("anchor", one.number))
        ]
        for first, group in itertools.groupby(waiting, key=lambda one: one.first):
            run = _consecutive(list(group))[: self.bond.most_anchored]
            patience_s = min(ANCHOR_S, ANCHOR_PART * run[0].reveal_window)
            if len(run) < ANCHOR_MOST and run[0].over_s < patience_s:
                continue
            numbers = [one.number for one in run]
            for number in numbers:
                self.rests.begun(("anchor", number))
            try:
                tx = await self.bond.anchor(
                    self.table.name, first, numbers[0], [one.statement for one in run]
                )
            except REFUSED as error:
                # A chain's clock may be behind ours: what is closed here is not yet closed there.
                logger.debug("{}: anchoring {}: {}", self.table.name, numbers, error)
                for number in numbers:
                    self.rests.rest(("anchor", number), REFUSED_S)
                continue
            await self.connection.execute(ANCHOR_TX, (tx, self.table.id, numbers))

    async def reveal(self, behind: Sequence[Behind]) -> None:
        """Show the bond the seeds of rounds whose anchored roots are final."""
        due = [one for one in behind if one.anchored and one.shown and one.left_s > 0]
        for one in due:
            if self.rests.begun(("reveal", one.number)):
                continue
            seed = self.sealer.open(place(self.table, one.number), one.sealed)
            proof = (await self.tree(one.first)).proof(one.number - one.first)
            try:
                tx = await self.bond.reveal(self.table.name, one.first, one.number, seed, proof)
            except REFUSED as error:
                logger.warning("{}: revealing {}: {}", self.table.name, one.number, error)
                self.rests.rest(("reveal", one.number), REFUSED_S)
                continue
            await self.connection.execute(REVEAL_TX, (tx, self.table.id, one.number))

    async def watched(self, behind: Sequence[Behind]) -> bool:
        """Whether all seeds will be revealed in time; if not, no more rounds are committed.

        One that was not revealed in time stops the table until a person has looked.
        """
        mine = await self.unexplained([one for one in behind if one.shown])
        missed = [one.number for one in mine if one.left_s <= 0]
        late = [one.number for one in mine if one.left_s < HOT_S * one.reveal_window]
        if missed:
            await self.trouble(f"the bond did not see the seeds of rounds {missed} in time")
            await self.connection.execute(PAUSE, (self.table.id,))
        elif late:
            await self.trouble(f"the seeds of rounds {late} are nearly overdue at the bond")
        return not late

    async def unexplained(self, behind: Sequence[Behind]) -> list[Behind]:
        """Without those that were missed before somebody let the table go on."""
        if any(self.resumed_at < one.overdue_at <= one.now for one in behind):
            [(stopped,)] = await self._rows(STOPPED, self.table.id)
            if not stopped:
                self.resumed_at = await tables.resumed_at(self.connection, self.table)
        return [one for one in behind if one.overdue_at > self.resumed_at]

    async def release(self) -> None:
        """Ask the bond for what no bettor can claim of old batches any more."""
        window = (await self.bond.standing()).claim_window
        for (first,) in await self._rows(RELEASABLE, self.table.id, window):
            if self.rests.begun(("release", first)):
                continue
            held = await self.bond.committed(self.table.name, first, finalized=True)
            if held is not None and held.held:
                try:
                    await self.bond.release(self.table.name, first)
                except REFUSED as error:
                    logger.warning("{}: releasing {}: {}", self.table.name, first, error)
            else:
                await self.connection.execute(RELEASED, (self.table.id, first))

    async def trouble(self, said: str | None) -> None:
        """Say why no more rounds are committed, or that they are again."""
        if await tables.stop(self.connection, self.table.id, said) and said is not None:
            logger.error("{}: {}", self.table.name, said)

    async def tree(self, first: int) -> merkle.Tree:
        if first not in self.trees:
            found = await self._rows(COMMITS, self.table.id, first)
            if len(self.trees) > 8:
                self.trees.clear()
            self.trees[first] = merkle.Tree.over([bytes(row[0]) for row in found])
        return self.trees[first]

    async def _rows(self, query: bytes, *values: Any) -> list[Any]:
        return await (await self.connection.execute(query, values)).fetchall()


def place(table: Table, number: int) -> bytes:
    """Where a seed is sealed for: it opens nowhere else."""
    return f"{table.network}/{table.program}/{table.name}/{number}".encode()


async def declared(
    settings: Settings, setting: TableSetting, connection: Connection
) -> Table | None:
    """The table as the settings have it, made or changed; None while its network is unknown.

    Raises `ChainError` on a mistake in the settings.
    """
    planned = senders.planned(settings, setting)
    network = await senders.pinned(connection, planned.network)
    if network is None:
        return None
    rules = tables.GAMES.get(setting.game)
    if rules is None:
        raise ChainError(f"table {setting.name}: no game is called {setting.game}")
    casino_id, slug, asset = await housed(connection, setting, planned.means, network)
    try:
        pay_id = await tables.keep(connection, setting.game, rules.PAYS)
        table = Table(
            id=0,
            casino_id=casino_id,
            casino=slug,
            name=setting.name,
            game=setting.game,
            pay_id=pay_id,
            asset=asset,
            network=network,
            program=planned.means.address,
            beacon=setting.beacon,
            limits=Limits(
                least=setting.least,
                most=setting.most,
                most_win=setting.most_win,
                most_player=setting.most_player,
                coins=setting.coins,
                units=setting.units,
                most_operator=settings.operator_limits.get(slug, {}).get(asset),
            ),
        )
        return replace(table, id=await tables.settle(connection, table))
    except tables.BadTable as error:
        raise ChainError(f"table {setting.name}: {error}") from error


def paced(setting: TableSetting) -> Pace:
    return Pace(
        count=min(setting.batch, MAX_ROUNDS),
        period=setting.period,
        lead=setting.lead,
        reveal_window=setting.reveal_window,
        max_liability=setting.max_liability,
    )


def _unconfirmed(row: Sequence[Any]) -> Unconfirmed:
    root, *scheduled = row
    return Unconfirmed(bytes(root), batches.schedule(scheduled))


def _behind(row: Sequence[Any]) -> Behind:
    number, first, state, root, bets, liability, *times, anchored, sealed = row
    closes_at, now, window = times
    statement = Statement(NO_BETS if root is None else bytes(root), bets, int(liability))
    return Behind(number, first, state, statement, closes_at, now, window, anchored, bytes(sealed))


def _consecutive(rounds: Sequence[Behind]) -> list[Behind]:
    """The first of them that follow one another without a gap."""
    return [one for at, one in enumerate(rounds) if one.number == rounds[0].number + at]
