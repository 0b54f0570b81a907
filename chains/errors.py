"""What can go wrong between a chain and the house."""

from __future__ import annotations


class ChainError(Exception):
    """Anything a chain, its interface or its manifest can do wrong."""


class Undecodable(ChainError):
    """Bytes that the program's interface does not explain; they go to the dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(ChainError):
    """An answer that is not complete yet; asking again later may give it."""


class WrongChain(ChainError):
    """The RPC serves another chain than the one the network names."""


class RpcError(ChainError):
    """A node did not answer, or answered with an error."""

    def __init__(self, message: str, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class BadInterface(ChainError):
    """An IDL or ABI that cannot be compiled."""


class BadManifest(ChainError):
    """A program's or network's manifest that does not hold together."""


class BadAddress(ChainError, ValueError):
    """Text that is no address of the chain."""
