"""How many outcomes a core derives in a second, against the bare `hmac` that each is made of.

Run it alone: `python -m tests.bench.bench_outcomes`. Every figure is the best of several rounds in
one process, so the ratios stand even where the seconds do not.
"""

from __future__ import annotations

import gc
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from games import coinflip, crash, dice, limbo, numbers
from games.fairness import rounds
from games.fairness.encoding import tag, u64
from games.fairness.pairs import Pair
from games.fairness.published import broken, proofs
from games.fairness.rounds import Round
from games.fairness.stream import Stream
from games.fairness.verify import verify

COUNT = 10_000
ROUNDS = 3
SEED, ROOT, BEACON = bytes(range(32)), bytes(32), bytes(32)
ROUND = Round(b"eip155:31337", bytes(20), b"numbers", 0)
PAIR = Pair(b"eip155:31337", b"player:17", 0)
MESSAGE = tag(b"round-out", ROUND.chain, ROUND.table, u64(0), ROOT, BEACON)
GAMES = (dice, coinflip, limbo, crash, numbers)


def rate(work: Callable[[int], object], count: int = COUNT) -> float:
    """Calls a second of one core."""
    best = float("inf")
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        start = time.process_time()
        for number in range(count):
            work(number)
        best = min(best, time.process_time() - start)
    gc.enable()
    return count / best


def bare(number: int) -> bytes:
    return hmac.digest(SEED, MESSAGE, sha256)


def outcome(number: int) -> bytes:
    return ROUND.outcome(seed=SEED, bets_root=ROOT, beacon=BEACON)


def next_outcome(number: int) -> bytes:
    """As a table has them: each round is another value, which checks itself."""
    return replace(ROUND, number=number).outcome(seed=SEED, bets_root=ROOT, beacon=BEACON)


def pair_outcome(number: int) -> bytes:
    return PAIR.outcome(
        seed=SEED,
        client_seed=b"lucky",
        activation=BEACON,
        nonce=number,
        game=b"dice",
        params=bytes(35),
    )


def drawn(game: Any) -> Callable[[int], object]:
    return lambda number: game.draw(Stream(outcome(number)))


def leaf(number: int) -> bytes:
    return rounds.RoundBet(ROUND, number, SEED, bytes(20), 1_000, 45_000, SEED).leaf


def checked(name: str) -> Callable[[int], object]:
    """A whole proof out of its JSON, all steps but recovery and BLS, which C and others do."""
    told, facts = broken.json_of(name), broken.BASES[name].facts
    return lambda number: verify(told, facts=facts, recover=proofs.recover, drand=proofs.drand)


def main() -> None:
    alone = rate(bare)
    print(f"{'bare hmac.digest':32}{alone:12,.0f}/s")
    for name, work in (
        ("outcome of a round", outcome),
        ("outcome of the next round", next_outcome),
        ("outcome of a pair's next bet", pair_outcome),
        ("leaf of a bet", leaf),
        *((f"outcome and draw of {game.NAME.decode()}", drawn(game)) for game in GAMES),
    ):
        found = rate(work)
        print(f"{name:32}{found:12,.0f}/s   {found / alone:6.1%} of bare hmac")
    for name in ("eip155 bet dice", "eip155 bet numbers", "eip155 pair"):
        found = rate(checked(name), 300)
        print(f"proof checked, {name:17}{found:12,.0f}/s   {1_000 / found:6.2f} ms each")


if __name__ == "__main__":
    main()
