"""Why a provider's call is refused, in the casino's words; dialects have a word for each."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    # Before anything is looked up; not remembered.
    INVALID_SIGNATURE = "INVALID_SIGNATURE"
    STALE = "STALE"  # signed too long ago, or for a time to come
    MALFORMED = "MALFORMED"
    WRONG_TYPE = "WRONG_TYPE"
    BAD_AMOUNT = "BAD_AMOUNT"
    NEGATIVE_AMOUNT = "NEGATIVE_AMOUNT"
    INVALID_TOKEN = "INVALID_TOKEN"
    CONFLICT = "CONFLICT"  # the id stands for another call
    # Decided, and remembered under the call's id.
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    OTHER_PLAYER = "OTHER_PLAYER"
    UNKNOWN_GAME = "UNKNOWN_GAME"
    WRONG_CURRENCY = "WRONG_CURRENCY"
    PLAYER_DISABLED = "PLAYER_DISABLED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    ROUND_CLOSED = "ROUND_CLOSED"
    BET_NOT_FOUND = "BET_NOT_FOUND"
    NOT_A_BET = "NOT_A_BET"
    ROLLED_BACK = "ROLLED_BACK"  # a debit or credit whose bet was rolled back
    ALREADY_ROLLED_BACK = "ALREADY_ROLLED_BACK"  # a rollback of one
    ALREADY_SETTLED = "ALREADY_SETTLED"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    WIN_NOT_FOUND = "WIN_NOT_FOUND"
    NOT_A_WIN = "NOT_A_WIN"
    BUY_IN_NOT_FOUND = "BUY_IN_NOT_FOUND"
    NOT_A_BUY_IN = "NOT_A_BUY_IN"
    REWARD_NOT_FOUND = "REWARD_NOT_FOUND"
    REWARD_EXPIRED = "REWARD_EXPIRED"
    REWARD_CANCELLED = "REWARD_CANCELLED"
    REWARD_USED_UP = "REWARD_USED_UP"
    REWARD_CLAIMED = "REWARD_CLAIMED"  # what was played with is not cancelled
    REFUSED = "REFUSED"  # by any other rule of the casino


class Refused(Exception):
    """A call that gets nowhere; nothing was changed or remembered."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
