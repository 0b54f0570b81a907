"""Which player a service means: by the name it has for them, or by their address on a chain."""

from __future__ import annotations

import re

from starlette.requests import Request

from api import accounts
from api.accounts import Account
from api.keys import Caller
from api.queries import wallets
from api.state import state
from chains.errors import BadAddress

USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}", re.ASCII)


async def known(request: Request, caller: Caller, user: str) -> int | None:
    """The player's number; None when the casino knows nobody of that name."""
    values = sought(caller, user)
    row = None if values is None else await state(request).row(wallets.OWNER, values)
    return None if row is None else int(row["player_id"])


def sought(caller: Caller, user: str) -> dict[str, object] | None:
    """What `queries.wallets.OWNER` looks for; None for what is no name."""
    if not USER.fullmatch(user):
        return None
    account = address(user) or Account("")
    values = {"casino": caller.casino["id"], "user": user}
    return values | {"address": account.address, "scope": account.network or None}


def address(user: str) -> Account | None:
    try:
        return accounts.parse(user)
    except BadAddress:
        return None
