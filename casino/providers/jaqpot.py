"""Jaqpot Games: amounts in minor units, HTTP codes that mean something, HMAC in hex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import AliasChoices, BaseModel, Field

from casino.providers import signatures
from casino.providers.calls import Policy
from casino.providers.codes import Code
from casino.providers.dialect import Dialect, Given, Number, Reply, Told, Verb, Word, shaped
from casino.providers.money import Scaled

SIGNATURE = "x-casino-signature"


class Body(BaseModel):
    """All fields of all calls; which of them a call needs is below."""

    sessionToken: Word  # noqa: N815
    userId: Number | None = None  # noqa: N815
    gameId: Number | None = None  # noqa: N815
    currency: Word | None = None
    roundId: Number | None = None  # noqa: N815
    roundClosed: bool = False  # noqa: N815


class Move(Body):
    transactionId: Word = Field(  # noqa: N815
        validation_alias=AliasChoices("transactionId", "externalTransactionId")
    )
    amount: Any


class Payout(Move):
    relatedTransactionId: Word | None = None  # noqa: N815


class Back(Move):
    originalTransactionId: Word = Field(  # noqa: N815
        validation_alias=AliasChoices("originalTransactionId", "originalExternalTransactionId")
    )
    amount: Any = None


BODIES: Mapping[Verb, type[Body]] = {
    "balance": Body,
    "debit": Move,
    "credit": Payout,
    "rollback": Back,
}


class Jaqpot(Dialect):
    name = "jaqpot"
    money = Scaled()
    policy = Policy(
        accept_unknown_target=True,
        current_balance=False,
        refund_must_match=False,
        bet_after_payout=True,
        zero_closes=True,
    )
    paths: ClassVar[Mapping[str, Verb]] = {
        "/casino/getBalance": "balance",
        "/casino/debit": "debit",
        "/casino/credit": "credit",
        "/casino/rollback": "rollback",
    }
    words: ClassVar[Mapping[Code, Any]] = {
        Code.INVALID_SIGNATURE: 401,
        Code.MALFORMED: 400,
        Code.WRONG_TYPE: 400,
        Code.BAD_AMOUNT: 400,
        Code.NEGATIVE_AMOUNT: 400,
        Code.INVALID_TOKEN: 401,
        Code.CONFLICT: 409,
        Code.TOKEN_EXPIRED: 401,
        Code.OTHER_PLAYER: 403,
        Code.UNKNOWN_GAME: 404,
        Code.WRONG_CURRENCY: 400,
        Code.PLAYER_DISABLED: 403,
        Code.INSUFFICIENT_FUNDS: 402,
        Code.LIMIT_EXCEEDED: 403,
        Code.ROUND_CLOSED: 409,
        Code.BET_NOT_FOUND: 404,
        Code.NOT_A_BET: 400,
        Code.ROLLED_BACK: 409,
        Code.ALREADY_ROLLED_BACK: 409,
        Code.ALREADY_SETTLED: 400,
        Code.AMOUNT_MISMATCH: 400,
        Code.REFUSED: 403,
    }

    def authentic(self, body: bytes, headers: Mapping[str, str], keys: Sequence[str]) -> bool:
        return signatures.is_hmac(body, headers.get(SIGNATURE, ""), keys)

    def read(self, verb: Verb, body: object) -> Given:
        found = shaped(BODIES[verb], body)
        target = getattr(found, "relatedTransactionId", None)
        return Given(
            verb=verb,
            token=found.sessionToken,
            id=getattr(found, "transactionId", ""),
            player=found.userId,
            game=found.gameId,
            currency=found.currency,
            round=found.roundId,
            amount=getattr(found, "amount", None),
            target=getattr(found, "originalTransactionId", target),
            closes=found.roundClosed,
        )

    def say(self, given: Given | None, told: Told) -> Reply:
        body: dict[str, Any] = {"status": "OK" if told.code is None else "ERROR"}
        if told.code is not None:
            body |= {"error": told.code, "code": told.code, "message": told.detail}
        if given is not None and given.id:
            body["transactionId"] = given.id
        if told.balance is not None:
            body |= {"balance": self.money.say(told.balance, told.scale), "currency": told.currency}
        if told.number is not None:
            body["casinoTransactionId"] = told.number
        if told.tombstone:
            body["tombstone"] = True
        return Reply(200 if told.code is None else self.words[told.code], body)
