"""Bonuses: the terms of campaigns, giving a bonus and taking it back, and what a player has."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.amounts import Amount, units
from api.answers import private
from api.bodies import given, whole
from api.casinos import OfCasino
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem, refused
from api.keys import Caller, acting
from api.owners import known
from api.pages import Page, paged
from api.parameters import asked, named
from api.queries import bonuses as queries
from api.state import Row, state
from casino import assets, bonuses
from casino.campaigns import GAME, WHOLE_BP, BadTerms, Define, Terms
from casino.commands import Answer, Command
from settings import Role

READ: Role = "wallets:read"
WRITE: Role = "bonuses:write"
NUMBER = 18  # digits of a grant's number, at most

Code = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(strict=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
Game = Annotated[str, Field(strict=True, pattern=rf"^{GAME.pattern}$")]
Games = Annotated[list[Game], Field(max_length=1000)]
Whole = BeforeValidator(whole)
WeightBp = Annotated[int, Field(strict=True, ge=0, le=10 * WHOLE_BP), Whole]


class Listed(OfCasino, Page):
    """The newest first."""


class Keyed(BaseModel):
    """`Idempotency-Key` says the same."""

    key: str = Field(alias="X-Idempotency-Key", min_length=1, max_length=255, pattern=r"^[ -~]+$")


class Offer(BaseModel):
    """A campaign's terms. Weights are basis points of a stake that count, by game or product."""

    model_config = ConfigDict(extra="forbid")

    code: Code
    asset: Annotated[Text, Field(max_length=128)]
    multiplier: Annotated[
        str, Field(strict=True, pattern=r"^\d{1,4}(\.\d{1,4})?$", description='such as "35"')
    ]
    of: Literal["bonus", "bonus_and_deposit"] = "bonus"
    weights: dict[Game, WeightBp] = Field(
        default={}, max_length=1000, json_schema_extra={"additionalProperties": False}
    )
    default_weight_bp: WeightBp = WHOLE_BP
    excluded: Games = []
    products: Games = []
    most_chance_bp: Annotated[int, Field(strict=True, ge=1, le=WHOLE_BP), Whole] | None = None
    max_bet: Amount | None = None
    above_max_bet: Literal["refuse", "forfeit"] = "refuse"
    max_win: Amount | None = None
    expires_h: Annotated[int, Field(strict=True, ge=1, le=8784), Whole] = 168
    sticky: Annotated[bool, Field(strict=True)] = False
    order: Literal["cash_first", "mixed"] = "cash_first"
    stacking: Literal["refuse", "queue"] = "refuse"
    most_grants: Annotated[int, Field(strict=True, ge=1, le=2**31), Whole] | None = 1
    jurisdiction: Annotated[str, Field(strict=True, pattern=r"^[A-Z]{2}$")] | None = None
    closed: Annotated[bool, Field(strict=True)] = False

    def terms(self, asset: str) -> Terms:
        """Raises `Problem` 422 for terms that no bonus may have."""
        said = self.model_dump(exclude={"code", "multiplier"})
        for name in ("max_bet", "max_win"):
            said[name] = None if said[name] is None else units(said[name])
        for name in ("excluded", "products"):
            said[name] = tuple(said[name])
        said |= {"asset": asset, "multiplier_bp": int(Decimal(self.multiplier) * WHOLE_BP)}
        try:
            return Terms(**said)
        except BadTerms as error:
            raise Problem(422, "bad_terms", str(error), field=error.field) from error


class Gift(BaseModel):
    """A bonus for a player, by name or address; `deposit` where the campaign counts it too.

    While it is active, so much of the player's cash as is `locked` may be bet, and not be spent.
    """

    model_config = ConfigDict(extra="forbid")

    user: Annotated[Text, Field(max_length=128)]
    campaign: Code
    amount: Amount
    deposit: Amount | None = None
    locked: Amount | None = None


class Reason(BaseModel):
    """Which rule, or whose decision, takes the bonus back."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Text, Field(max_length=200)]


@describe(shapes.Campaign, 404, 409, body=Offer, headers=Keyed, role=WRITE, tag="bonuses")
async def define(request: Request) -> Response:
    """The terms of a campaign from now on, as its next version; bonuses keep those they have."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Offer)
    async with state(request).pool.connection() as connection:
        asset = await assets.meant(connection, caller.casino["slug"], wanted.asset)
    terms = wanted.terms(asset.id)
    return answered(
        await decided(request, Define(**of(caller, key), code=wanted.code, terms=terms))
    )


@describe(shapes.Campaigns, 404, query=Listed, role=WRITE, tag="bonuses")
async def campaigns(request: Request) -> Response:
    """All versions of all campaigns."""
    caller = await acting(request, WRITE)
    page = asked(request, Listed)
    values = {"casino": caller.casino["id"], **page.edge()}
    found = paged(await state(request).rows(queries.CAMPAIGNS, values), page, time="created_at")
    for row in found["items"]:
        del row["id"]
    return private(found)


@describe(shapes.Granted, 402, 404, 409, body=Gift, headers=Keyed, role=WRITE, tag="bonuses")
async def grant(request: Request) -> Response:
    """Give a bonus by the newest terms of a campaign, once for the key."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Gift)
    amount = units(wanted.amount)
    deposit = 0 if wanted.deposit is None else units(wanted.deposit)
    locked = 0 if wanted.locked is None else units(wanted.locked)
    player_id = await known(request, caller, wanted.user)
    if player_id is None:
        raise Problem(404, "unknown_user", "this casino has no such user")
    values = {"casino": caller.casino["id"], "code": wanted.campaign}
    row = await state(request).row(queries.ASSET, values)
    if row is None:
        raise Problem(404, "UNKNOWN_CAMPAIGN", f"there is no campaign {wanted.campaign}")
    command = bonuses.Grant(
        **of(caller, key),
        casino=caller.casino["slug"],
        campaign=wanted.campaign,
        player_id=player_id,
        asset=row["asset"],
        amount=amount,
        deposit=deposit,
        locked=locked,
    )
    answer = await decided(request, command)
    return answered(answer, deduped=answer.replayed)


@describe(shapes.Bonus, 404, 409, body=Reason, headers=Keyed, role=WRITE, tag="bonuses")
async def forfeit(request: Request) -> Response:
    """Take a bonus back because its player broke the terms, or wants no more of it."""
    return await _ended(request, "forfeited")


@describe(shapes.Bonus, 404, 409, body=Reason, headers=Keyed, role=WRITE, tag="bonuses")
async def cancel(request: Request) -> Response:
    """Take a bonus back because it should not have been given."""
    return await _ended(request, "cancelled")


@describe(shapes.Bonuses, 404, query=Listed, role=READ, tag="bonuses")
async def of_player(request: Request) -> Response:
    """A player's bonuses, and how far each is wagered."""
    caller = await acting(request, READ)
    page = asked(request, Listed)
    player_id = await known(request, caller, named(request, "account"))
    if player_id is None:
        raise Problem(404, "unknown_player", "this casino has no such player")
    values = {"casino": caller.casino["id"], "player": player_id, **page.edge()}
    found = paged(await state(request).rows(queries.OF_PLAYER, values), page, time="granted_at")
    return private({**found, "items": [_shown(row) for row in found["items"]]})


async def _ended(request: Request, ending: Literal["forfeited", "cancelled"]) -> Response:
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Reason)
    number = named(request, "grant")
    plain = number.isascii() and number.isdigit() and len(number) <= NUMBER
    values = {"casino": caller.casino["id"], "grant": int(number) if plain else -1}
    row = await state(request).row(queries.GRANT, values)
    if row is None:
        raise Problem(404, "UNKNOWN_GRANT", "this casino has no such bonus")
    command = bonuses.Forfeit(
        **of(caller, key),
        player_id=row["player_id"],
        asset=row["asset"],
        grant_id=int(number),
        reason=wanted.reason,
        state=ending,
    )
    return answered(await decided(request, command))


def of(caller: Caller, key: str) -> dict[str, Any]:
    """What every command of this room says of who asks."""
    return {
        "casino_id": caller.casino["id"],
        "scope": caller.scope("bonuses"),
        "key": key,
        "actor": caller.key.name,
    }


async def decided(request: Request, command: Command) -> Answer:
    return await state(request).desk.decide_once(command)


def answered(answer: Answer, **more: Any) -> Response:
    """What the rules came to, told whether it is new."""
    if answer.code is not None:
        response = refused(answer.code, answer.body)
    else:
        response = private({**answer.body, **more})
    if answer.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


def _shown(row: Row) -> Mapping[str, Any]:
    """A grant's row with its progress, in the asset's units."""
    said = dict(row)
    required_bp, done_bp = int(said.pop("required_bp")), int(said.pop("done_bp"))
    progress = bonuses.progress(required_bp, done_bp, said["expires_at"])
    return {**said, **progress, "grant": str(said.pop("id"))} | {"expires_at": row["expires_at"]}


ROUTES = [
    Route("/api/campaigns", campaigns),
    Route("/api/campaigns", define, methods=["POST"]),
    Route("/api/grants", grant, methods=["POST"]),
    Route("/api/grants/{grant}/forfeit", forfeit, methods=["POST"]),
    Route("/api/grants/{grant}/cancel", cancel, methods=["POST"]),
    Route("/api/players/{account}/bonuses", of_player),
]
