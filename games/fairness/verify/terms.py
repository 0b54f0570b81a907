"""Terms: what a bet was bound to, and what it is owed for a result under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from games import GAMES
from games.paytables import DIGEST, digest
from games.rules import Game


class Unknown(ValueError):
    """Terms that no game of this house has, with the reason."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A game, one version of its pay table, and a choice it offers."""

    game: Game
    pays: Any
    choice: Any

    def payout(self, stake: int, result: Any) -> int:
        return self.game.payout(stake, self.choice, result, self.pays)

    def most(self, stake: int) -> int:
        return self.game.most(stake, self.choice, self.pays)


def read_terms(*, game: bytes, params: bytes, pay_table: bytes) -> Terms:
    """Terms out of a bet's params and its pay table. Raises `Unknown`."""
    if game not in GAMES:
        raise Unknown(f"no game is called {game.decode()}")
    room = GAMES[game]
    try:
        pays = type(room.PAYS).decoded(pay_table)
        version, terms = digest(room, pays), room.Choice.decoded(params[DIGEST:])
        room.most(1, terms, pays)
    except ValueError as refused:
        raise Unknown(str(refused)) from None
    if version != params[:DIGEST]:
        raise Unknown(f"pay table {version.hex()}, and the bet has {params[:DIGEST].hex()}")
    return Terms(room, pays, terms)
