"""Pairs: opened, given a client seed, played bet by bet, retired, and proved."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.amounts import Amount, units
from api.answers import fresh, private
from api.bodies import given, whole
from api.booths import Booths
from api.casinos import OfCasino, chosen
from api.choices import parsed
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem, refused
from api.keys import Caller, acting
from api.owners import known
from api.parameters import asked, named
from api.queries import pairs as queries
from api.routes.wallets import Keyed, Text
from api.state import Row, state
from casino.commands import Command
from casino.pairs import proofs
from casino.pairs.booths import BadBooth, Booth, rules
from casino.pairs.courses import Choose, Open, Retire
from casino.pairs.plays import Play
from casino.pairs.records import PairKey
from games.fairness.pairs import MAX_BETS
from games.rules import Game
from settings import Role

PLAY: Role = "pairs:play"
PAIR = re.compile(r"([1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})", re.ASCII)

ClientSeed = Annotated[
    Annotated[str, Field(strict=True)],
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "description": "1 to 64 bytes of UTF-8, as they are",
        }
    ),
]


class PairWish(BaseModel):
    """Whose pair. The client seed may also be chosen later, once the commitment is seen."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]
    client_seed: ClientSeed | None = None


class SeedWish(BaseModel):
    """The player's own seed, until the first bet."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]
    client_seed: ClientSeed


class PairStake(BaseModel):
    """A bet; with a `nonce` it is refused unless that is the next one.

    `choice` is one of the game: dice take `over` and `face`, numbers take `spots`, limbo and crash
    a `target` in hundredths, coinflip a `side`, range `low` and `high`.
    """

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]
    game: Annotated[str, Field(strict=True, pattern=r"^[a-z]{1,32}$")]
    choice: dict[str, Any] = Field(max_length=8)
    stake: Amount
    nonce: Annotated[
        Annotated[int, Field(strict=True, ge=0, lt=MAX_BETS)] | None, BeforeValidator(whole)
    ] = None


class PairOwner(BaseModel):
    """Whose pair it is."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]


class PairBetsAsked(OfCasino):
    """Bets of a pair, newest first. `after` is the `next` of the page before."""

    after: int | None = Field(default=None, ge=0, le=MAX_BETS)
    limit: int = Field(default=20, ge=1, le=100)


class PairProofAsked(OfCasino):
    """Of a pair with more bets than one file holds, those from the nonce `first` on."""

    first: int = Field(default=0, ge=0, lt=MAX_BETS)


@describe(shapes.Booth, 404, query=OfCasino, tag="pairs")
async def booth(request: Request) -> Response:
    """What pairs are played for in this casino: games, limits, and where seeds are committed."""
    asked(request, OfCasino)
    casino = await chosen(request)
    found = await _booths(request)
    return fresh(request, _shown(found, found.of_casino(casino["id"])))


@describe(
    shapes.PairOpened,
    404,
    409,
    query=OfCasino,
    body=PairWish,
    headers=Keyed,
    role=PLAY,
    tag="pairs",
)
async def open_pair(request: Request) -> Response:
    """The next pair of a user. It is active once its commitment is final and its beacon came."""
    caller = await acting(request, PLAY)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wish = await given(request, PairWish)
    found = await _booths(request)
    command = Open(
        **_by(caller, key),
        booth=found.once_of_casino(caller.casino["id"]),
        offered=found.offered(caller.casino["id"]),
        player_id=await _player(request, caller, wish.user),
        client_seed=None if wish.client_seed is None else _bytes(wish.client_seed),
    )
    return await _decided(request, wish.user, command)


@describe(shapes.Pair, 404, query=OfCasino, tag="pairs")
async def one(request: Request) -> Response:
    """A pair, as far as it came."""
    asked(request, OfCasino)
    casino = await chosen(request)
    row = await _pair(request, casino["id"])
    return fresh(request, {name: row[name] for name in row if name not in INNER})


@describe(
    shapes.PairChosen,
    404,
    409,
    query=OfCasino,
    body=SeedWish,
    headers=Keyed,
    role=PLAY,
    tag="pairs",
)
async def choose(request: Request) -> Response:
    """Choose the client seed of a pair, as often as the user likes until the first bet."""
    caller = await acting(request, PLAY)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wish = await given(request, SeedWish)
    pair, of = await _mine(request, caller, wish.user)
    command = Choose(**_by(caller, key), booth=of, pair=pair, client_seed=_bytes(wish.client_seed))
    return await _decided(request, wish.user, command)


@describe(
    shapes.PairBet,
    402,
    404,
    409,
    query=OfCasino,
    body=PairStake,
    headers=Keyed,
    role=PLAY,
    tag="pairs",
)
async def bet(request: Request) -> Response:
    """A bet under the next nonce: its receipt, what came of it, and what it paid, at once."""
    caller = await acting(request, PLAY)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wish = await given(request, PairStake)
    pair, of = await _mine(request, caller, wish.user)
    choice, said = parsed(_rules(wish.game), wish.choice)
    found = await _booths(request)
    command = Play(
        **_by(caller, key),
        booth=of,
        pair=pair,
        game=wish.game,
        choice=choice,
        said=said,
        stake=units(wish.stake),
        nonce=wish.nonce,
        pays=found.pays,
        hand=found.hand,
    )
    return await _decided(request, wish.user, command)


@describe(
    shapes.PairEnded,
    404,
    409,
    query=OfCasino,
    body=PairOwner,
    headers=Keyed,
    role=PLAY,
    tag="pairs",
)
async def retire(request: Request) -> Response:
    """End a pair: it takes no more bets, and its seed is revealed on chain."""
    caller = await acting(request, PLAY)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wish = await given(request, PairOwner)
    pair, of = await _mine(request, caller, wish.user)
    return await _decided(request, wish.user, Retire(**_by(caller, key), booth=of, pair=pair))


@describe(shapes.PairBets, 404, query=PairBetsAsked, tag="pairs")
async def bets(request: Request) -> Response:
    """A pair's bets, each with its signed receipt, newest first."""
    page = asked(request, PairBetsAsked)
    casino = await chosen(request)
    row = await _pair(request, casino["id"])
    values = {"player": row["player_id"], "epoch": row["epoch"], "limit": page.limit}
    before = MAX_BETS if page.after is None else page.after
    found = await state(request).rows(queries.BETS, {**values, "before": before})
    following = found[-1]["nonce"] if len(found) == page.limit else None
    return fresh(request, {"items": found, "next": following})


@describe(shapes.PairProof, 404, 409, query=PairProofAsked, tag="pairs")
async def proof(request: Request) -> Response:
    """All that anybody needs to check a pair: give it to `fairhouse verify file`, or /verify."""
    page = asked(request, PairProofAsked)
    casino = await chosen(request)
    row = await _pair(request, casino["id"])
    key, of = PairKey(row["player_id"], row["epoch"]), (await _booths(request)).by_id
    async with state(request).pool.connection() as connection:
        found = await proofs.proof(connection, of[row["booth_id"]], key, first=page.first)
    if found is None:
        state_of = "idle" if row["state"] == "retired" and not row["bets"] else row["state"]
        raise Problem(409, "pair_not_revealed", UNREVEALED[state_of].format(pair=key))
    return fresh(request, found)


INNER = ("booth_id", "player_id")
UNREVEALED = {
    "waiting": "the pair {pair} is not active yet, and nothing was played with it",
    "active": "the pair {pair} is in play: its seed is revealed once it is retired",
    "retired": "the pair {pair} is retired, and the final chain does not show its seed yet",
    "idle": "the pair {pair} was retired without a bet: there is nothing to prove",
    "unplayed": "the pair {pair} ended before it was active, and nothing was played with it",
    "revealed": "the pair {pair} was revealed a moment ago; ask again",
}


def _by(caller: Caller, key: str) -> dict[str, Any]:
    """Who asks, under which key."""
    casino_id = caller.casino["id"]
    scope, actor = caller.scope("pairs"), caller.key.name
    return {"casino_id": casino_id, "scope": scope, "key": key, "actor": actor}


async def _decided(request: Request, user: str, command: Command) -> Response:
    answer = await state(request).desk.decide_once(command)
    if answer.code is not None:
        response = refused(answer.code, answer.body)
    else:
        response = private({"user": user, **answer.body})
    if answer.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


def _bytes(client_seed: str) -> bytes:
    """Raises `Problem` 422 for what no UTF-8 can say."""
    try:
        return client_seed.encode()
    except UnicodeEncodeError as error:
        raise Problem(422, "BAD_CLIENT_SEED", "a client seed is UTF-8") from error


def _rules(game: str) -> Game:
    """Raises `Problem` 422 for what is no game at all; what a booth offers, its bets are asked."""
    try:
        return rules(game)
    except BadBooth as error:
        raise Problem(422, "GAME_NOT_OFFERED", str(error)) from error


async def _mine(request: Request, caller: Caller, user: str) -> tuple[PairKey, Booth]:
    """The pair of the path and its booth, if it is the user's. Raises `Problem` 404."""
    row = await _pair(request, caller.casino["id"])
    if await _player(request, caller, user) != row["player_id"]:
        raise Problem(404, "unknown_pair", "this user has no such pair")
    of = (await _booths(request)).by_id[row["booth_id"]]
    return PairKey(row["player_id"], row["epoch"]), of


async def _pair(request: Request, casino_id: int) -> Row:
    """The pair of the path. Raises `Problem` 404."""
    said = PAIR.fullmatch(named(request, "id"))
    values = {"casino": casino_id}
    if said is not None:
        values |= {"player": int(said[1]), "epoch": int(said[2])}
    row = None if said is None else await state(request).row(queries.ONE, values)
    if row is None:
        raise Problem(404, "unknown_pair", "this casino has no such pair")
    return row


async def _player(request: Request, caller: Caller, user: str) -> int:
    found = await known(request, caller, user)
    if found is None:
        raise Problem(404, "unknown_user", "this casino has no such user")
    return found


async def _booths(request: Request) -> Booths:
    house = state(request)
    await house.booths.known(house.pool)
    return house.booths


def _shown(found: Booths, of: Booth) -> Row:
    limits = of.limits
    return {
        "asset": of.asset,
        "games": [_game(game, found.pays[pay_id]) for game, pay_id in sorted(of.games.items())],
        "limits": {
            "least": str(limits.least),
            "most": str(limits.most),
            "most_win": str(limits.most_win),
            "most_player": str(limits.most_player),
        },
        "bond": {"network": of.network, "program": of.program},
        "beacon": of.beacon,
        "trouble": of.trouble,
    }


def _game(game: str, pays: Any) -> Row:
    low, high = rules(game).bounds(pays)
    returns = [round(float(low), 6), round(float(high), 6)]
    return {"game": game, "returns": returns, "pay_table": pays.encoded().hex()}


ROUTES = [
    Route("/api/pairs", booth, methods=["GET"]),
    Route("/api/pairs", open_pair, methods=["POST"]),
    Route("/api/pairs/{id}", one),
    Route("/api/pairs/{id}/seed", choose, methods=["POST"]),
    Route("/api/pairs/{id}/bets", bets, methods=["GET"]),
    Route("/api/pairs/{id}/bets", bet, methods=["POST"]),
    Route("/api/pairs/{id}/retire", retire, methods=["POST"]),
    Route("/api/pairs/{id}/proof", proof),
]
