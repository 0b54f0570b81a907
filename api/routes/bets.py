"""Bets: the newest, and those of a tx."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api import shapes
from api.answers import fresh
from api.casinos import OfCasino, chosen
from api.documents import describe
from api.errors import Problem
from api.pages import Page, paged
from api.parameters import asked, named
from api.queries import bets
from api.state import state


class Recent(OfCasino, Page):
    """The newest bets that are not taken back."""


@describe(shapes.Bets, 404, query=Recent, tag="bets")
async def recent(request: Request) -> Response:
    """The newest bets of a casino, by the time of their block."""
    page = asked(request, Recent)
    casino = await chosen(request)
    values = {"casino": casino["id"], **page.edge()}
    return fresh(request, paged(await state(request).rows(bets.RECENT, values), page))


@describe(shapes.BetsOfTx, 404, query=OfCasino, tag="bets")
async def of_tx(request: Request) -> Response:
    """The bets that a transaction placed or ended."""
    asked(request, OfCasino)
    tx = named(request, "tx")
    tx = tx.lower() if tx.lower().startswith("0x") else tx
    casino = await chosen(request)
    found = await state(request).rows(bets.OF_TX, {"casino": casino["id"], "tx": tx})
    if not found:
        raise Problem(404, "unknown_tx", f"no bet of this casino is in tx {tx!r}")
    return fresh(request, {"items": found})


ROUTES = [Route("/api/bets/recent", recent), Route("/api/bets/{tx}", of_tx)]
