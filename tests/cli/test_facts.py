"""Rounds and bets put to the proof at a terminal, against real chains on which they were played."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

import logs
from chains import networks
from chains.errors import ChainError
from chains.evm import send as evm
from chains.evm.rpc import Rpc as EvmRpc
from chains.solana import send as solana
from chains.solana.rpc import Rpc
from cli import main
from cli import proofs as rooms
from cli.facts import asking, fetched
from cli.facts import evm as evm_room
from cli.facts import solana as solana_room
from cli.facts import words as words_room
from cli.facts.asking import Nodes
from cli.proofs import Refused
from contracts import vectors
from contracts.solana import build
from games.fairness.published import proofs
from games.fairness.verify import FAILED, OK, UNCHECKED, RoundProof, read
from local import anvil, deploy, players, surfpool
from local.process import free_port
from settings import Settings
from tests.api.proved import KEY, Evm, Solana, played_on
from tests.contracts.evm_bond import EvmBond
from tests.contracts.solana_runtime import SOL
from tests.typed import fairhouse
from workers import bonds

AWAY = f"http://127.0.0.1:{free_port()}"
Proof = dict[str, Any]
Done = tuple[int, str, str]
Typed = Callable[..., Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Played:
    """Rounds and pairs from commitment to reveal, their nodes, and a house with their proofs."""

    evm_url: str
    solana_url: str
    house: str
    in_time: Proof
    late: Proof
    pair: Proof
    early: Proof
    on_solana: Proof
    late_on_solana: Proof
    pair_on_solana: Proof
    early_on_solana: Proof


@pytest.fixture(scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    folder = tmp_path_factory.mktemp("chains")
    async with (
        anvil.start(folder / "anvil", block_time_s=None) as ethereum,
        surfpool.start(folder / "surfpool") as sol,
        evm.Sender(ethereum.rpc_url, players.evm_key(0)) as owner,
        solana.Sender(sol.rpc_url, sol.payer) as payer,
    ):
        rpc = Rpc([sol.rpc_url])
        bond = Evm(owner, (await EvmBond.deployed(owner)).program)
        signer, chain = vectors.signer_of(KEY), await rpc.network()
        keeper = payer.key.pubkey()
        address = await deploy.bond_to_solana(payer, keeper, signer, chain, bond=100 * SOL)
        program = solana.Program(json.loads(build.BOND.idl.read_text()), address)
        on_solana = await played_on(Solana(payer, program, rpc), bond)
        in_time = await bond.play("dice")
        late = await bond.play("dice-2", in_time=False)
        pair, early = await bond.pair(b"player:17"), await bond.pair(b"player:18", early=True)
        runner, house = await housed([in_time, late], [pair, early])
        urls = (ethereum.rpc_url, sol.rpc_url, house)
        yield Played(*urls, in_time, late, pair, early, *on_solana)
        await runner.cleanup()
        await rpc.close()


async def housed(known: list[Proof], pairs: list[Proof]) -> tuple[web.AppRunner, str]:
    """A house that gives out proofs, where its API has them; those of pairs two bets at a time."""
    pages = {f"/api/rounds/{one['table']}.{one['round']}/proof": of_round(one) for one in known}
    pages |= {f"/api/bets/{one['bet']['bet_id']}/proof": one for one in known[:1]}
    pages["/api/rounds/dice.9/proof"] = of_round(known[0])

    by_name = {f"/api/pairs/{one['account'][7:]}.{one['epoch']}/proof": one for one in pairs}
    by_name["/api/pairs/19.5/proof"] = pairs[0]

    async def answer(request: web.Request) -> web.Response:
        if request.path in by_name:
            told, first = by_name[request.path], int(request.query.get("first", "0"))
            return web.json_response(told | {"bets": told["bets"][first : first + 2]})
        if request.path in pages:
            return web.json_response(pages[request.path])
        said = {"status": 404, "detail": "there is no such bet"}
        return web.json_response(said, status=404, content_type="application/problem+json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, f"http://127.0.0.1:{port}"


def of_round(proof: Proof) -> Proof:
    """The proof of a bet without the bet."""
    return {name: value for name, value in proof.items() if name != "bet"} | {"kind": "round"}


@pytest.fixture
def typed(played: Played, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """`fairhouse verify <words>`, with settings that name no node unless told otherwise."""
    monkeypatch.setattr(logs, "setup", lambda *said: None)

    async def run(*words: str, **told: Any) -> Done:
        monkeypatch.setattr(main, "read_settings", lambda: Settings(**told))
        house = () if words[0] == "file" else ("--url", played.house)
        typed = ["verify", *words, *house]
        done = await asyncio.to_thread(CliRunner().invoke, main.app, typed)
        return done.exit_code, done.stdout, done.stderr

    return run


async def statuses(proof: Proof, **asked: Any) -> dict[str, str]:
    """The steps of a changed proof, by name, with the chain asked."""
    found = await asking.read(read(proof), Nodes(asked.pop("settings", Settings()), **asked))
    return {step.name: step.status for step in rooms.checked(proof, found)}


def having(said: dict[str, str], status: str) -> set[str]:
    return {name for name, one in said.items() if one == status}


def changed(proof: Proof, path: str, value: str) -> Proof:
    other = copy.deepcopy(proof)
    *groups, name = path.split(".")
    part = other
    for group in groups:
        part = part[group]
    assert part[name] != value
    part[name] = value
    return other


async def test_a_bet_is_proved_whole_by_a_node_of_the_players_own(played: Played) -> None:
    bet = played.in_time["bet"]["bet_id"]
    words = ["verify", "bet", bet, "--url", played.house, "--rpc", played.evm_url]
    done = await asyncio.to_thread(fairhouse, *words, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")
    title, *lines, verdict = done.stdout.splitlines()
    assert title.startswith(f"bet {bet} in round dice.0, eip155:31337, program ")
    assert verdict == "This proof holds: all 15 steps were checked and are right."
    assert [line.split()[:2] for line in lines if "✓" in line] == [["✓", "ok"]] * 15
    assert lines[-1].split()[2:] == ["payout", *[played.in_time["bet"]["payout"]] * 2]


async def test_a_round_committed_too_late_ends_with_one_though_its_proof_says_otherwise(
    played: Played, typed: Typed
) -> None:
    """A6: in a block before the batch opened, and final only after it had."""
    known = {"evm-local": [played.evm_url]}
    code, stdout, stderr = await typed("round", "dice-2.0", "--json", rpc=known)
    assert (code, stderr) == (1, "")
    said = json.loads(stdout)
    found = {step["step"]: step["status"] for step in said["steps"]}
    assert having(found, FAILED) == {"in time"}
    assert having(found, OK) == found.keys() - {"in time"}
    late = said["facts"]["committed"]
    assert int(late["time"]) < int(late["schedule"]["opens"]) <= int(late["final_at"])


async def test_a_pair_is_proved_whole_from_its_commitment_to_its_last_bet(
    played: Played, typed: Typed
) -> None:
    """Its bets fill two files, and its beacon is a block of the chain it is committed on."""
    code, stdout, stderr = await typed("pair", "17.5", "--rpc", played.evm_url)
    assert (code, stderr) == (0, "")
    title, *lines, verdict = stdout.splitlines()
    assert title.startswith("pair 5 of player:17, eip155:31337, program ")
    assert verdict == "This proof holds: all 12 steps were checked and are right."
    assert any(
        line.split()[2:] == ["receipts", "nonces", "0..2", "nonces", "0..2"] for line in lines
    )


async def test_a_pair_that_was_activated_before_it_was_final_ends_with_one(
    played: Played, typed: Typed
) -> None:
    """A2: the house knew the chance while it could still take another seed."""
    code, stdout, _ = await typed("pair", "18.5", "--rpc", played.evm_url, "--json")
    assert code == 1
    found = {step["step"]: step["status"] for step in json.loads(stdout)["steps"]}
    assert having(found, FAILED) == {"in time", "beacon round"}
    assert having(found, OK) == found.keys() - {"in time", "beacon round"}


async def test_what_a_chain_has_of_a_pair_is_held_against_what_its_proof_says(
    played: Played,
) -> None:
    for path, value, failing in (
        ("number", "1", {"on chain"}),
        ("beacon", "drand", {"on chain", "in time", "beacon round"}),
        ("commitment.time", "1", {"on chain"}),
        ("commitment.root", "22" * 32, {"on chain", "commitment"}),
        ("activation.randomness", "33" * 32, {"beacon", "receipts", "signature", "outcome"}),
        ("seed", "44" * 32, {"commitment", "receipts", "outcome", "reveal"}),
    ):
        said = await statuses(changed(played.pair, path, value), rpc=played.evm_url)
        assert having(said, FAILED) - {"draw", "payout"} == failing, path


async def test_a_file_is_proved_with_the_nodes_that_were_named(
    played: Played, typed: Typed, tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(played.on_solana))
    code, stdout, _ = await typed("file", str(file), "--rpc", played.solana_url)
    assert code == 1
    assert stdout.endswith("13 of 15 steps hold, 2 could not be checked.\n")
    nodes = ("--rpc", played.solana_url, "--beacon-rpc", played.evm_url)
    for proof in (played.on_solana, played.pair_on_solana):
        file.write_text(json.dumps(proof))
        assert (await typed("file", str(file), *nodes))[0] == 0


@pytest.mark.parametrize(
    ("name", "failing"),
    [("late_on_solana", {"in time"}), ("early_on_solana", {"in time", "beacon round"})],
)
async def test_what_was_final_too_late_on_solana_ends_with_one_though_its_proof_says_otherwise(
    played: Played, typed: Typed, tmp_path: Path, name: str, failing: set[str]
) -> None:
    """A6 and A2: in a slot before the batch opened or the chance was there, and final after."""
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(getattr(played, name)))
    code, stdout, _ = await typed("file", str(file), "--json")
    found = {step["step"]: step["status"] for step in json.loads(stdout)["steps"]}
    assert having(found, FAILED) == set()
    nodes = ("--rpc", played.solana_url, "--beacon-rpc", played.evm_url)
    code, stdout, _ = await typed("file", str(file), *nodes, "--json")
    assert code == 1
    said = json.loads(stdout)
    found = {step["step"]: step["status"] for step in said["steps"]}
    assert having(found, FAILED) == failing
    assert having(found, OK) == found.keys() - failing
    committed, block = said["facts"]["committed"], said["facts"]["block"]
    bound = committed["schedule"]["opens"] if committed["schedule"] else block["time"]
    assert int(committed["time"]) < int(bound) <= int(committed["final_at"])


async def test_a_round_on_solana_is_proved_with_a_node_of_each_chain(played: Played) -> None:
    alone = await statuses(played.on_solana, rpc=played.solana_url)
    assert having(alone, UNCHECKED) == {"beacon round", "beacon"}
    both: dict[str, Any] = {"rpc": played.solana_url, "beacon_rpc": played.evm_url}
    assert set((await statuses(played.on_solana, **both)).values()) == {OK}
    known = Settings(rpc={"solana-local": [played.solana_url], "evm-local": [played.evm_url]})
    assert set((await statuses(played.on_solana, settings=known)).values()) == {OK}


TAMPERED = (
    ("commitment.time", "1", {"on chain"}),
    ("schedule.lead", "0", {"on chain", "beacon round"}),
    ("schedule.signer", "11" * 20, {"on chain", "signature"}),
    ("bets.count", "4", {"signature"}),
    ("bets.root", "22" * 32, {"signature", "anchor", "outcome", "draw", "bet"}),
    ("seed", "33" * 32, {"commitment", "outcome", "draw", "reveal"}),
    ("beacon.randomness", "44" * 32, {"beacon", "outcome", "draw"}),
)


@pytest.mark.parametrize("chain", ["evm", "solana"])
async def test_what_a_chain_has_is_held_against_what_a_proof_says_of_it(
    played: Played, chain: str
) -> None:
    proof = played.in_time if chain == "evm" else played.on_solana
    rpc = played.evm_url if chain == "evm" else played.solana_url
    asked: dict[str, Any] = {"rpc": rpc, "beacon_rpc": played.evm_url}
    for path, value, failing in TAMPERED:
        said = await statuses(changed(proof, path, value), **asked)
        assert having(said, FAILED) - {"payout"} - (failing & {"draw"}) == failing - {"draw"}, path
    for path, value in (("commitment.tx", "11" * 32), ("commitment.root", "55" * 32)):
        said = await statuses(changed(proof, path, value), **asked)
        assert "on chain" in having(said, FAILED), path
    at = str(int(proof["commitment"]["position"]) + 1)
    said = await statuses(changed(proof, "commitment.position", at), **asked)
    assert "on chain" in having(said, FAILED)


async def test_a_round_that_the_contract_never_saw_is_on_no_chain(played: Played) -> None:
    for proof, rpc in ((played.in_time, played.evm_url), (played.on_solana, played.solana_url)):
        other = changed(proof, "table", "dice-7")
        said = await statuses(other, rpc=rpc, beacon_rpc=played.evm_url)
        assert {"on chain", "in time"} & having(said, FAILED) == {"on chain"}
        assert {"anchor", "reveal"} <= having(said, UNCHECKED)
    other = changed(played.in_time, "program", "77" * 20)
    with pytest.raises(ChainError, match="there is no contract"):
        await statuses(other, rpc=played.evm_url)


@pytest.mark.parametrize(
    ("lie", "words"), [("batchAt", "another root"), ("roundAt", "another statement")]
)
async def test_a_node_that_contradicts_itself_is_not_believed(
    played: Played, monkeypatch: pytest.MonkeyPatch, lie: str, words: str
) -> None:
    told = read(played.in_time)
    assert isinstance(told, RoundProof)
    view = evm_room.Bond.view

    async def lying(bond: evm_room.Bond, verb: str, *args: Any) -> list[int]:
        said = await view(bond, verb, *args)
        return [1, *said[1:]] if verb == lie else said

    monkeypatch.setattr(evm_room.Bond, "view", lying)
    with pytest.raises(ChainError, match=f"contradicts itself: it keeps {words}"):
        await asking.read(told, Nodes(Settings(), played.evm_url))


async def test_a_commitment_that_is_not_deep_enough_is_not_final_yet(played: Played) -> None:
    told = read(played.in_time)
    assert isinstance(told, RoundProof)
    rpc = EvmRpc([played.evm_url])
    deep = await evm_room.read_facts(rpc, told, depth=10_000)
    await rpc.close()
    assert deep.committed is not None
    assert deep.committed.final_at is None
    status = {one.name: one.status for one in rooms.checked(played.in_time, deep)}
    assert having(status, FAILED) == {"in time"}


REFUSED = (
    (("round", "dice"), "a round is named by its table and number, such as numbers.17"),
    (("bet", "12"), "a bet is named by its id, 64 digits in hex"),
    (("bet", "ab" * 32), "the house has no such proof: there is no such bet"),
    (("round", "dice.9"), "that is no proof of the round dice.9, but of round dice.0"),
    (("pair", "dice.0"), "a pair is named by its player and epoch, such as 17.5"),
    (("pair", "20.5"), "the house has no such proof: there is no such bet"),
    (("pair", "19.5"), "that is no proof of the pair 19.5, but of pair 5 of player:17"),
    (("round", "dice.0"), "the settings name no node of eip155:31337: say one with --rpc"),
)


@pytest.mark.parametrize(("words", "line"), REFUSED)
async def test_what_cannot_be_checked_is_said_in_one_line(
    typed: Typed, words: tuple[str, ...], line: str
) -> None:
    assert await typed(*words) == (2, "", f"{line}\n")


async def test_a_node_of_another_chain_or_none_at_all_is_refused(
    played: Played, typed: Typed
) -> None:
    code, stdout, stderr = await typed("round", "dice.0", "--rpc", played.solana_url)
    assert (code, stdout, len(stderr.splitlines())) == (2, "", 1)
    assert "it is a node of another kind of chain" in stderr
    code, stdout, stderr = await typed("round", "dice.0", "--rpc", AWAY)
    assert (code, stdout, len(stderr.splitlines())) == (2, "", 1)
    assert stderr.startswith(f"eth_chainId: {AWAY} does not answer")
    other = changed(played.in_time, "chain", "eip155:1")
    with pytest.raises(Refused, match=r"of eip155:1, and the node of --rpc is of eip155:31337"):
        await statuses(other, rpc=played.evm_url)
    with pytest.raises(ChainError, match="node of another kind of chain"):
        await statuses(played.on_solana, rpc=played.evm_url)


async def test_a_malformed_proof_is_refused_by_the_path_of_what_is_wrong(
    played: Played, tmp_path: Path
) -> None:
    file = tmp_path / "proof.json"
    for body, words in (
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "the proof is malformed: proof"),
        (json.dumps(changed(played.in_time, "seed", "3g")).encode(), "malformed: seed"),
        (json.dumps(played.in_time | {"more": 1}).encode(), "the proof is malformed: "),
    ):
        file.write_bytes(body)
        with pytest.raises(Refused, match=words):
            await fetched.bet_proof("ab" * 32, AWAY, file)
    file.write_text(json.dumps(played.in_time))
    with pytest.raises(Refused, match=r"that is no proof of the round dice\.0, but of bet"):
        await fetched.round_proof("dice.0", AWAY, file)
    with pytest.raises(Refused, match="the house does not answer at"):
        await fetched.round_proof("dice.0", AWAY, None)
    with pytest.raises(Refused, match=r"none\.json cannot be read: No such file"):
        await fetched.round_proof("dice.0", AWAY, tmp_path / "none.json")


def test_the_accounts_of_solana_are_read_where_the_keeper_reads_them() -> None:
    assert bonds.BATCH.size == solana_room.STATEMENTS
    assert bonds.PAIRS.size == solana_room.PAIRS.size
    assert {number: kind for kind, number in bonds.KINDS.items()} == words_room.KINDS


def test_only_what_quicknet_has_signed_is_its_draw() -> None:
    made = bytes.fromhex(proofs.DRAND_SIGNATURES[1_000])
    assert rooms.drand(1_000, made)
    assert not rooms.drand(1_001, made)
    assert not rooms.drand(1_000, bytes(48))


def test_a_signature_is_its_signers_and_nobody_elses() -> None:
    digest = bytes(range(32))
    made = vectors.signed(KEY, digest)
    assert rooms.recover(digest, made) == vectors.signer_of(KEY)
    assert rooms.recover(bytes(32), made) != vectors.signer_of(KEY)
    assert rooms.recover(digest, bytes([255]) * 64 + b"\x1b") is None


def test_how_deep_is_final_follows_from_the_network_and_its_setting() -> None:
    depths = ("eip155:8453", "eip155:1", "eip155:31337", "eip155:999")
    assert [networks.depth_of(chain) for chain in depths] == [300, 64, 2, 64]
    known = {"base": 7}
    assert [networks.depth_of(chain, known) for chain in depths] == [7, 64, 2, 64]
