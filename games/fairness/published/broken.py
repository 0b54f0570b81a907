"""Broken proofs: what is changed in a good one, and the step or the field that it breaks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from games.fairness import rounds
from games.fairness.published.proofs import (
    CLOSES,
    WINDOW,
    Made,
    drand,
    good_cases,
    made_pair,
    made_round,
    recover,
)
from games.fairness.published.signing import N
from games.fairness.published.values import EVM, STRANGER, STRANGER_KEY, Case, drawn
from games.fairness.verify import Malformed, read_facts, verify, write_facts, written

BET = "eip155 bet dice"
SOLANA_BET = "solana bet dice"
BLOCKS = "eip155 round of blocks"
PAIR = "eip155 pair"
PAIR_BLOCKS = "eip155 pair of blocks"
EMPTY = "eip155 round without bets"
GONE = object()
OTHER = drawn("other").hex()

Change = dict[str, Any]
Bad = tuple[str, str, Change, str]


def bases() -> dict[str, Made]:
    """Good proofs, and such as cannot be made out of a good one by changing fields."""
    reused, skipped = (made_pair(EVM, nonces=row) for row in ((0, 1, 1, 2), (0, 1, 3)))
    return {
        **dict(good_cases()),
        "eip155 round of nobody's chance": made_round(EVM, b"dice", kind=rounds.NONE),
        "eip155 bet signed by a stranger": made_round(EVM, b"dice", position=1, key=STRANGER_KEY),
        "eip155 pair with a nonce used twice": reused,
        "eip155 pair with a nonce left out": skipped,
    }


BASES = bases()


def json_of(name: str) -> Any:
    return written(BASES[name].proof)


def swapped(told: Any, one: str, two: str) -> Change:
    return {one: found(told, two), two: found(told, one)}


def steps_to(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def found(told: Any, path: str) -> Any:
    for step in steps_to(path):
        told = told[step]
    return told


def changed(told: Any, changes: Change) -> Any:
    """A copy with other values at these paths; without them where they are to be gone."""
    told = copy.deepcopy(told)
    for path, value in changes.items():
        *way, last = steps_to(path)
        inside = told
        for step in way:
            inside = inside[step]
        if value is GONE:
            del inside[last]
        else:
            inside[last] = value
    return told


def seed_cases() -> list[Bad]:
    """The commitment and what the chain has of it."""
    told = json_of(BET)
    seed, outcome = told["seed"], told["result"]["outcome"]
    late = told["schedule"]["opens"]
    return [
        ("tampered seed", BET, {"seed": OTHER}, "commitment"),
        (
            "seed and outcome swapped",
            BET,
            {"seed": outcome, "result.outcome": seed},
            "commitment",
        ),
        ("another round of the batch", BET, {"round": "11"}, "commitment"),
        ("round after the batch", BET, {"round": "15"}, "schedule"),
        ("round before the batch", BET, {"round": "9"}, "schedule"),
        ("tampered seed on Solana", SOLANA_BET, {"seed": OTHER}, "commitment"),
        ("late commit on Solana", SOLANA_BET, {"facts.committed.final_at": late}, "in time"),
        ("chain swapped", BET, {"chain": "eip155:31338", "facts": None}, "commitment"),
        ("another table", BET, {"table": "dice-2"}, "commitment"),
        ("chain of another house", BET, {"chain": "eip155:1", "facts": None}, "commitment"),
        ("tampered sibling", BET, {"commitment.proof.0": OTHER}, "commitment"),
        ("sibling left out", BET, {"commitment.proof.2": GONE}, "commitment"),
        (
            "siblings swapped",
            BET,
            swapped(told, "commitment.proof.0", "commitment.proof.1"),
            "commitment",
        ),
        ("another root than on chain", BET, {"facts.committed.root": OTHER}, "on chain"),
        ("another program than on chain", BET, {"facts.committed.program": OTHER[:40]}, "on chain"),
        ("another table than on chain", BET, {"facts.committed.table": "dice-2"}, "on chain"),
        ("another tx than on chain", BET, {"facts.committed.tx": OTHER}, "on chain"),
        (
            "another limit than on chain",
            BET,
            {"facts.committed.schedule.max_liability": "1"},
            "on chain",
        ),
        (
            "another signer than on chain",
            BET,
            {"facts.committed.schedule.signer": STRANGER.hex()},
            "on chain",
        ),
        (
            "another kind of beacon than on chain",
            BET,
            {"facts.committed.schedule.kind": "block"},
            "on chain",
        ),
        ("nothing on chain", BET, {"facts.committed": None}, "on chain"),
        ("late commit", BET, {"facts.committed.final_at": late}, "in time"),
        ("commit that is not final", BET, {"facts.committed.final_at": None}, "in time"),
        ("late commit by its own word", BET, {"commitment.time": late, "facts": None}, "in time"),
        ("another seed revealed on chain", BET, {"facts.revealed.seed": OTHER}, "reveal"),
        (
            "revealed at the deadline",
            BET,
            {"facts.revealed.time": str(CLOSES + WINDOW)},
            "reveal",
        ),
        (
            "revealed after the deadline",
            BET,
            {"facts.revealed.time": str(CLOSES + WINDOW + 1)},
            "reveal",
        ),
    ]


def chance_cases() -> list[Bad]:
    """The beacon, the outcome and what is drawn from it."""
    next_one = written(made_pair(EVM, number=1_001).proof)["activation"]
    dice, numbers = (json_of(name)["result"]["draw"] for name in (BET, "eip155 round"))
    return [
        ("tampered randomness", BET, {"beacon.randomness": OTHER}, "beacon"),
        ("tampered signature of drand", BET, {"beacon.signature": OTHER + OTHER[:32]}, "beacon"),
        (
            "randomness of nobody's signature",
            BET,
            {
                "beacon.signature": "11" * 48,
                "beacon.randomness": sha256(b"\x11" * 48).hexdigest(),
            },
            "beacon",
        ),
        ("another chain of drand", BET, {"beacon.chain_hash": OTHER}, "beacon"),
        ("a later round of drand", BET, {"beacon": next_one}, "beacon round"),
        (
            "a later round of drand with a later schedule",
            BET,
            {"beacon": next_one, "schedule.opens": str(CLOSES - 26)},
            "on chain",
        ),
        ("a block where drand was declared", BET, {"schedule.kind": "block"}, "beacon round"),
        ("chance of nobody", "eip155 round of nobody's chance", {}, "beacon"),
        ("another block", BLOCKS, {"facts.block.hash": OTHER}, "beacon"),
        ("another block's chain", BLOCKS, {"facts.block.chain": "eip155:1"}, "beacon"),
        ("a block too early", BLOCKS, {"facts.block.time": str(CLOSES + 2)}, "beacon round"),
        (
            "not the first block",
            BLOCKS,
            {"facts.block.parent_time": str(CLOSES + 3)},
            "beacon round",
        ),
        ("another block's number", BLOCKS, {"beacon.round": "4712"}, "beacon round"),
        ("tampered outcome", BET, {"result.outcome": OTHER}, "outcome"),
        ("tampered draw", BET, {"result.draw": "4"}, "draw"),
        (
            "numbers drawn in another order",
            "eip155 round",
            swapped(json_of("eip155 round"), "result.draw.0", "result.draw.1"),
            "draw",
        ),
        ("one number drawn, told as a list", BET, {"result.draw": [dice]}, "draw"),
        ("numbers drawn, told as one", "eip155 round", {"result.draw": numbers[0]}, "draw"),
        ("a draw too many", "eip155 round", {"result.draw.19": GONE}, "draw"),
        ("no game of this name", "eip155 round", {"table": "chess"}, "draw"),
    ]


def bets_cases() -> list[Bad]:
    """The signed root, the bet under it, its terms and its payout."""
    told = json_of(BET)
    bet, root = told["bet"], told["bets"]["root"]
    high = told["bets"]["signature"]
    s = N - int(high[64:128], 16)
    return [
        ("another root of bets", BET, {"bets.root": OTHER}, "signature"),
        (
            "roots swapped",
            BET,
            {"bets.root": told["commitment"]["root"], "commitment.root": root},
            "commitment",
        ),
        ("one bet fewer", BET, {"bets.count": "2"}, "signature"),
        ("less liability", BET, {"bets.liability": "1"}, "signature"),
        ("signed by a stranger", "eip155 bet signed by a stranger", {}, "signature"),
        ("another signer", BET, {"schedule.signer": STRANGER.hex()}, "signature"),
        (
            "signature with a high s",
            BET,
            {"bets.signature": high[:64] + f"{s:064x}" + high[128:]},
            "signature",
        ),
        ("signature with v of 0", BET, {"bets.signature": high[:128] + "00"}, "signature"),
        ("signature of zeros", BET, {"bets.signature": "00" * 64 + "1b"}, "signature"),
        ("more than the limit", BET, {"schedule.max_liability": "1"}, "bets"),
        ("bets without a root", BET, {"bets.root": "00" * 32}, "bets"),
        ("a root without bets", EMPTY, {"bets.root": OTHER}, "bets"),
        ("liability without bets", EMPTY, {"bets.liability": "1"}, "bets"),
        ("another root anchored", BET, {"facts.anchored.root": OTHER}, "anchor"),
        ("tampered stake", BET, {"bet.stake": "1"}, "bet"),
        ("stake and liability swapped", BET, swapped(told, "bet.stake", "bet.liability"), "bet"),
        ("tampered payee", BET, {"bet.payee": OTHER[:40]}, "bet"),
        ("tampered account", BET, {"bet.account": "player:1"}, "bet"),
        ("account and asset swapped", BET, swapped(told, "bet.account", "bet.asset"), "bet"),
        ("tampered id of the bet", BET, {"bet.bet_id": OTHER}, "bet"),
        ("tampered choice", BET, {"bet.params": bet["params"][:-2] + "89"}, "bet"),
        ("another position", BET, {"bet.position": "0"}, "bet"),
        ("position beyond the bets", BET, {"bet.position": "3"}, "bet"),
        ("greatest position", BET, {"bet.position": str(2**64 - 1)}, "bet"),
        ("sibling of the bet left out", BET, {"bet.proof.1": GONE}, "bet"),
        ("another version of the pay table", BET, {"bet.pay_table": "0064"}, "terms"),
        ("a pay table that cannot be", BET, {"bet.pay_table": "2710"}, "terms"),
        ("a choice that cannot be", BET, {"bet.params": bet["params"][:64] + "020001"}, "terms"),
        ("a choice with a byte too many", BET, {"bet.params": bet["params"] + "00"}, "terms"),
        ("a game of another table", BET, {"bet.game": "range"}, "terms"),
        ("a game that does not exist", BET, {"bet.game": "chess"}, "terms"),
        ("liability less than the win", BET, {"bet.liability": "1"}, "terms"),
        ("payout a unit too small", BET, {"bet.payout": str(int(bet["payout"]) + 1)}, "payout"),
        ("greatest payout", BET, {"bet.payout": str(2**256 - 1)}, "payout"),
    ]


def pair_cases() -> list[Bad]:
    told = json_of(PAIR)
    first = told["bets"][0]
    activation = written(made_pair(EVM, number=1_001).proof)["activation"]
    return [
        ("pair with a tampered seed", PAIR, {"seed": OTHER}, "commitment"),
        ("pair of another epoch", PAIR, {"epoch": "6"}, "commitment"),
        ("pair of another account", PAIR, {"account": "player:18"}, "commitment"),
        ("pair at another place", PAIR, {"commitment.place": "0"}, "commitment"),
        ("pair outside its tree", PAIR, {"commitment.place": "3"}, "commitment"),
        ("pair under another root on chain", PAIR, {"facts.committed.root": OTHER}, "on chain"),
        (
            "pair committed late",
            PAIR,
            {"facts.committed.final_at": str(CLOSES + 5)},
            "in time",
        ),
        ("pair of another commitment", PAIR, {"number": "8"}, "on chain"),
        ("pair of another commitment on chain", PAIR, {"facts.committed.number": "8"}, "on chain"),
        ("pair bound to blocks on chain", PAIR, {"facts.committed.kind": "block"}, "on chain"),
        ("pair bound to nothing on chain", PAIR, {"facts.committed.kind": None}, "on chain"),
        ("pair that says it is bound to blocks", PAIR, {"beacon": "block"}, "beacon round"),
        (
            "pair that says it is bound to drand",
            PAIR_BLOCKS,
            {"beacon": "drand", "facts.committed.kind": "drand"},
            "in time",
        ),
        (
            "pair activated by the block that made it final",
            PAIR_BLOCKS,
            {"facts.committed.final_at": str(CLOSES + 3)},
            "in time",
        ),
        (
            "pair activated before it was final",
            PAIR_BLOCKS,
            {"facts.committed.final_at": str(CLOSES + 60)},
            "in time",
        ),
        (
            "pair activated by a block too early",
            PAIR_BLOCKS,
            {"facts.committed.final_at": str(CLOSES + 1)},
            "beacon round",
        ),
        (
            "pair activated by a later block",
            PAIR_BLOCKS,
            {"facts.block.parent_time": str(CLOSES + 3), "facts.block.time": str(CLOSES + 4)},
            "beacon round",
        ),
        ("pair activated by another block", PAIR_BLOCKS, {"facts.block.hash": OTHER}, "beacon"),
        ("pair of another block's number", PAIR_BLOCKS, {"activation.round": "4712"}, "in time"),
        (
            "pair of blocks of another chain",
            PAIR_BLOCKS,
            {"facts.block.chain": "eip155:1"},
            "beacon",
        ),
        (
            "pair of blocks that is not final",
            PAIR_BLOCKS,
            {"facts.committed.final_at": None},
            "in time",
        ),
        (
            "pair of blocks with another seed revealed",
            PAIR_BLOCKS,
            {"facts.revealed.seed": OTHER},
            "reveal",
        ),
        ("pair that is not final", PAIR, {"facts.committed.final_at": None}, "in time"),
        ("pair with a later activation", PAIR, {"activation": activation}, "beacon round"),
        (
            "pair with an activation of blocks",
            PAIR,
            {"activation": json_of(BLOCKS)["beacon"]},
            "beacon round",
        ),
        ("pair with another client seed", PAIR, {"client_seed": "6c75636b7a"}, "outcome"),
        ("client seed that looks the same", PAIR, {"client_seed": b"1ucky".hex()}, "receipts"),
        ("nonce used twice", "eip155 pair with a nonce used twice", {}, "receipts"),
        ("nonce left out", "eip155 pair with a nonce left out", {}, "receipts"),
        ("bet left out", PAIR, {"bets.1": GONE}, "receipts"),
        ("bets swapped", PAIR, swapped(told, "bets.1", "bets.2"), "receipts"),
        ("more bets than told", PAIR, {"count": "3"}, "receipts"),
        ("tampered stake in a pair", PAIR, {"bets.0.stake": "1"}, "receipts"),
        ("tampered link", PAIR, {"bets.2.previous": OTHER}, "receipts"),
        ("first link to nothing", PAIR, {"bets.0.previous": "00" * 32}, "receipts"),
        (
            "receipt with another's signature",
            PAIR,
            {"bets.1.signature": first["signature"]},
            "signature",
        ),
        ("pair of another signer", PAIR, {"signer": STRANGER.hex()}, "signature"),
        ("tampered outcome in a pair", PAIR, {"bets.3.outcome": OTHER}, "outcome"),
        ("tampered draw in a pair", PAIR, {"bets.1.draw": "4"}, "draw"),
        ("tampered params in a pair", PAIR, {"bets.1.params": first["params"]}, "receipts"),
        ("another pay table in a pair", PAIR, {"bets.1.pay_table": "0064"}, "terms"),
        ("tampered payout in a pair", PAIR, {"bets.0.payout": "123"}, "payout"),
        ("another pair's seed revealed", PAIR, {"facts.revealed.seed": OTHER}, "reveal"),
    ]


ILL_FORMED: list[tuple[str, Change, str]] = [
    *(
        (f"without {field}", {field: GONE}, field)
        for field in (
            *("scheme", "kind", "chain", "program", "table", "round", "schedule", "commitment"),
            *("seed", "bets", "beacon", "result", "bet", "schedule.first", "schedule.signer"),
            *("commitment.root", "commitment.proof", "bets.signature", "beacon.kind"),
            *("result.outcome", "result.draw", "bet.bet_id", "bet.payout"),
        )
    ),
    ("field nobody knows", {"note": "trust us"}, "note"),
    ("field nobody knows inside", {"bets.note": "trust us"}, "bets.note"),
    ("another scheme", {"scheme": "cgf/v2"}, "scheme"),
    ("another kind", {"kind": "raffle"}, "kind"),
    ("kind that is no text", {"kind": 1}, "kind"),
    ("chain without a namespace", {"chain": "31337"}, "chain"),
    ("chain in capitals", {"chain": "EIP155:31337"}, "chain"),
    ("chain that the node has not", {"facts.chain": "eip155:1"}, "chain"),
    ("chain of another kind", {"chain": "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"}, "program"),
    ("program of another chain", {"program": "00" * 32}, "program"),
    ("payee of another chain", {"bet.payee": "00" * 32}, "bet.payee"),
    ("table in capitals", {"table": "Dice"}, "table"),
    ("table of 33 letters", {"table": "a" * 33}, "table"),
    ("table with an end of line", {"table": "dice\n"}, "table"),
    ("seed in capitals", {"seed": "AB" * 32}, "seed"),
    ("seed with a prefix", {"seed": "0x" + "ab" * 32}, "seed"),
    ("seed with spaces", {"seed": " " + "ab" * 31 + " "}, "seed"),
    ("seed of 31 bytes", {"seed": "ab" * 31}, "seed"),
    ("seed of 33 bytes", {"seed": "ab" * 33}, "seed"),
    ("seed of half a byte too many", {"seed": "ab" * 32 + "a"}, "seed"),
    ("seed that is no hex", {"seed": "zz" * 32}, "seed"),
    ("seed that is a number", {"seed": 7}, "seed"),
    ("seed that is null", {"seed": None}, "seed"),
    ("round as a JSON number", {"round": 12}, "round"),
    ("round with a leading zero", {"round": "012"}, "round"),
    ("round with a sign", {"round": "+12"}, "round"),
    ("round below zero", {"round": "-1"}, "round"),
    ("round with a space", {"round": "12 "}, "round"),
    ("round with an underscore", {"round": "1_2"}, "round"),
    ("round in hex", {"round": "0xc"}, "round"),
    ("round in other digits", {"round": "١٢"}, "round"),
    ("round of nothing", {"round": ""}, "round"),
    ("round beyond 64 bits", {"round": str(2**64)}, "round"),
    ("stake beyond 256 bits", {"bet.stake": str(2**256)}, "bet.stake"),
    ("stake of a thousand digits", {"bet.stake": "9" * 1_000}, "bet.stake"),
    ("stake with a fraction", {"bet.stake": "1.5"}, "bet.stake"),
    ("stake in powers", {"bet.stake": "1e3"}, "bet.stake"),
    ("schedule that is a list", {"schedule": []}, "schedule"),
    ("schedule of no rounds", {"schedule.count": "0"}, "schedule"),
    ("schedule of 257 rounds", {"schedule.count": "257"}, "schedule"),
    ("schedule that closes before it opens", {"schedule.lead": "10"}, "schedule"),
    ("schedule without time to reveal", {"schedule.reveal_window": "0"}, "schedule"),
    ("signer of 32 bytes", {"schedule.signer": "00" * 32}, "schedule.signer"),
    ("17 siblings", {"commitment.proof": ["00" * 32] * 17}, "commitment.proof"),
    ("siblings as one text", {"commitment.proof": "00" * 32}, "commitment.proof"),
    ("a short sibling", {"commitment.proof.1": "00" * 31}, "commitment.proof[1]"),
    ("signature of 64 bytes", {"bets.signature": "00" * 64}, "bets.signature"),
    ("signature of 66 bytes", {"bets.signature": "00" * 66}, "bets.signature"),
    ("beacon of a kind nobody knows", {"beacon.kind": "vrf"}, "beacon.kind"),
    ("beacon without drand's signature", {"beacon.signature": ""}, "beacon.signature"),
    ("no beacon, and yet a round", {"beacon.kind": "none", "beacon.signature": ""}, "beacon"),
    ("draw as a JSON number", {"result.draw": 4}, "result.draw"),
    ("draw beyond 53 bits", {"result.draw": str(2**53)}, "result.draw"),
    ("draw of 81 numbers", {"result.draw": ["1"] * 81}, "result.draw"),
    ("account with a space", {"bet.account": "player 17"}, "bet.account"),
    ("account of 161 letters", {"bet.account": "p" * 161}, "bet.account"),
    ("account of nothing", {"bet.account": ""}, "bet.account"),
    ("params without a version", {"bet.params": "00" * 31}, "bet.params"),
    ("params of 1025 bytes", {"bet.params": "00" * 1_025}, "bet.params"),
]

ILL_FORMED_PAIRS: list[tuple[str, Change, str]] = [
    *(
        (f"pair without {field}", {field: GONE}, field)
        for field in (
            *("account", "epoch", "number", "beacon", "client_seed", "activation", "signer"),
            *("count", "bets"),
            *("commitment.place", "commitment.places"),
        )
    ),
    ("client seed of 0 bytes", {"client_seed": ""}, "client_seed"),
    ("client seed of 65 bytes", {"client_seed": "78" * 65}, "client_seed"),
    ("client seed that is no UTF-8", {"client_seed": "ff"}, "client_seed"),
    ("client seed of half a character", {"client_seed": "78c3"}, "client_seed"),
    ("client seed of a lone surrogate", {"client_seed": "eda080"}, "client_seed"),
    ("client seed as it reads", {"client_seed": "lucky"}, "client_seed"),
    ("nonce beyond what a seed serves", {"bets.0.nonce": "65536"}, "bets[0]"),
    ("nonce with a leading zero", {"bets.1.nonce": "01"}, "bets[1].nonce"),
    ("receipt without a link", {"bets.2.previous": GONE}, "bets[2].previous"),
    ("number of a commitment below zero", {"number": "-1"}, "number"),
    ("commitment beyond 64 bits", {"number": str(2**64)}, "number"),
    ("bound to chance of nobody", {"beacon": "none"}, "beacon"),
    ("bound to a beacon, not to its kind", {"beacon": {}}, "beacon"),
    ("kind on chain that is none", {"facts.committed.kind": "none"}, "facts.committed.kind"),
    ("number on chain in hex", {"facts.committed.number": "0x9"}, "facts.committed.number"),
    ("number on chain left out", {"facts.committed.number": GONE}, "facts.committed.number"),
    ("tree without places", {"commitment.places": "0"}, "commitment.places"),
    ("bets that are no list", {"bets": {}}, "bets"),
]


def case(name: str, base: str, changes: Change) -> Case:
    """What a verifier says that has facts, recovery and BLS: steps, or where it stops reading."""
    told = {"proof": json_of(base), "facts": write_facts(BASES[base].facts)}
    whole = {
        path if path.split(".")[0] == "facts" else f"proof.{path}": value
        for path, value in changes.items()
    }
    told = changed(told, whole)
    made: Case = {"name": name, **told}
    try:
        facts = None if told["facts"] is None else read_facts(told["facts"])
        steps = verify(told["proof"], facts=facts, recover=recover, drand=drand)
    except Malformed as malformed:
        return made | {"malformed": malformed.field}
    return made | {"steps": [[step.name, step.status] for step in steps]}


def proof_cases() -> Iterator[Case]:
    """`breaks` is the step that must fail, or the field that must be named, as a person says."""
    for name, _ in good_cases():
        yield case(name, name, {}) | {"breaks": None}
    last = {"facts.revealed.time": str(CLOSES + WINDOW - 1)}
    yield case("revealed in the last second", BET, last) | {"breaks": None}
    for chain in ("eip155", "solana"):
        for name in (f"{chain} bet dice", f"{chain} pair", f"{chain} pair of blocks"):
            yield case(f"{name} offline", name, {"facts": None}) | {"breaks": None}
    for name, base, changes, step in (
        *seed_cases(),
        *chance_cases(),
        *bets_cases(),
        *pair_cases(),
    ):
        yield case(name, base, changes) | {"breaks": step}
    for base, rows in ((BET, ILL_FORMED), (PAIR, ILL_FORMED_PAIRS)):
        for name, changes, field in rows:
            facts = {} if any(path.startswith("facts.") for path in changes) else {"facts": None}
            yield case(name, base, changes | facts) | {"breaks": field}
