"""Paying withdrawals from a custody, on each chain in the same words: try, pay, look, take up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from web3.types import TxParams

from casino.withdrawals import Payment, Withdrawal
from chains.errors import ChainError
from chains.evm import address as evm_address
from chains.evm import send as evm
from chains.evm.send import SendRefused as EvmRefused
from chains.solana import send as solana
from chains.solana.rpc import Status
from chains.solana.send import SendRefused as SolanaRefused

REFUSED = (EvmRefused, SolanaRefused)
PAID, RECEIPT = 0, 16  # bytes of data: a wallet's, and those of the account that a payment leaves
SIGNATURE_LAMPORTS = 5_000
# paid: it landed well, though perhaps not for good; waiting: it may land yet; failed: it landed
# and moved nothing, for good; lost: it never lands.
Fate = Literal["paid", "waiting", "failed", "lost"]
Note = Callable[[Payment], Awaitable[None]]


class Obstacle(ChainError):
    """Why a withdrawal cannot be paid now, in a word; or ever, if it is `for_good`."""

    def __init__(self, word: str, message: str, *, for_good: bool = False) -> None:
        super().__init__(message)
        self.word = word
        self.for_good = for_good


# What the contracts' errors mean for a withdrawal, by their names.
OBSTACLES = {
    "VaultTooPoor": "vault_too_poor",
    "AlreadyPaid": "already_paid",
    "BelowRent": "below_rent",
    "NotKeeper": "not_keeper",
}
FOR_GOOD = {"below_rent"}


def obstacle(name: str | None, error: ChainError, *, poor: bool = False) -> Obstacle:
    """What a refusal means; without a name it may be the keeper who is `poor`."""
    word = OBSTACLES.get(name or "", "keeper_too_poor" if poor else "refused")
    return Obstacle(word, f"{name or word}: {error}", for_good=word in FOR_GOOD)


class Till(Protocol):
    """The keeper's hand on one custody.

    `pay` tries first, tells `note` what it signed before anybody else has it, and then sends it.
    `fate` is what became of all that was signed for a withdrawal; `take_up` sends it again. `free`
    is what the vault can pay out.
    """

    async def pay(self, withdrawal: Withdrawal, note: Note) -> None: ...
    async def fate(self, withdrawal: Withdrawal, payments: Sequence[Payment]) -> Fate: ...
    async def take_up(self, payments: Sequence[Payment], note: Note) -> None: ...
    async def renew(self) -> None: ...
    async def free(self) -> int: ...


class EvmTill:
    """The contract of contracts/evm, which pays each request once."""

    def __init__(self, sender: evm.Sender, contract: evm.Program, depth: int) -> None:
        self._sender, self._contract, self._depth = sender, contract, depth

    async def pay(self, withdrawal: Withdrawal, note: Note) -> None:
        """Raises `Obstacle`, or a refusal of the node after it was signed."""
        call = self._call(withdrawal)
        gas = await self.tried(call)
        await self._sender.send({**call, "gas": gas}, self._noted(note))

    async def tried(self, call: TxParams) -> int:
        """The gas it may use. Raises `Obstacle`."""
        try:
            gas = await self._sender.tried(call)
        except EvmRefused as error:
            poor = "insufficient funds" in str(error).lower()
            raise obstacle(self._contract.error(error.data), error, poor=poor) from error
        most = await self._sender.dearest(gas)
        if await self._sender.rpc.balance(self._sender.address) < most:
            raise Obstacle("keeper_too_poor", f"{self._sender.address} needs {most} wei for gas")
        return gas

    async def fate(self, withdrawal: Withdrawal, payments: Sequence[Payment]) -> Fate:
        """A number counts as used up only by the final chain."""
        failed = False
        for sender in sorted({one.sender for one in payments}):
            mine = [one for one in payments if one.sender == sender]
            seen = await self._sender.rpc.seen([one.tx for one in mine], sender, self._depth)
            for receipt in seen.receipts:
                if receipt is not None and int(receipt.status, 16) == 1:
                    return "paid"
                if receipt is not None and int(receipt.block_number, 16) > seen.height:
                    return "waiting"
                failed |= receipt is not None
            stranger = sender != self._sender.address
            if not stranger and any((one.tx_nonce or 0) >= seen.landed for one in mine):
                return "waiting"
        request = bytes.fromhex(withdrawal.request)
        if await self._sender.read(self._contract, "paid", [request]):
            return "paid"
        return "failed" if failed else "lost"

    async def take_up(self, payments: Sequence[Payment], note: Note) -> None:
        newest = payments[-1]
        if newest.sender == self._sender.address and not await self._sender.waits(newest.tx):
            alike = [one for one in payments if one.tx_nonce == newest.tx_nonce]
            signed = [evm.Signed(one.tx, one.raw, one.tx_nonce or 0) for one in alike]
            await self._sender.resume(signed, self._noted(note))

    async def renew(self) -> None:
        await self._sender.renew()

    async def free(self) -> int:
        return int(await self._sender.read(self._contract, "free"))

    def _call(self, withdrawal: Withdrawal) -> TxParams:
        request = bytes.fromhex(withdrawal.request)
        to = evm_address.checksummed(withdrawal.address)
        return self._contract.call("withdraw", [to, withdrawal.amount, request])

    def _noted(self, note: Note) -> evm.Note:
        sender = self._sender.address

        async def noted(signed: evm.Signed) -> None:
            await note(Payment(signed.tx, sender, signed.raw, tx_nonce=signed.tx_nonce))

        return noted


class SolanaTill:
    """The program of contracts/solana, which leaves an account for each request that it paid."""

    def __init__(
        self,
        sender: solana.Sender,
        casino: solana.Program,
        locked: Callable[[], Awaitable[int]],
    ) -> None:
        self._sender, self._casino, self._locked = sender, casino, locked
        self._vault = casino.derive(b"vault")

    async def pay(self, withdrawal: Withdrawal, note: Note) -> None:
        """Raises `Obstacle`, or a refusal of the node after it was signed."""
        calls = [self._call(withdrawal)]
        await self.tried(calls)
        signed = await self._sender.sign(calls)
        await note(self._payment(signed))
        await self._sender.broadcast(signed.raw)

    async def tried(self, calls: Sequence[Instruction]) -> None:
        """Raises `Obstacle`."""
        try:
            await self._sender.tried(calls)
        except SolanaRefused as error:
            least = await self._sender.rpc.rent(PAID) + await self._sender.rpc.rent(RECEIPT)
            least += SIGNATURE_LAMPORTS + self._sender.extra(calls)
            poor = await self._sender.rpc.balance(self._sender.address) < least
            raise obstacle(self._casino.error(error.code), error, poor=poor) from error

    async def fate(self, withdrawal: Withdrawal, payments: Sequence[Payment]) -> Fate:
        """A blockhash counts as expired only by the final chain's height."""
        account = self._casino.derive(b"withdrawal", bytes.fromhex(withdrawal.request))
        seen = await self._sender.rpc.seen([one.tx for one in payments], str(account))
        if seen.there or any(landed(status) for status in seen.statuses):
            return "paid"
        for payment, status in zip(payments, seen.statuses, strict=True):
            if status is not None and status.confirmation_status != "finalized":
                return "waiting"
            if status is None and seen.height <= (payment.last_valid or 0):
                return "waiting"
        return "failed" if any(status is not None for status in seen.statuses) else "lost"

    async def take_up(self, payments: Sequence[Payment], note: Note) -> None:
        """The same bytes again: it is the same tx, however often a node gets it."""
        await self._sender.broadcast(payments[-1].raw)

    async def renew(self) -> None:
        """Nothing rises here: what a tx offers stays, and the one after it offers more."""

    async def free(self) -> int:
        """What no open bet can claim and rent does not need."""
        held = await self._sender.balance(self._vault)
        return max(0, held - await self._locked() - await self._sender.rpc.rent(PAID))

    def _call(self, withdrawal: Withdrawal) -> Instruction:
        args = {"amount": withdrawal.amount, "request": bytes.fromhex(withdrawal.request)}
        accounts = {"keeper": self._sender.key.pubkey()}
        accounts["player"] = Pubkey.from_string(withdrawal.address)
        return self._casino.call("withdraw", args, accounts)

    def _payment(self, signed: solana.Signed) -> Payment:
        return Payment(signed.tx, self._sender.address, signed.raw, last_valid=signed.last_valid)


def landed(status: Status | None) -> bool:
    return status is not None and status.err is None
