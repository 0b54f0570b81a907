"""Valkyrie's PAM API 0.6, which is public: one path, types of transactions, decimals of six digits.

Types, fields and codes are those of `pam/pam_api.yml` in github.com/valkyrie-fnd/valkyrie. It has a
token of the whole platform where we demand a signature; so what it puts into path and headers is in
the body here, which is signed with a time and a nonce, as docs.velo.games (five minutes, either
way) and Standard Webhooks do. Four things it lacks are said in its manner: a bet with its payout
(`wagerAndResult` of groove-docs.pages.dev), a payout taken back (`reversewin` there), a reward
cancelled (docs.155.io), and codes for rewards and for times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, StrictBool
from pydantic.alias_generators import to_camel

from casino.providers import signatures
from casino.providers.calls import Policy
from casino.providers.codes import Code, Refused
from casino.providers.dialect import Dialect, Given, Number, Reply, Stamp, Told, Verb, Word, shaped
from casino.providers.money import Decimals

SIGNATURE, TIME, NONCE = "x-signature", "x-timestamp", "x-nonce"
Type = Literal[
    "WITHDRAW",
    "DEPOSIT",
    "CANCEL",
    "PROMOWITHDRAW",
    "PROMODEPOSIT",
    "PROMOCANCEL",
    "WITHDRAWDEPOSIT",
    "CANCELDEPOSIT",
    "CANCELAWARD",
]
VERBS: Mapping[Type, Verb] = {
    "WITHDRAW": "debit",
    "DEPOSIT": "credit",
    "CANCEL": "rollback",
    "PROMOWITHDRAW": "buy_in",
    "PROMODEPOSIT": "prize",
    "PROMOCANCEL": "refund",
    "WITHDRAWDEPOSIT": "play",
    "CANCELDEPOSIT": "reversal",
    "CANCELAWARD": "cancel",
}
FREE = ("FREEROUNDS", "FREESPINS")


class Camel(BaseModel, alias_generator=to_camel):
    """Fields in camel case on the wire."""


class Body(Camel):
    """Who plays what."""

    session_token: Word
    player_id: Word | None = None
    provider_game_id: Number | None = None
    currency: Word | None = None


class Tip(Camel):
    tip_amount: Any


class Jackpot(Camel):
    jackpot_id: Word
    jackpot_amount: Any


class Promo(Camel):
    promo_type: Word
    promo_award_ref: Word | None = None


class Transaction(Body):
    """Of the three amounts the one counts that its type is about, and the others are nothing.

    `providerBetRef` is the transaction that this one is about. In a bet a jackpot's amount is what
    was contributed, and in a payout what was won of it.
    """

    transaction_type: Type
    provider_transaction_id: Word
    provider_bet_ref: Word | None = None
    provider_round_id: Word | None = None
    is_game_over: StrictBool = False
    cash_amount: Any = 0
    bonus_amount: Any = 0
    promo_amount: Any = 0
    win_amount: Any = None
    jackpots: list[Jackpot] = []
    promos: list[Promo] = []
    tip: Tip | None = None


class Valkyrie(Dialect):
    name = "valkyrie"
    money = Decimals(6)
    fractions = True
    policy = Policy(
        accept_unknown_target=False,
        current_balance=True,
        refund_must_match=False,
        bet_after_payout=True,
        zero_closes=False,
        more=frozenset({"play", "reversal", "tip", "buy_in", "prize", "refund", "cancel"}),
    )
    paths: ClassVar[Mapping[str, Verb]] = {
        "/pam/players/balance": "balance",
        "/pam/players/transactions": "transaction",
    }
    statuses: ClassVar[Mapping[Code, int]] = {
        Code.INVALID_SIGNATURE: 401,
        Code.STALE: 401,
        Code.INVALID_TOKEN: 401,
        Code.MALFORMED: 400,
        Code.WRONG_TYPE: 400,
        Code.BAD_AMOUNT: 400,
    }
    words: ClassVar[Mapping[Code, Any]] = {
        Code.INVALID_SIGNATURE: "PAM_ERR_API_TOKEN",
        Code.STALE: "PAM_ERR_TIMESTAMP_EXPIRED",
        Code.MALFORMED: "PAM_ERR_UNDEFINED",
        Code.WRONG_TYPE: "PAM_ERR_UNDEFINED",
        Code.BAD_AMOUNT: "PAM_ERR_UNDEFINED",
        Code.NEGATIVE_AMOUNT: "PAM_ERR_NEGATIVE_STAKE",
        Code.INVALID_TOKEN: "PAM_ERR_SESSION_NOT_FOUND",
        Code.CONFLICT: "PAM_ERR_DUPLICATE_TRANS",
        Code.TOKEN_EXPIRED: "PAM_ERR_SESSION_EXPIRED",
        Code.OTHER_PLAYER: "PAM_ERR_PLAYER_NOT_FOUND",
        Code.UNKNOWN_GAME: "PAM_ERR_GAME_NOT_FOUND",
        Code.WRONG_CURRENCY: "PAM_ERR_TRANS_CURRENCY",
        Code.PLAYER_DISABLED: "PAM_ERR_ACC_NOT_FOUND",
        Code.INSUFFICIENT_FUNDS: "PAM_ERR_CASH_OVERDRAFT",
        Code.LIMIT_EXCEEDED: "PAM_ERR_BET_NOT_ALLOWED",
        Code.ROUND_CLOSED: "PAM_ERR_ROUND_CLOSED",
        Code.BET_NOT_FOUND: "PAM_ERR_TRANS_NOT_FOUND",
        Code.NOT_A_BET: "PAM_ERR_CANCEL_NON_WITHDRAW",
        Code.ROLLED_BACK: "PAM_ERR_TRANS_ALREADY_CANCELLED",
        Code.ALREADY_ROLLED_BACK: "PAM_ERR_TRANS_ALREADY_CANCELLED",
        Code.ALREADY_SETTLED: "PAM_ERR_TRANS_ALREADY_SETTLED",
        Code.AMOUNT_MISMATCH: "PAM_ERR_AMOUNT_MISMATCH",
        Code.WIN_NOT_FOUND: "PAM_ERR_CANCEL_NOT_FOUND",
        Code.NOT_A_WIN: "PAM_ERR_CANCEL_NON_DEPOSIT",
        Code.BUY_IN_NOT_FOUND: "PAM_ERR_PROMO_NOT_FOUND",
        Code.NOT_A_BUY_IN: "PAM_ERR_CANCEL_NON_PROMOWITHDRAW",
        Code.REWARD_NOT_FOUND: "PAM_ERR_AWARD_NOT_FOUND",
        Code.REWARD_EXPIRED: "PAM_ERR_AWARD_EXPIRED",
        Code.REWARD_CANCELLED: "PAM_ERR_AWARD_CANCELLED",
        Code.REWARD_USED_UP: "PAM_ERR_AWARD_USED_UP",
        Code.REWARD_CLAIMED: "PAM_ERR_AWARD_CLAIMED",
        Code.REFUSED: "PAM_ERR_BET_NOT_ALLOWED",
    }

    @property
    def verbs(self) -> frozenset[Verb]:
        return frozenset({"balance", "tip", *VERBS.values()})

    def authentic(self, body: bytes, headers: Mapping[str, str], keys: Sequence[str]) -> bool:
        time, id = self.stamp(headers)
        signed = signatures.stamped(body, time, id)
        return bool(id) and signatures.is_hmac(signed, headers.get(SIGNATURE, ""), keys)

    def stamp(self, headers: Mapping[str, str]) -> Stamp:
        return Stamp(headers.get(TIME, ""), headers.get(NONCE, ""))

    def read(self, verb: Verb, body: object) -> Given:
        if verb == "balance":
            found = shaped(Body, body)
            return Given(verb=verb, **_who(found))
        asked = shaped(Transaction, body)
        verb, amount = self._meant(asked)
        reward = next((one.promo_award_ref for one in asked.promos if one.promo_type in FREE), None)
        return Given(
            verb=verb,
            **_who(asked),
            id=asked.provider_transaction_id,
            round=asked.provider_round_id,
            amount=amount,
            target=asked.provider_bet_ref,
            closes=asked.is_game_over,
            won=asked.win_amount,
            reward=reward,
            jackpots=[(one.jackpot_id, one.jackpot_amount) for one in asked.jackpots],
        )

    def say(self, given: Given | None, told: Told) -> Reply:
        body: dict[str, Any] = {"status": "OK" if told.code is None else "ERROR"}
        if told.code is not None:
            body["error"] = {
                "code": self.word(told.code, None if given is None else given.verb),
                "message": told.detail,
            }
        if told.balance is not None:
            said = {"cashAmount": self.money.say(told.balance, told.scale)}
            result: dict[str, Any] = {"balance": {**said, "bonusAmount": 0, "promoAmount": 0}}
            if told.number is not None:
                result["transactionId"] = told.number
            body |= {"transactionResult": result, "currency": told.currency}
        status = 200 if told.code is None else self.statuses.get(told.code, 200)
        return Reply(status, body)

    def word(self, code: Code, verb: Verb | None) -> str:
        if code == Code.BET_NOT_FOUND and verb == "rollback":
            return "PAM_ERR_CANCEL_NOT_FOUND"
        if code == Code.INSUFFICIENT_FUNDS and verb == "buy_in":
            return "PAM_ERR_PROMO_OVERDRAFT"
        return str(self.words[code])

    def _meant(self, asked: Transaction) -> tuple[Verb, object]:
        """What is asked, and the amount that it is about. Raises `Refused`."""
        amounts = {
            "cash": asked.cash_amount,
            "bonus": asked.bonus_amount,
            "promo": asked.promo_amount,
        }
        about = "promo" if asked.transaction_type.startswith("PROMO") else "cash"
        amount = amounts.pop(about)
        if any(self.money.read(other, 0) for other in amounts.values()):
            raise Refused(Code.BAD_AMOUNT, f"{asked.transaction_type} is about {about} alone")
        verb = VERBS[asked.transaction_type]
        if asked.tip is None or verb != "debit":
            return verb, amount
        if self.money.read(asked.tip.tip_amount, 6) != self.money.read(amount, 6):
            raise Refused(Code.BAD_AMOUNT, "a tip comes alone")
        return "tip", amount


def _who(body: Body) -> dict[str, Any]:
    return {
        "token": body.session_token,
        "player": body.player_id,
        "game": body.provider_game_id,
        "currency": body.currency,
    }
