"""Withdrawals: asked for by services, decided by people, paid by the keeper alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.amounts import Amount, units
from api.answers import private
from api.bodies import given
from api.casinos import OfCasino
from api.desk import idempotency_key
from api.documents import describe
from api.errors import Problem, refused
from api.keys import acting
from api.pages import Page, paged
from api.parameters import asked, named
from api.queries import withdrawals as queries
from api.routes.wallets import READ, WRITE, Handler, Keyed, Text, owner
from api.state import Row, state
from casino import assets, withdrawals
from casino.commands import Command
from casino.custodies import Custody
from ledger.accounts import cash
from settings import Role, WithdrawalLimits

APPROVE: Role = "withdrawals:approve"
LARGEST_ID = 2**63 - 1


class WithdrawalsAsked(OfCasino, Page):
    """Withdrawals of all states or one, newest first."""

    state: (
        Literal["requested", "approved", "rejected", "sending", "sent", "settled", "failed"] | None
    ) = None


class Wanted(BaseModel):
    """What is to be paid to where; CAIP-10 may name the address's network.

    `custody` is the program that pays, where several of the casino hold the asset.
    """

    model_config = ConfigDict(extra="forbid")

    asset: Annotated[Text, Field(max_length=128)]
    amount: Amount
    address: Annotated[Text, Field(max_length=128)]
    custody: Annotated[Text, Field(max_length=64)] | None = None


class Because(BaseModel):
    """Why it is approved or rejected."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Text, Field(max_length=500)]


@describe(shapes.Withdrawals, 404, query=WithdrawalsAsked, role=READ, tag="withdrawals")
async def every(request: Request) -> Response:
    """A casino's withdrawals."""
    caller = await acting(request, READ)
    wanted = asked(request, WithdrawalsAsked)
    values = {"casino": caller.casino["id"], "state": wanted.state, **wanted.edge()}
    return _page(await state(request).rows(queries.OF_CASINO, values), wanted)


@describe(shapes.Withdrawals, 404, query=WithdrawalsAsked, role=READ, tag="withdrawals")
async def of_user(request: Request) -> Response:
    """A user's withdrawals."""
    caller = await acting(request, READ)
    wanted = asked(request, WithdrawalsAsked)
    _, player_id = await owner(request, caller)
    values = {"casino": caller.casino["id"], "player": player_id, "state": wanted.state}
    return _page(await state(request).rows(queries.OF_PLAYER, values | wanted.edge()), wanted)


@describe(shapes.Withdrawal, 404, query=OfCasino, role=READ, tag="withdrawals")
async def one(request: Request) -> Response:
    """A withdrawal as it stands."""
    caller = await acting(request, READ)
    asked(request, OfCasino)
    return private(await _row(request, queries.ONE, caller.casino))


@describe(
    shapes.Withdrawal, 402, 404, 409, body=Wanted, headers=Keyed, role=WRITE, tag="withdrawals"
)
async def request(request: Request) -> Response:
    """Hold a user's money and pay it out on its chain, at once or after a person approves it."""
    caller = await acting(request, WRITE)
    asked(request, OfCasino)
    key = idempotency_key(request)
    wanted = await given(request, Wanted)
    _, player_id = await owner(request, caller)
    custody, limits = await _payer(request, caller.casino, wanted)
    command = withdrawals.Request(
        casino_id=caller.casino["id"],
        scope=caller.scope("withdrawals"),
        key=key,
        actor=caller.key.name,
        player_id=player_id,
        amount=units(wanted.amount),
        address=wanted.address,
        custody=custody,
        limits=limits,
    )
    return await _decided(request, command)


def deciding(name: str, said: str, *, approved: bool) -> Handler:
    """The route of one decision."""

    async def route(request: Request) -> Response:
        caller = await acting(request, APPROVE)
        asked(request, OfCasino)
        key = idempotency_key(request)
        why = await given(request, Because)
        known = await _row(request, queries.KNOWN, caller.casino)
        casino_id = caller.casino["id"]
        command = withdrawals.Decision(
            casino_id=casino_id,
            casino=caller.casino["slug"],
            scope=caller.scope("withdrawals"),
            key=key,
            actor=caller.key.name,
            request=known["request"],
            hold_id=known["hold_id"],
            account=cash(casino_id, known["player_id"], known["asset"]),
            reason=why.reason,
            approved=approved,
        )
        return await _decided(request, command)

    route.__name__, route.__doc__ = name, said
    return describe(
        shapes.Withdrawal, 404, 409, body=Because, headers=Keyed, role=APPROVE, tag="withdrawals"
    )(route)


async def _decided(request: Request, command: Command) -> Response:
    answer = await state(request).desk.decide_once(command)
    response = private(answer.body) if answer.code is None else refused(answer.code, answer.body)
    if answer.replayed:
        response.headers["idempotency-replayed"] = "true"
    return response


async def _payer(request: Request, casino: Row, wanted: Wanted) -> tuple[Custody, WithdrawalLimits]:
    """The custody that pays, and its limits. Raises `Problem` 422 where nobody does."""
    async with state(request).pool.connection() as connection:
        asset = await assets.meant(connection, casino["slug"], wanted.asset)
    values = {"casino": casino["id"], "asset": asset.id, "custody": wanted.custody}
    row = await state(request).row(queries.CUSTODY, values)
    if row is None:
        raise Problem(422, "not_withdrawable", f"no program of this casino pays {asset.id} out")
    network = row.pop("network_name")
    limits = state(request).settings.withdrawals.get(network, WithdrawalLimits())
    return Custody(**row, casino_id=casino["id"], casino=casino["slug"]), limits


async def _row(request: Request, query: str, casino: Row) -> Row:
    """The row of the withdrawal that the path names. Raises `Problem` 404."""
    id = named(request, "id")
    found = None
    if id.isascii() and id.isdecimal() and int(id) <= LARGEST_ID:
        found = await state(request).row(query, {"id": int(id), "casino": casino["id"]})
    if found is None:
        raise Problem(404, "unknown_withdrawal", "this casino has no such withdrawal")
    return found


def _page(rows: list[Row], page: Page) -> Response:
    return private(paged(rows, page, time="requested_at"))


approve = deciding("approve", "Let a withdrawal be paid.", approved=True)
reject = deciding(
    "reject", "Give the money back, as long as nothing was signed for it.", approved=False
)

ROUTES = [
    Route("/api/wallets/{user}/withdrawals", of_user),
    Route("/api/wallets/{user}/withdrawals", request, methods=["POST"]),
    Route("/api/withdrawals", every),
    Route("/api/withdrawals/{id}", one),
    Route("/api/withdrawals/{id}/approve", approve, methods=["POST"]),
    Route("/api/withdrawals/{id}/reject", reject, methods=["POST"]),
]
