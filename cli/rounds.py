"""Rounds of the headless demo: what was played at each table, what differs, and proofs of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import psycopg

from chains.errors import ChainError
from cli.facts import asking, fetched
from cli.facts.asking import Nodes
from cli.facts.fetched import Had
from cli.grounds import Grounds
from cli.proofs import Refused, checked, holds
from cli.watch import Feed

if TYPE_CHECKING:
    from cli.demo import Demo

ENDING_S = 60.0  # after the last bet: a round closes, is drawn and paid
AGREEING_S = 20.0
PROVING_S = 90.0  # a root is anchored, a seed revealed, and both are final
AGAIN_S = 0.5

UNDER_WAY = "SELECT count(*) FROM rounds WHERE bets > 0 AND ended_at IS NULL"
TABLES = """
SELECT t.name, t.network, count(r.opened_at), coalesce(sum(r.bets), 0),
    count(*) FILTER (WHERE r.state = 'settled'),
    count(*) FILTER (WHERE r.state = 'settled' AND r.bets > 0),
    count(*) FILTER (WHERE r.state = 'void'),
    round(max(extract(epoch FROM r.closed_at - r.closes_at)) * 1000)
FROM round_tables t LEFT JOIN rounds r ON r.table_id = t.id GROUP BY t.id ORDER BY t.name
"""
BETS = """
SELECT encode(b.bet, 'hex'), b.state = 'placed' FROM round_bets b
JOIN round_tables t ON t.id = b.table_id WHERE t.name = %s
"""
SETTLED = """
SELECT r.number FROM rounds r JOIN round_tables t ON t.id = r.table_id
WHERE t.name = %s AND r.state = 'settled' AND r.bets > 0
"""
UNEQUAL = """
SELECT r.number FROM rounds r JOIN round_tables t ON t.id = r.table_id,
LATERAL (SELECT count(*) AS bets, coalesce(sum(stake), 0) AS stake, coalesce(sum(payout), 0)
    AS payout FROM round_bets b WHERE (b.table_id, b.number) = (r.table_id, r.number)) AS held
WHERE t.name = %s AND (r.bets, r.stake, r.payout) IS DISTINCT FROM
    (held.bets, held.stake, held.payout)
"""
PROVABLE = """
SELECT t.name || '.' || r.number, encode(b.bet, 'hex')
FROM rounds r JOIN round_tables t ON t.id = r.table_id
JOIN round_bets b ON (b.table_id, b.number) = (r.table_id, r.number)
WHERE t.name = %s AND r.state = 'settled' AND r.revealed_at IS NOT NULL
ORDER BY r.number, b.position LIMIT 1
"""

Rows = list[tuple[Any, ...]]
Found = dict[str, Any]


async def played(demo: Demo, ground: Grounds, feed: Feed) -> dict[str, Found]:
    """Each table by its name, once no bet is under way: counts, differences, and two proofs."""
    await _ended(demo, ground)
    tables = await _agreed(demo, ground, feed)
    told = [name for name, one in tables.items() if one["settled_with_bets"]]
    for name, proofs in zip(
        told, await asyncio.gather(*(_proofs(demo, ground, name) for name in told)), strict=True
    ):
        tables[name] |= proofs
    return tables


async def proved(demo: Demo, ground: Grounds, had: Callable[[], Awaitable[Had]]) -> bool | None:
    """Whether a proof holds in every step, with what the nodes say of it.

    None when the house has no such proof, or a node cannot say yet, until time is up.
    """
    urls = {place.name: [place.rpc_url] for place in ground.places.values()}
    nodes = Nodes(demo.settings.model_copy(update={"rpc": urls}))
    deadline, found = asyncio.get_running_loop().time() + PROVING_S, None
    while found is None and asyncio.get_running_loop().time() < deadline:
        try:
            proof = await had()
            found = holds(checked(proof.body, await asking.read(proof.told, nodes)))
        except (Refused, ChainError):
            found = None
        if found is None:
            await asyncio.sleep(AGAIN_S)
    return found


def well(tables: dict[str, Found], *, must: bool) -> bool:
    """Nothing differs and every proof holds; `must` every table have settled a round with bets."""
    return all(
        not one["differences"]
        and (one["round_verified"] is one["bet_verified"] is True or not one["settled_with_bets"])
        and (one["settled_with_bets"] > 0 or not must)
        for one in tables.values()
    ) and bool(tables or not must)


def differences(
    held: Iterable[str], settled: Iterable[int], said: Counter[str], answered: Iterable[str]
) -> dict[str, list[str]]:
    """What feed and guests know otherwise than the books: `said` counts bets and settled rounds."""
    books = {*held, *map(str, settled)}
    found = {
        "missing in the feed": books - said.keys(),
        "in the feed alone": said.keys() - books,
        "twice in the feed": {one for one, times in said.items() if times > 1},
        "answered and missing in the books": set(answered) - books,
    }
    return {what: sorted(those) for what, those in found.items() if those}


async def _ended(demo: Demo, ground: Grounds) -> None:
    deadline = asyncio.get_running_loop().time() + ENDING_S
    while (await _rows(ground, UNDER_WAY))[0][0]:
        if asyncio.get_running_loop().time() > deadline:
            demo.say(f"some rounds have not ended after {ENDING_S:.0f} s")
            return
        await asyncio.sleep(AGAIN_S)


async def _agreed(demo: Demo, ground: Grounds, feed: Feed) -> dict[str, Found]:
    """The comparison, made again until nothing differs or time is up."""
    deadline = asyncio.get_running_loop().time() + AGREEING_S
    while True:
        rows = await _rows(ground, TABLES)
        found = {str(row[0]): await _compared(demo, ground, feed, row) for row in rows}
        good = all(not one["differences"] for one in found.values())
        if good or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(1)


async def _compared(demo: Demo, ground: Grounds, feed: Feed, row: tuple[Any, ...]) -> Found:
    name, network, opened, bets, settled, with_bets, void, latest = row
    held = await _rows(ground, BETS, name)
    numbers = [one for (one,) in await _rows(ground, SETTLED, name)]
    said = feed.said(name)
    found = differences((one for one, _ in held), numbers, said, demo.party.bets.get(name, ()))
    if open_bets := sorted(one for one, standing in held if standing):
        found["never ended"] = open_bets
    if unequal := [str(one) for (one,) in await _rows(ground, UNEQUAL, name)]:
        found["rounds of other sums than their bets"] = unequal
    return {
        "network": network,
        "opened": opened,
        "bets": int(bets),
        "settled": settled,
        "settled_with_bets": with_bets,
        "void": void,
        "latest_close_ms": None if latest is None else int(latest),
        "feed_messages": sum(said.values()),
        "differences": found,
        "round": None,
        "round_verified": None,
        "bet": None,
        "bet_verified": None,
    }


async def _proofs(demo: Demo, ground: Grounds, table: str) -> Found:
    """Of the first round with bets whose seed the final chain shows, and of its first bet."""
    deadline = asyncio.get_running_loop().time() + PROVING_S
    while not (rows := await _rows(ground, PROVABLE, table)):
        if asyncio.get_running_loop().time() > deadline:
            demo.say(f"no round of {table} was revealed in {PROVING_S:.0f} s")
            return {}
        await asyncio.sleep(AGAIN_S)
    [(round, bet)] = rows
    return {
        "round": round,
        "round_verified": await proved(
            demo, ground, lambda: fetched.round_proof(round, demo.api_url, None)
        ),
        "bet": bet,
        "bet_verified": await proved(
            demo, ground, lambda: fetched.bet_proof(bet, demo.api_url, None)
        ),
    }


async def _rows(ground: Grounds, query: str, *values: object) -> Rows:
    async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
        return await (await connection.execute(query, values)).fetchall()
