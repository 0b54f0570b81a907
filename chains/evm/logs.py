"""The logs of a node's answer, brought to raws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chains.chain import Raw
from chains.errors import RetryLater, Undecodable


class Log(msgspec.Struct, rename="camel", frozen=True):
    """One log as `eth_getLogs` gives it; msgspec can parse an answer straight into these."""

    address: str
    topics: list[str]
    data: str
    block_number: str | None
    transaction_hash: str | None
    log_index: str | None
    block_hash: str | None = None
    transaction_index: str | None = None
    block_timestamp: str | None = None
    removed: bool = False


def raws(answer: Iterable[Log | Mapping[str, Any]], address: str) -> list[Raw]:
    """The raws of one contract, in the answer's order; removed logs are left out.

    A log without its block is pending, and one that comes twice shows a node that is confused:
    both are reasons to ask again.
    """
    wanted = address.lower()
    found: list[Raw] = []
    seen: set[tuple[str | None, int]] = set()
    times: dict[str, datetime] = {}
    try:
        for given in answer:
            log = given if isinstance(given, Log) else msgspec.convert(given, Log)
            if log.removed or log.address.lower() != wanted:
                continue
            if log.block_number is None or log.transaction_hash is None or log.log_index is None:
                raise RetryLater("the node gave a log that is not in a block yet")
            index = int(log.log_index, 16)
            seen.add((log.block_hash or log.block_number, index))
            stamp = log.block_timestamp
            if stamp is not None and stamp not in times:
                times[stamp] = datetime.fromtimestamp(int(stamp, 16), UTC)
            found.append(
                Raw(
                    int(log.block_number, 16),
                    log.transaction_hash,
                    index,
                    "log",
                    body_of(log.topics, log.data),
                    log.block_hash,
                    None if log.transaction_index is None else int(log.transaction_index, 16),
                    None if stamp is None else times[stamp],
                )
            )
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Undecodable(f"a log is malformed: {error}") from error
    if len(seen) != len(found):
        raise RetryLater("the node gave the same log twice")
    return found


def body_of(topics: list[str], data: str) -> bytes:
    """One byte for the number of topics, the topics, the data."""
    count = len(topics)
    body = bytes((count,)) + bytes.fromhex("".join([topic[2:] for topic in topics]) + data[2:])
    if len(body) != 1 + 32 * count + (len(data) - 2) // 2:
        raise ValueError("a topic is not 32 bytes")
    return body
