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
from games.paytables import PARTS, Edge, digest, params
from games.rules import NotOffered

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
OWN_BP = 1_150  # what the house keeps of games of rounds
EDGES = (Edge(OWN_BP), Edge(0), Edge(100), Edge(9_999))


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
    yield from played_rounds()


def round_case(chain: bytes, number: int) -> Case:
    """From commitment to outcome, with as many bets and as much liability as a number says."""
    played = rounds.Round(chain, address(chain, number % 3), TABLES[number], at(ROUNDS, number))
    count = COUNTS[number]
    return told_round(played, number, count, at(STAKES, number + 1) if count else 0)


def told_round(played: rounds.Round, number: int, count: int, liability: int) -> Case:
    """From commitment to outcome: leaf, root, signature and beacon on the way."""
    seed = drawn("seed", played.chain, number)
    leaves = [drawn("leaf", number, place) for place in range(count)]
    root = rounds.SignedRoot(played, rounds.bets_root(leaves), count, liability)
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
        "chain": played.chain.decode(),
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


def played_rounds() -> Iterator[Case]:
    """A round of every game at every edge on both chains, from its commitment to a payout."""
    for number, (chain, name, pays) in enumerate(everywhere(), len(TABLES)):
        table = name + b"-" + str(number).encode()
        played = rounds.Round(chain, address(chain, number % 3), table, number)
        told = told_round(played, number, 2, 1_000 + number)
        outcome = bytes.fromhex(str(told["outcome"]))
        yield told | {"play": play(name, choice_of(name, pays, number), pays, number, outcome)}


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
        choice = dice.Choice(bool(number % 2), 5_000 + number)
        yield pair_case(number, CHAINS[number % 2], dice.NAME, choice, dice.PAYS)
    for number, (chain, name, pays) in enumerate(everywhere(), 12):
        yield pair_case(number, chain, name, choice_of(name, pays, number), pays)


def pair_case(number: int, chain: bytes, name: bytes, choice: Any, pays: Any) -> Case:
    """A pair's commitment, one outcome with what it draws and pays, and the bet's receipt."""
    account = at(
        (b"player:17", chain + b":0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"), number // 2
    )
    pair = pairs.Pair(chain, account, at(ROUNDS, number))
    seed, activation = drawn("pair", number), drawn("activation", number)
    told = {
        "client_seed": at(CLIENT_SEEDS, number),
        "activation": activation,
        "nonce": at((0, 1, pairs.MAX_BETS - 1), number),
        "game": name,
        "params": params(GAMES[name], choice, pays),
    }
    outcome = pair.outcome(seed=seed, **told)
    receipt = receipts.Receipt(
        pair=pair,
        nonce=told["nonce"],
        client_seed=told["client_seed"],
        activation=activation,
        asset=b"iso4217:USD",
        game=name,
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
        "game": name.decode(),
        "params": told["params"].hex(),
        "outcome": outcome.hex(),
        "asset": receipt.asset.decode(),
        "stake": str(receipt.stake),
        "at": str(receipt.at),
        "previous": receipt.previous.hex(),
        "receipt": receipt.digest.hex(),
        "signature": sign(SIGNER_KEY, receipt.digest).hex(),
        "signer": SIGNER.hex(),
        "play": play(name, choice, pays, number, outcome),
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


def pay_tables(name: bytes) -> tuple[Any, ...]:
    """Those of every edge, the house's own first where a game's wins keep one edge."""
    if name != numbers.NAME:
        return EDGES
    return (numbers.PAYS, *(scaled(edge) for edge in EDGES if edge.edge_bp != OWN_BP))


def scaled(edge: Edge) -> numbers.PayTable:
    """The house's own multipliers for about this edge, each rounded down."""
    rows = numbers.PAYS.rows
    kept = PARTS - OWN_BP
    return numbers.PayTable(tuple(tuple(one * edge.kept // kept for one in row) for row in rows))


def everywhere() -> Iterator[tuple[bytes, bytes, Any]]:
    """Every chain with every game at every edge."""
    for chain in CHAINS:
        for name in GAMES:
            for pays in pay_tables(name):
                yield chain, name, pays


def offered(name: bytes, choice: Any, pays: Any) -> bool:
    try:
        GAMES[name].most(0, choice, pays)
    except NotOffered:
        return False
    return True


def choice_of(name: bytes, pays: Any, number: int) -> Any:
    return at(tuple(one for one in CHOICES[name] if offered(name, one, pays)), number)


def play(name: bytes, choice: Any, pays: Any, number: int, outcome: bytes) -> Case:
    """What an outcome draws and pays."""
    game = GAMES[name]
    result = game.draw(Stream(outcome))
    stake = at(STAKES, number)
    return {
        "game": name.decode(),
        "pay_table": pays.encoded().hex(),
        "params": params(game, choice, pays).hex(),
        "stake": str(stake),
        "draw": said(result),
        "payout": str(game.payout(stake, choice, result, pays)),
    }


def said(result: Any) -> object:
    return str(result) if isinstance(result, int) else [str(one) for one in result]


def winning(name: bytes, choice: Any, pays: Any, label: str, most: int) -> bytes:
    """The first outcome of a row that wins, so that payouts other than zero are told too."""
    game = GAMES[name]
    for number in range(most):
        outcome = drawn(label, number)
        if game.payout(10_000, choice, game.draw(Stream(outcome)), pays):
            return outcome
    return drawn(label, 0)


def game_cases() -> Iterator[Case]:
    """Each choice at each edge, once with an outcome that wins, where one is found, and once with
    any other; choices and pay tables that are refused, as such."""
    for name, choices in CHOICES.items():
        for pays in pay_tables(name):
            for number, choice in enumerate(choices):
                label = f"{name.decode()}/{number}"
                if not offered(name, choice, pays):
                    yield refused_case(name, choice, pays.encoded())
                    continue
                # The first choice is searched for longest: it wins once in 10,000 at the last edge.
                most = 60_000 if number == 0 else 2_000
                won = winning(name, choice, pays, label, most)
                yield game_case(name, choice, pays, won, at(STAKES, number + 1))
                lost = drawn(label, "any")
                yield game_case(name, choice, pays, lost, at(STAKES, number + 4))
        for encoded in no_pay_tables(name):
            yield refused_case(name, choices[0], encoded)


def no_pay_tables(name: bytes) -> tuple[bytes, ...]:
    """What is none of a game: too long, too short, an edge of everything, or nothing at all."""
    own = GAMES[name].PAYS.encoded()
    empty = bytes(len(own)) if name == numbers.NAME else PARTS.to_bytes(2, "big")
    return own + b"\0", own[:-1], empty


def refused_case(name: bytes, choice: Any, encoded: bytes) -> Case:
    version = sha256(tag(b"pay-table", name, encoded)).digest()
    return {
        "game": name.decode(),
        "pay_table": encoded.hex(),
        "version": version.hex(),
        "params": (version + choice.encoded()).hex(),
        "refused": True,
    }


def game_case(name: bytes, choice: Any, pays: Any, outcome: bytes, stake: int) -> Case:
    game = GAMES[name]
    result = game.draw(Stream(outcome))
    return {
        "game": name.decode(),
        "outcome": outcome.hex(),
        "pay_table": pays.encoded().hex(),
        "version": digest(game, pays).hex(),
        "params": params(game, choice, pays).hex(),
        "stake": str(stake),
        "draw": said(result),
        "payout": str(game.payout(stake, choice, result, pays)),
        "most": str(game.most(stake, choice, pays)),
        "rtp": str(game.rtp(choice, pays)),
        "variance": str(game.variance(choice, pays)),
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
