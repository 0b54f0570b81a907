"""Rounds of the studio: each call is written down before it is sent, and ends in a known state.

The studio has no balances. A bet of which nobody knows whether it was taken is rolled back; a
payout or a rollback is sent again until the casino says what became of it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from loguru import logger

from db.session import driver, transaction
from studio.wire import Casino, Heard

OPEN = b"""
INSERT INTO provider_sessions (id, token, player, game, currency) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (token) DO NOTHING
"""
SESSION = b"SELECT id, player, game, currency FROM provider_sessions WHERE token = %s"
BEGIN = b"INSERT INTO provider_rounds (id, session_id) VALUES (%s, %s)"
END = b"UPDATE provider_rounds SET ended_at = now() WHERE id = %s"
SEND = b"""
INSERT INTO provider_calls (id, round_id, kind, amount, target, state)
VALUES (%s, %s, %s, %s, %s, 'sent') ON CONFLICT DO NOTHING
"""
CAME = b"UPDATE provider_calls SET state = %s, code = %s WHERE id = %s"
UNKNOWN = b"""
SELECT s.token, c.round_id, c.kind, c.id, c.amount, c.target
FROM provider_calls c JOIN provider_rounds r ON r.id = c.round_id
    JOIN provider_sessions s ON s.id = r.session_id
WHERE c.state = 'sent' AND c.at <= now() - make_interval(secs => %s) ORDER BY random() LIMIT 100
"""  # by chance, so that what stays unknown for long keeps nothing else waiting
# What a rollback may be told when there is nothing left to give back.
OVER = frozenset({"BET_NOT_FOUND", "ALREADY_ROLLED_BACK"})
# What a casino says that does not give a player now what the player is owed: it is asked again.
LATER = frozenset({"PLAYER_DISABLED", "LIMIT_EXCEEDED", "INVALID_SIGNATURE"})
RESUME_S = 30.0


class NoSession(Exception):
    """No casino launched anything with this token here."""


@dataclass(frozen=True, slots=True)
class Playing:
    """A session that a casino launched."""

    id: str
    token: str
    player: str
    game: str
    currency: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A call of a round, as it is written down."""

    token: str
    round: str
    kind: str
    id: str
    amount: int = 0
    target: str | None = None

    def body(self) -> dict[str, Any]:
        """What the casino is told."""
        said: dict[str, Any] = {"sessionToken": self.token, "transactionId": self.id}
        said |= {"roundId": self.round, "amount": self.amount}
        if self.target is not None:
            related = "originalTransactionId" if self.kind == "rollback" else "relatedTransactionId"
            said[related] = self.target
        return said


async def launched(token: str, player: str, game: str, currency: str) -> Playing:
    """A session for a token, the same one when the casino asks again."""
    async with transaction() as session:
        connection = await driver(session)
        values = (f"ps_{secrets.token_hex(12)}", token, player, game, currency)
        await connection.execute(OPEN, values)
    return await playing(token)


async def playing(token: str) -> Playing:
    """Raises `NoSession`."""
    async with transaction() as session:
        connection = await driver(session)
        row = await (await connection.execute(SESSION, (token,))).fetchone()
    if row is None:
        raise NoSession("there is no such session")
    return Playing(row[0], token, *row[1:])


async def bet(casino: Casino, sent: Sent) -> Heard:
    """A debit, rolled back when nobody knows whether it was taken."""
    heard = await _deliver(casino, sent)
    if heard.outcome == "unknown":
        await undo(casino, sent)
    return heard


async def undo(casino: Casino, sent: Sent) -> Heard:
    """Roll a bet back, under an id that is always the same for this bet."""
    back = Sent(sent.token, sent.round, "rollback", f"{sent.id}-undo", sent.amount, sent.id)
    heard = await _deliver(casino, back)
    if heard.outcome != "unknown":
        await _came(sent, "undone")
    return heard


async def pay(casino: Casino, sent: Sent) -> Heard:
    """A credit. One of which nobody knows is sent again by `resume`, until somebody does."""
    return await _deliver(casino, sent)


async def take_back(casino: Casino, sent: Sent) -> Heard:
    """A rollback, for a bet that should not have been."""
    heard = await _deliver(casino, sent)
    if heard.outcome == "done" and sent.target is not None:
        await _came(Sent(sent.token, sent.round, "debit", sent.target), "undone")
    return heard


async def resume(casino: Casino, *, after_s: float = RESUME_S) -> int:
    """Go on with calls that nobody knows of; how many are known of now."""
    async with transaction() as session:
        connection = await driver(session)
        rows = await (await connection.execute(UNKNOWN, (after_s,))).fetchall()
    known = 0
    for one in (Sent(*row) for row in rows):
        heard = await (undo(casino, one) if one.kind == "debit" else _deliver(casino, one))
        known += heard.outcome != "unknown"
    return known


async def resuming(casino: Casino, *, every_s: float = RESUME_S) -> None:
    """`resume` now and every so often, until it is cancelled.

    Several processes may do so: what they send again has the ids that it had before.
    """
    while True:
        try:
            await resume(casino, after_s=max(RESUME_S, casino.longest_s))
        except Exception as error:  # whatever it was, nobody else goes on with these calls
            logger.warning("the studio's calls wait: {!r}; again in {} s", error, every_s)
        await asyncio.sleep(every_s)


async def simulate(casino: Casino, session: Playing) -> list[dict[str, Any]]:
    """A whole round by script: balance, two bets, one of them taken back, a payout, balance."""
    round = f"round_{secrets.token_hex(8)}"
    async with transaction() as opened:
        await (await driver(opened)).execute(BEGIN, (round, session.id))
    first, second, back, paid = (f"{name}_{secrets.token_hex(8)}" for name in NAMES)
    token = session.token
    one, two = Sent(token, round, "debit", first, 100), Sent(token, round, "debit", second, 50)
    three = Sent(token, round, "rollback", back, 50, second)
    four = Sent(token, round, "credit", paid, 200, first)
    asked = {"sessionToken": token}
    steps = [_step("getBalance", asked, await casino.call("getBalance", asked))]
    for name, act, sent in (
        ("debit", bet, one),
        ("debit", bet, two),
        ("rollback", take_back, three),
        ("credit", pay, four),
    ):
        heard = await act(casino, sent)
        steps.append(_step(name, sent.body(), heard))
        if heard.outcome != "done":
            break
    steps.append(_step("getBalance", asked, await casino.call("getBalance", asked)))
    async with transaction() as opened:
        await (await driver(opened)).execute(END, (round,))
    return steps


NAMES = ("bet", "bet", "rollback", "payout")


def _step(name: str, body: Mapping[str, Any], heard: Heard) -> dict[str, Any]:
    shown = {key: value for key, value in body.items() if key != "sessionToken"}
    outcome = {"outcome": heard.outcome, "status": heard.status}
    return {"step": name, "request": shown, **outcome, "response": dict(heard.body)}


async def _deliver(casino: Casino, sent: Sent) -> Heard:
    """Write it down, send it, and write down what came of it."""
    async with transaction() as session:
        connection = await driver(session)
        values = (sent.id, sent.round, sent.kind, sent.amount, sent.target)
        await connection.execute(SEND, values)
    heard = await casino.call(sent.kind, sent.body())
    if sent.kind != "debit" and heard.code in LATER:
        heard = replace(heard, outcome="unknown")
    if heard.outcome != "unknown":
        over = sent.kind == "rollback" and heard.code in OVER
        state = "done" if heard.outcome == "done" or over else "declined"
        await _came(sent, state, heard.code)
    return heard


async def _came(sent: Sent, state: str, code: str | None = None) -> None:
    async with transaction() as session:
        await (await driver(session)).execute(CAME, (state, code, sent.id))
