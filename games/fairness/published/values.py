"""Values for the vectors: every formula with its inputs, its edges among them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

from games import GAMES, coinflip, crash, dice, limbo, numbers
from games import range as range_game
from games.fairness import merkle, pairs, receipts, rounds
from games.fairness.encoding import tag, u64
from games.fairness.published.signing import sign
from games.fairness.stream import Stream, words
from games.paytables import Edge, digest, params

Case = dict[str, object]

EVM = b"eip155:31337"
SOLANA = b"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
CHAINS = (EVM, SOLANA)
MAX64, MAX256 = 2**64 - 1, 2**256 - 1

# Made from these words for this file; nobody else may ever use them.
SIGNER_KEY = int.from_bytes(sha256(b"fairhouse/vectors/signer").digest(), "big")
SIGNER = bytes.fromhex("ec2ea83249652eb8ab576b0acfa6fdad01300587")
STRANGER_KEY = int.from_bytes(sha256(b"fairhouse/vectors/stranger").digest(), "big")
STRANGER = bytes.fromhex("c7cf7173dd952e962036c8ba921a8b555e34ed2e")

WETH = b"0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
TABLES = (b"numbers", b"numbers-2", b"dice", b"limbo", b"coinflip", b"crash", b"range", b"a" * 32)
ROUNDS = (0, 1, 7, 255, 256, 2**32, 2**63, MAX64)
STAKES = (0, 1, 3, 10_000, 2**53 + 1, 10**18, 2**128 - 1, 2**200 + 7)
CLIENT_SEEDS = (b"x", b"lucky", b"\0", b"x" * 64, "é".encode() * 32, "🎲".encode() * 16)
COUNTS = (0, 1, 2, 3, 5, 8, 100, 256)
EDGES = (Edge(1_150), Edge(0), Edge(100), Edge(9_999))


def drawn(*names: object, size: int = 32) -> bytes:
    """Bytes that look random and are always the same."""
    return sha256("/".join(map(str, ("published", *names))).encode()).digest()[:size]


def address(chain: bytes, *names: object) -> bytes:
    return drawn("address", *names, size=20 if chain == EVM else 32)


def at(values: tuple[Any, ...], number: int) -> Any:
    return values[number % len(values)]


def round_cases() -> Iterator[Case]:
    for chain in CHAINS:
        for number in range(len(TABLES)):
            yield round_case(chain, number)


def round_case(chain: bytes, number: int) -> Case:
    """From commitment to outcome: leaf, root, signature and beacon on the way."""
    played = rounds.Round(chain, address(chain, number % 3), TABLES[number], at(ROUNDS, number))
    seed, count = drawn("seed", chain, number), COUNTS[number]
    leaves = [drawn("leaf", number, place) for place in range(count)]
    root = rounds.SignedRoot(
        played, rounds.bets_root(leaves), count, at(STAKES, number + 1) if count else 0
    )
    beacon = at(
        (
            rounds.Beacon(rounds.DRAND, rounds.QUICKNET, 1_000 + number, drawn("drand", number)),
            rounds.Beacon(rounds.BLOCK, rounds.of_chain(EVM), number, drawn("block", number)),
            rounds.NO_BEACON,
        ),
        number,
    )
    outcome = played.outcome(seed=seed, bets_root=root.root, beacon=beacon.hash)
    return {
        "chain": chain.decode(),
        "program": played.program.hex(),
        "table": played.table.decode(),
        "round": str(played.number),
        "seed": seed.hex(),
        "commit": played.commit(seed).hex(),
        "leaves": [leaf.hex() for leaf in leaves],
        "bets_root": root.root.hex(),
        "liability": str(root.liability),
        "digest": root.digest.hex(),
        "signature": sign(SIGNER_KEY, root.digest).hex(),
        "signer": SIGNER.hex(),
        "beacon": {
            "kind": beacon.kind.decode(),
            "chain_hash": beacon.chain_hash.hex(),
            "round": str(beacon.round),
            "randomness": beacon.randomness.hex(),
            "hash": beacon.hash.hex(),
        },
        "outcome": outcome.hex(),
    }


def leaf_cases() -> Iterator[Case]:
    for chain in CHAINS:
        for number in range(len(STAKES)):
            yield leaf_case(chain, number)


def leaf_case(chain: bytes, number: int) -> Case:
    """A bet's details, leaf and receipt, at the ends of every field's range."""
    played = rounds.Round(chain, address(chain, number), at(TABLES, number), at(ROUNDS, number))
    told = {
        "account": at((b"player:17", chain + b":" + b"0" * 40, b"p" * 160), number),
        "asset": at((b"iso4217:USD", chain + b"/slip44:60", b"casino:demo/GOLD_COINS"), number),
        "game": rounds.game_of(played.table),
        "params": drawn("params", number, size=32) * (number % 3) + b"\x01" * (number % 5),
    }
    bet = rounds.RoundBet(
        round=played,
        position=at(ROUNDS, number),
        bet_id=drawn("bet", number),
        payee=bytes(len(played.program)) if number % 2 else address(chain, "payee", number),
        stake=MAX256 if number == 7 else STAKES[number],
        liability=MAX256 if number == 6 else at(STAKES, number + 3),
        details=rounds.details(**told),
    )
    receipt = rounds.BetReceipt(played, bet.position, bet.leaf)
    return {
        "chain": chain.decode(),
        "program": played.program.hex(),
        "table": played.table.decode(),
        "round": str(played.number),
        "position": str(bet.position),
        "bet_id": bet.bet_id.hex(),
        "payee": bet.payee.hex(),
        "stake": str(bet.stake),
        "liability": str(bet.liability),
        **{name: told[name].decode() for name in ("account", "asset", "game")},
        "params": told["params"].hex(),
        "details": bet.details.hex(),
        "leaf": bet.leaf.hex(),
        "receipt": receipt.digest.hex(),
        "signature": sign(SIGNER_KEY, receipt.digest).hex(),
        "signer": SIGNER.hex(),
    }


def merkle_cases() -> Iterator[Case]:
    """First, middle and last place of trees of many sizes."""
    for count in (1, 2, 3, 4, 5, 8, 9, 255, 256):
        commits = [drawn("merkle", count, place) for place in range(count)]
        tree = merkle.Tree.over(commits)
        for place in sorted({0, count // 2, count - 1}):
            yield {
                "count": str(count),
                "position": str(place),
                "commit": commits[place].hex(),
                "root": tree.root.hex(),
                "proof": [sibling.hex() for sibling in tree.proof(place)],
            }


def drand_cases() -> Iterator[Case]:
    """Closing times around the ticks of quicknet, and its round for each of them."""
    genesis = rounds.QUICKNET_GENESIS
    for closes in (*range(genesis - 2, genesis + 5), 1_700_000_009, 1_763_748_000, 2**40):
        number = rounds.drand_round(closes)
        yield {
            "closes": str(closes),
            "round": str(number),
            "time": str(rounds.drand_time(number)),
        }


def pair_cases() -> Iterator[Case]:
    for number in range(12):
        yield pair_case(number)


def pair_case(number: int) -> Case:
    """A pair's commitment, one outcome and its receipt."""
    chain = CHAINS[number % 2]
    account = at(
        (b"player:17", chain + b":0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"), number // 2
    )
    pair = pairs.Pair(chain, account, at(ROUNDS, number))
    seed, activation = drawn("pair", number), drawn("activation", number)
    choice = dice.Choice(bool(number % 2), 5_000 + number)
    told = {
        "client_seed": at(CLIENT_SEEDS, number),
        "activation": activation,
        "nonce": at((0, 1, pairs.MAX_BETS - 1), number),
        "game": dice.NAME,
        "params": params(dice, choice, dice.PAYS),
    }
    receipt = receipts.Receipt(
        pair=pair,
        nonce=told["nonce"],
        client_seed=told["client_seed"],
        activation=activation,
        asset=b"iso4217:USD",
        game=dice.NAME,
        params_hash=pairs.hash_params(told["params"]),
        stake=at(STAKES, number),
        at=1_700_000_000_000 + number,
        previous=pair.commit(seed) if told["nonce"] == 0 else drawn("previous", number),
    )
    return {
        "chain": chain.decode(),
        "account": account.decode(),
        "epoch": str(pair.epoch),
        "seed": seed.hex(),
        "commit": pair.commit(seed).hex(),
        "client_seed": told["client_seed"].hex(),
        "activation": activation.hex(),
        "nonce": str(told["nonce"]),
        "game": dice.NAME.decode(),
        "params": told["params"].hex(),
        "outcome": pair.outcome(seed=seed, **told).hex(),
        "asset": receipt.asset.decode(),
        "stake": str(receipt.stake),
        "at": str(receipt.at),
        "previous": receipt.previous.hex(),
        "receipt": receipt.digest.hex(),
        "signature": sign(SIGNER_KEY, receipt.digest).hex(),
        "signer": SIGNER.hex(),
    }


def below_cases() -> Iterator[Case]:
    """Bounds where every second word is passed over, and the ends of the scale."""
    bounds = (*(2**63 + 1 + number for number in range(12)), 1, 2, 3, 80, 10_000, 2**52, MAX64)
    for number, n in enumerate((*bounds, 2**64)):
        outcome = drawn("below", number)
        stream = Stream(outcome)
        yield {
            "outcome": outcome.hex(),
            "n": str(n),
            "values": [str(stream.below(n)) for _ in range(5)],
            "first_word_rejected": next(words(outcome)) >= 2**64 // n * n,
        }


def shuffle_cases() -> Iterator[Case]:
    for number, (size, count) in enumerate(((1, 1), (2, 2), (52, 52), (80, 20), (80, 0), (300, 7))):
        outcome = drawn("shuffle", number)
        picked = Stream(outcome).pick(range(size), count)
        yield {
            "outcome": outcome.hex(),
            "size": str(size),
            "count": str(count),
            "picked": [str(one) for one in picked],
        }


def spots(count: int) -> numbers.Choice:
    return numbers.Choice(tuple(sorted(Stream(drawn("spots", count)).pick(numbers.BALLS, count))))


CHOICES: dict[bytes, tuple[Any, ...]] = {
    numbers.NAME: tuple(spots(count) for count in numbers.SPOTS),
    dice.NAME: tuple(
        dice.Choice(over, face)
        for over, face in (
            (False, 1),
            (False, 5_000),
            (False, 8_850),
            (True, 1_149),
            (True, 4_999),
            (True, 9_998),
        )
    ),
    limbo.NAME: tuple(map(limbo.Choice, (101, 177, 200, 1_000, 99_999_999, limbo.MOST))),
    coinflip.NAME: (coinflip.Choice(coinflip.HEADS), coinflip.Choice(coinflip.TAILS)),
    crash.NAME: tuple(map(crash.Choice, (101, 177, 200, 1_000, 999_999, crash.MOST))),
    range_game.NAME: (range_game.Choice(0, 1), range_game.Choice(2_500, 7_500)),
}


def winning(name: bytes, choice: Any, label: str) -> bytes:
    """The first outcome of a row that wins, so that payouts other than zero are told too."""
    game = GAMES[name]
    for number in range(2_000):
        outcome = drawn(label, number)
        if game.payout(10_000, choice, game.draw(Stream(outcome))):
            return outcome
    return drawn(label, 0)


def game_cases() -> Iterator[Case]:
    """Each choice once with an outcome that wins, where one is found, and once with any other."""
    for name, choices in CHOICES.items():
        for number, choice in enumerate(choices):
            label = f"{name.decode()}/{number}"
            yield game_case(name, choice, winning(name, choice, label), at(STAKES, number + 1))
            yield game_case(name, choice, drawn(label, "any"), at(STAKES, number + 4))


def game_case(name: bytes, choice: Any, outcome: bytes, stake: int) -> Case:
    game = GAMES[name]
    result = game.draw(Stream(outcome))
    return {
        "game": name.decode(),
        "outcome": outcome.hex(),
        "pay_table": game.PAYS.encoded().hex(),
        "version": digest(game, game.PAYS).hex(),
        "params": params(game, choice, game.PAYS).hex(),
        "stake": str(stake),
        "draw": str(result) if isinstance(result, int) else [str(one) for one in result],
        "payout": str(game.payout(stake, choice, result)),
        "most": str(game.most(stake, choice)),
        "rtp": str(game.rtp(choice)),
        "variance": str(game.variance(choice)),
    }


def point_cases() -> Iterator[Case]:
    """Draws and the multipliers in hundredths that they make, around every step of rounding."""
    crashes = (0, 1, 2**51, 3 * 2**50, 2**52 - 2**20, 2**52 - 2, 2**52 - 1)
    limbos = (1, 2, 884, 885, 886, 500_000_000, 885_000_000, 10**9)
    rooms: tuple[tuple[bytes, Callable[[int, Edge], int], tuple[int, ...]], ...] = (
        (crash.NAME, crash.point, crashes),
        (limbo.NAME, limbo.point, limbos),
    )
    for name, point, draws in rooms:
        for edge in EDGES:
            for draw in draws:
                yield {
                    "game": name.decode(),
                    "edge_bp": str(edge.edge_bp),
                    "draw": str(draw),
                    "point": str(point(draw, edge)),
                }


def research() -> Case:
    """The vectors that the scheme was published with; the pair's has no activation beacon."""
    seed = bytes(range(32))
    roulette = rounds.Round(b"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", bytes(32), b"roulette", 7)
    beacon = rounds.Beacon(rounds.DRAND, rounds.QUICKNET, 1_000, b"\xab" * 32)
    pair = pairs.Pair(b"eip155:8453", WETH, 0)
    fields = (pair.chain, pair.account, u64(0), b"lucky", u64(0), b"dice", bytes(32))
    message = tag(b"pair-out", *fields)
    return {
        "seed": seed.hex(),
        "round_commit": roulette.commit(seed).hex(),
        "beacon": beacon.hash.hex(),
        "round_out": roulette.outcome(seed=seed, bets_root=bytes(32), beacon=beacon.hash).hex(),
        "pair_commit": pair.commit(seed).hex(),
        "pair_out_without_activation": hmac.digest(seed, message, sha256).hex(),
    }
