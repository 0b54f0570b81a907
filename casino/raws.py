"""Raw events: what a chain said on a page, kept so that it can be read again without a node."""

from __future__ import annotations

from collections.abc import Sequence

from casino import rows
from chains.chain import Raw

STAGE = """
CREATE TEMP TABLE IF NOT EXISTS staged_raws (LIKE raw_events) ON COMMIT DELETE ROWS
"""
COPY = """
COPY staged_raws (network, position, tx, index, source_id, page_id, kind, body, block_hash,
tx_index, time) FROM STDIN
"""
KEEP = """
INSERT INTO raw_events SELECT * FROM staged_raws ORDER BY network, position, tx, index
ON CONFLICT DO NOTHING
"""


async def keep(
    connection: rows.Connection, source_id: int, network: str, page_id: int, raws: Sequence[Raw]
) -> None:
    """Raw events by COPY; what is there already stays as it is."""
    written = rows.Times()
    tail = f"{source_id}\t{page_id}\t"
    lines = [
        f"{network}\t{raw.position}\t{raw.tx}\t{raw.index}\t{tail}{raw.kind}\t\\\\x{raw.body.hex()}\t"
        f"{raw.block_hash or rows.NULL}\t"
        f"{rows.NULL if raw.tx_index is None else raw.tx_index}\t{written(raw.time)}\n"
        for raw in raws
    ]
    await connection.execute(STAGE)
    await rows.fill(connection, COPY, lines)
    await connection.execute(KEEP)
