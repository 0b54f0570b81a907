"""A bond on Anvil for the tests: every verb once on a real node, with what it said and cost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from coincurve import PrivateKey

from chains.evm import send as evm
from chains.evm.logs import Log
from contracts import build_evm, vectors
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.rounds import Round, RoundBet, SignedRoot, bets_root
from games.fairness.vectors import drawn
from local import deploy

CHAIN = b"eip155:31337"
ETHER = 10**18
PERIOD, LEAD, REVEAL_WINDOW = 10, 1, 60
TABLE, ACCOUNT = "numbers", "player:17"
PAYEE = bytes([0xB0]) * 20


@dataclass
class EvmBond:
    """A bond whose keeper is its owner; `gas` remembers what each call cost, in order."""

    sender: evm.Sender
    address: str
    signer: PrivateKey
    opens: int = 0
    gas: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    async def deployed(cls, sender: evm.Sender, *, bond: int = 1_000 * ETHER) -> EvmBond:
        key = vectors.signer_key("bond")
        signer = "0x" + vectors.signer_of(key).hex()
        address = await deploy.bond_to_evm(sender, sender.address, signer, bond=bond)
        return cls(sender, address, key)

    def __post_init__(self) -> None:
        interface = json.loads(build_evm.BOND_ABI.read_text())
        self.program = evm.Program(interface, self.address)

    async def call(self, verb: str, *args: object, value: int = 0) -> None:
        tx = await self.sender.send(self.program.call(verb, list(args), value=value))
        await self.sender.confirm(tx)
        asked = await self.sender.rpc.node.ask("eth_getTransactionReceipt", [tx], dict)
        self.gas.append((verb, int(asked["gasUsed"], 16)))

    async def logs(self) -> list[Log]:
        head = await self.sender.rpc.head()
        return await self.sender.rpc.logs(self.address, 0, head)

    async def jump_to(self, time: int) -> None:
        for method, params in (("evm_setNextBlockTimestamp", [time]), ("evm_mine", [])):
            await self.sender.rpc.node.ask(method, params, object)

    async def now(self) -> int:
        (header,) = await self.sender.rpc.headers([await self.sender.rpc.head()])
        return int(header.timestamp, 16)

    def spot(self, number: int) -> Round:
        return Round(CHAIN, bytes.fromhex(self.address[2:]), TABLE.encode(), number)

    def seed(self, number: int) -> bytes:
        return drawn("seed", number)

    def tree(self, first: int, count: int) -> merkle.Tree:
        numbers = range(first, first + count)
        return merkle.Tree.over([self.spot(n).commit(self.seed(n)) for n in numbers])

    def closes(self, number: int) -> int:
        return self.opens + (number + 1) * PERIOD - LEAD

    async def commit(self, first: int, count: int, opens: int, most: int = ETHER) -> None:
        schedule = (opens, PERIOD, LEAD, REVEAL_WINDOW)
        root = self.tree(first, count).root
        await self.call("commit", TABLE, root, first, count, 1, schedule, most)

    async def anchor(self, start: int, *said: SignedRoot) -> None:
        roots, counts = [one.root for one in said], [one.count for one in said]
        liabilities = [one.liability for one in said]
        await self.call("anchor", TABLE, 0, start, roots, counts, liabilities)

    async def reveal(self, number: int, count: int) -> None:
        proof = self.tree(0, count).proof(number)
        await self.call("reveal", TABLE, 0, number, self.seed(number), proof)

    def bets(self, number: int, count: int, liability: int = ETHER // 10_000) -> list[RoundBet]:
        spot, details = self.spot(number), drawn("details")
        return [
            RoundBet(spot, at, drawn("bet", at), PAYEE, 5_000, liability, details)
            for at in range(count)
        ]

    def signed_root(self, bets: list[RoundBet]) -> SignedRoot:
        root = bets_root([bet.leaf for bet in bets])
        return SignedRoot(bets[0].round, root, len(bets), sum(bet.liability for bet in bets))

    def sign(self, said: SignedRoot) -> bytes:
        return vectors.signed(self.signer, said.digest)

    async def claim(self, bets: list[RoundBet], position: int) -> None:
        said, bet = self.signed_root(bets), bets[position]
        proof = merkle.Tree.over([one.leaf for one in bets]).proof(position)
        money = (bet.stake, bet.liability)
        ticket = (position, bet.bet_id, "0x" + bet.payee.hex(), *money, bet.details)
        number, told = said.round.number, (said.root, said.count, said.liability)
        await self.call("claim", TABLE, 0, number, told, self.sign(said), ticket, proof)

    async def slash(self, one: SignedRoot, other: SignedRoot) -> None:
        args: list[object] = []
        for said in (one, other):
            args += [(said.root, said.count, said.liability), self.sign(said)]
        await self.call("slash", TABLE, 0, one.round.number, *args)

    def pair_tree(self, count: int) -> merkle.Tree:
        pairs = [Pair(CHAIN, ACCOUNT.encode(), place) for place in range(count)]
        return merkle.Tree.over([pair.commit(self.seed(pair.epoch)) for pair in pairs])

    async def reveal_pair(self, number: int, place: int, count: int) -> None:
        proof, seed = self.pair_tree(count).proof(place), self.seed(place)
        await self.call("revealPair", number, place, ACCOUNT, place, seed, proof)

    async def pairs(self, count: int = 256) -> None:
        """Two commitments of pairs, and two pairs shown of the first."""
        root = self.pair_tree(count).root
        await self.call("commitPairs", 0, root, count, 1)
        await self.call("commitPairs", 1, root, count, 2)
        await self.reveal_pair(0, 7, count)
        await self.reveal_pair(0, count - 1, count)

    async def live(self, count: int = 8, bets: int = 3) -> None:
        """Every verb once or twice: rounds shown, withheld and contradicted, money in and out."""
        await self.pairs()
        claim_window = deploy.CLAIM_WINDOW_S
        self.opens = await self.now() + 100
        await self.commit(0, count, self.opens)
        await self.commit(count, count, self.opens + count * PERIOD)
        await self.jump_to(self.closes(count - 1))
        last = count - 1
        await self.anchor(last, self.signed_root(self.bets(last, bets)))
        await self.reveal(last, count)
        said = [self.signed_root(self.bets(number, bets)) for number in range(last - 3, last)]
        await self.anchor(last - 3, *said)
        await self.jump_to(self.closes(0) + REVEAL_WINDOW + count * PERIOD)
        withheld = self.bets(0, bets)
        await self.claim(withheld, 0)
        await self.claim(withheld, 1)
        one, other = self.signed_root(self.bets(1, bets)), self.signed_root(self.bets(1, bets + 1))
        await self.slash(one, other)
        await self.jump_to(self.closes(last) + REVEAL_WINDOW + claim_window)
        await self.call("release", TABLE, 0)
        await self.call("fund", value=1)
        await self.call("withdraw", 1)
        await self.call("setPaused", True)
        await self.call("setKeeper", self.sender.address)
        await self.call("setSigner", "0x" + PAYEE.hex())
