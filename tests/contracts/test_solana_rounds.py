"""The shared rounds on a real Solana runtime: its C, and the whole bond, say what Python says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.null_signer import NullSigner
from solders.pubkey import Pubkey

from contracts import vectors
from contracts.solana import build
from contracts.solana.postlink import link
from games.fairness import merkle
from games.fairness.vectors import SOLANA
from tests.contracts.solana_bond import Bond
from tests.contracts.solana_runtime import SOL, Refused, Runtime

SHARED: dict[str, list[dict[str, Any]]] = json.loads(vectors.FILE.read_text())
ROUNDS = [case for case in SHARED["rounds"] if case["chain"] == SOLANA.decode()]
CONTRADICTIONS = [case for case in SHARED["contradictions"] if case["chain"] == SOLANA.decode()]
LAST = 2**64 - 1

# Computes what it is told to, with the bond's own headers, and returns it.
CALCULATOR = """
#include "reader.h"
#include "rounds.h"
extern void sol_set_return_data(const u8 *data, u64 length);
u64 entrypoint(u8 *memory) {
    Input input;
    if (!parse(memory, &input)) return 1;
    Reader args = {input.data, input.length, true};
    u8 what = *take(&args, 1), said[96];
    if (what == 3) {
        const u8 *digest = take(&args, 32);
        Slice signature = {args.bytes, args.left};
        bool named = signer_of(digest, signature, said);
        sol_set_return_data(said, named ? 20 : 0);
        return 0;
    }
    u64 length = *take(&args, 1);
    Place place = {take(&args, length), length, NULL};
    place.program = take(&args, 32);
    length = *take(&args, 1);
    Slice table = {take(&args, length), length};
    Round round = {place, table, take64(&args)};
    if (what == 1) {
        const u8 *seed = take(&args, 32), *beacon = take(&args, 32);
        SignedRoot of_bets = {.root = take(&args, 32)};
        of_bets.count = take64(&args), of_bets.liability = take64(&args);
        round_commit(&round, seed, said), root_digest(&round, &of_bets, said + 32);
        round_outcome(&round, seed, of_bets.root, beacon, said + 64);
        sol_set_return_data(said, 96);
    } else {
        RoundBet bet = {.id = take(&args, 32)};
        bet.payee = take(&args, 32), bet.details = take(&args, 32), bet.position = take64(&args);
        bet.stake = take64(&args), bet.stake_high = take64(&args), bet.liability = take64(&args);
        bet_leaf(&round, &bet, said);
        sol_set_return_data(said, 32);
    }
    return spent(&args) ? 0 : 2;
}
"""


class Calculator(Runtime):
    """A chain with nothing but the program above."""

    def __init__(self, folder: Path) -> None:
        source = folder / "calculator.c"
        source.write_text(CALCULATOR)
        program = folder / "calculator.so"
        flags = ("-Wno-unused-function", "-I", str(build.SOURCE.parent))
        program.write_bytes(link(build.compile_object(source, *flags)))
        built = build.Built(build.BOND.idl, source, build.BOND.header, program)
        super().__init__(built, Keypair())
        self.deploy()

    def says(self, what: int, *fields: bytes) -> bytes:
        data = bytes([what]) + b"".join(fields)
        done = self.send([Instruction(self.program.address, data, [])], self.owner)
        return bytes(done.return_data().data)

    @staticmethod
    def spot(case: dict[str, Any]) -> bytes:
        chain, table = str(case["chain"]).encode(), str(case["table"]).encode()
        program, number = bytes.fromhex(case["program"]), little(case["round"])
        return bytes([len(chain)]) + chain + program + bytes([len(table)]) + table + number


def little(number: str | int, size: int = 8) -> bytes:
    return int(number).to_bytes(size, "little")


@pytest.fixture(scope="module")
def calculator(tmp_path_factory: pytest.TempPathFactory) -> Calculator:
    return Calculator(tmp_path_factory.mktemp("calculator"))


def test_the_committed_rounds_are_what_python_says() -> None:
    assert vectors.FILE.read_text() == vectors.texts()[vectors.FILE]


def test_the_shared_rounds_reach_what_they_are_meant_to_reach() -> None:
    chains = {case["chain"] for case in SHARED["rounds"]}
    assert len(chains) == 2
    assert {case["signed_root"]["count"] for case in ROUNDS} == set(vectors.COUNTS)
    assert {len(case["table"]) for case in ROUNDS} >= {1, 32}
    assert {int(case["round"]) for case in ROUNDS} >= {0, LAST}
    liabilities = [int(bet["liability"]) for case in ROUNDS for bet in case["bets"]]
    assert max(liabilities) > 2**48
    stakes = [int(bet["stake"]) for case in ROUNDS for bet in case["bets"]]
    assert max(stakes) == 2**128 - 1
    assert len(SHARED["rounds"]) + len(SHARED["signatures"]) + len(SHARED["contradictions"]) > 100


def test_every_shared_round_is_computed_in_c_as_in_python(calculator: Calculator) -> None:
    for case in ROUNDS:
        said = case["signed_root"]
        answer = calculator.says(
            1,
            calculator.spot(case),
            *(bytes.fromhex(case[name]) for name in ("seed", "beacon")),
            bytes.fromhex(said["root"]) + little(said["count"]) + little(said["liability"]),
        )
        assert answer.hex() == case["commit"] + said["digest"] + case["outcome"]
        for bet in case["bets"]:
            fields = b"".join(bytes.fromhex(bet[name]) for name in ("id", "payee", "details"))
            fields += little(bet["position"]) + little(bet["stake"], 16) + little(bet["liability"])
            assert calculator.says(2, calculator.spot(case), fields).hex() == bet["leaf"]


def test_every_shared_signature_names_its_signer_or_nobody_in_c(calculator: Calculator) -> None:
    for case in SHARED["signatures"]:
        digest, signature = (bytes.fromhex(case[name]) for name in ("digest", "signature"))
        assert calculator.says(3, digest, signature).hex() == case["signer"], case["what"]


def nobody(address: str) -> Keypair:
    """Stands for a key that nobody has; the chain of these tests looks at no signature."""
    return cast(Keypair, NullSigner(Pubkey(bytes.fromhex(address))))


def bond_of(case: dict[str, Any], number: int) -> Bond:
    """A bond at the case's address whose table comes to the case's round next, and commits it."""
    key = vectors.signer_key(number % 4)
    assert vectors.signer_of(key).hex() == case["signer"]
    bond = Bond(chain=SOLANA, program=nobody(case["program"]), signer=key, signatures=False).open()
    first, table = int(case["round"]), case["table"]
    if first:
        bond.commit(0, 1, table=table, root=bytes([1]) * 32)
        numbering = bond.program.derive(b"table", table.encode())
        bond.rewrite(numbering, "Table", next=first, ends=0)
    root = merkle.leaf(bytes.fromhex(case.get("commit", "11" * 32)))
    bond.commit(first, 1, table=table, root=root, max_liability=10 * SOL)
    bond.pass_time(100 + 9)
    return bond


# A round of the last number leaves no number for what comes next.
FITTING = [at for at, case in enumerate(ROUNDS) if int(case["round"]) < LAST]


@pytest.mark.parametrize("number", FITTING[::2])
def test_a_shared_round_is_revealed_on_chain(number: int) -> None:
    case = ROUNDS[number]
    bond = bond_of(case, number)
    said, first = case["signed_root"], int(case["round"])
    what = {"table": case["table"], "first": first}
    fits = int(said["liability"]) <= 10 * SOL
    told = (said["root"], said["count"], int(said["liability"])) if fits else ("00" * 32, 0, 0)
    args = {"roots": [bytes.fromhex(told[0])], "counts": [told[1]], "liabilities": [told[2]]}
    keeper = {"keeper": bond.keeper.pubkey()}
    bond.call("anchor", what | {"start": first} | args, keeper, bond.keeper)
    seed = bytes.fromhex(case["seed"])
    args = {"round": first, "seed": seed, "proof": []}
    (event,) = bond.events(bond.call("reveal", what | args, {}, bond.witness))
    assert event == ("RoundRevealed", {"table": case["table"], "round": first, "seed": seed})


PAYING = [at for at in FITTING for bet in ROUNDS[at]["bets"] if set(bet["payee"]) | {"0"} != {"0"}]


@pytest.mark.parametrize("number", PAYING[1::2])
def test_a_shared_bet_is_claimed_on_chain(number: int) -> None:
    case = ROUNDS[number]
    bond = bond_of(case, number)
    bond.pass_time(60)
    (bet,), said = case["bets"], case["signed_root"]
    payee = Pubkey(bytes.fromhex(bet["payee"]))
    bond.svm.airdrop(payee, SOL)
    args = {"table": case["table"], "first": int(case["round"]), "round": int(case["round"])}
    args |= {"root": bytes.fromhex(said["root"]), "count": said["count"]}
    args |= {"liability": said["liability"], "signature": bytes.fromhex(said["signature"])}
    args |= {"position": bet["position"], "bet_id": bytes.fromhex(bet["id"])}
    args |= {"stake": bet["stake"], "bet_liability": bet["liability"]}
    args |= {"details": bytes.fromhex(bet["details"])}
    args |= {"proof": [bytes.fromhex(one) for one in bet["proof"]]}
    accounts = {"claimant": bond.witness.pubkey(), "payee": payee}
    done = bond.call("claim", args, accounts, bond.witness)
    paid = min(int(bet["liability"]), 10 * SOL)
    assert bond.events(done)[-1][1]["amount"] == paid
    assert bond.balance(payee) == SOL + paid


@pytest.mark.parametrize("number", [0, 3, 4, 5])
def test_a_shared_contradiction_is_slashed_on_chain(number: int) -> None:
    case = CONTRADICTIONS[number]
    bond = bond_of(case, number)
    args: dict[str, Any] = {"table": case["table"]}
    args |= {"first": int(case["round"]), "round": int(case["round"])}
    for which, prefix in (("one", ""), ("other", "other_")):
        said = case[which]
        args |= {f"{prefix}root": bytes.fromhex(said["root"]), f"{prefix}count": said["count"]}
        args |= {f"{prefix}liability": said["liability"]}
        args |= {f"{prefix}signature": bytes.fromhex(said["signature"])}
    accounts = {"witness": bond.witness.pubkey()}
    (event,) = bond.events(bond.call("slash", args, accounts, bond.witness))
    assert event[1]["burned"] == 9 * SOL
    with pytest.raises(Refused, match="AlreadySlashed"):
        bond.call("slash", args, accounts, bond.witness)
