"""Wallets: what users have, what moved it, and moving it, for services with an API key."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import metadata, shapes
from api.amounts import Amount, units
from api.answers import private
from api.bodies import given, whole
from api.casinos import OfCasino
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem, refused
from api.keys import Caller, acting
from api.metadata import MOST_BYTES, MOST_LEVELS
from api.owners import USER, address, known
from api.pages import Page
from api.parameters import asked
from api.queries import wallets as queries
from api.state import Row, state
from casino import assets, players, wallets
from casino.assets import Asset
from ledger import statements
from ledger.accounts import cash
from ledger.statements import Balance, Place, Recorded
from settings import Role

READ: Role = "wallets:read"
WRITE: Role = "wallets:write"
PLAYER = re.compile(r"player:(\d+):\w+")
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

Text = Annotated[str, Field(strict=True, min_length=1, pattern=PRINTABLE)]


class WalletAsked(OfCasino):
    """Balances as they stand, or as they stood `at` a moment."""

    at: AwareDatetime | None = None


class EntriesAsked(OfCasino, Page):
    """Entries of all assets or one, of all types or one, from `since` on and before `until`."""

    asset: str | None = Field(default=None, min_length=1, max_length=128, pattern=PRINTABLE)
    type: str | None = Field(default=None, pattern=r"^[a-z_]{1,40}$")
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Keyed(BaseModel):
    """`Idempotency-Key` says the same."""

    key: str = Field(alias="X-Idempotency-Key", min_length=1, max_length=255, pattern=r"^[ -~]+$")


class Movement(BaseModel):
    """What is to move. `reference` stands once for each kind of movement in a casino.

    With `expect` nothing moves unless the user's account is at that version.
    """

    model_config = ConfigDict(extra="forbid")

    asset: Annotated[Text, Field(max_length=128)]
    amount: Amount
    reference: Annotated[Text, Field(max_length=200)] | None = None
    description: Annotated[Text, Field(max_length=500)] | None = None
    metadata: dict[str, Any] | None = Field(
        default=None, description=f"at most {MOST_BYTES} bytes and {MOST_LEVELS} levels of JSON"
    )
    expect: Annotated[
        Annotated[int, Field(strict=True, ge=0, le=2**53)] | None, BeforeValidator(whole)
    ] = None


class Passing(Movement):
    """What one user gives another."""

    to: Annotated[Text, Field(max_length=128)]


@describe(shapes.Wallet, 404, query=WalletAsked, role=READ, tag="wallets")
async def wallet(request: Request) -> Response:
    """What a user has: all of the casino's assets, and whatever else there is an account of."""
    caller = await acting(request, READ)
    wanted = asked(request, WalletAsked)
    user, player_id = await owner(request, caller)
    async with state(request).pool.connection() as connection:
        counted = await assets.counted(connection, caller.casino["slug"])
        name = cash(caller.casino["id"], player_id, "").name
        found = await statements.balances(connection, caller.casino["id"], [name], at=wanted.at)
    by_asset = {one.account.asset: one for one in found}
    shown = [
        _balance(one, by_asset.get(one.id), wanted.at)
        for one in counted
        if one.own or one.id in by_asset
    ]
    return private({"user": user, "at": wanted.at, "balances": shown})


@describe(shapes.Entries, 404, query=EntriesAsked, role=READ, tag="wallets")
async def history(request: Request) -> Response:
    """What moved a user's money, newest first."""
    caller = await acting(request, READ)
    wanted = asked(request, EntriesAsked)
    _, player_id = await owner(request, caller)
    casino = caller.casino
    async with state(request).pool.connection() as connection:
        name = cash(casino["id"], player_id, "").name
        mine = await statements.balances(connection, casino["id"], [name])
        if wanted.asset is not None:
            asset = await assets.meant(connection, casino["slug"], wanted.asset)
            mine = [one for one in mine if one.account.asset == asset.id]
        found = await statements.entries(
            connection,
            [one.id for one in mine],
            before=None if wanted.after is None else Place(*map(int, wanted.after.split("-"))),
            type=wanted.type,
            since=wanted.since,
            until=wanted.until,
            limit=wanted.limit,
        )
    more = "{}-{}".format(*found[-1].place) if len(found) == wanted.limit else None
    return private({"items": await _entries(request, found), "next": more})


Handler = Callable[[Request], Awaitable[Response]]


def moving(type: str, body: type[Movement], said: str) -> Handler:
    """The route of one kind of movement."""

    async def route(request: Request) -> Response:
        return await moved(request, type, body)

    route.__name__, route.__doc__ = type, said
    return describe(
        shapes.Moved, 402, 404, 409, body=body, headers=Keyed, role=WRITE, tag="wallets"
    )(route)


async def moved(request: Request, type: str, model: type[Movement]) -> Response:
    """Decide a movement once for its key; who asks again gets the same answer."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, model)
    command = await _command(request, caller, key, type, wanted)
    answer = await state(request).desk.decide_once(command)
    if answer.code is not None:
        response = refused(answer.code, answer.body)
    else:
        response = private({"user": request.path_params["user"], **answer.body})
    if answer.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


async def _command(
    request: Request, caller: Caller, key: str, type: str, wanted: Movement
) -> wallets.Move:
    """What is to be decided; a user whom a service gives something is made. Raises `Problem`."""
    casino = caller.casino
    amount, extra = units(wanted.amount), metadata.bounded(wanted.metadata)
    async with state(request).pool.connection() as connection:
        asset = await assets.meant(connection, casino["slug"], wanted.asset)
    _, player_id = await owner(request, caller, make=type in wallets.GIVEN)
    other_id = await _other(request, caller, wanted, player_id)
    source, target = wallets.ends(type, player_id, other_id)
    return wallets.Move(
        casino_id=casino["id"],
        casino=casino["slug"],
        scope=caller.scope("wallets"),
        key=key,
        actor=caller.key.name,
        type=type,
        player_id=player_id,
        other_id=other_id,
        asset=asset.id,
        amount=amount,
        source=source,
        target=target,
        reference=wanted.reference,
        description=wanted.description,
        extra=extra,
        expect=wanted.expect,
    )


async def owner(request: Request, caller: Caller, *, make: bool = False) -> tuple[str, int]:
    """The user of the path, and which player that is; one who is not known may be made.

    Users go by the names that the casino's services have for them, and players who came by a chain
    by their address too; nobody is made from an address. Raises `Problem` 404.
    """
    user = str(request.path_params["user"])
    found = await known(request, caller, user)
    if found is None and make and USER.fullmatch(user) and not address(user):
        async with state(request).pool.connection() as connection:
            made = await players.ensure_named(connection, caller.casino["id"], [user])
        found = made[user]
    if found is None:
        raise Problem(404, "unknown_user", "this casino has no such user")
    return user, found


async def _other(request: Request, caller: Caller, wanted: Movement, player_id: int) -> int | None:
    """Who gets what is passed on. Raises `Problem` 404 and 422."""
    if not isinstance(wanted, Passing):
        return None
    found = await known(request, caller, wanted.to)
    if found is None:
        raise Problem(404, "unknown_recipient", "this casino has no user to give that to")
    if found == player_id:
        raise Problem(422, "same_user", "a transfer needs two users")
    return found


def _balance(asset: Asset, found: Balance | None, at: datetime | None) -> Row:
    shown = {"id": asset.id, "symbol": asset.symbol, "scale": asset.scale}
    if found is None:
        aside = "0" if at is None else None
        return {"asset": shown, "balance": "0", "available": aside, "held": aside, "version": 0}
    return {
        "asset": shown,
        "balance": str(found.balance),
        "available": None if found.available is None else str(found.available),
        "held": None if found.held is None else str(found.held),
        "version": found.version,
    }


async def _entries(request: Request, found: list[Recorded]) -> list[Row]:
    """Entries as they are shown, other players by the names that services know."""
    owners = {
        name: int(match[1])
        for one in found
        for name in one.others
        if (match := PLAYER.fullmatch(name))
    }
    values = {"players": sorted(set(owners.values()))}
    rows = await state(request).rows(queries.NAMES, values) if owners else []
    users = {row["player_id"]: row["name"] for row in rows}
    return [
        {
            "transfer": str(one.transfer_id),
            "type": one.type,
            "asset": one.account.asset,
            "amount": str(one.amount),
            "before": str(one.before),
            "after": str(one.after),
            "version": one.place.version,
            "counter_accounts": [
                {"name": name, "user": users.get(owners.get(name))} for name in one.others
            ],
            "description": one.description,
            "metadata": one.extra,
            "reference": one.reference,
            "reverses": None if one.reverses is None else str(one.reverses),
            "at": one.at,
        }
        for one in found
    ]


top_up = moving("top_up", Movement, "Credits that a user bought, from the treasury.")
bonus = moving("bonus", Movement, "Credits for nothing, from the treasury.")
spend = moving("spend", Movement, "Credits that a user spends, to the revenue.")
transfer = moving("transfer", Passing, "Credits that one user gives another.")

ROUTES = [
    Route("/api/wallets/{user}", wallet),
    Route("/api/wallets/{user}/history", history),
    Route("/api/wallets/{user}/top-up", top_up, methods=["POST"]),
    Route("/api/wallets/{user}/bonus", bonus, methods=["POST"]),
    Route("/api/wallets/{user}/spend", spend, methods=["POST"]),
    Route("/api/wallets/{user}/transfer", transfer, methods=["POST"]),
]
