"""Bets played on two fake chains: placed, settled, refunded, and one of them lands twice."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from Crypto.Hash import keccak

from chains.evm.rpc import Rpc as EvmRpc
from chains.solana.address import to_base58
from chains.solana.rpc import Rpc as SolanaRpc
from indexer.evm import EvmListener
from indexer.inbox import Inbox
from indexer.solana import SolanaListener
from tests.indexer.conftest import follow
from tests.indexer.nodes import EvmChain, FakeNode, SolanaChain

GENESIS = "G" * 44
SOLANA = f"solana:{GENESIS[:32]}"
EVM = "eip155:31337"
STAKE = 10**9
BETS = 60
AGAIN = 30  # the bet that lands twice
Log = tuple[list[str], str]
Page = tuple[str, int]  # the queue that it goes to, and its id


def word(value: int) -> str:
    return f"{value:064x}"


def log(signature: str, topics: list[int], data: list[int]) -> Log:
    name = keccak.new(digest_bits=256, data=signature.encode()).hexdigest()
    return [f"0x{one}" for one in (name, *map(word, topics))], "0x" + "".join(map(word, data))


def event(name: str, layout: str, *values: object) -> bytes:
    """An Anchor event: its discriminator and its fields."""
    return hashlib.sha256(f"event:{name}".encode()).digest()[:8] + struct.pack(
        f"<{layout}", *values
    )


PLACED = "BetPlaced(uint64,address,bytes32,uint16,uint16,uint256,uint256,uint64)"
SETTLED = "BetSettled(uint64,address,uint16,uint256,bytes32)"
REFUNDED = "BetRefunded(uint64,address,uint256,uint256)"
REVEALED = "SeedRevealed(uint64,bytes32)"
DEADLINE = 1_790_000_900


def paid(bet: int) -> int:
    return (bet % 2) * 2 * STAKE


def blocks() -> list[list[Log]]:
    """Each bet in a block of its own, ended a few blocks later; every seventh is refunded."""
    made: list[list[Log]] = [[] for _ in range(BETS + 6)]
    for bet in range(BETS):
        who = 0xA000 + bet % 5
        asked = [7 + bet, 0, 5000, STAKE + bet, 2 * STAKE, DEADLINE]
        made[bet].append(log(PLACED, [bet, who], asked))
        later = made[bet + 1 + bet % 5]
        if bet % 7 == 6:
            later.append(log(REFUNDED, [bet, who], [STAKE + bet, 5]))
            continue
        later.append(log(REVEALED, [bet], [bet]))
        later.append(log(SETTLED, [bet, who], [bet % 10_000, paid(bet), bet]))
    made[3].append((["0x" + "99" * 32], "0x"))  # nobody knows this event
    return made


def bodies() -> list[bytes]:
    """The same on Solana, an event in each transaction."""
    made: list[tuple[int, bytes]] = []
    for bet in range(BETS):
        who, seed = bytes([0xA0 + bet % 5]) * 32, bytes([bet]) * 32
        asked = (bet, who, seed, 0, 5000, STAKE + bet, 2 * STAKE, DEADLINE)
        made.append((bet, event("BetPlaced", "Q32s32sHHQQQ", *asked)))
        end = bet + 1 + bet % 5
        if bet % 7 == 6:
            made.append((end, event("BetRefunded", "Q32sQQ", bet, who, STAKE + bet, 5)))
            continue
        made.append((end, event("SeedRevealed", "Q32s", bet, seed)))
        made.append((end, event("BetSettled", "Q32sHQ32s", bet, who, bet, paid(bet), seed)))
    made.append((5, b"\x99" * 20))  # nobody knows this event
    return [body for _, body in sorted(made, key=lambda one: one[0])]


@dataclass
class Table:
    """Two casinos, and who listens to them."""

    evm: EvmChain
    solana: SolanaChain
    listeners: list[tuple[str, EvmListener | SolanaListener]] = field(default_factory=list)

    async def play(self) -> list[Page]:
        """All bets on both chains, listed as they come; the pages."""
        pages = await self.listed()
        for at, block in enumerate(blocks()):
            self.evm.add(block)
            if at % 6 == 0:
                pages += await self.listed()
        for at, body in enumerate(bodies()):
            self.solana.add(slot=self.solana.slot + (at % 3 == 0), body=body)
            if at % 17 == 0:
                pages += await self.listed()
        return pages + await self.listed()

    async def land_again(self) -> list[Page]:
        """The transaction of a bet falls out of its slot, and lands in a new one."""
        placed = event("BetPlaced", "Q", AGAIN)
        at = next(at for at, body in enumerate(bodies()) if body.startswith(placed))
        again = self.solana.txs[at]
        self.solana.slot += 2
        again["slot"] = self.solana.slot
        again["blockTime"] = 1_790_000_000 + self.solana.slot
        self.solana.txs.append(self.solana.txs.pop(at))
        return await self.listed()

    async def listed(self) -> list[Page]:
        """What following both to their heads brings now."""
        pages: list[Page] = []
        for queue, listener in self.listeners:
            pages += [(queue, page) for page in (await listener.poll()).pages]
            while (found := await listener.backfill()) is not None:
                pages += [(queue, page) for page in found]
        return pages


@contextlib.asynccontextmanager
async def table(inbox: Inbox, node: FakeNode) -> AsyncIterator[Table]:
    """Two empty casinos on chains that this node tells of; the same every time."""
    evm, solana = EvmChain("0x" + "ca" * 20), SolanaChain(to_base58(b"\xca" * 32))
    solana.genesis = GENESIS
    async with contextlib.AsyncExitStack() as stack:
        node.methods = evm.methods() | solana.methods()
        made = Table(evm, solana)
        ether, sol = EvmRpc([node.url], rate=10_000), SolanaRpc([node.url], rate=10_000)
        stack.push_async_callback(ether.close)
        stack.push_async_callback(sol.close)
        first = EvmListener(await follow(inbox, evm.address, EVM), ether, inbox, 0, 10)
        second = SolanaListener(await follow(inbox, solana.address, SOLANA), sol, inbox, 0, 20)
        made.listeners = [("interpretation", first), ("chain", second)]
        yield made
