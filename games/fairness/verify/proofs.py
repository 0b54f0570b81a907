"""Proofs: all that a verifier must know of a round, a bet or a pair, as values and as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from games.fairness.encoding import address_sizes
from games.fairness.merkle import MAX_LEAVES
from games.fairness.pairs import CLIENT_SEED, MAX_BETS, Pair, hash_params
from games.fairness.receipts import Receipt
from games.fairness.rounds import BLOCK, DRAND, KINDS, Beacon, Round, Schedule
from games.fairness.verify.reading import Fields, Malformed, hashed

T = TypeVar("T")

SCHEME = b"cgf/v1"
ROUND, BET, PAIR = b"round", b"bet", b"pair"
CHAIN = re.compile(r"[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}")
TABLE = re.compile(r"[a-z0-9-]{1,32}")
TX = re.compile(r"[0-9a-zA-Z]{1,96}")
KIND = re.compile("|".join(kind.decode() for kind in KINDS))
BOUND = re.compile(f"{DRAND.decode()}|{BLOCK.decode()}")  # what a commitment of pairs may bind
SIGNATURE = (65,)
DRAND_SIGNATURE = 48
MAX_DEPTH = (MAX_LEAVES - 1).bit_length()
PARAMS, PAY_TABLE = range(32, 1_025), range(4_097)

Draw = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Commitment:
    """Where a root was committed, and how a seed's commitment stands under it.

    tx, position (slot or height) and time (of its block, unix seconds) are what the proof says;
    a verifier looks there by itself.
    """

    tx: bytes
    position: int
    time: int
    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bets:
    """The bets of a round, as the house has signed them."""

    root: bytes
    count: int
    liability: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A beacon with what proves it: drand's signature, or nothing."""

    beacon: Beacon
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProvedBet:
    """One bet of a round, with its siblings under the root of bets."""

    position: int
    bet_id: bytes
    payee: bytes
    stake: int
    liability: int
    account: bytes
    asset: bytes
    game: bytes
    params: bytes
    pay_table: bytes
    proof: tuple[bytes, ...]
    payout: int


@dataclass(frozen=True, slots=True)
class RoundProof:
    """A round from commitment to result, and one of its bets if it is the proof of one."""

    round: Round
    schedule: Schedule
    commitment: Commitment
    seed: bytes
    bets: Bets
    beacon: Shown
    outcome: bytes
    draw: Draw
    bet: ProvedBet | None = None


@dataclass(frozen=True, slots=True)
class PairBet:
    """One bet of a pair: its receipt, its terms and what came of it."""

    receipt: Receipt
    signature: bytes
    params: bytes
    pay_table: bytes
    outcome: bytes
    draw: Draw
    payout: int


@dataclass(frozen=True, slots=True)
class PairProof:
    """A pair from commitment to results: bets in a row, all of them or some.

    `number` is that of the commitment at its contract, `beacon` the kind of chance it is bound
    to; `place` of `places` is where the pair stands among those under the same root; `count` is
    how many bets the house says it took with the seed.
    """

    pair: Pair
    program: bytes
    number: int
    beacon: bytes
    commitment: Commitment
    place: int
    places: int
    seed: bytes
    client_seed: bytes
    activation: Shown
    signer: bytes
    count: int
    bets: tuple[PairBet, ...]


def read(proof: object) -> RoundProof | PairProof:
    """A proof out of what a JSON file holds. Raises `Malformed`, and nothing else."""
    kind = proof.get("kind") if isinstance(proof, dict) else None
    if kind == PAIR.decode():
        return _read_pair(proof)
    if kind in (ROUND.decode(), BET.decode()):
        return _read_round(proof, [BET.decode()] if kind == BET.decode() else [])
    if not isinstance(proof, dict):
        raise Malformed("proof", "is no object")
    raise Malformed("kind", "is missing" if "kind" not in proof else "is not round, bet or pair")


HEADER = ("scheme", "kind", "chain", "program")


def _header(fields: Fields) -> tuple[bytes, bytes]:
    fields.text("scheme", re.compile(re.escape(SCHEME.decode())))
    chain = fields.text("chain", CHAIN)
    return chain, fields.raw("program", address_sizes(chain))


def _read_round(proof: object, more: Sequence[str]) -> RoundProof:
    names = ("table", "round", "schedule", "commitment", "seed", "bets", "beacon", "result")
    fields = Fields(proof, "", (*HEADER, *names, *more))
    chain, program = _header(fields)
    result = fields.inner("result", ("outcome", "draw"))
    return RoundProof(
        round=Round(chain, program, fields.text("table", TABLE), fields.number("round")),
        schedule=fields.take("schedule", read_schedule),
        commitment=fields.take("commitment", _commitment),
        seed=fields.hash("seed"),
        bets=fields.take("bets", _bets),
        beacon=fields.take("beacon", _beacon),
        outcome=result.hash("outcome"),
        draw=result.draw("draw"),
        bet=fields.take("bet", lambda value, path: _bet(value, path, program)) if more else None,
    )


def read_schedule(value: object, path: str) -> Schedule:
    names = ("first", "count", "opens", "period", "lead", "reveal_window")
    fields = Fields(value, path, (*names, "kind", "max_liability", "signer"))
    times = {name: fields.number(name) for name in names}
    return made(
        path,
        lambda: Schedule(
            **times,
            kind=fields.text("kind", KIND),
            max_liability=fields.number("max_liability", bits=256),
            signer=fields.raw("signer", (20,)),
        ),
    )


def made(path: str, make: Callable[[], T]) -> T:
    """A value that checks itself, whose refusal is that of its place in the proof."""
    try:
        return make()
    except Malformed:
        raise
    except ValueError as refused:
        raise Malformed(path, str(refused)) from None


COMMITMENT = ("tx", "position", "time", "root", "proof")


def _commitment(value: object, path: str) -> Commitment:
    return _committed(Fields(value, path, COMMITMENT))


def _committed(fields: Fields) -> Commitment:
    return Commitment(
        tx=fields.text("tx", TX),
        position=fields.number("position"),
        time=fields.number("time"),
        root=fields.hash("root"),
        proof=fields.rows("proof", hashed, most=MAX_DEPTH),
    )


def _bets(value: object, path: str) -> Bets:
    fields = Fields(value, path, ("root", "count", "liability", "signature"))
    return Bets(
        root=fields.hash("root"),
        count=fields.number("count"),
        liability=fields.number("liability", bits=256),
        signature=fields.raw("signature", SIGNATURE),
    )


def _beacon(value: object, path: str) -> Shown:
    names = ("kind", "chain_hash", "round", "randomness", "signature")
    fields = Fields(value, path, names)
    kind = fields.text("kind", KIND)
    beacon = made(
        path,
        lambda: Beacon(
            kind, fields.hash("chain_hash"), fields.number("round"), fields.hash("randomness")
        ),
    )
    return Shown(beacon, fields.raw("signature", (DRAND_SIGNATURE if kind == DRAND else 0,)))


def _bet(value: object, path: str, program: bytes) -> ProvedBet:
    names = ("position", "bet_id", "payee", "stake", "liability", "account", "asset", "game")
    fields = Fields(value, path, (*names, "params", "pay_table", "proof", "payout"))
    return ProvedBet(
        position=fields.number("position"),
        bet_id=fields.hash("bet_id"),
        payee=fields.raw("payee", (len(program),)),
        stake=fields.number("stake", bits=256),
        liability=fields.number("liability", bits=256),
        account=fields.text("account"),
        asset=fields.text("asset"),
        game=fields.text("game", TABLE),
        params=fields.raw("params", PARAMS),
        pay_table=fields.raw("pay_table", PAY_TABLE),
        proof=fields.rows("proof", hashed, most=MAX_DEPTH),
        payout=fields.number("payout", bits=256),
    )


def _read_pair(proof: object) -> PairProof:
    names = ("account", "epoch", "number", "beacon", "commitment", "seed", "client_seed")
    fields = Fields(proof, "", (*HEADER, *names, "activation", "signer", "count", "bets"))
    chain, program = _header(fields)
    pair = Pair(chain, fields.text("account"), fields.number("epoch"))
    client_seed = fields.raw("client_seed", CLIENT_SEED)
    made("client_seed", client_seed.decode)
    activation = fields.take("activation", _beacon)
    commitment = fields.inner("commitment", (*COMMITMENT, "place", "places"))
    return PairProof(
        pair=pair,
        program=program,
        number=fields.number("number"),
        beacon=fields.text("beacon", BOUND),
        commitment=_committed(commitment),
        place=commitment.number("place"),
        places=_places(commitment),
        seed=fields.hash("seed"),
        client_seed=client_seed,
        activation=activation,
        signer=fields.raw("signer", (20,)),
        count=fields.number("count", bits=17),
        bets=fields.rows(
            "bets",
            lambda value, path: _pair_bet(
                value, path, pair=pair, client_seed=client_seed, activation=activation.beacon.hash
            ),
            most=MAX_BETS,
        ),
    )


def _places(fields: Fields) -> int:
    places = fields.number("places")
    if not 1 <= places <= MAX_LEAVES:
        raise Malformed(fields.path("places"), f"is 1..{MAX_LEAVES}, not {places}")
    return places


def _pair_bet(
    value: object, path: str, *, pair: Pair, client_seed: bytes, activation: bytes
) -> PairBet:
    names = ("nonce", "asset", "game", "params", "pay_table", "stake", "at", "previous")
    fields = Fields(value, path, (*names, "signature", "outcome", "draw", "payout"))
    params = fields.raw("params", PARAMS)
    receipt = made(
        path,
        lambda: Receipt(
            pair=pair,
            nonce=fields.number("nonce"),
            client_seed=client_seed,
            activation=activation,
            asset=fields.text("asset"),
            game=fields.text("game", TABLE),
            params_hash=hash_params(params),
            stake=fields.number("stake", bits=256),
            at=fields.number("at"),
            previous=fields.hash("previous"),
        ),
    )
    return PairBet(
        receipt=receipt,
        signature=fields.raw("signature", SIGNATURE),
        params=params,
        pay_table=fields.raw("pay_table", PAY_TABLE),
        outcome=fields.hash("outcome"),
        draw=fields.draw("draw"),
        payout=fields.number("payout", bits=256),
    )


def written(proof: RoundProof | PairProof) -> dict[str, object]:
    """The proof as its JSON file holds it, which `read` takes."""
    return _write_pair(proof) if isinstance(proof, PairProof) else _write_round(proof)


def _write_round(proof: RoundProof) -> dict[str, object]:
    told: dict[str, object] = {
        "scheme": SCHEME.decode(),
        "kind": (BET if proof.bet else ROUND).decode(),
        "chain": proof.round.chain.decode(),
        "program": proof.round.program.hex(),
        "table": proof.round.table.decode(),
        "round": str(proof.round.number),
        "schedule": write_schedule(proof.schedule),
        "commitment": _write_commitment(proof.commitment),
        "seed": proof.seed.hex(),
        "bets": {
            "root": proof.bets.root.hex(),
            "count": str(proof.bets.count),
            "liability": str(proof.bets.liability),
            "signature": proof.bets.signature.hex(),
        },
        "beacon": _write_beacon(proof.beacon),
        "result": {"outcome": proof.outcome.hex(), "draw": write_draw(proof.draw)},
    }
    return told | {"bet": _write_bet(proof.bet)} if proof.bet else told


def write_schedule(schedule: Schedule) -> dict[str, object]:
    names = ("first", "count", "opens", "period", "lead", "reveal_window")
    return {
        **{name: str(getattr(schedule, name)) for name in names},
        "kind": schedule.kind.decode(),
        "max_liability": str(schedule.max_liability),
        "signer": schedule.signer.hex(),
    }


def write_draw(draw: Draw) -> str | list[str]:
    return str(draw) if isinstance(draw, int) else [str(one) for one in draw]


def _write_commitment(commitment: Commitment) -> dict[str, object]:
    return {
        "tx": commitment.tx.decode(),
        "position": str(commitment.position),
        "time": str(commitment.time),
        "root": commitment.root.hex(),
        "proof": [sibling.hex() for sibling in commitment.proof],
    }


def _write_beacon(shown: Shown) -> dict[str, object]:
    return {
        "kind": shown.beacon.kind.decode(),
        "chain_hash": shown.beacon.chain_hash.hex(),
        "round": str(shown.beacon.round),
        "randomness": shown.beacon.randomness.hex(),
        "signature": shown.signature.hex(),
    }


def _write_bet(bet: ProvedBet) -> dict[str, object]:
    return {
        "position": str(bet.position),
        "bet_id": bet.bet_id.hex(),
        "payee": bet.payee.hex(),
        "stake": str(bet.stake),
        "liability": str(bet.liability),
        "account": bet.account.decode(),
        "asset": bet.asset.decode(),
        "game": bet.game.decode(),
        "params": bet.params.hex(),
        "pay_table": bet.pay_table.hex(),
        "proof": [sibling.hex() for sibling in bet.proof],
        "payout": str(bet.payout),
    }


def _write_pair(proof: PairProof) -> dict[str, object]:
    return {
        "scheme": SCHEME.decode(),
        "kind": PAIR.decode(),
        "chain": proof.pair.chain.decode(),
        "program": proof.program.hex(),
        "account": proof.pair.account.decode(),
        "epoch": str(proof.pair.epoch),
        "number": str(proof.number),
        "beacon": proof.beacon.decode(),
        "commitment": {
            **_write_commitment(proof.commitment),
            "place": str(proof.place),
            "places": str(proof.places),
        },
        "seed": proof.seed.hex(),
        "client_seed": proof.client_seed.hex(),
        "activation": _write_beacon(proof.activation),
        "signer": proof.signer.hex(),
        "count": str(proof.count),
        "bets": [_write_pair_bet(bet) for bet in proof.bets],
    }


def _write_pair_bet(bet: PairBet) -> dict[str, object]:
    return {
        "nonce": str(bet.receipt.nonce),
        "asset": bet.receipt.asset.decode(),
        "game": bet.receipt.game.decode(),
        "params": bet.params.hex(),
        "pay_table": bet.pay_table.hex(),
        "stake": str(bet.receipt.stake),
        "at": str(bet.receipt.at),
        "previous": bet.receipt.previous.hex(),
        "signature": bet.signature.hex(),
        "outcome": bet.outcome.hex(),
        "draw": write_draw(bet.draw),
        "payout": str(bet.payout),
    }
