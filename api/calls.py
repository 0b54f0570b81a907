"""Calls of providers, from the bytes of a request to the answer in their dialect."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import parsed, raw
from api.errors import Problem
from api.queries import providers as queries
from api.state import State, state
from casino.bonuses import Wallet
from casino.campaigns import Terms
from casino.commands import Answer
from casino.providers import launches, signatures
from casino.providers.asides import BuyIn, Cancel, Prize, Tip
from casino.providers.calls import (
    DETAILS,
    UNNAMED,
    Credit,
    Debit,
    ProviderCall,
    Refund,
    Rollback,
    Undo,
)
from casino.providers.codes import Code, Refused
from casino.providers.dialect import Dialect, Given, Reply, Told, Verb, Word
from casino.providers.launches import Launched
from casino.providers.plays import Play
from casino.providers.records import Jackpot, played
from casino.providers.reversals import Reversal
from settings import Settings

REMEMBERED = 100_000
UNDOING: dict[str, type[Undo]] = {"rollback": Rollback, "refund": Refund, "reversal": Reversal}
GIVING: dict[str, type[Tip | BuyIn]] = {"tip": Tip, "buy_in": BuyIn}
MESSAGE: TypeAdapter[str] = TypeAdapter(Word)
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
            message = _fresh(dialect, request)
            given = dialect.read(verb, _json(body, fractions=dialect.fractions))
            given = given if message is None else replace(given, request=message)
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
    money, scale = dialect.money, launched.scale
    if given.verb in UNDOING or given.verb == "cancel":
        if given.target is None:
            raise Refused(Code.MALFORMED, f"missing: what the {given.verb} is about")
        if given.verb == "cancel":
            return Cancel(**common, target=given.target)
        compared = dialect.policy.refund_must_match and given.amount is not None
        amount = money.read(given.amount, scale) if compared else None
        return UNDOING[given.verb](**common, target=given.target, amount=amount)
    amount = money.read(given.amount, scale)
    match given.verb:
        case "debit":
            gave = _contributed(dialect, launched, given)
            return Debit(**common, amount=amount, reward=given.reward, jackpots=gave)
        case "play":
            won = money.read(given.won, scale)
            gave = _contributed(dialect, launched, given)
            return Play(**common, amount=amount, won=won, jackpots=gave)
        case "tip" | "buy_in":
            return GIVING[given.verb](**common, amount=amount)
        case "prize":
            return Prize(**common, amount=amount, target=given.target)
        case _:
            took = _won(dialect, launched, given, amount)
            return Credit(**common, amount=amount, target=given.target, jackpots=took)


def _contributed(dialect: Dialect, launched: Launched, given: Given) -> tuple[Jackpot, ...]:
    """What a bet gave to jackpots. Raises `Refused`."""
    read = dialect.money.millionths
    return _each(
        Jackpot(name, contributed=read(said, launched.scale)) for name, said in given.jackpots
    )


def _won(dialect: Dialect, launched: Launched, given: Given, amount: int) -> tuple[Jackpot, ...]:
    """What a payout has of jackpots: a part of it, so never more. Raises `Refused`."""
    read = dialect.money.read
    won = _each(Jackpot(name, won=read(said, launched.scale)) for name, said in given.jackpots)
    if sum(one.won for one in won) > amount:
        raise Refused(Code.BAD_AMOUNT, "what is won of jackpots is a part of the amount")
    return won


def _each(jackpots: Iterable[Jackpot]) -> tuple[Jackpot, ...]:
    found = tuple(jackpots)
    if len({one.name for one in found}) < len(found):
        raise Refused(Code.MALFORMED, "a jackpot is named twice")
    return found


def _fresh(dialect: Dialect, request: Request) -> str | None:
    """The message's own id, where it is signed with a time, which is now. Raises `Refused`.

    Its id is remembered with the call's: it is never that of another call. So whoever sends the
    same message again within the window gets the same answer, and nothing is done again.
    """
    stamp = dialect.stamp(request.headers)
    if stamp is None:
        return None
    if not signatures.in_time(stamp.time, time.time()):
        raise Refused(Code.STALE, f"signed more than {signatures.WINDOW_S} s away from now")
    try:
        return MESSAGE.validate_python(stamp.id)
    except ValidationError as error:
        raise Refused(Code.MALFORMED, "wrong: the message's id") from error


async def _translated(
    house: State, dialect: Dialect, command: ProviderCall, answer: Answer
) -> Told:
    """What was decided, as this provider wants to hear of it."""
    body, launched = answer.body, command.launched
    code = None if answer.code is None else Code(answer.code)
    detail = str(body.get("detail", ""))
    if body.get("nothing") and not dialect.policy.accept_unknown_target:
        code = command.missing
        detail = DETAILS[code]
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


def _json(body: bytes, *, fractions: bool) -> object:
    try:
        found = parsed(body)
        # A number with a fraction is kept as it was written.
        return json.loads(body, parse_float=Decimal) if fractions else found
    except Problem as problem:
        raise Refused(Code.MALFORMED, problem.detail) from problem
    except (RecursionError, ValueError) as error:
        raise Refused(Code.MALFORMED, "the body is no JSON that we read") from error


def _said(reply: Reply) -> Response:
    # Balances of fine assets are longer than 64 bits, which orjson does not write.
    return Response(
        json.dumps(reply.body, separators=(",", ":")),
        reply.status,
        {"cache-control": "no-store"},
        media_type="application/json",
    )
