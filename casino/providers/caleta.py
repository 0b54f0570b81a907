"""Caleta Gaming, wallet API 1.5: hundred-thousandths, HTTP 200 with a status, RSA signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, StrictBool

from casino.providers import signatures
from casino.providers.calls import Policy
from casino.providers.codes import Code
from casino.providers.dialect import Dialect, Given, Number, Reply, Told, Verb, Word, shaped
from casino.providers.money import Scaled

SIGNATURE = "x-auth-signature"


class Body(BaseModel):
    """What all requests have in common."""

    request_uuid: Word
    token: Word
    user: Word | None = None
    game_code: Word | None = None
    game_id: Number | None = None
    currency: Word | None = None


class Transaction(Body):
    user: Word
    transaction_uuid: Word
    round_closed: StrictBool = False


class Bet(Transaction):
    round: Word
    currency: Word
    amount: Any


class Win(Bet):
    reference_transaction_uuid: Word


class Rollback(Transaction):
    round: Word | None = None
    reference_transaction_uuid: Word


BODIES: Mapping[Verb, type[Body]] = {
    "balance": Body,
    "debit": Bet,
    "credit": Win,
    "rollback": Rollback,
}


class Caleta(Dialect):
    """A failed win or rollback is repeated without end, but for statuses that it calls final."""

    name = "caleta"
    money = Scaled(5)
    policy = Policy(
        accept_unknown_target=False,
        current_balance=True,
        refund_must_match=False,
        bet_after_payout=False,
        zero_closes=False,
    )
    paths: ClassVar[Mapping[str, Verb]] = {
        "/wallet/balance": "balance",
        "/wallet/bet": "debit",
        "/wallet/win": "credit",
        "/wallet/rollback": "rollback",
    }
    words: ClassVar[Mapping[Code, Any]] = {
        Code.INVALID_SIGNATURE: "RS_ERROR_INVALID_SIGNATURE",
        Code.STALE: "RS_ERROR_INVALID_SIGNATURE",
        Code.MALFORMED: "RS_ERROR_WRONG_SYNTAX",
        Code.WRONG_TYPE: "RS_ERROR_WRONG_TYPES",
        Code.BAD_AMOUNT: "RS_ERROR_WRONG_TYPES",
        Code.NEGATIVE_AMOUNT: "RS_ERROR_WRONG_TYPES",
        Code.INVALID_TOKEN: "RS_ERROR_INVALID_TOKEN",
        Code.CONFLICT: "RS_ERROR_DUPLICATE_TRANSACTION",
        Code.TOKEN_EXPIRED: "RS_ERROR_TOKEN_EXPIRED",
        Code.OTHER_PLAYER: "RS_ERROR_INVALID_TOKEN",
        Code.UNKNOWN_GAME: "RS_ERROR_INVALID_GAME",
        Code.WRONG_CURRENCY: "RS_ERROR_WRONG_CURRENCY",
        Code.PLAYER_DISABLED: "RS_ERROR_USER_DISABLED",
        Code.INSUFFICIENT_FUNDS: "RS_ERROR_NOT_ENOUGH_MONEY",
        Code.LIMIT_EXCEEDED: "RS_ERROR_BET_LIMIT_EXCEEDED",
        # Its list has no word for what is over; these are final to it, so that it stops asking.
        Code.ROUND_CLOSED: "RS_ERROR_DUPLICATE_TRANSACTION",
        Code.ALREADY_SETTLED: "RS_ERROR_DUPLICATE_TRANSACTION",
        Code.AMOUNT_MISMATCH: "RS_ERROR_DUPLICATE_TRANSACTION",
        Code.BET_NOT_FOUND: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.NOT_A_BET: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.ROLLED_BACK: "RS_ERROR_TRANSACTION_ROLLED_BACK",
        Code.ALREADY_ROLLED_BACK: "RS_ERROR_TRANSACTION_ROLLED_BACK",
        # It asks for none of what these refuse.
        Code.WIN_NOT_FOUND: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.NOT_A_WIN: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.BUY_IN_NOT_FOUND: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.NOT_A_BUY_IN: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.REWARD_NOT_FOUND: "RS_ERROR_TRANSACTION_DOES_NOT_EXIST",
        Code.REWARD_EXPIRED: "RS_ERROR_BET_LIMIT_EXCEEDED",
        Code.REWARD_CANCELLED: "RS_ERROR_BET_LIMIT_EXCEEDED",
        Code.REWARD_USED_UP: "RS_ERROR_BET_LIMIT_EXCEEDED",
        Code.REWARD_CLAIMED: "RS_ERROR_BET_LIMIT_EXCEEDED",
        Code.REFUSED: "RS_ERROR_BET_LIMIT_EXCEEDED",
    }

    def authentic(self, body: bytes, headers: Mapping[str, str], keys: Sequence[str]) -> bool:
        return signatures.is_rsa(body, headers.get(SIGNATURE, ""), keys)

    def read(self, verb: Verb, body: object) -> Given:
        found = shaped(BODIES[verb], body)
        return Given(
            verb=verb,
            token=found.token,
            id=getattr(found, "transaction_uuid", ""),
            player=found.user,
            game=found.game_code or found.game_id,
            currency=found.currency,
            round=getattr(found, "round", None),
            amount=getattr(found, "amount", None),
            target=getattr(found, "reference_transaction_uuid", None),
            closes=getattr(found, "round_closed", False),
            request=found.request_uuid,
        )

    def say(self, given: Given | None, told: Told) -> Reply:
        status = "RS_OK" if told.code is None else self.words[told.code]
        body: dict[str, Any] = {"status": status}
        body["request_uuid"] = None if given is None else given.request
        if told.balance is not None:
            body |= {"user": told.player, "currency": told.currency}
            body["balance"] = self.money.say(told.balance, told.scale)
        return Reply(200, body)
