"""Tables of scheduled rounds: what is played, bets on it, what came of it, and its proof."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api import shapes
from api.amounts import Amount, units
from api.answers import fresh, private
from api.bodies import given, whole
from api.casinos import OfCasino, chosen
from api.choices import parsed
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem, refused
from api.feed.hub import Hub, Listener
from api.feed.protocol import Filters, Subscribe
from api.keys import Caller, acting
from api.owners import known, sought
from api.pages import Page, paged
from api.parameters import asked, named
from api.queries import rounds as queries
from api.routes.wallets import READ, Keyed, Text
from api.state import Row, state
from api.tables import Tables
from casino.rounds import proofs
from casino.rounds.bets import Place, receipt
from casino.rounds.tables import ROOMS, Table
from settings import Role

BET: Role = "rounds:bet"
ROUND = re.compile(r"([a-z0-9-]{1,32})\.(0|[1-9][0-9]{0,17})", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
BEAT_S = 15.0


class Wish(BaseModel):
    """A bet. Without a `round` it is for the one that is open, or else opens next.

    `choice` is one of the table's game: dice take `over` and `face`, numbers take `spots`, limbo
    and crash a `target` in hundredths, coinflip a `side`.
    """

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]
    choice: dict[str, Any] = Field(max_length=8)
    stake: Amount
    round: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=2**53)] | None, BeforeValidator(whole)
    ] = None


class BetsAsked(OfCasino, Page):
    """The newest bets of a user on rounds."""


class RoundsAsked(OfCasino, Page):
    """Rounds of a table that are closed, newest first."""

    table: str = Field(pattern=r"^[a-z0-9-]{1,32}$")


@describe(shapes.Tables, 404, query=OfCasino, tag="rounds")
async def tables(request: Request) -> Response:
    """The casino's tables, each with the round that takes bets or is the next to do so."""
    asked(request, OfCasino)
    casino = await chosen(request)
    found = await _tables(request)
    shown = [await _shown(request, one) for one in found.of_casino(casino["id"])]
    return fresh(request, {"items": shown})


@describe(shapes.Table, 404, query=OfCasino, tag="rounds")
async def table(request: Request) -> Response:
    """A table, its limits, and the round that takes bets or is the next to do so."""
    asked(request, OfCasino)
    casino = await chosen(request)
    found = (await _tables(request)).named(casino["id"], named(request, "table"))
    return fresh(request, await _shown(request, found))


@describe(shapes.RoundBet, 402, 404, 409, body=Wish, headers=Keyed, role=BET, tag="rounds")
async def bet(request: Request) -> Response:
    """Stake on a round; who asks again under the same key gets the same answer.

    `signature` is the house's word that it took the bet, at this place: with it and the signed root
    of the round anybody can show that the bet was left out.
    """
    caller = await acting(request, BET)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wish = await given(request, Wish)
    command = await _command(request, caller, key, wish)
    answer = await state(request).desk.decide_once(command)
    if answer.code is not None:
        response = refused(answer.code, answer.body)
    else:
        response = private({"user": wish.user, **_signed(request, command.table, answer.body)})
    if answer.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


@describe(shapes.Rounds, 404, query=RoundsAsked, tag="rounds")
async def recent(request: Request) -> Response:
    """Rounds of a table that take no more bets."""
    page = asked(request, RoundsAsked)
    casino = await chosen(request)
    found = (await _tables(request)).named(casino["id"], page.table)
    values = {"table": found.id, **page.edge()}
    rows = await state(request).rows(queries.RECENT, values)
    by_number = paged([{**row, "id": row["round"]} for row in rows], page, time="closes_at")
    return fresh(request, {"items": rows, "next": by_number["next"]})


@describe(shapes.Round, 404, query=OfCasino, tag="rounds")
async def one(request: Request) -> Response:
    """A round, as far as it came."""
    asked(request, OfCasino)
    found, number = await _round(request)
    row = await state(request).row(queries.ONE, {"table": found.id, "number": number})
    if row is None:
        raise Problem(404, "unknown_round", f"{found.name} has no round {number}")
    return fresh(request, row)


@describe(shapes.Proof, 404, 409, query=OfCasino, tag="rounds")
async def proof(request: Request) -> Response:
    """All that anybody needs to check a round: give it to `fairhouse verify file`, or /verify."""
    asked(request, OfCasino)
    found, number = await _round(request)
    return await _proof(request, found, number)


@describe(shapes.Proof, 404, 409, query=OfCasino, tag="rounds")
async def bet_proof(request: Request) -> Response:
    """All that anybody needs to check a bet and its round."""
    asked(request, OfCasino)
    casino = await chosen(request)
    id = named(request, "id")
    where = None
    if HASH.fullmatch(id):
        async with state(request).pool.connection() as connection:
            where = await proofs.where(connection, bytes.fromhex(id))
    known_tables = await _tables(request)
    mine = {one.id: one for one in known_tables.of_casino(casino["id"])}
    if where is None or where[0] not in mine:
        raise Problem(404, "unknown_bet", "this casino has no such bet on a round")
    return await _proof(request, mine[where[0]], where[1], bytes.fromhex(id))


@describe(shapes.RoundBets, 404, query=BetsAsked, role=READ, tag="rounds")
async def of_user(request: Request) -> Response:
    """A user's bets on rounds, newest first."""
    caller = await acting(request, READ)
    page = asked(request, BetsAsked)
    player_id = await _player(request, caller, str(request.path_params["user"]))
    values = {"player": player_id, "casino": caller.casino["id"], **page.edge()}
    rows = await state(request).rows(queries.OF_PLAYER, values)
    return private(paged(rows, page, time="at"))


async def events(request: Request) -> Response:
    """What happens at a table as server-sent events, for browsers without a websocket.

    Each event is a feed message; the clock of countdowns is `server_time`. An event named `time`
    says it when nothing else has for a while.
    """
    casino = await chosen(request)
    found = (await _tables(request)).named(casino["id"], named(request, "table"))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    told = _told(request, state(request).hub, found)
    return StreamingResponse(told, headers=headers, media_type="text/event-stream")


async def _told(request: Request, hub: Hub, table: Table) -> AsyncIterator[bytes]:
    gone = asyncio.Event()
    listener = Listener(gone.set)
    hub.listeners.add(listener)
    try:
        first = await _shown(request, table)
        yield b"event: table\ndata: " + orjson.dumps(first, default=str) + b"\n\n"
        await hub.subscribe(listener, Subscribe(("rounds",), Filters(game=table.game), {}))
        loop = asyncio.get_running_loop()
        due = loop.time() + BEAT_S
        while not gone.is_set():
            text = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    text = await listener.take()
            if not text:
                due = loop.time() + BEAT_S
                now = await state(request).row(queries.NOW, {})
                said = {"server_time": None if now is None else now["now"]}
                yield b"event: time\ndata: " + orjson.dumps(said, default=str) + b"\n\n"
                continue
            message = orjson.loads(text)
            data = message.get("data")
            if isinstance(data, dict) and data.get("table") == table.name:
                due = loop.time() + BEAT_S  # other tables of the game put off no clock of this one
                name = str(message["type"]).encode()
                yield b"event: " + name + b"\ndata: " + orjson.dumps(data) + b"\n\n"
    finally:
        hub.listeners.discard(listener)


def _signed(request: Request, table: Table, accepted: Mapping[str, Any]) -> Row:
    """An accepted bet with the signature that it was; the same each time, once it is durable.

    None where this process has no key, or has another one by now than the bet's batch.
    """
    sign, signer = state(request).sign, accepted.get("signer")
    mine = sign is not None and sign.address.hex() == signer
    signature = sign(receipt(table, accepted).digest).hex() if sign and mine else None
    return {**accepted, "signer": signer, "signature": signature}


async def _command(request: Request, caller: Caller, key: str, wish: Wish) -> Place:
    """The bet as it is to be decided. Raises `Problem`."""
    found, sign = await _tables(request), state(request).sign
    table = found.named(caller.casino["id"], named(request, "table"))
    stake = units(wish.stake)
    choice, said = parsed(table.rules, wish.choice)
    player_id, number, payee = await _betting(request, caller, table, wish)
    return Place(
        casino_id=table.casino_id,
        scope=caller.scope("rounds"),
        key=key,
        actor=caller.key.name,
        table=table,
        number=number,
        player_id=player_id,
        account=f"player:{player_id}",
        payee=payee,
        choice=choice,
        said=said,
        stake=stake,
        pays=found.pays,
        signer=None if sign is None else sign.address,
    )


async def _betting(
    request: Request, caller: Caller, table: Table, wish: Wish
) -> tuple[int, int, bytes]:
    """Who bets, on which round, and where the bond would pay: their address, or zeros.

    Raises `Problem`.
    """
    values, row = sought(caller, wish.user), None
    if values is not None:
        values |= {"table": table.id, "network": table.network, "round": wish.round}
        row = await state(request).row(queries.BETTING, values)
    if row is None:
        raise unknown_user()
    if row["number"] is None:
        raise Problem(409, "no_round", f"{table.name} has no round to bet on")
    room = ROOMS[table.network.partition(":")[0]]
    payee = bytes(room.LENGTH) if row["payee"] is None else room.parse(row["payee"])
    return int(row["player_id"]), int(row["number"]), payee


async def _player(request: Request, caller: Caller, user: str) -> int:
    found = await known(request, caller, user)
    if found is None:
        raise unknown_user()
    return found


def unknown_user() -> Problem:
    return Problem(404, "unknown_user", "this casino has no such user")


async def _tables(request: Request) -> Tables:
    house = state(request)
    await house.tables.known(house.pool)
    return house.tables


async def _round(request: Request) -> tuple[Table, int]:
    """The table and number of the path. Raises `Problem` 404."""
    casino = await chosen(request)
    said = ROUND.fullmatch(named(request, "id"))
    if said is None:
        raise Problem(404, "unknown_round", "a round is named by its table and number: dice.7")
    return (await _tables(request)).named(casino["id"], said[1]), int(said[2])


async def _proof(request: Request, table: Table, number: int, bet: bytes | None = None) -> Response:
    async with state(request).pool.connection() as connection:
        found = await proofs.proof(connection, table, number, bet)
    if found is None:
        said = f"round {number} of {table.name} has no result that could be proved"
        raise Problem(409, "round_not_drawn", said)
    return fresh(request, found)


async def _current(request: Request, table: Table) -> Row | None:
    return await state(request).row(queries.CURRENT, {"table": table.id})


async def _shown(request: Request, table: Table) -> Row:
    limits, current = table.limits, await _current(request, table)
    pays = (await _tables(request)).pays[table.pay_id]
    low, high = table.rules.bounds(pays)
    return {
        "table": table.name,
        "game": table.game,
        "asset": table.asset,
        "limits": {
            "least": str(limits.least),
            "most": str(limits.most),
            "most_win": str(limits.most_win),
            "most_player": str(limits.most_player),
            "most_operator": None if limits.most_operator is None else str(limits.most_operator),
        },
        "returns": [round(float(low), 6), round(float(high), 6)],
        "pay_table": pays.encoded().hex(),
        "bond": {"network": table.network, "program": table.program},
        "beacon": table.beacon,
        "paused": table.paused_at is not None,
        "trouble": table.trouble,
        "round": current,
    }


ROUTES = [
    Route("/api/tables", tables),
    Route("/api/tables/{table}", table),
    Route("/api/tables/{table}/bets", bet, methods=["POST"]),
    Route("/api/tables/{table}/events", events),
    Route("/api/rounds/recent", recent),
    Route("/api/rounds/{id}", one),
    Route("/api/rounds/{id}/proof", proof),
    Route("/api/bets/{id}/proof", bet_proof),
    Route("/api/users/{user}/bets", of_user),
]
