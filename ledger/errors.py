"""Why the books refuse; each refusal is a fact with its evidence and changes nothing."""

from __future__ import annotations

from typing import Any


class LedgerError(Exception):
    """Anything the ledger says no to."""


class Refusal(LedgerError):
    """A transfer or hold that the rules do not allow; `code` is stable, `evidence` is JSON."""

    code = "REFUSED"

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence


class InsufficientFunds(Refusal):
    """What an account may spend is less than what it should."""

    code = "INSUFFICIENT_FUNDS"


class LimitExceeded(Refusal):
    """An account would hold more than it may."""

    code = "LIMIT_EXCEEDED"


class AccountClosed(Refusal):
    code = "ACCOUNT_CLOSED"


class UnknownAccount(Refusal):
    """No such account, and its name does not say of which kind it would be."""

    code = "UNKNOWN_ACCOUNT"


class UnknownAsset(Refusal):
    """The books do not count this asset."""

    code = "UNKNOWN_ASSET"


class Duplicate(Refusal):
    """The reference stands already for a transfer of this type."""

    code = "DUPLICATE_REFERENCE"


class AlreadyReversed(Refusal):
    code = "ALREADY_REVERSED"


class NotReversible(Refusal):
    """No such transfer, or it reverses one itself."""

    code = "NOT_REVERSIBLE"


class HoldEnded(Refusal):
    """Captured, released or expired before."""

    code = "HOLD_ENDED"


class HoldExceeded(Refusal):
    """More is captured than the hold still has."""

    code = "HOLD_EXCEEDED"


class VersionMismatch(Refusal):
    """The account moved on since the caller looked."""

    code = "VERSION_MISMATCH"


class Unbalanced(LedgerError, ValueError):
    """Postings that do not sum to zero in an asset and colour: a mistake of the caller's code."""
