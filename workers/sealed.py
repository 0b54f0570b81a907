"""The keeper's seeds: drawn from the operating system, and sealed before anybody hears of them."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from casino.sealed import Sealer
from chains.errors import ChainError
from games.fairness import bets, merkle
from workers.houses import Batch, House
from workers.leader import Connection

TREES = 16  # how many batches' trees are kept at hand

BATCH = """
INSERT INTO seed_batches (network, program, first, count, root, reveal_by)
VALUES (%s, %s, %s, %s, %s, %s)
"""
SEEDS = (
    "COPY seeds (network, program, index, sealed, commit, batch_first) FROM STDIN (FORMAT BINARY)"
)
NEWEST = """
SELECT index, sealed FROM seeds WHERE network = %s AND program = %s ORDER BY index DESC LIMIT 1
"""
COMMITS = """
SELECT commit FROM seeds WHERE network = %s AND program = %s AND batch_first = %s ORDER BY index
"""


class WrongKey(ChainError):
    """The key of the settings does not open the seeds that are committed."""

    def __init__(self, whose: str) -> None:
        super().__init__(
            f"FAIRHOUSE_SEED_KEY does not open the seeds of {whose}:"
            " they were sealed under another key, and their bets wait for it"
        )


def place(house: House, index: int) -> bytes:
    return f"{house.network}/{house.address}/{index}".encode()


async def draw(
    connection: Connection, sealer: Sealer, house: House, *, first: int, count: int, reveal_by: int
) -> Batch:
    """A new batch, on disk before anybody hears of it; a batch once drawn is never drawn again."""
    seeds = [secrets.token_bytes(bets.SEED) for _ in range(count)]
    commits = [
        bets.commit(house.chain, house.program, first + at, seed) for at, seed in enumerate(seeds)
    ]
    batch = Batch(first, count, merkle.Tree.over(commits).root, reveal_by)
    async with connection.transaction():
        cursor = connection.cursor()
        key = (house.network, house.address, first)
        await cursor.execute(BATCH, (*key, count, batch.root.hex(), reveal_by))
        async with cursor.copy(SEEDS) as copy:
            copy.set_types(["text", "text", "int8", "bytea", "bytea", "int8"])
            for at, (seed, commit) in enumerate(zip(seeds, commits, strict=True)):
                index = first + at
                sealed = sealer.seal(place(house, index), seed)
                await copy.write_row((*key[:2], index, sealed, commit, first))
    return batch


async def tried(connection: Connection, sealer: Sealer, house: House) -> None:
    """Raises `WrongKey` when the seeds drawn before do not open: more must not be drawn."""
    asked = await connection.execute(NEWEST, (house.network, house.address))
    row = await asked.fetchone()
    if row is None:
        return
    try:
        sealer.open(place(house, row[0]), bytes(row[1]))
    except ValueError as error:
        raise WrongKey(f"{house.address} on {house.network}") from error


class Proofs:
    """Merkle proofs by index, from the trees of the batches used last."""

    def __init__(self, connection: Connection, house: House) -> None:
        self._connection, self._house = connection, house
        self._trees: OrderedDict[int, merkle.Tree] = OrderedDict()

    async def of(self, index: int, *, first: int) -> list[bytes]:
        tree = self._trees.get(first)
        if tree is None:
            key = (self._house.network, self._house.address, first)
            rows = await (await self._connection.execute(COMMITS, key)).fetchall()
            tree = self._trees[first] = merkle.Tree.over([bytes(row[0]) for row in rows])
            if len(self._trees) > TREES:
                self._trees.popitem(last=False)
        return tree.proof(index - first)
