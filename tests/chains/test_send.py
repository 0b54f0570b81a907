"""Senders on real chains, through nodes that answer as they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson
import pytest
from aiohttp import web
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from chains import http
from chains.errors import ChainError, WrongChain
from chains.evm import rpc as evm_rpc
from chains.evm import send as evm
from chains.evm.send import SendRefused
from chains.solana import rpc as solana_rpc
from chains.solana import send as solana
from local import anvil, surfpool
from local.anvil import Anvil
from local.players import evm_key
from local.surfpool import Surfpool
from tests.chains.moody import SECRET, TROUBLES, Moody, failed, moody, result

GWEI, GAS = 10**9, 21_000
SEND = "eth_sendRawTransaction"
SIGNATURE, PURSE = 5_000, 10**9  # lamports
PURSES: dict[str, int] = {}  # what each payer has left


@pytest.fixture(scope="module")
async def ether(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anvil]:
    """A chain whose blocks are mined by its txs, until a test says otherwise."""
    async with anvil.start(tmp_path_factory.mktemp("send") / "anvil", block_time_s=None) as node:
        yield node


@pytest.fixture(scope="module")
async def sol(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Surfpool]:
    async with surfpool.start(tmp_path_factory.mktemp("send") / "surfpool") as node:
        yield node


@dataclass
class Pool(Moody):
    """A node that keeps txs as Geth does, cheap ones too, until it is told to mine them."""

    kept: dict[int, tuple[evm.Fees, str]] = field(default_factory=dict)
    taken: list[evm.Fees] = field(default_factory=list)

    async def ask(self, method: str, *params: Any) -> Any:
        """A question to the chain behind."""
        body = {"jsonrpc": "2.0", "id": 0, "method": method, "params": list(params)}
        return orjson.loads(bytes((await super().passed_on(orjson.dumps(body))).body)).get("result")  # type: ignore[arg-type]

    async def mine(self, base_gwei: int) -> None:
        """A block of this price that takes none of the txs."""
        await self.ask("anvil_setNextBlockBaseFeePerGas", hex(base_gwei * GWEI))
        await self.ask("evm_mine")

    async def land(self) -> None:
        """Blocks that take them all."""
        await self.ask("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
        for nonce in sorted(self.kept):
            tx = await self.ask("eth_sendRawTransaction", self.kept.pop(nonce)[1])
            assert tx
            # Anvil answers before the block that it makes for it.
            while await self.ask("eth_getTransactionReceipt", tx) is None:
                await asyncio.sleep(0.01)

    async def landed(self, sender: evm.Sender) -> int:
        return int(await self.ask("eth_getTransactionCount", sender.address, "latest"), 16)

    @property
    def offers(self) -> list[int]:
        """What is offered for each gas, by number."""
        return [self.kept[nonce][0].most for nonce in sorted(self.kept)]

    async def passed_on(self, raw: bytes) -> web.Response:
        match orjson.loads(raw):
            case {"method": "eth_sendRawTransaction", "params": [tx]}:
                return self.take(tx)
            case {"method": "eth_getTransactionCount", "params": [who, "pending"]}:
                pending = int(await self.ask("eth_getTransactionCount", who, "latest"), 16)
                while pending in self.kept:
                    pending += 1
                return result(f'"{pending:#x}"'.encode())()
        return await super().passed_on(raw)

    def take(self, raw: str) -> web.Response:
        tx = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        nonce = tx["nonce"]
        fees = evm.Fees(tx["maxFeePerGas"], tx["maxPriorityFeePerGas"])
        before, known = self.kept.get(nonce, (evm.Fees(0, 0), ""))
        if known == raw:
            return failed({"code": -32000, "message": "already known"})()
        if fees.most * 10 < before.most * 11 or fees.tip * 10 < before.tip * 11:
            return UNDERPRICED()
        self.kept[nonce] = fees, raw
        self.taken.append(fees)
        return result(f'"0x{keccak(HexBytes(raw)).hex()}"'.encode())()


UNDERPRICED = failed({"code": -32000, "message": "replacement transaction underpriced"})


@pytest.fixture
async def pool(ether: Anvil) -> AsyncIterator[Pool]:
    async with moody(ether.rpc_url, Pool) as door:
        assert isinstance(door, Pool)
        await door.mine(1)
        yield door
        await door.mine(1)


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes rest for a moment only, so that each trouble can be tried on every question."""
    monkeypatch.setattr(http, "FIRST_REST_S", 0.0001)
    monkeypatch.setattr(http, "LONGEST_REST_S", 0.001)


def nothing(sender: evm.Sender) -> Any:
    return {"to": sender.address, "value": 1, "gas": GAS}


async def test_a_tx_too_cheap_for_the_market_is_offered_what_the_market_asks(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(20), renew_s=0) as sender:
        tx = await sender.send(nothing(sender))
        (first,) = pool.offers
        assert first < 4 * GWEI
        await pool.mine(10)
        assert await sender.renew() == 1
        (second,) = pool.offers
        assert 20 * GWEI < second < 22 * GWEI
        assert await sender.waits(tx)
        await pool.land()
        await sender.renew()
        assert not await sender.waits(tx)
        assert await pool.landed(sender) == 1


async def test_nothing_is_ever_offered_above_the_cap(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(21), most_fee=15 * GWEI, renew_s=0) as sender:
        await sender.send(nothing(sender))
        for _ in range(12):
            await pool.mine(50)
            await sender.renew()
        assert [fees.most for fees in pool.taken[1:]] == [15 * GWEI]
        await sender.send(nothing(sender))  # the market is far above by now
        assert pool.offers == [15 * GWEI] * 2
        assert all(fees.tip <= fees.most for fees in pool.taken)


async def test_without_a_dear_market_an_offer_rises_by_an_eighth_up_to_the_cap(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(22), most_fee=6 * GWEI, renew_s=0) as sender:
        await sender.send(nothing(sender))
        for _ in range(20):
            await pool.mine(1)
            await sender.renew()
        offers = [fees.most for fees in pool.taken]
        assert len(offers) > 4
        assert max(offers) <= 6 * GWEI
        for before, after in pairwise(offers):
            assert after == -(-before * 9 // 8)


async def test_a_chain_that_stands_still_is_offered_nothing_more(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(23), renew_s=0) as sender:
        for _ in range(3):
            await sender.send(nothing(sender))
        before = pool.offers
        assert [await sender.renew() for _ in range(40)] == [0] * 40
        assert pool.offers == before


async def test_a_tx_is_renewed_at_most_once_in_its_interval(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(24), renew_s=3_600) as sender:
        await sender.send(nothing(sender))
        before, asked = pool.offers, len(pool.methods)
        await pool.mine(10)
        assert [await sender.renew() for _ in range(20)] == [0] * 20
        assert pool.offers == before
        assert len(pool.methods) == asked


async def test_only_the_first_of_many_rises_by_itself(pool: Pool) -> None:
    """What its number holds back is not too cheap."""
    async with evm.Sender(pool.url, evm_key(25), renew_s=0) as sender:
        for _ in range(3):
            await sender.send(nothing(sender))
        before = pool.offers
        await pool.mine(1)
        assert await sender.renew() == 3
        assert pool.offers == [-(-before[0] * 9 // 8), *before[1:]]


async def test_what_a_node_did_not_take_is_not_built_upon(pool: Pool) -> None:
    """Twenty refused offers are not twenty rises."""
    async with evm.Sender(pool.url, evm_key(26), renew_s=0) as sender:
        await sender.send(nothing(sender))
        (before,) = pool.offers
        pool.mood = lambda methods: UNDERPRICED() if methods == [SEND] else None
        for _ in range(20):
            await pool.mine(1)
            assert await sender.renew() == 0
        pool.mood = lambda methods: None
        await pool.mine(1)
        assert await sender.renew() == 1
        assert pool.offers == [-(-before * 9 // 8)]


async def test_the_number_of_txs_that_wait_is_bounded(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(27)) as sender:
        for _ in range(evm.MOST_WAITING):
            await sender.send(nothing(sender))
        with pytest.raises(evm.SendRefused, match=r"64 txs of .* wait already"):
            await sender.send(nothing(sender))
        await pool.land()
        await sender.send(nothing(sender))
        assert await pool.landed(sender) == evm.MOST_WAITING


async def test_what_has_landed_is_forgotten(ether: Anvil) -> None:
    async with evm.Sender(ether.rpc_url, evm_key(28)) as sender:
        for _ in range(3 * evm.MOST_WAITING):
            await sender.send(nothing(sender))
        assert len(sender._waiting) <= evm.MOST_WAITING


async def test_what_a_life_before_left_behind_makes_room(pool: Pool) -> None:
    async with evm.Sender(pool.url, evm_key(29)) as before:
        await before.send(nothing(before))
    await pool.mine(10)
    async with evm.Sender(pool.url, evm_key(29), renew_s=0) as sender:
        await sender.send(nothing(sender))
        cheap, dear = pool.offers
        assert cheap < 10 * GWEI < dear
        for _ in range(2):  # the market's price is not enough: its tip is the same
            await pool.mine(10)
            await sender.renew()
        assert min(pool.offers) > 20 * GWEI


async def test_whatever_is_signed_is_noted_before_a_node_has_it(pool: Pool) -> None:
    noted: list[evm.Signed] = []

    async def note(signed: evm.Signed) -> None:
        assert len(noted) == len(pool.taken)
        noted.append(signed)

    async with evm.Sender(pool.url, evm_key(26), renew_s=0) as sender:
        tx = await sender.send(nothing(sender), note)
        await pool.mine(10)
        await sender.renew()
        await pool.mine(20)
        await sender.renew()
        first, *others = noted
        assert (first.tx, len(others)) == (tx, 2)
        assert {one.tx_nonce for one in noted} == {first.tx_nonce}
        assert len({one.tx for one in noted}) == 3
        assert pool.kept[first.tx_nonce][1] == "0x" + others[-1].raw.hex()
        await pool.land()


async def test_what_cannot_be_noted_is_not_sent(pool: Pool) -> None:
    async def full(signed: evm.Signed) -> None:
        raise SendRefused("the book is full")

    async with evm.Sender(pool.url, evm_key(27), renew_s=0) as sender:
        with pytest.raises(SendRefused, match="full"):
            await sender.send(nothing(sender), full)
        await pool.mine(10)
        assert await sender.renew() == 0
        assert pool.kept == {}


async def test_a_number_that_a_reorg_took_away_is_used_again(ether: Anvil) -> None:
    """Or all that comes after it would wait for ever."""
    async with evm.Sender(ether.rpc_url, evm_key(36)) as sender:
        tx = await sender.send(nothing(sender))
        await sender.confirm(tx)
        sender._market = None
        assert not await sender.waits(tx)
        await sender.rpc.node.ask("anvil_reorg", [1, []], object)
        sender._market = None
        assert await sender.confirm(await sender.send(nothing(sender)), timeout_s=5)


class Killed(BaseException):
    """The process ends here."""


async def test_a_noted_tx_of_a_life_before_keeps_its_number_and_is_offered_more(
    pool: Pool,
) -> None:
    """Also when that life ended before any node had it, and when another tx came meanwhile."""
    noted: list[evm.Signed] = []

    async def note(signed: evm.Signed) -> None:
        noted.append(signed)

    async def die(signed: evm.Signed) -> None:
        noted.append(signed)
        raise Killed

    async with evm.Sender(pool.url, evm_key(28)) as before:
        with pytest.raises(Killed):
            await before.send(nothing(before), die)
    assert pool.kept == {}
    async with evm.Sender(pool.url, evm_key(28), renew_s=0) as sender:
        await sender.resume(noted, note)
        assert await sender.waits(noted[0].tx)
        other = await sender.send(nothing(sender))
        assert list(pool.kept) == [noted[0].tx_nonce, noted[0].tx_nonce + 1]
        await pool.mine(10)
        await sender.renew()
        assert noted[-1].tx != noted[0].tx
        assert {one.tx_nonce for one in noted} == {noted[0].tx_nonce}
        await pool.land()
        await sender.renew()
        assert not await sender.waits(other)
        await sender.resume(noted, note)  # it has landed: nothing is sent
        assert pool.kept == {}


def pays(sender: solana.Sender, lamports: int = 1) -> Any:
    who = sender.key.pubkey()
    return transfer(TransferParams(from_pubkey=who, to_pubkey=who, lamports=lamports))


async def test_every_url_is_asked_in_turn(ether: Anvil, sol: Surfpool) -> None:
    async with moody("") as broken:
        broken.always(TROUBLES["no key, in JSON"])
        dead = "http://127.0.0.1:9/"
        rpc = evm_rpc.Rpc([dead, broken.url, ether.rpc_url], rate=10_000)
        async with evm.Sender(rpc, evm_key(30)) as sender:
            assert await sender.confirm(await sender.send(nothing(sender)))
        other = solana_rpc.Rpc([dead, broken.url, sol.rpc_url], rate=10_000)
        async with solana.Sender(other, sol.payer) as payer:
            assert await payer.confirm(await payer.send([pays(payer)]))
        assert broken.moods >= 2


async def test_a_tx_taken_by_a_node_that_did_not_say_so_is_sent_once(
    ether: Anvil, sol: Surfpool
) -> None:
    """The node behind takes it, the door says that it is down; the next attempt finds it known."""
    wanted = {SEND, "sendTransaction"}

    class Forgetful(Moody):
        async def passed_on(self, raw: bytes) -> web.Response:
            answer = await super().passed_on(raw)
            if self.methods[-1] in wanted and self.methods.count(self.methods[-1]) == 1:
                return TROUBLES["down"]()
            return answer

    async with (
        moody(ether.rpc_url, Forgetful) as node,
        evm.Sender(node.url, evm_key(31)) as sender,
    ):
        tx = await sender.send(nothing(sender))
        assert await sender.confirm(tx)
        assert node.methods.count(SEND) == 2
    async with moody(sol.rpc_url, Forgetful) as node, solana.Sender(node.url, sol.payer) as payer:
        assert await payer.confirm(await payer.send([pays(payer)]))
        assert node.methods.count("sendTransaction") == 2


async def cost(payer: solana.Sender, tx: str) -> int:
    """The lamports beyond its signature that a tx cost; what is sent next has another blockhash."""
    slot = await payer.confirm(tx)
    left = await payer.balance(payer.key.pubkey())
    await payer.after(slot)
    payer._blockhash = (0.0, None)
    PURSES[payer.address], before = left, PURSES.get(payer.address, PURSE)
    return before - left - SIGNATURE


@pytest.fixture
async def door(sol: Surfpool) -> AsyncIterator[Moody]:
    async with moody(sol.rpc_url) as node:
        yield node


@pytest.fixture
async def payer(sol: Surfpool, door: Moody) -> AsyncIterator[solana.Sender]:
    """Somebody who offers at most four times what is offered first; it keeps its blockhash."""
    most = 4 * solana.FIRST_PRICE
    async with (
        solana.Sender(sol.rpc_url, sol.payer) as bank,
        solana.Sender(door.url, Keypair(), reuse_s=3_600, most_price=most) as sender,
    ):
        gift = TransferParams(
            from_pubkey=bank.key.pubkey(), to_pubkey=sender.key.pubkey(), lamports=PURSE
        )
        await bank.confirm(await bank.send([transfer(gift)]))
        yield sender


async def test_what_is_signed_again_on_solana_offers_more_up_to_the_cap(
    payer: solana.Sender,
) -> None:
    """And that is what it costs when it lands: the first try nothing beyond its signature."""
    costs = []
    for _ in range(5):
        extra = payer.extra([pays(payer)])
        costs.append(await cost(payer, await payer.send([pays(payer)])))
        assert costs[-1] == extra
    first = solana.FIRST_PRICE * (solana.UNITS + solana.PRICING_UNITS) // 10**6
    assert costs == [0, first, 2 * first, 4 * first, 4 * first]


async def test_the_same_under_the_same_blockhash_is_the_same_tx_and_offers_no_more(
    payer: solana.Sender,
) -> None:
    txs = [await payer.send([pays(payer)]) for _ in range(3)]
    assert len(set(txs)) == 1
    assert payer.extra([pays(payer)]) > 0  # the next would
    assert payer.extra([pays(payer, 2)]) == 0  # and something else would not


async def test_what_no_node_took_was_not_too_cheap(
    payer: solana.Sender, door: Moody, restless: None
) -> None:
    door.mood = lambda methods: TROUBLES["down"]() if "sendTransaction" in methods else None
    for _ in range(3):
        with pytest.raises(ChainError):
            await payer.send([pays(payer)])
        payer._blockhash = (0.0, None)
    assert payer.extra([pays(payer)]) == 0


async def test_what_differs_from_try_to_try_is_known_by_its_name(payer: solana.Sender) -> None:
    txs = (payer.send([pays(payer, lamports)], about="a batch") for lamports in (1, 2))
    first, second = [await cost(payer, await tx) for tx in txs]
    assert (first, second > 0) == (0, True)


async def test_a_signed_payment_offers_more_than_the_one_that_never_landed(
    payer: solana.Sender,
) -> None:
    """What was signed stays as it is, however often it is sent: one payment, one tx."""
    await payer.sign([pays(payer)])
    await payer.after(await payer.rpc.head())
    extra, signed = payer.extra([pays(payer)]), await payer.sign([pays(payer)])
    assert extra > 0
    await payer.after(await payer.rpc.head())
    for _ in range(2):
        await payer.broadcast(signed.raw)
    assert await cost(payer, signed.tx) == extra


async def test_a_sender_that_may_offer_nothing_never_does(sol: Surfpool) -> None:
    async with solana.Sender(sol.rpc_url, sol.payer) as payer:
        for _ in range(2):
            slot = await payer.confirm(await payer.send([pays(payer)]))
            await payer.after(slot)
        assert payer.extra([pays(payer)]) == 0
        assert payer._offers == {}


async def test_a_tx_that_waits_where_a_node_did_not_say_so_is_known_there(ether: Anvil) -> None:
    class Mute(Pool):
        def take(self, raw: str) -> web.Response:
            first, answer = not self.taken, super().take(raw)
            return TROUBLES["down"]() if first else answer

    async with moody(ether.rpc_url, Mute) as pool, evm.Sender(pool.url, evm_key(35)) as sender:
        assert isinstance(pool, Mute)
        tx = await sender.send(nothing(sender))
        assert await sender.waits(tx)
        assert len(pool.offers) == 1


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_whatever_a_node_answers_is_an_error_of_the_chain(
    trouble: Callable[[], web.Response], restless: None
) -> None:
    async with moody("") as node:
        node.always(trouble)
        program = evm.Program([VIEW], "0x" + "ca" * 20)
        async with (
            evm.Sender(node.url, evm_key(32)) as sender,
            solana.Sender(node.url, Keypair()) as payer,
        ):
            sender.rpc.node.expected = None
            asked: list[Callable[[], Awaitable[Any]]] = [
                lambda: sender.send(nothing(sender)),
                lambda: sender.read(program, "revealWindow"),
                lambda: sender.confirm("0x" + "11" * 32, timeout_s=0),
                lambda: sender.rpc.lag(1),
                lambda: payer.send([pays(payer)]),
                lambda: payer.read(Pubkey.default()),
                lambda: payer.confirm(str(Keypair().sign_message(b"")), timeout_s=0.05),
                lambda: payer.rpc.lag(),
            ]
            for ask in asked:
                with pytest.raises(ChainError) as raised:
                    await ask()
                assert SECRET not in str(raised.value)


@pytest.mark.parametrize("method", [SEND, "eth_getTransactionCount"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_a_sender_goes_on_after_any_trouble(
    ether: Anvil, trouble: Callable[[], web.Response], method: str, restless: None
) -> None:
    """A bad day in the midst of sending costs at most that tx."""
    async with moody(ether.rpc_url) as node, evm.Sender(node.url, evm_key(33)) as sender:
        await sender.confirm(await sender.send(nothing(sender)))
        sender._market = None
        node.mood = lambda methods: trouble() if method in methods else None
        with pytest.raises(ChainError):
            await sender.send(nothing(sender))
        assert node.moods
        node.mood = lambda methods: None
        await sender.confirm(await sender.send(nothing(sender)))


async def test_a_sender_is_held_to_the_chain_it_began_on(ether: Anvil) -> None:
    async with moody(ether.rpc_url) as node:
        rpc = evm_rpc.Rpc([node.url], rate=10_000)
        rpc.node.expected = "eip155:1"
        async with evm.Sender(rpc, evm_key(34)) as sender:
            with pytest.raises(WrongChain):
                await sender.send(nothing(sender))
        assert set(node.methods) == {"eth_chainId"}


VIEW = {
    "type": "function",
    "name": "revealWindow",
    "inputs": [],
    "outputs": [{"name": "", "type": "uint64"}],
    "stateMutability": "view",
}


def test_a_word_that_is_no_word_of_the_contract_is_an_error_of_the_node() -> None:
    program = evm.Program([VIEW], "0x" + "ca" * 20)
    assert program.answer("revealWindow", bytes(31) + b"\x3c") == 60
    for data in (b"\xff" * 32, b"\x01", bytes(31)):
        with pytest.raises(ChainError):
            program.answer("revealWindow", data)
