"""Shared vectors: the same bets for Python, Solidity and C, written once and never by hand."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

from games import range as range_game
from games.fairness import bets, merkle
from games.fairness.stream import Stream, words

FILE = Path(__file__).resolve().parents[2] / "contracts" / "vectors.json"
EVM = b"eip155:31337"
SOLANA = b"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
CHOICES = ((0, 1), (0, 5_000), (5_000, 10_000), (100, 9_900), (9_999, 10_000), (2_500, 7_499))
INDEXES = (0, 1, 255, 256, 65_535, 2**32, 2**63, 2**64 - 1)
COUNTS = (1, 2, 3, 5, 8, 1_024)
STAKE_SIZES = {EVM: 16, SOLANA: 8}  # lamports fit 64 bits; the EVM contract holds a stake in 128
# Just above 2^63 about half of all words are passed over; the others are the ends of the scale.
BOUNDS = (*(2**63 + 1 + number for number in range(16)), 1, 2, 10_000, 2**32, 2**63, 2**64 - 1)


def drawn(*names: object, size: int = 32) -> bytes:
    """Bytes that look random and are always the same."""
    return sha256("/".join(map(str, names)).encode()).digest()[:size]


def bet_case(chain: bytes, number: int) -> dict[str, object]:
    size, most = 20 if chain == EVM else 32, STAKE_SIZES[chain]
    choice = range_game.Choice(*CHOICES[number % len(CHOICES)])
    seed = drawn(chain, "seed", number)
    bet = bets.PlacedBet(
        chain=chain,
        program=drawn(chain, "program", number % 3, size=size),
        index=INDEXES[number % len(INDEXES)],
        player=drawn(chain, "player", number, size=size),
        stake=int.from_bytes(drawn("stake", number, size=1 + number % most), "big"),
        choice=choice.encoded(),
        client_seed=bytes(32) if number == 0 else drawn("client", number),
    )
    outcome = bets.outcome(seed, bet, range_game.NAME)
    roll = range_game.roll(outcome)
    return {
        "chain": chain.decode(),
        "program": bet.program.hex(),
        "index": str(bet.index),
        "player": bet.player.hex(),
        "stake": str(bet.stake),
        "low": choice.low,
        "high": choice.high,
        "client_seed": bet.client_seed.hex(),
        "seed": seed.hex(),
        "commit": bets.commit(chain, bet.program, bet.index, seed).hex(),
        "bet_hash": bet.hash.hex(),
        "outcome": outcome.hex(),
        "roll": roll,
        "payout": str(range_game.payout(bet.stake, choice, roll)),
    }


def merkle_case(count: int) -> dict[str, object]:
    commits = [drawn("leaf", count, at) for at in range(count)]
    tree = merkle.Tree.over(commits)
    position = count * 2 // 3
    return {
        "count": count,
        "position": position,
        "commit": commits[position].hex(),
        "root": tree.root.hex(),
        "proof": [sibling.hex() for sibling in tree.proof(position)],
    }


def stream_case(number: int, n: int) -> dict[str, object]:
    outcome = drawn("stream", number)
    first = next(words(outcome))
    return {
        "outcome": outcome.hex(),
        "n": str(n),
        "value": str(Stream(outcome).below(n)),
        "first_word_rejected": first >= 2**64 // n * n,
    }


def vectors() -> dict[str, object]:
    return {
        "bets": [bet_case(chain, number) for chain in (EVM, SOLANA) for number in range(32)],
        "merkle": [merkle_case(count) for count in COUNTS],
        "stream": [stream_case(number, n) for number, n in enumerate(BOUNDS)],
    }


def text() -> str:
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
    sys.stdout.write(f"{FILE.name}: {len(FILE.read_text())} characters\n")
