"""How the line is: one look at every part, for people (`/health`) and for Prometheus."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError

from api.queries import health as queries
from api.state import Row, State

REDIS_S = 2.0
SILENT_S = 15.0
STANDING_S = 60.0
LATE_S = 30.0  # after its close a round has its result within 6 s, or its beacon is late
UNPAID_S = 900.0  # finality takes a quarter of an hour where it is slow
FINAL_S = 3600.0  # what is to be final twice over, half an hour where finality is slow
LATE_CHECKS = 3  # missed in a row, and a law is said not to be looked at

# What a provider says may hold its URL, and a key in it. Anyone may read how the house is, so only
# the class of a fault is told; the indexer's log and `fairhouse doctor` have the words.
FAULTS = (
    (re.compile(r"began again"), "its chain began again"),
    (
        re.compile(r"the chain dropped block"),
        "its chain dropped more blocks than can be taken back",
    ),
    (re.compile(r"\bserves\b|it answers"), "its RPC serves another chain"),
    (re.compile(r"stay confirmed"), "some bets stay confirmed: no node knows of them any more"),
    (
        re.compile(r"HTTP 429|too many requests|rate.?limit", re.I),
        "its provider limits how often it is asked",
    ),
    (re.compile(r"HTTP 40[13]|denied|forbidden|unauthori[sz]ed", re.I), "its provider refuses us"),
    (re.compile(r"timeout|timed out", re.I), "its provider does not answer in time"),
    (re.compile(r"HTTP 5|connect|does not answer", re.I), "its provider does not answer"),
    (re.compile(""), "it cannot be read; the log says why"),
)

Report = dict[str, Any]


async def look(house: State) -> Report:
    """Every part's state and lag, and in `troubles` what is not well, in words."""
    redis, line = await asyncio.gather(redis_state(house), line_state(house))
    report = {**line, "redis": redis}
    report["troubles"] = troubles(report)
    well = not report["troubles"]
    serves = report["database"]["ok"]
    return {"status": "ok" if well else "degraded" if serves else "unavailable", **report}


async def redis_state(house: State) -> Report:
    try:
        async with asyncio.timeout(REDIS_S):
            await house.redis.ping()
    except (RedisError, OSError) as error:
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True}


async def line_state(house: State) -> Report:
    try:
        sources = await house.rows(queries.SOURCES, {})
        pages = await house.rows(queries.PAGES, {})
        outbox = await house.row(queries.OUTBOX, {})
        dead = await house.row(queries.DEAD, {})
        withdrawals = await house.rows(queries.WITHDRAWALS, {})
        tables = await house.rows(queries.TABLES, {"late_s": LATE_S})
        pairs = await house.rows(queries.PAIRS, {"late_s": FINAL_S})
        laws = await house.rows(queries.LAWS, {})
        processes = await house.rows(queries.PROCESSES, {"silent_s": SILENT_S})
    except (psycopg.Error, PoolTimeout) as error:
        return {"database": {"ok": False, "error": type(error).__name__}}
    for source in sources:
        source["error"] = fault(source["error"])
    return {
        "database": {"ok": True},
        "sources": sources,
        "pages": {page.pop("state"): page for page in pages},
        "outbox": outbox,
        "dead_letters": (dead or {}).get("dead", 0),
        "withdrawals": withdrawals,
        "tables": tables,
        "pairs": pairs,
        "laws": [told(law, house.settings.laws_s) for law in laws],
        "processes": kinds(processes, house.settings.processes),
    }


def told(law: Row, every_s: float) -> Row:
    """How a law stands; who broke it, and where, is for those who may see the books."""
    late = law["checked_s_ago"] > LATE_CHECKS * every_s + SILENT_S
    return {**law, "since": law["since"].isoformat(), "late": late}


def fault(error: str | None) -> str | None:
    """What an error of a source is a case of, in words of our own."""
    if error is None:
        return None
    return next(words for shape, words in FAULTS if shape.search(error))


def kinds(seen: list[Row], expected: Sequence[str]) -> list[Row]:
    """How many instances of each kind of process live, and whether any has to."""
    missing = {"live": 0, "silent": 0, "seen_s_ago": None}
    found = {row["process"]: row for row in seen}
    return [
        {"process": kind, "expected": kind in expected, **missing, **found.get(kind, {})}
        for kind in sorted({*expected, *found})
    ]


def troubles(report: Report) -> list[str]:
    """What a person on call would be told."""
    said = [f"{part} does not answer" for part in ("database", "redis") if not report[part]["ok"]]
    for source in report.get("sources", []):
        if source["error"]:
            said.append(f"{source['program']} on {source['network']}: {source['error']}")
        elif source["polled_s_ago"] is None or source["polled_s_ago"] > SILENT_S:
            said.append(f"{source['program']} on {source['network']} is not being read")
    for name, pages in report.get("pages", {}).items():
        if pages["oldest_s"] > STANDING_S:
            said.append(
                f"{pages['pages']} pages are {name}, the oldest for {pages['oldest_s']:.0f} s"
            )
    outbox = report.get("outbox")
    if outbox and outbox["waiting"] and outbox["oldest_s"] > SILENT_S:
        said.append(f"{outbox['waiting']} messages wait to be relayed")
    said += [line for one in report.get("withdrawals", []) for line in unpaid(one)]
    for table in report.get("tables", []):
        name = table["table"]
        if not table["open"]:
            said.append(f"the table {name} is stopped: a seed was not at its bond in time")
        elif not table["commits"]:
            said.append(f"the table {name} gets no more rounds; /api/tables says why")
        if table["skipped"]:
            said.append(f"{table['skipped']} rounds of {name} never open: their seeds came late")
        if table["late"]:
            said.append(f"{table['late']} rounds of {name} should be over")
    for booth in report.get("pairs", []):
        name = booth["program"]
        if not booth["commits"]:
            said.append(f"no pairs are committed to the bond {name}; /api/pairs says why")
        if booth["waiting"]:
            said.append(f"{booth['waiting']} pairs wait to be committed to {name}")
        if booth["unrevealed"]:
            said.append(f"{booth['unrevealed']} retired pairs are not revealed at {name}")
    for law in report.get("laws", []):
        name = law["name"]
        if law["holds"] is False:
            said.append(f"the law of {name} is broken for {law['since_s']:.0f} s")
        if not law["known"]:
            said.append(f"the law of {name} cannot be checked; the auditor's log says why")
        elif law["late"]:
            said.append(f"the law of {name} was checked {law['checked_s_ago']:.0f} s ago")
    said += [
        f"no {process['process']} is running"
        for process in report.get("processes", [])
        if process["expected"] and not process["live"]
    ]
    return said


def unpaid(waiting: Row) -> list[str]:
    """What is wrong with withdrawals of one network, state and trouble, if anything is."""
    who = f"{waiting['withdrawals']} withdrawals on {waiting['network']}"
    if waiting["trouble"]:
        return [f"{who} wait: {waiting['trouble'].replace('_', ' ')}"]
    if waiting["state"] == "approved" and waiting["oldest_s"] > STANDING_S:
        return [f"{who} are approved, and nobody sends them"]
    if waiting["state"] in ("sending", "sent") and waiting["oldest_s"] > UNPAID_S:
        return [f"{who} are {waiting['state']} and not final"]
    return []
