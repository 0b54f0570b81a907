"""Rounds and pairs on real nodes from commitment to reveal, for tests of who checks them."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from chains import networks
from chains.evm import send as evm
from chains.solana import send as solana
from chains.solana.rpc import Rpc
from contracts import vectors
from games import GAMES
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.published.proofs import pair_bet
from games.fairness.published.values import SIGNER
from games.fairness.rounds import (
    AFTER_CLOSE,
    BLOCK,
    Beacon,
    Round,
    RoundBet,
    Schedule,
    SignedRoot,
    bets_root,
    details,
    game_of,
    of_chain,
)
from games.fairness.stream import Stream
from games.fairness.vectors import drawn
from games.fairness.verify.proofs import (
    Bets,
    Commitment,
    PairBet,
    PairProof,
    ProvedBet,
    RoundProof,
    Shown,
    written,
)
from games.paytables import params

EVM = b"eip155:31337"
COUNT, PERIOD, LEAD, WINDOW = 3, 2, 1, 60
MOST = 10**9
# Seconds before a batch opens, by the clock of a Surfpool; 32 of its slots are 3.2 of them.
AHEAD, TOO_FEW = 12, 3
CLOCK = "SysvarC1ock11111111111111111111111111111111"
KEY = vectors.signer_key("bond")


@dataclass(frozen=True, slots=True)
class Batch:
    """Three rounds of a table; the first of them is played, with three bets."""

    chain: bytes
    program: bytes
    table: bytes
    opens: int

    @property
    def played(self) -> Round:
        return Round(self.chain, self.program, self.table, 0)

    @property
    def schedule(self) -> Schedule:
        return Schedule(
            first=0,
            count=COUNT,
            opens=self.opens,
            period=PERIOD,
            lead=LEAD,
            reveal_window=WINDOW,
            kind=BLOCK,
            max_liability=MOST,
            signer=vectors.signer_of(KEY),
        )

    def seed(self, number: int) -> bytes:
        return drawn("seed", self.chain, self.table, number)

    @property
    def tree(self) -> merkle.Tree:
        rounds = (Round(self.chain, self.program, self.table, at) for at in range(COUNT))
        return merkle.Tree.over([one.commit(self.seed(one.number)) for one in rounds])

    @property
    def closes(self) -> int:
        return self.schedule.closes_at(0)

    def bets(self) -> list[ProvedBet]:
        game = GAMES[game_of(self.table)]
        choice = game.Choice.decoded(bytes([0, 0x13, 0x88]))  # a roll under 5,000
        return [
            ProvedBet(
                position=at,
                bet_id=drawn("bet", at),
                payee=drawn("payee", size=len(self.program)),
                stake=1_000 + at,
                liability=game.most(1_000 + at, choice) - 1_000 - at,
                account=b"player:17",
                asset=self.chain + b"/slip44:60",
                game=game.NAME,
                params=params(game, choice, game.PAYS),
                pay_table=game.PAYS.encoded(),
                proof=(),
                payout=0,
            )
            for at in range(3)
        ]

    def leaves(self) -> list[bytes]:
        return [
            RoundBet(
                round=self.played,
                position=bet.position,
                bet_id=bet.bet_id,
                payee=bet.payee,
                stake=bet.stake,
                liability=bet.liability,
                details=details(
                    account=bet.account, asset=bet.asset, game=bet.game, params=bet.params
                ),
            ).leaf
            for bet in self.bets()
        ]

    @property
    def statement(self) -> SignedRoot:
        liability = sum(bet.liability for bet in self.bets())
        return SignedRoot(self.played, bets_root(self.leaves()), 3, liability)

    def proof(self, *, tx: str, position: int, time: int, beacon: Beacon) -> dict[str, object]:
        """That of the bet in the middle, as its file holds it."""
        said, tree = self.statement, self.tree
        outcome = self.played.outcome(seed=self.seed(0), bets_root=said.root, beacon=beacon.hash)
        game = GAMES[game_of(self.table)]
        result = game.draw(Stream(outcome))
        bet = self.bets()[1]
        choice = game.Choice.decoded(bet.params[32:])
        siblings = merkle.Tree.over(self.leaves()).proof(1)
        return written(
            RoundProof(
                round=self.played,
                schedule=self.schedule,
                commitment=Commitment(tx.encode(), position, time, tree.root, tuple(tree.proof(0))),
                seed=self.seed(0),
                bets=Bets(said.root, 3, said.liability, vectors.signed(KEY, said.digest)),
                beacon=Shown(beacon, b""),
                outcome=outcome,
                draw=result,
                bet=ProvedBet(
                    **{
                        name: getattr(bet, name)
                        for name in ProvedBet.__slots__
                        if name not in ("proof", "payout")
                    },
                    proof=tuple(siblings),
                    payout=game.payout(bet.stake, choice, result),
                ),
            )
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A pair in the middle of a commitment of three, with three bets."""

    PLACE: ClassVar = 1
    PLACES: ClassVar = 3
    chain: bytes
    program: bytes
    account: bytes
    number: int

    @property
    def pair(self) -> Pair:
        return Pair(self.chain, self.account, 5)

    @property
    def seed(self) -> bytes:
        return drawn("pair", self.chain, self.account)

    @property
    def tree(self) -> merkle.Tree:
        commit = self.pair.commit(self.seed)
        return merkle.Tree.over([drawn("other"), commit, drawn("another")])

    def proof(self, *, tx: str, position: int, time: int, beacon: Beacon) -> dict[str, object]:
        """As its file holds it, signed as the published vectors are."""
        bets: list[PairBet] = []
        for nonce in range(3):
            previous = bets[-1].receipt.digest if bets else self.pair.commit(self.seed)
            bets.append(pair_bet(self.pair, self.seed, b"lucky", beacon.hash, nonce, previous))
        tree, siblings = self.tree, tuple(self.tree.proof(self.PLACE))
        return written(
            PairProof(
                pair=self.pair,
                program=self.program,
                number=self.number,
                beacon=BLOCK,
                commitment=Commitment(tx.encode(), position, time, tree.root, siblings),
                place=self.PLACE,
                places=self.PLACES,
                seed=self.seed,
                client_seed=b"lucky",
                activation=Shown(beacon, b""),
                signer=SIGNER,
                count=len(bets),
                bets=tuple(bets),
            )
        )


class Evm:
    """An Anvil that mines when it is told to, with a bond on it."""

    def __init__(self, sender: evm.Sender, program: evm.Program) -> None:
        self.sender, self.program = sender, program
        self.pairs = -1  # the number of the last commitment of pairs

    async def call(self, verb: str, *args: object) -> str:
        tx = await self.sender.send(self.program.call(verb, list(args)))
        await self.sender.confirm(tx)
        return tx

    async def head(self) -> tuple[int, int, bytes]:
        """Number, time and hash of the latest block."""
        return await self.block(await self.sender.rpc.head())

    async def block(self, number: int) -> tuple[int, int, bytes]:
        (header,) = await self.sender.rpc.headers([number])
        return number, int(header.timestamp, 16), bytes.fromhex(header.hash.removeprefix("0x"))

    async def mine(self, *, at: int | None = None, blocks: int = 1) -> None:
        if at is not None:
            await self.sender.rpc.node.ask("evm_setNextBlockTimestamp", [at], object)
        for _ in range(blocks):
            await self.sender.rpc.node.ask("evm_mine", [], object)

    async def chance(self, closes: int) -> Beacon:
        """The first block of more than two seconds after a close, mined now if there is none."""
        number, when, _ = await self.head()
        if when <= closes + AFTER_CLOSE:
            await self.mine(at=closes + AFTER_CLOSE + 1)
            number, when, _ = await self.head()
        while (await self.block(number - 1))[1] > closes + AFTER_CLOSE:
            number -= 1
        return Beacon(BLOCK, of_chain(EVM), number, (await self.block(number))[2])

    async def play(self, table: str, *, in_time: bool = True) -> dict[str, object]:
        """One round from commitment to reveal, everything final at the end."""
        _, now, _ = await self.head()
        ahead = 100 if in_time else 20
        program = bytes.fromhex(self.program.address[2:])
        batch = Batch(EVM, program, table.encode(), now + ahead)
        await self.mine(at=now + 19)
        times = (batch.opens, PERIOD, LEAD, WINDOW)
        await self.sender.rpc.node.ask("evm_setNextBlockTimestamp", [now + 19], object)
        tx = await self.call("commit", table, batch.tree.root, 0, COUNT, 2, times, MOST)
        position, when, _ = await self.head()
        if in_time:
            await self.mine(blocks=4)
        await self.mine(at=batch.closes)
        said = batch.statement
        await self.call("anchor", table, 0, 0, [said.root], [said.count], [said.liability])
        beacon = await self.chance(batch.closes)
        await self.call("reveal", table, 0, 0, batch.seed(0), batch.tree.proof(0))
        await self.mine(blocks=4)
        return batch.proof(tx=tx, position=position, time=when, beacon=beacon)

    async def pair(self, account: bytes, *, early: bool = False) -> dict[str, object]:
        """A pair from its commitment to its reveal; `early`: activated before it was final."""
        depth, self.pairs = networks.depth_of(EVM.decode()), self.pairs + 1
        program = bytes.fromhex(self.program.address[2:])
        held = Held(EVM, program, account, self.pairs)
        tx = await self.call("commitPairs", self.pairs, held.tree.root, held.PLACES, 2)
        position, when, _ = await self.head()
        await self.mine(at=when + 3)  # a block that is a beacon too early
        await self.mine(at=when + 20, blocks=depth - 1)
        _, final_at, _ = await self.block(position + depth)
        beacon = await self.chance(when if early else final_at)
        shown = (account.decode(), held.pair.epoch, held.seed, held.tree.proof(held.PLACE))
        await self.call("revealPair", self.pairs, held.PLACE, *shown)
        await self.mine(blocks=4)
        return held.proof(tx=tx, position=position, time=when, beacon=beacon)


Chance = Callable[[int], Awaitable[Beacon]]


class Solana:
    """A Surfpool by its own clock, with a bond on it."""

    def __init__(self, sender: solana.Sender, program: solana.Program, rpc: Rpc) -> None:
        self.sender, self.program, self.rpc = sender, program, rpc
        self.pairs = 0  # commitments of pairs so far, which are numbered without a gap
        self.turn = asyncio.Lock()

    async def call(self, verb: str, args: dict[str, Any], accounts: dict[str, Any]) -> str:
        tx = await self.sender.send([self.program.call(verb, args, accounts)])
        await self.sender.confirm(tx)
        return tx

    async def play(self, table: str, chance: Chance, *, in_time: bool = True) -> dict[str, object]:
        """One round from commitment to reveal, with chance from elsewhere.

        What is not in time lands before the batch opens, or the bond would refuse it, and is final
        only after.
        """
        chain = (await self.rpc.network()).encode()
        opens = await self.clock() + (AHEAD if in_time else TOO_FEW)
        batch = Batch(chain, bytes(self.program.address), table.encode(), opens)
        keeper = {"keeper": self.sender.key.pubkey()}
        which = {"table": table, "first": 0}
        args = {**which, "root": batch.tree.root, "count": COUNT, "kind": 2}
        args |= {"opens": batch.opens, "period": PERIOD, "lead": LEAD}
        args |= {"reveal_window": WINDOW, "max_liability": MOST}
        tx = await self.call("commit", args, keeper)
        position, when = await self.listed(tx)
        said = batch.statement
        while await self.clock() < batch.closes:
            await asyncio.sleep(0.2)
        fixed = {"roots": [said.root], "counts": [said.count], "liabilities": [said.liability]}
        await self.call("anchor", {**which, "start": 0, **fixed}, keeper)
        beacon = await chance(batch.closes)
        shown = {"round": 0, "seed": batch.seed(0), "proof": batch.tree.proof(0)}
        await self.final(await self.call("reveal", {**which, **shown}, {}))
        return batch.proof(tx=tx, position=position, time=when, beacon=beacon)

    async def pair(
        self, account: bytes, chance: Chance, *, early: bool = False
    ) -> dict[str, object]:
        """A pair from its commitment to its reveal; `early`: activated before it was final."""
        chain = (await self.rpc.network()).encode()
        async with self.turn:
            held = Held(chain, bytes(self.program.address), account, self.pairs)
            keeper, root = {"keeper": self.sender.key.pubkey()}, held.tree.root
            args = {"number": held.number, "root": root, "count": held.PLACES, "kind": 2}
            tx = await self.call("commit_pairs", args, keeper)
            self.pairs += 1
        position, when = await self.listed(tx)
        beacon = await chance(when if early else await self.final_at(position))
        shown = {"account": account.decode(), "epoch": held.pair.epoch, "seed": held.seed}
        shown |= {"proof": held.tree.proof(held.PLACE)}
        which = {"number": held.number, "place": held.PLACE}
        slot, _ = await self.listed(await self.call("reveal_pair", which | shown, {}))
        await self.final_at(position)
        while await self.rpc.finalized() < slot:
            await asyncio.sleep(0.2)
        return held.proof(tx=tx, position=position, time=when, beacon=beacon)

    async def clock(self) -> int:
        """What programs are told the time is."""
        how = {"encoding": "base64", "commitment": "confirmed"}
        answer = await self.rpc.node.ask("getAccountInfo", [CLOCK, how], dict)
        return int(struct.unpack_from("<q", base64.b64decode(answer["value"]["data"][0]), 32)[0])

    async def final(self, tx: str) -> None:
        """Waits until a transaction and 32 slots more are final."""
        slot, _ = await self.listed(tx)
        while await self.rpc.finalized() < slot + 32:
            await asyncio.sleep(0.2)

    async def final_at(self, slot: int) -> int:
        """When a slot became final, once it is."""
        while (when := await self.rpc.final_at(slot)) is None:
            await asyncio.sleep(0.2)
        return when

    async def listed(self, tx: str) -> tuple[int, int]:
        """Slot and time of a transaction, as its node lists it."""
        found = await self.rpc.signatures(str(self.program.address), before=None, until=None)
        [one] = [one for one in found if one.signature == tx]
        assert one.block_time is not None
        return one.slot, one.block_time


async def played_on(solana: Solana, beacons: Evm) -> tuple[dict[str, Any], ...]:
    """A round and one committed too late, a pair and one activated too early, with chance of Anvil.

    Two at a time, of which the untimely one needs its block first: an Anvil only goes forward.
    """
    rounds = await asyncio.gather(
        solana.play("dice", beacons.chance),
        solana.play("dice-2", beacons.chance, in_time=False),
    )
    pairs = await asyncio.gather(
        solana.pair(b"player:17", beacons.chance),
        solana.pair(b"player:18", beacons.chance, early=True),
    )
    return *rounds, *pairs
