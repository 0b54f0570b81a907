"""From a found page to raw events: fetch what its signatures name, and keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from loguru import logger

import queues
import settings
from casino import raws, rows
from casino.sources import Followed, followed
from chains.chain import Raw
from chains.errors import RetryLater, RpcError, Undecodable
from chains.solana.decode import candidates
from chains.solana.rpc import CONFIRMED, FINAL, Rpc
from db.session import driver, transaction
from workers.interpret import load

PAGE = """
SELECT p.source_id, p.state, p.signatures, n.name, p.lower, p.upper, p.final
FROM pages p JOIN sources s ON s.id = p.source_id JOIN networks n ON n.network = s.network
WHERE p.id = %s
"""
STORED = """
UPDATE pages SET state = 'stored', stored_at = clock_timestamp(), error = NULL,
sent_at = clock_timestamp() WHERE id = %s AND state = 'found' RETURNING id
"""
# What a node lists and does not give waits on a page of its own, and holds up nothing else.
LEFT = """
INSERT INTO pages (source_id, lower, upper, fresh, final, signatures, attempts, error)
SELECT source_id, lower, upper, fresh, final, %s::jsonb, attempts + 1, %s FROM pages WHERE id = %s
RETURNING id
"""
PAUSES_S = (0.0, 0.05, 0.2, 0.5)  # a signature is often listed a moment before its transaction

Listed = tuple[str, int | None]  # a signature and its block's time


async def store(page_id: int) -> None:
    """Store a page once. A node that does not answer leaves the page as it is."""
    with logger.contextualize(page=page_id):
        async with transaction() as session:
            row = await (await (await driver(session)).execute(PAGE, (page_id,))).fetchone()
            if row is None or row[1] != "found":
                logger.debug("nothing to store")
                return
            source = await followed(session, row[0])
        listed: list[Listed] = [(signature, stamp) for signature, stamp in row[2]]
        rpc, names = _rpc(row[3], source.network), [one for one, _ in listed]
        answers, reason = await fetch(rpc, names, commitment=FINAL if row[6] else CONFIRMED)
        left = [one for one in listed if one[0] not in answers]
        if left and not answers:
            raise RetryLater(reason)
        found, waiting = pieces(source, listed, answers, (row[4], row[5])), None
        async with transaction() as session:
            connection = await driver(session)
            if await (await connection.execute(STORED, (page_id,))).fetchone() is None:
                return
            await raws.keep(connection, source.id, source.network, page_id, found)
            if left:
                logger.warning("{} transactions wait: {}", len(left), reason)
                values = (rows.document(left), reason[:500], page_id)
                waiting = await (await connection.execute(LEFT, values)).fetchone()
        queues.send("interpretation", page_id)
        if waiting is not None:
            queues.send("chain", waiting[0], delay_ms=settings.load().backoff_ms)


async def fetch(
    rpc: Rpc, signatures: Sequence[str], *, commitment: str = CONFIRMED
) -> tuple[dict[str, dict[str, Any]], str]:
    """The transactions that the node gives, and why others are not among them.

    Raises `RpcError` when the node does not answer.
    """
    answers: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    for pause_s in PAUSES_S:
        wanted = [one for one in signatures if one not in answers and one not in refused]
        if not wanted:
            break
        await asyncio.sleep(pause_s)
        asked = await asyncio.gather(*(_asked(rpc, one, commitment) for one in wanted))
        for signature, answer in zip(wanted, asked, strict=True):
            if isinstance(answer, RpcError) and answer.retryable:
                raise answer
            if isinstance(answer, RpcError):
                refused[signature] = str(answer)
            elif answer is not None and answer.get("meta") is not None:
                answers[signature] = answer
    absent = [one for one in signatures if one not in answers and one not in refused]
    reason = next(iter(refused.values()), "")
    return answers, reason or f"the node lists {absent[:1]} and does not have it yet"


async def _asked(rpc: Rpc, signature: str, commitment: str) -> dict[str, Any] | RpcError | None:
    try:
        return await rpc.transaction(signature, commitment=commitment)
    except RpcError as error:
        return error


def pieces(
    source: Followed,
    listed: Sequence[Listed],
    answers: dict[str, dict[str, Any]],
    slots: tuple[int, int],
) -> list[Raw]:
    """What the transactions hold of our program, at the times of the signature list."""
    lower, upper = slots
    kinds = _kinds(source.program, source.address)
    found: list[Raw] = []
    for signature, stamp in listed:
        if signature not in answers:
            continue
        try:
            raws_ = candidates(answers[signature], source.address, kinds)
        except Undecodable as error:
            raws_ = [_unreadable(signature, answers[signature], str(error))]
        # Some nodes give wrong times with the transaction, but one that has landed again since it
        # was listed is of another time than the list said.
        there = stamp is not None and lower <= answers[signature].get("slot", -1) <= upper
        at = datetime.fromtimestamp(stamp or 0, UTC) if there else None
        found += [msgspec.structs.replace(raw, time=at or raw.time) for raw in raws_]
    return found


def _unreadable(signature: str, answer: dict[str, Any], reason: str) -> Raw:
    """A malformed transaction becomes one raw that no decoder knows: a dead letter, not a stop."""
    logger.warning("{}: {}", signature, reason)
    body = msgspec.json.encode(answer)
    return Raw(int(answer.get("slot", 0)), signature, -1, "data", b"\0" + body)


@lru_cache(maxsize=64)
def _rpc(name: str, network: str) -> Rpc:
    chosen = settings.load()
    if not chosen.rpc.get(name):
        raise RpcError(f"no RPC URL is set for network {name} (FAIRHOUSE_RPC)")
    made = Rpc(
        chosen.rpc[name],
        rate=chosen.rpc_rate,
        concurrency=chosen.rpc_concurrency,
        timeout_s=chosen.rpc_timeout_s,
    )
    made.node.expected = network  # the listener pinned it; a node of another chain is not asked
    return made


@lru_cache(maxsize=64)
def _kinds(program: str, address: str) -> frozenset[str]:
    return load(program, address, settings.load().programs_dir).means.kinds()
