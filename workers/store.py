"""From a found page to raw events: fetch what its signatures name, and keep it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from loguru import logger

import queues
import settings
from casino import raws
from casino.sources import followed
from chains.chain import Raw
from chains.errors import ChainError, RetryLater, Undecodable
from chains.solana.decode import candidates
from chains.solana.rpc import Rpc
from db.session import driver, transaction
from workers.interpret import load

PAGE = """
SELECT p.source_id, p.state, p.signatures, n.name FROM pages p JOIN sources s ON s.id = p.source_id
JOIN networks n ON n.network = s.network WHERE p.id = %s
"""
STORED = """
UPDATE pages SET state = 'stored', stored_at = clock_timestamp(), error = NULL, sent_at = now()
WHERE id = %s AND state = 'found' RETURNING id
"""
FAILED = "UPDATE pages SET attempts = attempts + 1, error = %s WHERE id = %s"


async def store(page_id: int) -> None:
    """Store a page once. What a node cannot give leaves the page as it is, with the reason."""
    with logger.contextualize(page=page_id):
        async with transaction() as session:
            row = await (await (await driver(session)).execute(PAGE, (page_id,))).fetchone()
            if row is None or row[1] != "found":
                logger.debug("nothing to store")
                return
            source = await followed(session, row[0])
        try:
            found = await _fetch(source.program, source.address, row[3], row[2])
        except ChainError as error:
            async with transaction() as session:
                await (await driver(session)).execute(FAILED, (str(error)[:500], page_id))
            raise
        async with transaction() as session:
            connection = await driver(session)
            if await (await connection.execute(STORED, (page_id,))).fetchone() is None:
                return
            await raws.keep(connection, source.id, source.network, page_id, found)
        queues.send("interpretation", page_id)


async def _fetch(program: str, address: str, network: str, signatures: list[Any]) -> list[Raw]:
    kinds = _kinds(program, address)
    rpc = _rpc(network)
    fetched = await asyncio.gather(*(rpc.transaction(signature) for signature, _ in signatures))
    found: list[Raw] = []
    for (signature, stamp), answer in zip(signatures, fetched, strict=True):
        if answer is None:
            raise RetryLater(f"the node lists {signature} and does not have it yet")
        # Times come from the signature list: some nodes give wrong ones with the transaction.
        at = datetime.fromtimestamp(stamp, UTC) if stamp is not None else None
        try:
            pieces = candidates(answer, address, kinds)
        except Undecodable as error:
            pieces = [_unreadable(signature, answer, str(error))]
        found += [msgspec.structs.replace(raw, time=at or raw.time) for raw in pieces]
    return found


def _unreadable(signature: str, answer: dict[str, Any], reason: str) -> Raw:
    """A malformed transaction becomes one raw that no decoder knows: a dead letter, not a stop."""
    logger.warning("{}: {}", signature, reason)
    body = msgspec.json.encode(answer)
    return Raw(int(answer.get("slot", 0)), signature, -1, "data", b"\0" + body)


@lru_cache(maxsize=64)
def _rpc(network: str) -> Rpc:
    chosen = settings.load()
    return Rpc(chosen.rpc[network], rate=chosen.rpc_rate, concurrency=chosen.rpc_concurrency)


@lru_cache(maxsize=64)
def _kinds(program: str, address: str) -> frozenset[str]:
    return load(program, address, settings.load().programs_dir).means.kinds()
