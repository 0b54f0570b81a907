"""Vectors of rounds and pairs: what Python computes and signs, for both contracts to repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from chains.evm.address import keccak256
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.rounds import (
    BLOCK,
    DRAND,
    NO_BETS,
    QUICKNET,
    Beacon,
    Round,
    RoundBet,
    SignedRoot,
    bets_root,
    of_chain,
)
from games.fairness.vectors import EVM, SOLANA, drawn

FILE = Path(__file__).resolve().parent / "rounds.json"
PAIRS = FILE.with_name("pairs.json")
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
TABLES = (b"numbers", b"numbers-2", b"d", b"a-table-with-the-longest-name-32")
NUMBERS = (0, 1, 255, 65_536, 2**32, 2**63, 2**64 - 1)
COUNTS = (1, 2, 3, 5, 8, 0, 100)
SIZES = {EVM: 16, SOLANA: 8}  # bytes of a liability
STAKES = {EVM: 32, SOLANA: 16}
PER_CHAIN = 28
ACCOUNTS = (b"player:17", b"!", b"0x" + b"aB" * 20, b"~" * 160, b"cash:player:4:eip155:1/slip44:60")
EPOCHS = (0, 1, 255, 65_536, 2**63, 2**64 - 1)
PLACES = ((0, 1), (1, 2), (0, 3), (2, 3), (4, 5), (6, 8), (99, 100), (0, 256), (255, 256))
PAIRS_PER_CHAIN = 18


def signed(key: PrivateKey, digest: bytes) -> bytes:
    """r, s and v of 27 or 28; the s is the low one."""
    raw = key.sign_recoverable(digest, hasher=None)
    return raw[:64] + bytes([raw[64] + 27])


def signer_of(key: PrivateKey) -> bytes:
    """The 20 bytes by which both contracts know who signs."""
    return keccak256(key.public_key.format(compressed=False)[1:])[12:]


def signer_key(name: object) -> PrivateKey:
    return PrivateKey(drawn("signer", name))


def most(name: object, size: int, number: int) -> int:
    """A number of some length up to `size` bytes; every seventh is the largest."""
    if number % 7 == 6:
        return int(2 ** (8 * size) - 1)
    return int.from_bytes(drawn(name, number, size=1 + number % size), "big")


def bets_of(spot: Round, count: int, number: int) -> list[RoundBet]:
    size = len(spot.program)
    return [
        RoundBet(
            round=spot,
            position=at,
            bet_id=drawn("bet", number, at),
            payee=bytes(size) if at % 5 == 4 else drawn("payee", number, at, size=size),
            stake=most(f"stake/{at}", STAKES[spot.chain], number),
            liability=most(f"liability/{at}", SIZES[spot.chain], number) // max(count, 1),
            details=drawn("details", number, at),
        )
        for at in range(count)
    ]


def round_of(chain: bytes, number: int) -> Round:
    return Round(
        chain=chain,
        program=drawn(chain, "bond", number % 3, size=20 if chain == EVM else 32),
        table=TABLES[number % len(TABLES)],
        number=NUMBERS[number % len(NUMBERS)],
    )


def beacon_of(number: int) -> Beacon:
    kind, chain_hash = ((DRAND, QUICKNET), (BLOCK, of_chain(EVM)))[number % 2]
    return Beacon(kind, chain_hash, 1_000 + number, drawn("randomness", number))


def round_case(chain: bytes, number: int) -> dict[str, Any]:
    """One round from its seed to its result, with one bet of it and who signed the bets."""
    spot, seed, key = round_of(chain, number), drawn(chain, "seed", number), signer_key(number % 4)
    bets = bets_of(spot, COUNTS[number % len(COUNTS)], number)
    leaves = [bet.leaf for bet in bets]
    said = SignedRoot(spot, bets_root(leaves), len(bets), sum(bet.liability for bet in bets))
    beacon = beacon_of(number).hash
    case: dict[str, Any] = {
        "chain": chain.decode(),
        "program": spot.program.hex(),
        "table": spot.table.decode(),
        "round": str(spot.number),
        "seed": seed.hex(),
        "commit": spot.commit(seed).hex(),
        "signed_root": signed_root_case(said, key),
        "signer": signer_of(key).hex(),
        "beacon": beacon.hex(),
        "outcome": spot.outcome(seed=seed, bets_root=said.root, beacon=beacon).hex(),
        "bets": [],
    }
    if bets:
        position = len(bets) * 2 // 3
        proof = merkle.Tree.over(leaves).proof(position)
        case["bets"] = [bet_case(bets[position], proof)]
    return case


def signed_root_case(said: SignedRoot, key: PrivateKey) -> dict[str, Any]:
    return {
        "root": said.root.hex(),
        "count": said.count,
        "liability": str(said.liability),
        "digest": said.digest.hex(),
        "signature": signed(key, said.digest).hex(),
    }


def bet_case(bet: RoundBet, proof: list[bytes]) -> dict[str, Any]:
    return {
        "position": bet.position,
        "id": bet.bet_id.hex(),
        "payee": bet.payee.hex(),
        "stake": str(bet.stake),
        "liability": str(bet.liability),
        "details": bet.details.hex(),
        "leaf": bet.leaf.hex(),
        "proof": [sibling.hex() for sibling in proof],
    }


def signature_cases() -> list[dict[str, Any]]:
    """Signatures and whom they name; nobody where a contract must refuse them."""
    cases: list[dict[str, Any]] = []
    for number in range(6):
        key, digest = signer_key(number), drawn("digest", number)
        good = signed(key, digest)
        r, s, v = good[:32], int.from_bytes(good[32:64], "big"), good[64]
        high = r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v])
        shapes = {
            "good": (good, signer_of(key)),
            "another signer": (signed(signer_key("other"), digest), signer_of(signer_key("other"))),
            "a high s": (high, b""),
            "v of 0": (good[:64] + bytes([v - 27]), b""),
            "v of 29": (good[:64] + b"\x1d", b""),
            "r of 0": (bytes(32) + good[32:], b""),
            "s of 0": (r + bytes(32) + good[64:], b""),
            "r of the order": (ORDER.to_bytes(32, "big") + good[32:], b""),
            "too short": (good[:64], b""),
            "too long": (good + b"\0", b""),
        }
        for what, (signature, who) in shapes.items():
            case = {"what": what, "digest": digest.hex(), "signature": signature.hex()}
            cases.append(case | {"signer": who.hex()})
    return cases


def contradiction_case(chain: bytes, number: int) -> dict[str, Any]:
    """Two signed roots of one round, which differ in root, count or liability."""
    spot, key = round_of(chain, number), signer_key(number % 4)
    one = SignedRoot(spot, drawn("one", number), 3, 1_000 + number)
    others = (
        replace(one, root=drawn("other", number)),
        replace(one, count=4),
        replace(one, liability=one.liability + 1),
        SignedRoot(spot, NO_BETS, 0, 0),
    )
    return {
        "chain": chain.decode(),
        "program": spot.program.hex(),
        "table": spot.table.decode(),
        "round": str(spot.number),
        "signer": signer_of(key).hex(),
        "one": signed_root_case(one, key),
        "other": signed_root_case(others[number % len(others)], key),
    }


def vectors() -> dict[str, Any]:
    chains = (EVM, SOLANA)
    return {
        "rounds": [round_case(chain, at) for chain in chains for at in range(PER_CHAIN)],
        "signatures": signature_cases(),
        "contradictions": [contradiction_case(chain, at) for chain in chains for at in range(8)],
    }


def pair_case(chain: bytes, number: int) -> dict[str, Any]:
    """One pair in its place under the root that is the chain's `number`th commitment."""
    place, count = PLACES[number % len(PLACES)]
    account = ACCOUNTS[number % len(ACCOUNTS)]
    pair, seed = Pair(chain, account, EPOCHS[number % len(EPOCHS)]), drawn(chain, "pair", number)
    commits = [drawn("another", number, at) for at in range(count)]
    commits[place] = pair.commit(seed)
    tree = merkle.Tree.over(commits)
    return {
        "chain": chain.decode(),
        "number": str(number),
        "root": tree.root.hex(),
        "count": count,
        "kind": 1 + number % 2,
        "place": place,
        "account": account.decode(),
        "epoch": str(pair.epoch),
        "seed": seed.hex(),
        "commit": commits[place].hex(),
        "proof": [sibling.hex() for sibling in tree.proof(place)],
    }


def pairs() -> dict[str, Any]:
    return {
        "pairs": [pair_case(chain, at) for chain in (EVM, SOLANA) for at in range(PAIRS_PER_CHAIN)]
    }


def texts() -> dict[Path, str]:
    """What the files hold."""
    made = {FILE: vectors(), PAIRS: pairs()}
    return {file: json.dumps(one, indent=1) + "\n" for file, one in made.items()}


def main() -> None:
    for file, text in texts().items():
        file.write_text(text)
        print(f"{file.name}: {len(text)} characters")


if __name__ == "__main__":
    main()
