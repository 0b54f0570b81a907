"""The headless demo: play for a while, let everything settle, compare chain, database and feed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg

from cli import rounds, truth
from cli.facts import fetched
from cli.grounds import Grounds, Place
from cli.household import Household
from cli.truth import Half
from cli.watch import ENDS, Feed, Memory, Seen, follow_chain, follow_feed, latency

if TYPE_CHECKING:
    from cli.demo import Demo

DEFAULT_S = 60.0
LONG_ENOUGH_S = 60.0  # for a round with bets at every table, and a pair from first bet to reveal
SETTLING_S = 60.0  # after the last bet
AGREEING_S = 20.0  # after the last settlement
HEAR_S = 15.0

STORED = """
SELECT bet, placed_tx, stake, settled_tx, payout FROM bets WHERE network = %s
"""

Rows = list[tuple[str, Half | None, Half | None]]


async def measure(demo: Demo, ground: Grounds, house: Household) -> dict[str, Any]:
    """Play, wait, compare; the report."""
    feed, memory = Feed(), Memory()
    seen = {name: Seen() for name in ground.places}
    watchers = [asyncio.create_task(follow_feed(demo.feed_url, feed))]
    watchers += [
        asyncio.create_task(follow_chain(place, seen[name]))
        for name, place in ground.places.items()
    ]
    watchers.append(asyncio.create_task(memory.follow(house.pids() | ground.pids)))
    try:
        async with asyncio.timeout(HEAR_S):
            await feed.joined.wait()
        began, seconds = time.time(), demo.seconds or DEFAULT_S
        async with demo.betting(ground):
            await asyncio.sleep(seconds)
        demo.say("the players stop; waiting for the last settlements")
        await settled(ground, demo)
        networks = await agreed(demo, ground, feed, seen)
        tables = await rounds.played(demo, ground, feed)
        pairs = await paired(demo, ground)
    finally:
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    both = [ms for name, place in ground.places.items() for ms in heard(feed, place, seen[name])]
    return {
        "ok": well(networks, tables, pairs, must=seconds >= LONG_ENOUGH_S),
        "seconds": seconds,
        "wall_s": round(time.time() - began, 1),
        "woken": demo.wake,
        "networks": networks,
        "tables": tables,
        "pairs": pairs,
        "feed_messages": len(feed.messages),
        "feed_connections": feed.connections,
        "latency_ms": latency(both),
        "restarts": house.restarts,
        "memory": memory.summary(),
    }


async def paired(demo: Demo, ground: Grounds) -> dict[str, Any]:
    """What was played of pairs, and whether the proof of the first retired one holds.

    None when none was retired in time.
    """
    party = demo.party
    found: dict[str, Any] = {"bets": party.pair_bets, "retired": len(party.retired)}
    pair = party.retired[0] if party.retired else None
    if pair is None:
        return found | {"pair": None, "verified": None}
    verified = await rounds.proved(
        demo, ground, lambda: fetched.pair_proof(pair, demo.api_url, None)
    )
    return found | {"pair": pair, "verified": verified}


def well(
    networks: dict[str, dict[str, Any]],
    tables: dict[str, dict[str, Any]],
    pairs: dict[str, Any],
    *,
    must: bool,
) -> bool:
    """Nothing differs, and what is proved holds; `must` there be rounds and a pair to prove."""
    return (
        all(not one["differences"] and one["placed"] > 0 for one in networks.values())
        and rounds.well(tables, must=must)
        and (pairs["verified"] is True or (pairs["retired"] == 0 and not must))
    )


def heard(feed: Feed, place: Place, seen: Seen) -> list[float]:
    return feed.latencies_ms(place.network, seen)


async def settled(ground: Grounds, demo: Demo) -> None:
    """Wait until every bet that the chains hold has ended there."""
    deadline = asyncio.get_running_loop().time() + SETTLING_S
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(1)
        found = [await truth.read(place) for place in ground.places.values()]
        if all(one.placed.keys() == one.ended.keys() for one in found):
            return
    demo.say(f"some bets have not ended after {SETTLING_S:.0f} s")


async def agreed(
    demo: Demo, ground: Grounds, feed: Feed, seen: dict[str, Seen]
) -> dict[str, dict[str, Any]]:
    """The comparison, made again until nothing differs or time is up."""
    deadline = asyncio.get_running_loop().time() + AGREEING_S
    while True:
        found = {
            place.network: await compare(demo, ground, name, feed, seen[name])
            for name, place in ground.places.items()
        }
        good = all(not one["differences"] for one in found.values())
        if good or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(1)


async def compare(demo: Demo, ground: Grounds, name: str, feed: Feed, seen: Seen) -> dict[str, Any]:
    """One network: what its chain holds, what we stored, what the feed said."""
    place = ground.places[name]
    chain, rows = await truth.read(place), await stored(ground, place)
    placed_told = feed.told(place.network, "bet.placed")
    ended_told = feed.told(place.network, *ENDS)
    taken_back = feed.told(place.network, "bet.retracted")
    tally = demo.tallies.get(name)
    found = truth.differences(chain, rows, placed_told, ended_told)
    if taken_back:
        found["retracted in the feed"] = sorted(taken_back)
    failed = set(tally.sent if tally else ()) - {half.tx for half in chain.placed.values()}
    return {
        "name": place.name,
        "program": place.program,
        "bets_sent": len(tally.sent) if tally else 0,
        "bets_refused": tally.refused if tally else 0,
        "bets_failed": len(failed),
        "placed": len(chain.placed),
        "bets_indexed": sum(1 for row in rows if row[1] is not None),
        "bets_settled": sum(1 for row in rows if row[2] is not None),
        "feed_messages": sum((placed_told + ended_told + taken_back).values()),
        "differences": found,
        "latency_ms": latency(heard(feed, place, seen)),
    }


async def stored(ground: Grounds, place: Place) -> Rows:
    async with await psycopg.AsyncConnection.connect(ground.database_url) as connection:
        found = await (await connection.execute(STORED, (place.network,))).fetchall()
    return [
        (
            bet,
            Half(placed_tx, int(stake)) if placed_tx else None,
            Half(settled_tx, int(payout)) if settled_tx else None,
        )
        for bet, placed_tx, stake, settled_tx, payout in found
    ]
