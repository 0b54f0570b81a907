"""Proofs for the vectors: good ones for every game and chain, and bad ones with what they break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from games import GAMES
from games.fairness import merkle, rounds
from games.fairness.pairs import Pair, hash_params
from games.fairness.published.signing import sign
from games.fairness.published.values import (
    CHAINS,
    CHOICES,
    EVM,
    SIGNER,
    SIGNER_KEY,
    STRANGER,
    address,
    drawn,
)
from games.fairness.receipts import Receipt
from games.fairness.rounds import Beacon, Round, RoundBet, Schedule, SignedRoot
from games.fairness.stream import Stream
from games.fairness.verify import (
    Anchored,
    Block,
    Committed,
    Facts,
    PairProof,
    Revealed,
    RoundProof,
)
from games.fairness.verify.proofs import Bets, Commitment, PairBet, ProvedBet, Shown
from games.paytables import params

# Quicknet's own, as its public endpoints give them for these rounds.
DRAND_SIGNATURES = {
    1_000: "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39",
    1_001: "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03"
    "f73896b25883abf2853d10337fb8fa41",
}
CLOSES = rounds.drand_time(1_000) - 5
COUNT, PERIOD, LEAD, WINDOW = 5, 10, 1, 120
MOST = 10**30
PAIRS = 9  # the number of the commitment of every pair
SIGNERS: dict[tuple[bytes, bytes], bytes] = {}


def signature(digest: bytes, key: int = SIGNER_KEY) -> bytes:
    made = sign(key, digest)
    SIGNERS[digest, made] = SIGNER if key == SIGNER_KEY else STRANGER
    return made


def recover(digest: bytes, made: bytes) -> bytes | None:
    """Who signed, among those who did: what recovery finds for any other is not the signer."""
    return SIGNERS.get((digest, made))


def drand(number: int, made: bytes) -> bool:
    return DRAND_SIGNATURES.get(number) == made.hex()


def shown(number: int) -> Shown:
    made = bytes.fromhex(DRAND_SIGNATURES[number])
    randomness = sha256(made).digest()
    return Shown(Beacon(rounds.DRAND, rounds.QUICKNET, number, randomness), made)


def block_of(after: int) -> Block:
    return Block(EVM, 4_711, drawn("block", after), after + 3, after + 2)


def tx(chain: bytes, *names: object) -> bytes:
    told = drawn("tx", *names).hex().encode()
    return told if chain == EVM else b"5" + told.replace(b"0", b"z") + b"A" * 22


@dataclass(frozen=True, slots=True)
class Made:
    """A proof with what its chain says."""

    proof: RoundProof | PairProof
    facts: Facts


def made_round(
    chain: bytes,
    table: bytes,
    *,
    number: int = 12,
    first: int = 10,
    bets: int = 3,
    position: int | None = None,
    kind: bytes = rounds.DRAND,
    key: int = SIGNER_KEY,
) -> Made:
    """A round of a batch of five, with so many bets; the proof of one of them at `position`."""
    program = address(chain, "bond")
    played = Round(chain, program, table, number)
    schedule = Schedule(
        first=first,
        count=COUNT,
        opens=CLOSES + LEAD - PERIOD * (number - first + 1),
        period=PERIOD,
        lead=LEAD,
        reveal_window=WINDOW,
        kind=kind,
        max_liability=MOST,
        signer=SIGNER,
    )
    seeds = [drawn("seed", chain, table, first + place) for place in range(COUNT)]
    tree = merkle.Tree.over(
        [replace(played, number=first + place).commit(seed) for place, seed in enumerate(seeds)]
    )
    seed = seeds[number - first]
    commitment = Commitment(
        tx=tx(chain, table),
        position=1_234,
        time=schedule.opens - 60,
        root=tree.root,
        proof=tuple(tree.proof(number - first)),
    )
    placed = [placed_bet(played, place) for place in range(bets)]
    leaves = [leaf_of(played, bet) for bet in placed]
    signed = SignedRoot(
        played, rounds.bets_root(leaves), bets, sum(bet.liability for bet in placed)
    )
    block = block_of(CLOSES) if kind == rounds.BLOCK else None
    beacon = {
        rounds.DRAND: lambda: shown(1_000),
        rounds.BLOCK: lambda: Shown(block_beacon(block_of(CLOSES)), b""),
        rounds.NONE: lambda: Shown(rounds.NO_BEACON, b""),
    }[kind]()
    outcome = played.outcome(seed=seed, bets_root=signed.root, beacon=beacon.beacon.hash)
    game = GAMES[rounds.game_of(table)]
    result = game.draw(Stream(outcome))
    proved = None
    if position is not None:
        bet = placed[position]
        choice = CHOICES[game.NAME][position % len(CHOICES[game.NAME])]
        proved = replace(
            bet,
            proof=tuple(merkle.Tree.over(leaves).proof(position)),
            payout=game.payout(bet.stake, choice, result),
        )
    facts = Facts(
        chain=chain,
        committed=Committed(
            program=program,
            table=table,
            root=tree.root,
            schedule=schedule,
            tx=commitment.tx,
            position=commitment.position,
            time=commitment.time,
            final_at=schedule.opens - 30,
        ),
        anchored=Anchored(signed.root, CLOSES + 20),
        revealed=Revealed(seed, CLOSES + 25),
        block=block,
    )
    told = Bets(signed.root, bets, signed.liability, signature(signed.digest, key))
    proof = RoundProof(played, schedule, commitment, seed, told, beacon, outcome, result, proved)
    return Made(proof, facts)


def block_beacon(block: Block) -> Beacon:
    return Beacon(rounds.BLOCK, rounds.of_chain(block.chain), block.number, block.hash)


def placed_bet(played: Round, position: int) -> ProvedBet:
    game = GAMES[rounds.game_of(played.table)]
    choice = CHOICES[game.NAME][position % len(CHOICES[game.NAME])]
    stake = 10_000 * (position + 1) + position
    return ProvedBet(
        position=position,
        bet_id=drawn("bet", played.chain, played.table, played.number, position),
        payee=bytes(len(played.program)) if position % 2 else address(played.chain, "payee"),
        stake=stake,
        liability=max(0, game.most(stake, choice) - stake),
        account=b"player:%d" % (17 + position),
        asset=played.chain + b"/slip44:60" if played.chain == EVM else b"iso4217:USD",
        game=game.NAME,
        params=params(game, choice, game.PAYS),
        pay_table=game.PAYS.encoded(),
        proof=(),
        payout=0,
    )


def leaf_of(played: Round, bet: ProvedBet) -> bytes:
    return RoundBet(
        round=played,
        position=bet.position,
        bet_id=bet.bet_id,
        payee=bet.payee,
        stake=bet.stake,
        liability=bet.liability,
        details=rounds.details(
            account=bet.account, asset=bet.asset, game=bet.game, params=bet.params
        ),
    ).leaf


def made_pair(
    chain: bytes,
    *,
    client_seed: bytes = b"lucky",
    nonces: tuple[int, ...] = (0, 1, 2, 3),
    count: int = 4,
    number: int = 1_000,
    kind: bytes = rounds.DRAND,
) -> Made:
    """A pair in a tree of three, with a bet on another game at every nonce.

    `number` is drand's round of its activation, where it is bound to drand.
    """
    program, pair = address(chain, "bond"), Pair(chain, b"player:17", 5)
    seed, opens = drawn("pair", chain), CLOSES
    block = block_of(opens) if kind == rounds.BLOCK else None
    activation = Shown(block_beacon(block), b"") if block else shown(number)
    commits = [drawn("other", 0), pair.commit(seed), drawn("other", 1)]
    tree = merkle.Tree.over(commits)
    commitment = Commitment(tx(chain, "pairs"), 1_200, opens - 60, tree.root, tuple(tree.proof(1)))
    bets: list[PairBet] = []
    for nonce in nonces:
        previous = bets[-1].receipt.digest if bets else pair.commit(seed)
        bets.append(pair_bet(pair, seed, client_seed, activation.beacon.hash, nonce, previous))
    proof = PairProof(
        pair=pair,
        program=program,
        number=PAIRS,
        beacon=kind,
        commitment=commitment,
        place=1,
        places=3,
        seed=seed,
        client_seed=client_seed,
        activation=activation,
        signer=SIGNER,
        count=count,
        bets=tuple(bets),
    )
    committed = Committed(
        program=program,
        table=None,
        root=tree.root,
        schedule=None,
        tx=commitment.tx,
        position=commitment.position,
        time=commitment.time,
        final_at=opens,
        number=PAIRS,
        kind=kind,
    )
    return Made(proof, Facts(chain, committed, None, Revealed(seed, opens + 600), block))


def pair_bet(
    pair: Pair, seed: bytes, client_seed: bytes, activation: bytes, nonce: int, previous: bytes
) -> PairBet:
    game = tuple(GAMES.values())[nonce % len(GAMES)]
    choice = CHOICES[game.NAME][-1]
    bound = params(game, choice, game.PAYS)
    outcome = pair.outcome(
        seed=seed,
        client_seed=client_seed,
        activation=activation,
        nonce=nonce,
        game=game.NAME,
        params=bound,
    )
    result = game.draw(Stream(outcome))
    receipt = Receipt(
        pair=pair,
        nonce=nonce,
        client_seed=client_seed,
        activation=activation,
        asset=b"iso4217:USD",
        game=game.NAME,
        params_hash=hash_params(bound),
        stake=100 + nonce,
        at=1_692_806_400_000 + nonce,
        previous=previous,
    )
    return PairBet(
        receipt=receipt,
        signature=signature(receipt.digest),
        params=bound,
        pay_table=game.PAYS.encoded(),
        outcome=outcome,
        draw=result,
        payout=game.payout(receipt.stake, choice, result),
    )


def good_cases() -> Iterator[tuple[str, Made]]:
    for chain in CHAINS:
        name = chain.split(b":")[0].decode()
        for game in GAMES:
            yield f"{name} bet {game.decode()}", made_round(chain, game, position=1)
        yield f"{name} round", made_round(chain, b"numbers")
        yield f"{name} round without bets", made_round(chain, b"numbers-2", bets=0)
        yield f"{name} round of blocks", made_round(chain, b"dice", kind=rounds.BLOCK)
        yield f"{name} first of batch and bets", made_round(chain, b"dice", number=10, position=0)
        yield f"{name} last of batch and bets", made_round(chain, b"dice", number=14, position=2)
        yield f"{name} only bet", made_round(chain, b"limbo", bets=1, position=0)
        yield f"{name} first of table", made_round(chain, b"crash", number=0, first=0, position=2)
        yield f"{name} pair", made_pair(chain)
        yield f"{name} pair of blocks", made_pair(chain, kind=rounds.BLOCK)
        yield f"{name} pair of every game", made_pair(chain, nonces=tuple(range(6)), count=6)
        yield f"{name} pair without bets", made_pair(chain, nonces=(), count=0)
        yield f"{name} client seed of 1 byte", made_pair(chain, client_seed=b"x")
        yield f"{name} client seed of 64 bytes", made_pair(chain, client_seed="é".encode() * 32)
