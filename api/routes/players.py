"""Players by their account: who they are, what they played."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import accounts, shapes
from api.accounts import Account
from api.answers import fresh
from api.casinos import OfCasino, chosen
from api.documents import describe
from api.errors import Problem
from api.pages import Page, paged
from api.parameters import asked, named
from api.queries import bets, players
from api.state import Row, state
from chains.errors import BadAddress


class History(OfCasino, Page):
    """A player's bets that are not taken back."""


async def found(request: Request) -> Row:
    """The player's row, by a bare address, a CAIP-10 account or another id. Raises `Problem` 404.

    An address that played on several networks is one player for each; the bare form means the
    first of them, CAIP-10 says which.
    """
    given = named(request, "account")
    account, why = Account(given), ""
    try:
        account = accounts.parse(given)
    except BadAddress as error:
        why = f": {error}"
    casino = await chosen(request)
    values = {"casino": casino["id"], "account": account.address, "scope": account.network or None}
    row = await state(request).row(players.FIND, values)
    if row is None:
        raise Problem(404, "unknown_player", f"this casino has no player {given!r}{why}")
    return row


@describe(shapes.Player, 404, query=OfCasino, tag="players")
async def profile(request: Request) -> Response:
    """A player and the identities they are known by."""
    asked(request, OfCasino)
    row = await found(request)
    known = await state(request).rows(players.IDENTITIES, {"player": row["id"]})
    return fresh(request, {**row, "identities": known})


@describe(shapes.PlayerStats, 404, query=OfCasino, tag="players")
async def stats(request: Request) -> Response:
    """A player's sums, per asset."""
    asked(request, OfCasino)
    row = await found(request)
    sums = await state(request).rows(players.STATS, {"player": row["id"]})
    return fresh(request, {"account": row["account"], "assets": sums})


@describe(shapes.Bets, 404, query=History, tag="players")
async def history(request: Request) -> Response:
    """A player's bets, newest first."""
    page = asked(request, History)
    row = await found(request)
    values = {"player": row["id"], **page.edge()}
    return fresh(request, paged(await state(request).rows(bets.OF_PLAYER, values), page))


ROUTES = [
    Route("/api/players/{account}", profile),
    Route("/api/players/{account}/stats", stats),
    Route("/api/players/{account}/bets", history),
]
