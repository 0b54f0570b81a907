"""Pairs on real nodes, from the keeper's hand to what anybody reads of them later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chains.errors import ChainError
from chains.evm import send as evm
from chains.evm.logs import Log
from chains.evm.ranges import RangeTooLarge
from chains.evm.rpc import Rpc
from chains.solana import send as solana
from chains.solana.address import from_base58
from chains.solana.rpc import SLOTS_TO_FINAL
from cli.facts import asking
from cli.facts import evm as evm_room
from cli.facts import solana as solana_room
from cli.facts.asking import Nodes
from contracts import build_evm
from contracts.solana import build
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.published.proofs import made_pair
from games.fairness.rounds import BLOCK, DRAND, Beacon, of_chain
from games.fairness.vectors import EVM, drawn
from games.fairness.verify import Committed, Facts, PairProof
from games.fairness.verify.proofs import Commitment, Shown
from local import anvil, deploy, players, surfpool
from settings import Settings
from workers.bonds import TOGETHER_S, CommittedPairs, EvmBond, LandedPairs, PairBond, SolanaBond

SIGNER = bytes([7]) * 20
ETHER, SOL = 10**18, 10**9
RENT = 10**7  # lamports that are more than any account here needs


@dataclass(frozen=True, slots=True)
class Hand:
    """A bond with its keeper; `sink` lets the chain go on until a position is `depth` deep."""

    bond: PairBond
    url: str
    confirm: Callable[[str], Awaitable[int]]
    sink: Callable[[int], Awaitable[None]]
    time: Callable[[int], Awaitable[int]]
    why: Callable[[ChainError], str | None]
    depth: int

    def pair(self, place: int) -> Pair:
        return Pair(self.bond.chain, f"player:{place}".encode(), 10 + place)

    def seed(self, place: int) -> bytes:
        return drawn("pair", place)

    def tree(self, count: int) -> merkle.Tree:
        return merkle.Tree.over([self.pair(at).commit(self.seed(at)) for at in range(count)])

    async def commit(self, number: int, count: int, kind: bytes) -> tuple[str, int]:
        tx = await self.bond.commit_pairs(number, self.tree(count).root, count, kind)
        return tx, await self.confirm(tx)

    async def reveal(self, number: int, place: int, count: int) -> str:
        pair, proof = self.pair(place), self.tree(count).proof(place)
        shown = (pair.account, pair.epoch, self.seed(place), proof)
        return await self.bond.reveal_pair(number, place, *shown)

    async def landed(self, number: int) -> LandedPairs:
        while (found := await self.bond.landed_pairs(number)) is None:
            await asyncio.sleep(0.2)
        return found

    def proof(self, number: int, place: int, count: int, landed: LandedPairs) -> PairProof:
        """A proof, as far as a chain has anything of it."""
        tree = self.tree(count)
        where = (landed.tx.encode(), landed.position, landed.time)
        program = from_base58 if isinstance(self.bond, SolanaBond) else from_hex
        told = made_pair(EVM).proof
        assert isinstance(told, PairProof)
        return replace(
            told,
            pair=self.pair(place),
            program=program(self.bond.address),
            commitment=Commitment(*where, tree.root, tuple(tree.proof(place))),
            place=place,
            places=count,
            number=number,
        )

    async def facts(self, proof: PairProof) -> Facts:
        return await asking.read(proof, Nodes(Settings(), self.url))


@pytest.fixture(scope="module")
async def on_evm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hand]:
    folder = tmp_path_factory.mktemp("chain")
    async with (
        anvil.start(folder / "anvil", block_time_s=None) as node,
        evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
    ):
        address = await deploy.bond_to_evm(owner, owner.address, "0x" + SIGNER.hex(), bond=ETHER)
        interface = json.loads(build_evm.BOND_ABI.read_text())

        async def sink(height: int) -> None:
            while await owner.rpc.finalized(2) < height:
                [head] = await owner.rpc.headers([await owner.rpc.head()])
                later = [int(head.timestamp, 16) + 10]
                await owner.rpc.node.ask("evm_setNextBlockTimestamp", later, object)
                await owner.rpc.node.ask("evm_mine", [], object)
            await asyncio.sleep(TOGETHER_S)  # until the bond asks again what is final

        async def time(height: int) -> int:
            [header] = await owner.rpc.headers([height])
            return int(header.timestamp, 16)

        bond = await EvmBond.meet(owner, address, interface, 2)
        await sink(await owner.rpc.head())
        program = evm.Program(interface, address)

        def why(error: ChainError) -> str | None:
            assert isinstance(error, evm.SendRefused)
            return program.error(error.data)

        yield Hand(bond, node.rpc_url, owner.confirm, sink, time, why, 2)


@pytest.fixture(scope="module")
async def on_solana(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hand]:
    folder = tmp_path_factory.mktemp("chain")
    async with (
        surfpool.start(folder / "surfpool") as node,
        solana.Sender(node.rpc_url, node.payer) as owner,
    ):
        chain, keeper = await owner.rpc.network(), owner.key.pubkey()
        address = await deploy.bond_to_solana(owner, keeper, SIGNER, chain, bond=SOL)
        # Where pairs will be, anybody can know beforehand, and leave a tx there.
        interface = json.loads(build.BOND.idl.read_text())
        program = solana.Program(interface, address)
        pairs = program.derive(b"pairs", bytes(8))
        await owner.confirm(await owner.send([sent(keeper, pairs)]))

        async def sink(slot: int) -> None:
            while await owner.rpc.finalized() < slot:
                await asyncio.sleep(0.2)

        async def time(slot: int) -> int:
            found: int = await owner.rpc.node.ask("getBlockTime", [slot], int)
            return found

        bond = await SolanaBond.meet(owner, address, interface)

        def why(error: ChainError) -> str | None:
            assert isinstance(error, solana.SendRefused)
            return program.error(error.code)

        yield Hand(bond, node.rpc_url, owner.confirm, sink, time, why, SLOTS_TO_FINAL)


def sent(payer: Pubkey, to: Pubkey) -> Instruction:
    return transfer(TransferParams(from_pubkey=payer, to_pubkey=to, lamports=RENT))


@pytest.fixture(params=["on_evm", "on_solana"])
def hand(request: pytest.FixtureRequest) -> Hand:
    found: Hand = request.getfixturevalue(request.param)
    return found


async def test_pairs_are_committed_final_for_good_and_shown_one_by_one(hand: Hand) -> None:
    """And a verifier reads from the chain what the keeper went by, to the second."""
    bond, root = hand.bond, hand.tree(5).root
    assert await bond.following_pairs() == 0
    assert await bond.committed_pairs(0, finalized=False) is None
    assert await bond.landed_pairs(0) is None
    tx, position = await hand.commit(0, 5, BLOCK)
    assert await bond.following_pairs() == 1
    assert await bond.committed_pairs(0, finalized=False) == CommittedPairs(root, 5, BLOCK, 0)
    await hand.sink(position + hand.depth)
    assert await bond.committed_pairs(0, finalized=True) == CommittedPairs(root, 5, BLOCK, 0)
    landed = await hand.landed(0)
    final_at = await hand.time(position + hand.depth)
    assert landed == LandedPairs(tx, position, landed.time, final_at)
    last = 0
    for place in (4, 1):
        last = await hand.confirm(await hand.reveal(0, place, 5))
    found = await bond.committed_pairs(0, finalized=False)
    assert found is not None
    assert found.revealed == 0b10010
    with pytest.raises(ChainError) as refused:
        await hand.reveal(0, 4, 5)
    assert hand.why(refused.value) == "AlreadyRevealed"
    await hand.sink(last)
    proof = hand.proof(0, 1, 5, landed)
    facts = await hand.facts(proof)
    assert (facts.chain, facts.anchored, facts.block) == (bond.chain, None, None)
    assert facts.committed == Committed(
        program=proof.program,
        table=None,
        root=root,
        schedule=None,
        tx=proof.commitment.tx,
        position=position,
        time=landed.time,
        final_at=landed.final_at,
        number=0,
        kind=BLOCK,
    )
    assert facts.revealed is not None
    assert facts.revealed.seed == hand.seed(1)
    # Surfpool may list a slot with a time that is a second beside its own.
    assert abs(facts.revealed.time - await hand.time(last)) <= isinstance(bond, SolanaBond)
    hidden = await hand.facts(hand.proof(0, 2, 5, landed))
    assert hidden == replace(facts, revealed=None)
    await lies(hand, proof)


async def lies(hand: Hand, proof: PairProof) -> None:
    """What a proof may say wrong of where its commitment is."""
    said = proof.commitment
    elsewhere = replace(said, tx=b"11" * 32, position=said.position + 1)
    for other in (replace(proof, number=1), replace(proof, commitment=elsewhere)):
        assert await hand.facts(other) == Facts(hand.bond.chain, None)
    if isinstance(hand.bond, EvmBond):
        far = replace(said, position=10_000)
        assert await hand.facts(replace(proof, commitment=far)) == Facts(hand.bond.chain, None)


async def test_a_node_that_contradicts_itself_about_pairs_is_not_believed(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, root = await hand.bond.following_pairs(), hand.tree(1).root
    tx, position = await hand.commit(number, 1, DRAND)
    await hand.sink(position)
    proof = hand.proof(number, 0, 1, LandedPairs(tx, position, 0, 0))
    other = "it keeps other pairs than were committed"
    lost = "has no logs of the pairs|lacks the transaction that showed"
    lies = ((root, 2, 0, other), (bytes(32), 1, 0, other), (root, 1, 1, lost))
    for *said, words in lies:
        monkeypatch.setattr(evm_room.Bond, "pairs", answering([word(said[0]), 1, *said[1:]]))
        monkeypatch.setattr(solana_room.Bond, "pairs", answering(tuple(said)))
        with pytest.raises(ChainError, match=words):
            await hand.facts(proof)


def answering(said: object) -> Callable[..., Awaitable[object]]:
    async def answer(*_: object) -> object:
        return said

    return answer


def word(root: object) -> int:
    assert isinstance(root, bytes)
    return int.from_bytes(root)


@pytest.mark.parametrize("hint", [None, 5, 100])
async def test_a_commitment_of_long_ago_is_found_by_a_node_that_tells_little_at_once(
    on_evm: Hand, monkeypatch: pytest.MonkeyPatch, hint: int | None
) -> None:
    number = await on_evm.bond.following_pairs()
    tx, position = await on_evm.commit(number, 1, BLOCK)
    await on_evm.sink(position + 20)
    logs = Rpc.logs

    async def few(rpc: Rpc, address: str, lower: int, upper: int, **more: bool) -> list[Log]:
        if upper - lower >= 5:
            raise RangeTooLarge("block range is too large", hint)
        return await logs(rpc, address, lower, upper, **more)

    monkeypatch.setattr(Rpc, "logs", few)
    landed = await on_evm.landed(number)
    assert (landed.tx, landed.position) == (tx, position)


async def test_the_block_that_activates_a_pair_is_read_where_it_was_made(on_evm: Hand) -> None:
    number = await on_evm.bond.following_pairs()
    _, position = await on_evm.commit(number, 1, BLOCK)
    await on_evm.sink(position + on_evm.depth)
    proof = on_evm.proof(number, 0, 1, await on_evm.landed(number))
    beacon = Beacon(BLOCK, of_chain(EVM), position + 1, bytes(32))
    block = (await on_evm.facts(replace(proof, activation=Shown(beacon, b"")))).block
    assert block is not None
    times = await on_evm.time(position), await on_evm.time(position + 1)
    assert (block.number, block.parent_time, block.time) == (position + 1, *times)


def from_hex(address: str) -> bytes:
    return bytes.fromhex(address[2:])


async def test_a_commitment_stays_unlanded_until_its_final_block_is_final_itself(
    on_evm: Hand,
) -> None:
    """Its time names the beacon of the pairs, so it must not change any more."""
    number = await on_evm.bond.following_pairs()
    _, position = await on_evm.commit(number, 1, DRAND)
    assert await on_evm.bond.committed_pairs(number, finalized=True) is None
    await on_evm.sink(position + on_evm.depth - 1)
    assert await on_evm.bond.committed_pairs(number, finalized=True) is not None
    assert await on_evm.bond.landed_pairs(number) is None
    await on_evm.sink(position + on_evm.depth)
    assert await on_evm.bond.landed_pairs(number) is not None
