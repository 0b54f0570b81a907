"""Calls of providers, from the bytes of a request to the answer in their dialect."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.bodies import parsed, raw
from api.errors import Problem
from api.queries import providers as queries
from api.state import State, state
from casino.bonuses import Wallet
from casino.campaigns import Terms
from casino.commands import Answer
from casino.providers import launches
from casino.providers.calls import UNNAMED, Credit, Debit, ProviderCall, Rollback
from casino.providers.codes import Code, Refused
from casino.providers.dialect import Dialect, Given, Reply, Told, Verb
from casino.providers.launches import Launched
from casino.providers.records import played
from settings import Settings

REMEMBERED = 100_000
_launched: OrderedDict[bytes, Launched] = OrderedDict()  # they never change


def keys(settings: Settings, dialect: Dialect) -> Sequence[str]:
    """What a provider may sign with; without keys nobody can."""
    given = settings.provider_keys.get(dialect.name, [])
    return given or (settings.casino_keys if dialect.name == "jaqpot" else [])


def answering(dialect: Dialect, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
    """The route of one kind of call in one dialect."""

    async def route(request: Request) -> Response:
        body = await raw(request)
        signed = dialect.authentic(body, request.headers, keys(state(request).settings, dialect))
        if not signed:
            return _said(dialect.say(None, _told(Code.INVALID_SIGNATURE, "the signature is wrong")))
        given: Given | None = None
        try:
            given = dialect.read(verb, _json(body))
            return _said(dialect.say(given, await _come_to(state(request), dialect, given)))
        except Refused as refused:
            return _said(dialect.say(given, _told(refused.code, refused.detail)))

    route.__name__ = f"{dialect.name}_{verb}"
    return route


async def balance(house: State, launched: Launched, game: str | None = None) -> int:
    """All that a player may stake at a game, or at the launched one, of whichever colour."""
    wallet = Wallet(launched.casino_id, launched.player_id, launched.asset)
    game = game or launched.game
    values = {
        "casino": launched.casino_id,
        "player": launched.player_id,
        "asset": launched.asset,
        "names": [wallet.cash.name, wallet.bonus.name],
        "provider": launched.provider,
        "game": game,
    }
    row = await house.row(queries.BALANCE, values)
    if row is None:
        return 0
    known = None
    if row["product"] is not None:
        known = played(row["product"], launched.provider, game)
    usable = row["terms"] is not None and Terms.read(row["terms"]).plays(known)
    return int(row["cash"]) + (int(row["bonus"]) if usable else 0)


async def _come_to(house: State, dialect: Dialect, given: Given) -> Told:
    launched = await _found(house, dialect, given.token)
    if given.verb == "balance":
        return await _shown(house, launched, given)
    command = _command(dialect, launched, given)
    try:
        answer = await house.desk.decide(command)
    except Problem as problem:
        if problem.code != "idempotency_key_reused":
            raise
        raise Refused(Code.CONFLICT, "the id stands for another call") from problem
    return await _translated(house, dialect, command, answer)


async def _found(house: State, dialect: Dialect, token: str) -> Launched:
    digest = launches.digest(token)
    launched = _launched.get(digest)
    if launched is None:
        async with house.pool.connection() as connection:
            launched = await launches.find(connection, token)
        if launched is not None:
            _launched[digest] = launched
            if len(_launched) > REMEMBERED:
                _launched.popitem(last=False)
    if launched is None or launched.provider != dialect.name:
        raise Refused(Code.INVALID_TOKEN, "there is no such session")
    return launched


async def _shown(house: State, launched: Launched, given: Given) -> Told:
    if given.player not in (None, launched.player):
        raise Refused(Code.OTHER_PLAYER, "the session is another player's")
    if given.currency not in (None, launched.currency):
        raise Refused(Code.WRONG_CURRENCY, "the session is in another currency")
    return _of(launched, balance=await balance(house, launched, given.game))


def _command(dialect: Dialect, launched: Launched, given: Given) -> ProviderCall:
    unnamed = UNNAMED + launched.digest.hex()[:32]
    common: dict[str, Any] = {
        "casino_id": launched.casino_id,
        "scope": f"provider:{launched.casino_id}:{dialect.name}",
        "key": given.id,
        "actor": f"provider:{dialect.name}",
        "launched": launched,
        "policy": dialect.policy,
        "player": given.player or launched.player,
        "game": given.game or launched.game,
        "currency": given.currency or launched.currency,
        "round": given.round or unnamed,
        "closes": given.closes,
        "request": given.request,
    }
    if given.verb == "rollback":
        if given.target is None:
            raise Refused(Code.MALFORMED, "a rollback names a bet")
        compared = dialect.policy.refund_must_match and given.amount is not None
        amount = dialect.money.read(given.amount, launched.scale) if compared else None
        return Rollback(**common, target=given.target, amount=amount)
    amount = dialect.money.read(given.amount, launched.scale)
    if given.verb == "debit":
        return Debit(**common, amount=amount)
    return Credit(**common, amount=amount, target=given.target)


async def _translated(
    house: State, dialect: Dialect, command: ProviderCall, answer: Answer
) -> Told:
    """What was decided, as this provider wants to hear of it."""
    body, launched = answer.body, command.launched
    code = None if answer.code is None else Code(answer.code)
    detail = str(body.get("detail", ""))
    if body.get("nothing") and not dialect.policy.accept_unknown_target:
        code, detail = Code.BET_NOT_FOUND, "there is no such bet"
    stored = int(body["balance"]) if "balance" in body else None
    if stored is None or (answer.replayed and dialect.policy.current_balance):
        stored = await balance(house, launched, command.game)
    return _of(
        launched,
        code=code,
        detail=detail,
        balance=stored,
        number=body.get("number"),
        tombstone=bool(body.get("tombstone")),
    )


def _of(launched: Launched, **more: Any) -> Told:
    return Told(player=launched.player, currency=launched.currency, scale=launched.scale, **more)


def _told(code: Code, detail: str) -> Told:
    return Told(code=code, detail=detail)


def _json(body: bytes) -> object:
    try:
        return parsed(body)
    except Problem as problem:
        raise Refused(Code.MALFORMED, problem.detail) from problem


def _said(reply: Reply) -> Response:
    # Balances of fine assets are longer than 64 bits, which orjson does not write.
    return Response(
        json.dumps(reply.body, separators=(",", ":")),
        reply.status,
        {"cache-control": "no-store"},
        media_type="application/json",
    )
