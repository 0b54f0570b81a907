"""Money in and out on both local chains: credited once, paid once, whatever dies and when."""

from __future__ import annotations

import asyncio
import base64
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import pytest
from aiohttp import web
from eth_account import Account
from solders.keypair import Keypair
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from casino import withdrawals
from casino.withdrawals import Payment, Withdrawal
from chains.evm import send as evm
from chains.solana import send as solana
from db.session import transaction
from local.players import evm_key
from tests.chains.moody import Moody, moody
from tests.flow.conftest import ETHER, SOL
from tests.workers.custodies import Killed, Place, opened
from workers import withdrawals as room
from workers.deposits import Counter
from workers.tills import EvmTill, Till
from workers.withdrawals import Payer, attempts


@pytest.fixture(scope="module")
async def places(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> AsyncIterator[list[Place]]:
    async with opened(tmp_path_factory.mktemp("custodies"), database_url) as made:
        yield made


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent is looked at again and again."""
    monkeypatch.setattr(room, "AGAIN_S", 0.2)


async def test_money_comes_in_and_goes_out_on_both_chains(places: list[Place]) -> None:
    async def live(place: Place) -> None:
        assert await place.purse() == (100 * place.unit, 0)
        one = await place.ask(3 * place.unit)
        async with place.paying() as payer:
            await place.tick(payer, lambda: place.ended(one))
        assert await place.purse() == (97 * place.unit, 0)
        assert await place.balance(one.address) == 3 * place.unit
        await place.in_order()

    await asyncio.gather(*map(live, places))


@dataclass
class Mortal(Payer):
    """Who pays, and dies at one point of one withdrawal."""

    point: str = ""
    victim: int = 0

    def at(self, point: str, one: Withdrawal) -> None:
        if (point, one.id) == (self.point, self.victim):
            raise Killed(point)

    async def note(self, one: Withdrawal, payment: Payment) -> None:
        self.at("signed, not stored", one)
        await super().note(one, payment)
        self.at("stored, not sent", one)

    async def sent(self, one: Withdrawal) -> None:
        self.at("sent, not noted", one)
        await super().sent(one)
        self.at("sent and noted", one)


DEATHS = (
    ("signed, not stored", "sent, not noted"),
    ("stored, not sent", "sent, not noted"),
    ("signed, not stored", "signed, not stored", "stored, not sent"),
    ("sent and noted",),
)


async def test_whoever_pays_may_die_at_any_step_and_everyone_is_paid_once(
    places: list[Place],
) -> None:
    async def live(place: Place) -> None:
        for deaths in DEATHS:
            one = await place.ask(place.unit)
            for point in deaths:
                with pytest.raises(Killed, match=point):
                    await die(place, point, one)
        async with place.paying() as payer:
            for one in place.asked:
                await place.tick(payer, lambda one=one: landed(place, one))  # type: ignore[misc]
        await settle_dying(place)
        await place.in_order()
        for one in place.asked:  # nobody signed again what could still land
            assert attempts(await place.payments(one)) == 1

    await asyncio.gather(*map(live, places))


async def die(place: Place, point: str, one: Withdrawal) -> None:
    async with place.paying(Mortal) as payer:
        assert isinstance(payer, Mortal)
        payer.point, payer.victim = point, one.id
        async with asyncio.timeout(30):
            while True:
                await payer.tick()


async def landed(place: Place, one: Withdrawal) -> bool:
    query = "SELECT count(*) FROM chain_transfers WHERE finality = 'finalized' AND request = '{}'"
    return await place.line.rows(query.format(one.request)) == [(1,)]


async def settle_dying(place: Place) -> None:
    """Die in mid settlement, and settle in the next life."""

    async def dying() -> None:
        async with transaction() as session:
            await withdrawals.settle(session, place.custody)
            raise Killed

    with pytest.raises(Killed):
        await dying()
    await asyncio.gather(*(Counter(place.means).tick() for _ in range(3)))


async def test_a_keeper_killed_again_and_again_credits_and_pays_once(places: list[Place]) -> None:
    """`kill -9` of the whole process, while money comes in and goes out."""
    line, signed = places[0].line, "SELECT count(*) >= {} FROM payments"
    for life in range(2):
        [(before,)] = await line.rows("SELECT count(*) FROM payments")
        for place in places:
            await place.ask(place.unit)
        line.start(f"keeper/{life}")
        await line.until(signed.format(before + 1 + life), [(True,)])
        line.children[f"keeper/{life}"].process.kill()
        assert line.children[f"keeper/{life}"].process.wait() == -signal.SIGKILL
    line.start("keeper")
    states = "SELECT count(*) FROM withdrawals WHERE state NOT IN ('settled', 'failed')"
    await line.until(states, [(0,)], 60)
    assert await line.children["keeper"].stop() == 0
    await asyncio.gather(*(place.in_order() for place in places))


async def trouble(place: Place, one: Withdrawal, word: str) -> bool:
    return (await place.now(one)).trouble == word


async def test_a_vault_too_poor_is_waited_for_and_told(places: list[Place]) -> None:
    async def live(place: Place) -> None:
        one = await place.ask(2 * place.unit)
        async with place.paying() as payer:
            taken = await payer.till.free() - place.unit
            await place.defund(taken)
            await place.tick(payer, partial(trouble, place, one, "vault_too_poor"))
            now = await place.now(one)
            assert (now.state, await place.payments(one)) == ("approved", [])
            assert (await place.figures()).free is not None
            await place.fund(taken)
            await place.tick(payer, partial(place.ended, one))
        assert (await place.now(one)).trouble is None
        await place.in_order()

    await asyncio.gather(*map(live, places))


async def test_a_keeper_too_poor_for_the_fee_is_waited_for_and_told(places: list[Place]) -> None:
    async def live(place: Place) -> None:
        one = await place.ask(place.unit)
        if place.chain == "evm":
            key = Account.create()
            await place.line.evm.call("setKeeper", [key.address])
            changed: dict[str, Any] = {"keeper_evm_key": "0x" + bytes(key.key).hex()}
            gift: Any = {"to": key.address, "value": ETHER}
        else:
            pair, owner = Keypair(), place.line.solana.sender.key.pubkey()
            await place.line.solana.call("set_keeper", {"keeper": pair.pubkey()}, {"owner": owner})
            changed = {"keeper_solana_key": str(pair)}
            params = TransferParams(from_pubkey=owner, to_pubkey=pair.pubkey(), lamports=SOL)
            gift = [transfer(params)]
        async with place.paying(**changed) as payer:
            await place.tick(payer, partial(trouble, place, one, "keeper_too_poor"))
            assert (await place.now(one)).state == "approved"
            await sent_by_owner(place, gift)
            await place.tick(payer, partial(place.ended, one))
        await place.in_order()
        await keeper_again(place)

    await asyncio.gather(*map(live, places))


async def sent_by_owner(place: Place, call: Any) -> None:
    sender = place.line.evm.sender if place.chain == "evm" else place.line.solana.sender
    await sender.confirm(await sender.send(call))


async def keeper_again(place: Place) -> None:
    """The keeper of all other tests."""
    if place.chain == "evm":
        first = Account.from_key(place.settings.keeper_evm_key).address
        await place.line.evm.call("setKeeper", [first])
    else:
        pair = Keypair.from_base58_string(place.settings.keeper_solana_key)
        owner = {"owner": place.line.solana.sender.key.pubkey()}
        await place.line.solana.call("set_keeper", {"keeper": pair.pubkey()}, owner)


async def test_a_payment_that_fails_for_good_gives_the_money_back(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On EVM a tx that nobody tried lands and moves nothing; on Solana rent forbids the address."""
    monkeypatch.setattr(room, "MOST_FAILURES", 1)

    async def live(place: Place) -> None:
        before = await place.purse()
        if place.chain == "solana":
            one = await place.ask(1_000)
            async with place.paying() as payer:
                await place.tick(payer, partial(place.ended, one))
            assert await place.payments(one) == []
        else:
            one = await place.ask(2 * place.unit)
            async with place.paying(till=blind) as payer:
                taken = await payer.till.free() - place.unit
                await place.defund(taken)
                await place.tick(payer, partial(place.ended, one))
            await place.fund(taken)
            assert attempts(await place.payments(one)) == 1
        assert (await place.now(one)).state == "failed"
        assert await place.purse() == before
        await place.in_order()

    await asyncio.gather(*map(live, places))


def blind(till: Till) -> Till:
    """A till that does not try before it pays."""
    assert isinstance(till, EvmTill)

    async def tried(call: Any) -> int:
        return 200_000

    till.tried = tried  # type: ignore[method-assign]
    return till


async def test_a_number_that_another_tx_took_for_good_is_paid_under_the_next(
    places: list[Place],
) -> None:
    place = places[0]
    one = await place.ask(place.unit)
    with pytest.raises(Killed):
        await die(place, "stored, not sent", one)
    async with evm.Sender(place.line.evm_url, evm_key(1)) as keeper:
        nothing: Any = {"to": keeper.key.address, "value": 1, "gas": 21_000}
        tx = await keeper.send(nothing)
        await keeper.confirm(tx)
    async with place.paying() as payer:
        await place.tick(payer, partial(place.ended, one))
    first, second = await place.payments(one)
    assert (second.tx_nonce or 0) > (first.tx_nonce or 0)
    await place.in_order()


@dataclass
class Swallowing(Moody):
    """A node that says it took a tx and passes it to nobody; its blockhashes end early."""

    kept: list[bytes] = field(default_factory=list)
    open: bool = False

    async def passed_on(self, raw: bytes) -> web.Response:
        match orjson.loads(raw):
            case {"method": "sendTransaction", "params": [tx, _]} if not self.open:
                self.kept.append(base64.b64decode(tx))
                signed = VersionedTransaction.from_bytes(self.kept[-1])
                told = {"jsonrpc": "2.0", "id": 0, "result": str(signed.signatures[0])}
                return web.json_response(told)
            case {"method": "getLatestBlockhash"}:
                answer = orjson.loads(bytes((await super().passed_on(raw)).body))  # type: ignore[arg-type]
                answer["result"]["value"]["lastValidBlockHeight"] -= 149
                return web.json_response(answer)
        return await super().passed_on(raw)


async def test_a_blockhash_must_have_expired_for_good_before_another_tx_is_signed(
    places: list[Place],
) -> None:
    place = places[1]
    one = await place.ask(place.unit)

    async def signed(count: int) -> bool:
        return len(await place.payments(one)) == count

    async with (
        moody(place.line.solana_url, Swallowing) as door,
        solana.Sender(place.line.solana_url, Keypair()) as direct,
    ):
        assert isinstance(door, Swallowing)
        urls = place.settings.rpc | {"solana-local": [door.url]}
        async with place.paying(rpc=urls) as payer:
            await place.tick(payer, partial(signed, 2))
            first, second = await place.payments(one)
            final = [{"commitment": "finalized"}]
            height = await direct.rpc.node.ask("getBlockHeight", final, int)
            assert height > (first.last_valid or 0)
            assert len(door.kept) > 2  # the first was sent again and again meanwhile
            assert set(door.kept[:-1]) == {first.raw}
            door.open = True
            await place.tick(payer, partial(place.ended, one))
        assert (await place.now(one)).tx == second.tx
        with pytest.raises(solana.SendRefused) as refused:  # should it come late after all
            await direct.broadcast(first.raw)
        assert refused.value.code == 6018
    await place.in_order()


async def test_a_payment_that_a_reorg_drops_is_not_settled_and_lands_again(
    places: list[Place],
) -> None:
    place = places[0]
    one = await place.ask(place.unit)
    seen = f"SELECT finality FROM chain_transfers WHERE request = '{one.request}'"
    async with (
        place.paying(keeper_renew_s=1.0) as payer,
        evm.Sender(place.line.evm_url, evm_key(3)) as node,
    ):
        ask: Callable[..., Awaitable[Any]] = partial(asked, node)
        await ask("evm_setIntervalMining", 0)
        await payer.tick()
        assert (await place.now(one)).state == "sent"
        assert await payer.till.fate(one, await place.payments(one)) == "waiting"
        await ask("evm_mine")
        assert await payer.till.fate(one, await place.payments(one)) == "paid"
        await place.line.until(seen, [("confirmed",)])
        await payer.tick()
        await place.counter.tick()
        assert (await place.now(one)).state == "sent"
        await ask("anvil_reorg", 1, [])
        await ask("anvil_dropAllTransactions")
        await ask("evm_mine")
        await place.line.until(seen, [("retracted",)])
        assert await payer.till.fate(one, await place.payments(one)) == "waiting"
        await ask("evm_setIntervalMining", 1)
        await place.tick(payer, partial(place.ended, one))
    assert attempts(await place.payments(one)) == 1
    await place.in_order()


async def asked(sender: evm.Sender, method: str, *params: Any) -> Any:
    return await sender.rpc.node.ask(method, params, object)
