"""The keeper's work on pairs: seeds committed for who waits, beacons awaited, seeds revealed.

What is next follows from the database and from the final chain. A seed is on disk, sealed, before
anybody hears of it, its batch keeps its number for good, and no seed is shown before its pair is
retired.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger

from casino.pairs import booths, courses
from casino.pairs.booths import Booth, Limits
from casino.pairs.records import PairKey
from casino.sealed import Sealer
from chains.beacons import Beacon, Forged, Gone
from chains.errors import ChainError, RpcError
from games.fairness import merkle, rounds
from games.fairness.pairs import SEED, Pair
from settings import PairsSetting, Settings
from workers import senders
from workers.backing import NoKey, housed, met
from workers.beacons import beaconed
from workers.bonds import CommittedPairs, PairBond
from workers.houses import REFUSED
from workers.leader import Connection
from workers.rests import Rests
from workers.sealed import WrongKey

GATHER_S = 3.0  # between two batches: who comes meanwhile is in the next one
REFUSED_S = 4.0  # how long what a chain refused is left alone
REVEAL_TOGETHER = 16
LOOK_S, EACH_S = 0.5, 0.2  # between two looks at a batch with retired pairs: more, where more are
FINAL_S = (0.5, 15.0)  # between two looks at a batch that is to be final: an eighth of its age
NUMBER_S = 5.0  # between two looks at the chain's next number while nobody waits
MOST_LOST = 3  # batches that a node did not answer for: the others are due next time
COMPARED_TOGETHER = 16
MOST_TOLD = 3

UNCONFIRMED = b"""
SELECT number, count, root, kind FROM pair_batches
WHERE booth_id = %s AND state IN ('drawn', 'sent') ORDER BY number
"""
WAITING = b"""
SELECT player_id, epoch, account FROM pairs
WHERE booth_id = %s AND state = 'waiting' AND number IS NULL ORDER BY opened_at, player_id LIMIT %s
"""
# Where our seeds are, and whether a person has said that they go on where the chain is.
NEXT = b"""
SELECT greatest(b.begins, (
    SELECT max(number) + 1 FROM pair_batches WHERE booth_id = b.id
)), b.resumes FROM pair_booths b WHERE b.id = %s
"""
RESUMED = b"""
UPDATE pair_booths SET resumes = false, begins = greatest(begins, %s) WHERE id = %s
"""
FOREIGN = b"""
SELECT c.number FROM pair_batches c JOIN pair_booths b ON b.id = c.booth_id
WHERE c.booth_id = %s AND c.state = 'foreign' AND c.number >= b.begins ORDER BY c.number
"""
BEGINS = b"SELECT begins FROM pair_booths WHERE id = %s"
COMPARED = b"""
SELECT p.number, b.root, array_agg(p.place) FROM pairs p
JOIN pair_batches b ON b.booth_id = p.booth_id AND b.number = p.number
WHERE p.booth_id = %s AND p.state IN ('waiting', 'active') GROUP BY p.number, b.root
"""
BATCH = b"""
INSERT INTO pair_batches (booth_id, number, count, root, kind, signer)
VALUES (%s, %s, %s, %s, %s, %s)
"""
DRAWN = b"""
UPDATE pairs SET number = %s, place = %s, sealed = %s, commit = %s
WHERE player_id = %s AND epoch = %s AND number IS NULL
"""
SENT = b"""
UPDATE pair_batches SET state = 'sent', tx = %s
WHERE booth_id = %s AND number = %s AND state IN ('drawn', 'sent')
"""
ALONE = b"""
SELECT number, kind, final_at, extract(epoch FROM clock_timestamp())::float
FROM pair_batches b
WHERE booth_id = %s AND state = 'confirmed' AND activation IS NULL AND EXISTS (
    SELECT FROM pairs
    WHERE booth_id = b.booth_id AND number = b.number AND state = 'waiting'
) ORDER BY number LIMIT 64
"""
# Those that were not sent stand first: those that are to be final never crowd them out. A pair
# without a bet has nothing to be checked.
BEHIND = b"""
(SELECT player_id, epoch, account, number, place, sealed, reveal_tx FROM pairs
WHERE booth_id = %(booth)s AND state = 'retired' AND bets > 0 AND reveal_tx IS NULL
ORDER BY number, place LIMIT 512)
UNION ALL
(SELECT player_id, epoch, account, number, place, sealed, reveal_tx FROM pairs
WHERE booth_id = %(booth)s AND state = 'retired' AND bets > 0 AND reveal_tx IS NOT NULL
ORDER BY number, place LIMIT 512)
"""
REVEAL_TX = b"UPDATE pairs SET reveal_tx = %s WHERE player_id = %s AND epoch = %s"
COMMITS = b"SELECT commit FROM pairs WHERE booth_id = %s AND number = %s ORDER BY place"
NEWEST = b"""
SELECT account, epoch, sealed FROM pairs
WHERE booth_id = %s AND number IS NOT NULL ORDER BY number DESC, place DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A batch that is not final on chain, as it was drawn."""

    number: int
    count: int
    root: bytes
    kind: bytes


@dataclass(frozen=True, slots=True)
class Behind:
    """A pair that is retired, and whose seed the final chain does not show."""

    key: PairKey
    account: str
    number: int
    place: int
    sealed: bytes = field(repr=False)
    tx: str | None


async def begin(
    settings: Settings, setting: PairsSetting, connection: Connection, wallets: senders.Wallets
) -> PairsKeeper | None:
    """The keeper of pairs whose node answered; None while a network is unknown.

    Raises `ChainError`, among them `NoKey` and `WrongKey`.
    """
    booth = await declared(settings, setting, connection)
    if booth is None:
        return None
    bond = await met(settings, setting, booth.network, wallets)
    if bond is None:
        raise NoKey("no keeper key for pairs: none become active")
    sealer = Sealer(bytes.fromhex(settings.seed_key))
    await opens(connection, sealer, booth)
    beacon = await beaconed(settings, setting, connection)
    if beacon is None:
        return None
    return PairsKeeper(booth, setting.batch, bond, beacon, connection, sealer)


async def opens(connection: Connection, sealer: Sealer, booth: Booth) -> None:
    """Raises `WrongKey` when the seeds drawn before do not open: more must not be drawn."""
    asked = await connection.execute(NEWEST, (booth.id,))
    for account, epoch, sealed in await asked.fetchall():
        try:
            sealer.open(booth.place(account, epoch), bytes(sealed))
        except ValueError as error:
            said = "FAIRHOUSE_SEED_KEY does not open its seeds"
            await booths.stop(connection, booth.id, said)
            raise WrongKey(f"pairs on {booth.network}") from error


@dataclass
class PairsKeeper:
    """The work on the pairs of one bond; `tick` does whatever is due.

    `troubles` are those that stand, by what each is about; `shown` are places that the chain knows
    the seeds of, as bits by number, final or not.
    """

    booth: Booth
    size: int
    bond: PairBond
    beacon: Beacon
    connection: Connection
    sealer: Sealer
    rests: Rests = field(default_factory=Rests)
    troubles: dict[Any, str] = field(default_factory=dict)
    shown: dict[int, int] = field(default_factory=dict)
    seen_at: dict[int, float] = field(default_factory=dict)
    ahead: bool = False
    compared: bool = False

    async def tick(self) -> None:
        """One look at batches and pairs. Raises `ChainError` when the node is away."""
        await self.bond.renew()
        if not self.compared:
            await self.compare()
            self.compared = True
        await self.carry_all()
        await self.activate()
        async with self.connection.transaction():
            await courses.promote(self.connection, self.booth)
        await self.reveal(await self.followed(await self.behind()))
        await self.provide()
        await self.tell()

    async def close(self) -> None:
        await self.beacon.close()

    async def compare(self) -> None:
        """End pairs whose seeds the chain shows already: an older database was put back."""
        found = await self._rows(COMPARED, self.booth.id)
        for at in range(0, len(found), COMPARED_TOGETHER):
            part = found[at : at + COMPARED_TOGETHER]
            asked = (self.bond.committed_pairs(one[0], finalized=False) for one in part)
            for (number, root, places), held in zip(
                part, await asyncio.gather(*asked), strict=True
            ):
                if held is None or held.root != bytes(root):
                    continue
                known = [place for place in places if held.revealed >> place & 1]
                if not known:
                    continue
                async with self.connection.transaction():
                    ended = await courses.end_known(self.connection, self.booth, number, known)
                logger.error("pairs {}: ended {} whose seeds the chain shows", number, ended)

    async def unconfirmed(self) -> list[Unconfirmed]:
        found = await self._rows(UNCONFIRMED, self.booth.id)
        return [Unconfirmed(row[0], row[1], bytes(row[2]), row[3].encode()) for row in found]

    async def carry_all(self) -> None:
        """Look at each batch that is due: what is wrong with one is not another's trouble."""
        batches, lost = await self.unconfirmed(), 0
        for batch in batches:
            if self.rests.now(("batch", batch.number)):
                continue
            age = time.monotonic() - self.seen_at.setdefault(batch.number, time.monotonic())
            least, most = FINAL_S
            self.rests.rest(("batch", batch.number), min(most, max(least, age / 8)))
            try:
                await self.carry(batch)
            except RpcError as error:
                lost += 1
                logger.warning("pairs {}: {}", batch.number, error)
                if lost == MOST_LOST:
                    break  # the node may be away, which the next question shows
        numbers = {batch.number for batch in batches}
        self.seen_at = {one: at for one, at in self.seen_at.items() if one in numbers}
        await self.disowned()

    async def disowned(self) -> None:
        """Which numbers the chain gave to others, after the one where ours begin."""
        [(begins,)] = await self._rows(BEGINS, self.booth.id)
        foreign = {number for (number,) in await self._rows(FOREIGN, self.booth.id)}
        for subject in list(self.troubles):
            if subject[0] == "foreign" and (
                subject[1] < begins or subject[1] not in foreign | self.seen_at.keys()
            ):
                del self.troubles[subject]
        for number in foreign:
            self._foreign(number)

    async def carry(self, batch: Unconfirmed) -> None:
        """Bring a batch on chain under its own number, and see it become final there."""
        number = batch.number
        held = await self.bond.committed_pairs(number, finalized=False)
        if held is None:
            await self.commit(batch)
            return
        self.troubles.pop(("commit", number), None)
        if _holds(held, batch):
            self.troubles.pop(("foreign", number), None)
            await self.confirmed(batch)
            return
        self._foreign(number)
        final = await self.bond.committed_pairs(number, finalized=True)
        if final is not None and not _holds(final, batch):
            async with self.connection.transaction():
                await courses.disown(self.connection, self.booth, number)

    async def commit(self, batch: Unconfirmed) -> None:
        """Send a batch that the chain does not have, unless it was just sent or may not be."""
        if self.stopped or self.rests.begun(("commit", batch.number)):
            return
        try:
            tx = await self.bond.commit_pairs(batch.number, batch.root, batch.count, batch.kind)
        except REFUSED as error:
            logger.warning("pairs: committing {}: {}", batch.number, error)
            self.rests.rest(("commit", batch.number), REFUSED_S)
            said = f"the bond does not take the pairs {batch.number}"
            self.troubles["commit", batch.number] = said
            return
        await self.connection.execute(SENT, (tx, self.booth.id, batch.number))

    async def confirmed(self, batch: Unconfirmed) -> None:
        landed = await self.bond.landed_pairs(batch.number)
        if landed is None:
            return  # the block that made it final is still to come, or its node does not know
        async with self.connection.transaction():
            await courses.confirm(
                self.connection,
                self.booth,
                batch.number,
                tx=landed.tx,
                position=landed.position,
                time=landed.time,
                final_at=landed.final_at,
            )
        logger.info("pairs {}: {} are final", batch.number, batch.count)

    async def activate(self) -> None:
        """Keep the beacon that the moment of finality names, for each batch that has none.

        Those that are bound to another kind than the settings' end unplayed.
        """
        alone = await self._rows(ALONE, self.booth.id)
        bound = {("beacon", number) for number, *_ in alone}
        for subject in [one for one in self.troubles if one[0] == "beacon" and one not in bound]:
            del self.troubles[subject]
        for number, kind, final_at, now in alone:
            if kind.encode() != self.beacon.kind:
                async with self.connection.transaction():
                    ended = await courses.end_unplayed(self.connection, self.booth, number)
                said = "pairs {}: {} are bound to a beacon of kind {}, and end unplayed"
                logger.error(said, number, ended, kind)
                continue
            try:
                drawn = await self.beacon.fetch(final_at, now)
            except (Gone, Forged) as error:  # it may come yet: until then they are not played
                self.troubles["beacon", number] = f"the beacon of pairs {number}: {error}"
                continue
            if drawn is None:
                continue
            shown = rounds.Beacon(drawn.kind, drawn.chain_hash, drawn.round, drawn.randomness)
            evidence = drawn.evidence if drawn.kind == rounds.DRAND else b""
            await courses.activate(self.connection, self.booth, number, shown, evidence)
            self.troubles.pop(("beacon", number), None)

    async def provide(self) -> None:
        """Draw seeds for those who wait, when all that was drawn before is on its way."""
        waiting = await self._rows(WAITING, self.booth.id, self.size)
        if self.rests.now("draw") or (not waiting and self.rests.now("number")):
            return
        drawn = await self.level()
        if drawn is None or not waiting:
            return
        standing = await self.bond.standing()
        self.troubles.pop(("paused",), None)
        if standing.paused:
            self.troubles["paused",] = "the bond's owner has stopped commitments"
            self.rests.rest("draw", REFUSED_S)
            return
        self.rests.rest("draw", GATHER_S)
        await self.carry(await self.draw(drawn, waiting, standing.signer))

    async def level(self) -> int | None:
        """The next number, if the chain has every one before it and no other; else None.

        A chain that is further on knows seeds that we have lost, or somebody else has our key:
        nothing is committed or played until a person has ended what could be known.
        """
        self.rests.rest("number", NUMBER_S)
        [(drawn, resumes)] = await self._rows(NEXT, self.booth.id)
        following = await self.bond.following_pairs()
        if resumes:
            await self.connection.execute(RESUMED, (following, self.booth.id))
            drawn = max(drawn, following)
            await self.disowned()
        self.ahead = following > drawn
        self.troubles.pop(("ahead",), None)
        if self.ahead:
            said = f"the chain is at pairs {following}, and our seeds at {drawn}"
            self.troubles["ahead",] = said
        return drawn if following == drawn and not self.stopped else None

    @property
    def stopped(self) -> bool:
        """Whether the chain has pairs that are not ours."""
        return self.ahead or any(subject[0] == "foreign" for subject in self.troubles)

    def _foreign(self, number: int) -> None:
        said = f"the chain holds pairs {number} that are not ours"
        self.troubles["foreign", number] = said

    async def draw(
        self, number: int, waiting: Sequence[tuple[int, int, str]], signer: bytes
    ) -> Unconfirmed:
        """A new batch, on disk before anybody hears of it."""
        booth, commits = self.booth, []
        async with self.connection.transaction():
            cursor = self.connection.cursor()
            for place, (player_id, epoch, account) in enumerate(waiting):
                seed = secrets.token_bytes(SEED)
                commits.append(Pair(booth.chain, account.encode(), epoch).commit(seed))
                sealed = self.sealer.seal(booth.place(account, epoch), seed)
                values = (number, place, sealed, commits[-1], player_id, epoch)
                await cursor.execute(DRAWN, values)
            root = merkle.Tree.over(commits).root
            made = (booth.id, number, len(commits), root, booth.kind.decode(), signer)
            await cursor.execute(BATCH, made)
            await courses.tell_drawn(self.connection, booth, number)
        return Unconfirmed(number, len(commits), root, booth.kind)

    async def behind(self) -> list[Behind]:
        asked = await self.connection.execute(BEHIND, {"booth": self.booth.id})
        return [
            Behind(PairKey(player_id, epoch), account, number, place, bytes(sealed), tx)
            for player_id, epoch, account, number, place, sealed, tx in await asked.fetchall()
        ]

    async def followed(self, behind: Sequence[Behind]) -> list[Behind]:
        """Note which seeds the final chain shows by now; the pairs whose seeds no block shows.

        What a block shows and is not final is left alone: it is final soon, or gone.
        """
        numbers = sorted({one.number for one in behind})
        bits = dict.fromkeys(numbers, 0)
        self.shown = {number: self.shown.get(number, 0) for number in numbers}
        for number in numbers:
            if not self.rests.now(("look", number)):
                self.rests.rest(("look", number), max(LOOK_S, len(numbers) * EACH_S))
                held = await self.bond.committed_pairs(number, finalized=True)
                bits[number] = 0 if held is None else held.revealed
                newest = await self.bond.committed_pairs(number, finalized=False)
                self.shown[number] = 0 if newest is None else newest.revealed
        shown = [one for one in behind if bits[one.number] >> one.place & 1]
        for one in shown:
            async with self.connection.transaction():
                await courses.show(self.connection, self.booth, one.key, self.seed(one))
        return [
            one
            for one in behind
            if one not in shown and not self.shown[one.number] >> one.place & 1
        ]

    async def reveal(self, behind: Sequence[Behind]) -> None:
        """Show the bond the seeds of pairs that are retired, a few at a time."""
        due = [one for one in behind if not self.rests.now(("reveal", one.key))]
        for one in due[:REVEAL_TOGETHER]:
            self.rests.begun(("reveal", one.key))
            if one.tx is not None and await self.bond.waits(one.tx):
                continue
            commits = [
                bytes(row[0]) for row in await self._rows(COMMITS, self.booth.id, one.number)
            ]
            proof = merkle.Tree.over(commits).proof(one.place)
            told = (one.number, one.place, one.account.encode(), one.key.epoch)
            try:
                tx = await self.bond.reveal_pair(*told, self.seed(one), proof)
            except REFUSED as error:  # or somebody who heard of it was first: the chain will say
                logger.warning("pairs: revealing {}: {}", one.key, error)
                self.rests.rest(("reveal", one.key), REFUSED_S)
                continue
            await self.connection.execute(REVEAL_TX, (tx, *one.key))

    def seed(self, one: Behind) -> bytes:
        """Raises `WrongKey`."""
        try:
            return self.sealer.open(self.booth.place(one.account, one.key.epoch), one.sealed)
        except ValueError as error:
            raise WrongKey(f"pairs on {self.booth.network}") from error

    async def tell(self) -> None:
        """Say why pairs do not become active, or that they do again: what stands, not what was."""
        said = "; ".join(map(str, list(self.troubles.values())[:MOST_TOLD])) or None
        stops = {"stopped": self.stopped}
        if await booths.stop(self.connection, self.booth.id, said, **stops) and said is not None:
            logger.error("pairs: {}", said)

    async def _rows(self, query: bytes, *values: Any) -> list[Any]:
        return await (await self.connection.execute(query, values)).fetchall()


def _holds(held: CommittedPairs, batch: Unconfirmed) -> bool:
    return (held.root, held.count, held.kind) == (batch.root, batch.count, batch.kind)


async def declared(
    settings: Settings, setting: PairsSetting, connection: Connection
) -> Booth | None:
    """The booth as the settings have it, made or changed; None while its network is unknown.

    Raises `ChainError` on a mistake in the settings.
    """
    planned = senders.planned(settings, setting)
    network = await senders.pinned(connection, planned.network)
    if network is None:
        return None
    casino_id, slug, asset = await housed(connection, setting, planned.means, network)
    try:
        games = {
            game: await booths.keep(connection, game, pays) for game, pays in setting.games.items()
        }
        booth = Booth(
            id=0,
            casino_id=casino_id,
            casino=slug,
            network=network,
            program=planned.means.address,
            asset=asset,
            beacon=setting.beacon,
            games=games,
            limits=Limits(
                least=setting.least,
                most=setting.most,
                most_win=setting.most_win,
                most_player=setting.most_player,
            ),
        )
        return replace(booth, id=await booths.settle(connection, booth))
    except booths.BadBooth as error:
        raise ChainError(f"pairs: {error}") from error
