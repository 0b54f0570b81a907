"""Jaqpot Games: amounts in minor units, HTTP codes that mean something, HMAC in hex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import AliasChoices, BaseModel, Field
from pydantic.alias_generators import to_camel

from casino.providers import signatures
from casino.providers.calls import Policy
from casino.providers.codes import Code
from casino.providers.dialect import Dialect, Given, Number, Reply, Told, Verb, Word, shaped
from casino.providers.money import Scaled

SIGNATURE = "x-casino-signature"


class Body(BaseModel, alias_generator=to_camel):
    """All fields of all calls, in camel case on the wire; which of them a call needs is below."""

    session_token: Word
    user_id: Number | None = None
    game_id: Number | None = None
    currency: Word | None = None
    round_id: Number | None = None
    round_closed: bool = False


class Move(Body):
    transaction_id: Word = Field(
        validation_alias=AliasChoices("transactionId", "externalTransactionId")
    )
    amount: Any


class Payout(Move):
    related_transaction_id: Word | None = None


class Back(Move):
    original_transaction_id: Word = Field(
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
        Code.STALE: 401,
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
        Code.WIN_NOT_FOUND: 404,
        Code.NOT_A_WIN: 400,
        Code.BUY_IN_NOT_FOUND: 404,
        Code.NOT_A_BUY_IN: 400,
        Code.REWARD_NOT_FOUND: 404,
        Code.REWARD_EXPIRED: 409,
        Code.REWARD_CANCELLED: 409,
        Code.REWARD_USED_UP: 409,
        Code.REWARD_CLAIMED: 409,
        Code.REFUSED: 403,
    }

    def authentic(self, body: bytes, headers: Mapping[str, str], keys: Sequence[str]) -> bool:
        return signatures.is_hmac(body, headers.get(SIGNATURE, ""), keys)

    def read(self, verb: Verb, body: object) -> Given:
        found = shaped(BODIES[verb], body)
        target = getattr(found, "related_transaction_id", None)
        return Given(
            verb=verb,
            token=found.session_token,
            id=getattr(found, "transaction_id", ""),
            player=found.user_id,
            game=found.game_id,
            currency=found.currency,
            round=found.round_id,
            amount=getattr(found, "amount", None),
            target=getattr(found, "original_transaction_id", target),
            closes=found.round_closed,
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
