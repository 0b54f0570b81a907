"""Draws from blocks, of a real Anvil: the first one after a closing, once it is deep enough."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
import rlp  # type: ignore[import-untyped]
from aiohttp import web

from chains.beacons import Drawn, Forged, Gone
from chains.beacons.block import FirstBlock, verify
from chains.errors import WrongChain
from chains.evm.address import keccak256
from chains.evm.rpc import Rpc
from games.fairness import rounds
from local import anvil
from tests.chains.moody import Moody, moody

LOCAL = "eip155:31337"
PAST = 10_000_000  # seconds before now at which the chain begins: its blocks come at any pace
GENESIS = int(time.time()) - PAST


class Chain:
    """Anvil with a hand on its clock."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rpc = Rpc([url], rate=10_000)
        self.now = 0

    async def ask(self, method: str, *params: object) -> Any:
        return await self.rpc.node.ask(method, params, object)

    async def mine(self, *moments: int) -> None:
        """A block at each of these moments, counted from the chain's first block."""
        for moment in moments:
            await self.ask("evm_setNextBlockTimestamp", GENESIS + moment)
            await self.ask("evm_mine")
            self.now = moment

    async def block(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask("eth_getBlockByNumber", hex(number), False)
        return found

    async def reorg(self, depth: int) -> None:
        """The last blocks are others now, at the moment of the one before them."""
        await self.ask("anvil_reorg", depth, [])

    def beacon(self, confirmations: int = 0, url: str | None = None, **other: Any) -> FirstBlock:
        rpc = Rpc([url], rate=10_000) if url else self.rpc
        patience = {"patience_s": 60} | other
        return FirstBlock(rpc, LOCAL, confirmations=confirmations, **patience)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    extra = ["--timestamp", str(GENESIS)]
    async with anvil.start(tmp_path / "anvil", block_time_s=None, extra=extra) as node:
        made = Chain(node.rpc_url)
        yield made
        await made.rpc.close()


def hash_of(header: dict[str, Any]) -> bytes:
    return bytes.fromhex(header["hash"][2:])


async def test_the_first_block_later_than_two_seconds_after_closing_is_drawn(chain: Chain) -> None:
    await chain.mine(10, 20, 22, 23, 24)
    beacon = chain.beacon()
    drawn = await beacon.fetch(GENESIS + 20)
    block = await chain.block(4)
    assert int(block["timestamp"], 16) == GENESIS + 23
    assert drawn == Drawn(
        kind=b"block",
        chain_hash=sha256(LOCAL.encode()).digest(),
        round=4,
        randomness=hash_of(block),
        evidence=drawn.evidence if drawn else b"",
    )
    assert drawn.chain_hash == rounds.of_chain(LOCAL.encode())
    verify(drawn, GENESIS + 20)
    verify(drawn, GENESIS + 20.9)
    for other in (19, 21, 400):
        with pytest.raises(Forged, match="not the first one"):
            verify(drawn, GENESIS + other)


async def test_the_first_block_is_found_however_blocks_come(chain: Chain) -> None:
    chance = random.Random(4)
    moments = [1]
    while len(moments) < 80:
        moments.append(moments[-1] + chance.choice((1, 1, 2, 12, 600)))
    await chain.mine(*moments)
    beacon = chain.beacon(confirmations=3)
    closings = {moment - 2 + chance.choice((-1, 0, 1)) for moment in moments[1:-3]}
    for closing in closings:
        drawn = await beacon.fetch(GENESIS + closing)
        later = [n for n, moment in enumerate(moments, 1) if moment > closing + 2]
        expected = later[0] if later[0] <= len(moments) - 3 else None
        assert (drawn and drawn.round) == expected, closing


async def test_a_block_is_not_drawn_before_enough_others_are_on_top_of_it(chain: Chain) -> None:
    await chain.mine(10, 20)
    beacon = chain.beacon(confirmations=3)
    for moment in (30, 40, 50):
        await chain.mine(moment)
        assert await beacon.look(GENESIS + 20) is None
    await chain.mine(60)
    drawn = await beacon.look(GENESIS + 20)
    assert drawn is not None
    assert drawn.round == 3


async def test_a_reorg_changes_no_draw_that_was_deep_enough(chain: Chain) -> None:
    await chain.mine(10, 20, 30, 40)
    beacon, shallow = chain.beacon(confirmations=2), chain.beacon(confirmations=0)
    first = await shallow.fetch(GENESIS + 20)
    assert first is not None
    assert await beacon.look(GENESIS + 20) is None
    await chain.reorg(2)
    await chain.mine(50, 60)
    assert await beacon.look(GENESIS + 20) is None
    await chain.mine(70)
    drawn = await beacon.look(GENESIS + 20)
    block = await chain.block(5)
    assert drawn is not None
    assert (drawn.round, drawn.randomness) == (5, hash_of(block))
    # Without depth a draw is taken back, which is why depth is declared.
    assert first.round == 3
    assert first.randomness != hash_of(await chain.block(3))
    # As deep a reorg again, and the draw stays for who asks only now.
    head = hash_of(await chain.block(7))
    await chain.reorg(2)
    assert hash_of(await chain.block(7)) != head
    assert await chain.beacon(confirmations=2).fetch(GENESIS + 20) == drawn


async def test_a_closing_before_the_chain_has_no_block(chain: Chain) -> None:
    await chain.mine(10)
    with pytest.raises(Gone, match="chain began after"):
        await chain.beacon().fetch(GENESIS - 100)


async def test_a_chain_that_stands_still_is_waited_for_and_then_gone(chain: Chain) -> None:
    await chain.mine(10, 20)
    assert await chain.beacon().fetch(GENESIS + 20) is None
    with pytest.raises(Gone):
        await chain.beacon(patience_s=0).fetch(GENESIS + 20)
    nowhere = chain.beacon(url="http://127.0.0.1:9")
    assert await nowhere.fetch(GENESIS + 2) is None
    await nowhere.close()
    # Nobody is asked for a block of the future.
    assert await chain.beacon(patience_s=0).fetch(time.time() + 60) is None


async def test_a_node_of_another_chain_is_not_asked(chain: Chain) -> None:
    beacon = FirstBlock(chain.rpc, "eip155:1", confirmations=0, patience_s=60)
    with pytest.raises(WrongChain):
        await beacon.fetch(GENESIS + 2)


@pytest.mark.parametrize(
    ("caip2", "confirmations"),
    [("solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", 0), ("31337", 0), (LOCAL, -1)],
)
def test_no_other_chain_and_no_negative_depth_is_a_beacon(caip2: str, confirmations: int) -> None:
    with pytest.raises(ValueError, match=r"beacon|confirmed"):
        FirstBlock(Rpc(["http://x"]), caip2, confirmations=confirmations, patience_s=1)


class Changed(Moody):
    """A door before a node, which changes on their way the headers of one question."""

    change: Callable[[list[dict[str, Any]]], None] = staticmethod(lambda headers: None)

    async def passed_on(self, raw: bytes) -> web.Response:
        body = (await super().passed_on(raw)).body
        assert isinstance(body, bytes)
        told = orjson.loads(body)
        answers = [one["result"] for one in (told if isinstance(told, list) else [told])]
        self.change([one for one in answers if isinstance(one, dict)])
        return web.Response(body=orjson.dumps(told), content_type="application/json")


def grind(headers: list[dict[str, Any]]) -> None:
    for header in headers:
        header["hash"] = "0x" + "77" * 32


def turn_back(headers: list[dict[str, Any]]) -> None:
    for header in headers:
        header["timestamp"] = hex(int(header["timestamp"], 16) - 1)


def leave_out(headers: list[dict[str, Any]]) -> None:
    for header in headers:
        del header["stateRoot"]


def misname(headers: list[dict[str, Any]]) -> None:
    for header in headers:
        header["gasUsed"] = "-0x1"


@pytest.mark.parametrize("change", [grind, turn_back, leave_out, misname])
async def test_a_header_without_its_hash_is_not_believed(
    chain: Chain, change: Callable[[list[dict[str, Any]]], None]
) -> None:
    await chain.mine(10, 20, 30, 40, 50)
    async with moody(chain.url, Changed) as door:
        door.change = change  # type: ignore[attr-defined]
        beacon = chain.beacon(url=door.url)
        with pytest.raises(Forged, match=r"has not the hash|another shape"):
            await beacon.look(GENESIS + 20)
        beacon._rpc.node.providers.append(chain.rpc.node.providers[0])
        drawn = await beacon.look(GENESIS + 20)
        assert drawn is not None
        assert drawn.randomness == hash_of(await chain.block(3))
        await beacon.close()


async def test_a_node_that_answers_of_several_chains_draws_nothing(chain: Chain) -> None:
    await chain.mine(10, 20)
    dropped = await chain.block(2)
    await chain.ask("anvil_rollback", 1)
    await chain.ask("anvil_setCoinbase", "0x" + "11" * 20)
    await chain.mine(20, 30, 40)
    assert await chain.block(2) != dropped

    def forget(headers: list[dict[str, Any]]) -> None:
        """It has not heard yet that the block before was dropped."""
        if len(headers) == 2:
            headers[0] |= dropped

    def mislead(headers: list[dict[str, Any]]) -> None:
        """The way to the block goes by other times than the block's own."""
        if len(headers) == 1:
            headers[0]["timestamp"] = hex(int(headers[0]["timestamp"], 16) + 15)

    def misplace(headers: list[dict[str, Any]]) -> None:
        if len(headers) == 2:
            headers[1] |= dropped

    async with moody(chain.url, Changed) as door:
        beacon = chain.beacon(url=door.url)
        for change in (forget, mislead):
            door.change = change  # type: ignore[attr-defined]
            assert await beacon.look(GENESIS + 20) is None
        door.change = misplace  # type: ignore[attr-defined]
        with pytest.raises(Forged, match="asked for block 3, got block 2"):
            await beacon.look(GENESIS + 20)
        await beacon.close()


def changed(header: list[bytes], place: int, value: bytes) -> list[bytes]:
    return [*header[:place], value, *header[place + 1 :]]


def refused(drawn: Drawn, closes_at: float) -> bool:
    try:
        verify(drawn, closes_at)
    except Forged:
        return True
    return False


async def test_headers_that_do_not_show_the_draw_are_refused_later_on(chain: Chain) -> None:
    await chain.mine(10, 20, 30, 40)
    drawn = await chain.beacon().fetch(GENESIS + 20)
    other = await chain.beacon().fetch(GENESIS + 30)
    assert drawn is not None
    assert other is not None
    before, block = rlp.decode(drawn.evidence)
    late = changed(block, 11, (GENESIS + 99).to_bytes(4))
    false = {
        "another hash": replace(drawn, randomness=bytes(32)),
        "another number": replace(drawn, round=4),
        "another block": other,
        "other headers": replace(drawn, evidence=other.evidence),
        "another moment": replace(drawn, evidence=rlp.encode([before, late])),
        "another moment and its hash": replace(
            drawn,
            evidence=rlp.encode([changed(before, 11, b"\1"), block]),
        ),
        "the other way round": replace(drawn, evidence=rlp.encode([block, before])),
        "one header": replace(drawn, evidence=rlp.encode([block])),
        "three headers": replace(drawn, evidence=rlp.encode([before, before, block])),
        "no header": replace(drawn, evidence=b""),
        "texts for headers": replace(drawn, evidence=rlp.encode([b"x" * 40, b"y" * 40])),
        "lists in a header": replace(drawn, evidence=rlp.encode([before, [[[]]] * 21])),
        "lists without an end": replace(drawn, evidence=b"\xc1" * 16_000),
        "a header that is cut off": replace(drawn, evidence=drawn.evidence[:-1]),
        "a header with a rest": replace(drawn, evidence=drawn.evidence + b"\0"),
        "more than two headers can be": replace(drawn, evidence=drawn.evidence * 20),
    }
    for name, one in false.items():
        assert refused(one, GENESIS + 20), name
    # The first block that is late in its own words, of a chain that nobody has: only a node can
    # say that this one is not in the chain.
    forged = changed(block, 12, b"withheld")
    verify(
        replace(
            drawn,
            randomness=keccak256(rlp.encode(forged)),
            evidence=rlp.encode([before, forged]),
        ),
        GENESIS + 20,
    )
