"""Pages of the EVM casino's events as the chain worker leaves them: stored, not yet interpreted."""

from __future__ import annotations

from datetime import UTC, datetime

from Crypto.Hash import keccak

from casino import rows
from chains.chain import Raw
from db.session import driver, transaction

NETWORK = "eip155:31337"
PLACED = "BetPlaced(uint64,address,bytes32,uint16,uint16,uint256,uint256,uint64)"
REVEALED = "SeedRevealed(uint64,bytes32)"
SETTLED = "BetSettled(uint64,address,uint16,uint256,bytes32)"
COPY = (
    "COPY raw_events (network, position, tx, index, source_id, page_id, kind, body, block_hash,"
    " tx_index, time) FROM STDIN"
)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def log(signature: str, topics: list[int], data: list[int]) -> bytes:
    """A log's body: how many topics, the topics, the data."""
    name = keccak.new(digest_bits=256, data=signature.encode()).digest()
    body = bytes([1 + len(topics)]) + name
    return body + b"".join(word(one) for one in (*topics, *data))


def bet(number: int, *, players: int, per_block: int = 100) -> list[Raw]:
    """One bet's three events: placed in one block, revealed and settled in the next."""
    who = 0xA000 + number % players
    block = 1 + number // per_block
    placed = log(PLACED, [number, who], [7 + number, 0, 5000, 10**16 + number, 2 * 10**16, 1800])
    revealed = log(REVEALED, [number], [number])
    paid = (number % 2) * 198 * 10**14
    settled = log(SETTLED, [number, who], [number % 10_000, paid, number])
    return [
        raw(block, f"0x{number:062x}00", number % per_block, placed),
        raw(block + 1, f"0x{number:062x}01", 1000 + number % per_block, revealed),
        raw(block + 1, f"0x{number:062x}01", 2000 + number % per_block, settled),
    ]


def raw(block: int, tx: str, index: int, body: bytes) -> Raw:
    at = datetime.fromtimestamp(1_790_000_000 + 2 * block, UTC)
    return Raw(block, tx, index, "log", body, f"0x{block:064x}", 0, at)


async def house(slug: str, address: str = "0x" + "ab" * 20) -> int:
    """A casino that follows the EVM contract; the source's id."""
    async with transaction() as session:
        connection = await driver(session)
        await connection.execute(
            "INSERT INTO networks (network, name, chain) VALUES (%s, 'evm-local', 'evm')"
            " ON CONFLICT DO NOTHING",
            (NETWORK,),
        )
        cursor = await connection.execute(
            "WITH c AS (INSERT INTO casinos (slug, name) VALUES (%s, 'House') RETURNING id)"
            " INSERT INTO sources (program, network, address, casino_id, start)"
            " SELECT 'casino_evm', %s, %s, id, 0 FROM c RETURNING id",
            (slug, NETWORK, address),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def store(
    source_id: int,
    raws: list[Raw],
    *,
    fresh: bool,
    state: str = "stored",
    final: bool = False,
) -> int:
    """A stored page of these raw events; its id."""
    async with transaction() as session:
        connection = await driver(session)
        edges = [one.position for one in raws] or [0]
        cursor = await connection.execute(
            "INSERT INTO pages (source_id, lower, upper, fresh, state, final)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            (source_id, min(edges), max(edges), fresh, state, final),
        )
        row = await cursor.fetchone()
        assert row is not None
        page_id = int(row[0])
        lines = [
            f"{NETWORK}\t{one.position}\t{one.tx}\t{one.index}\t{source_id}\t{page_id}\t{one.kind}"
            f"\t\\\\x{one.body.hex()}\t{one.block_hash}\t{one.tx_index}\t{one.time}\n"
            for one in raws
        ]
        await rows.fill(connection, COPY, lines)
    return page_id
