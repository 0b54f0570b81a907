"""Rounds, verified: from the commitment of a seed to the payout of a bet, step by step."""

from __future__ import annotations

from typing import Any

from games import GAMES
from games.fairness import merkle
from games.fairness.rounds import RoundBet, SignedRoot, details, game_of
from games.fairness.stream import Stream
from games.fairness.verify.chance import beacon_step, number_step
from games.fairness.verify.commitments import chain_step, commitment_step, time_step
from games.fairness.verify.facts import Facts
from games.fairness.verify.proofs import Draw, ProvedBet, RoundProof
from games.fairness.verify.steps import (
    FAILED,
    Drand,
    Recover,
    Step,
    compared,
    judged,
    signed,
    unchecked,
)
from games.fairness.verify.terms import Terms, Unknown, read_terms


def verify_round(
    proof: RoundProof, *, facts: Facts | None, recover: Recover | None, drand: Drand | None
) -> list[Step]:
    """The steps of a round, and those of its bet behind them if the proof has one."""
    number, schedule, commitment = proof.round.number, proof.schedule, proof.commitment
    closes = schedule.closes_at(number) if number in schedule else None
    outcome = proof.round.outcome(
        seed=proof.seed, bets_root=proof.bets.root, beacon=proof.beacon.beacon.hash
    )
    return [
        schedule_step(proof),
        commitment_step(
            commitment,
            proof.round.commit(proof.seed),
            place=number - schedule.first,
            places=schedule.count,
        ),
        chain_step(
            commitment,
            program=proof.round.program,
            table=proof.round.table,
            schedule=schedule,
            number=None,
            kind=None,
            facts=facts,
        ),
        time_step(commitment, before=schedule.opens, what="the batch opens", facts=facts),
        *bets_steps(proof, recover),
        anchor_step(proof, facts),
        number_step(proof.beacon, kind=schedule.kind, after=closes, facts=facts),
        beacon_step(proof.beacon, facts=facts, drand=drand),
        compared("outcome", outcome.hex(), proof.outcome.hex()),
        draw_step(game_of(proof.round.table), outcome, proof.draw),
        reveal_step(proof, facts),
        *([] if proof.bet is None else bet_steps(proof, proof.bet, outcome)),
    ]


def schedule_step(proof: RoundProof) -> Step:
    schedule, number = proof.schedule, proof.round.number
    last = schedule.first + schedule.count - 1
    return judged(
        "schedule",
        f"a round of {schedule.first}..{last}",
        f"round {number}",
        held=number in schedule,
    )


def bets_steps(proof: RoundProof, recover: Recover | None) -> list[Step]:
    """The bets are told without contradiction, within the limit, and signed as they are told."""
    bets, most = proof.bets, proof.schedule.max_liability
    expected, found = f"a liability of at most {most}", f"{bets.count} bets, {bets.liability}"
    try:
        root = SignedRoot(proof.round, bets.root, bets.count, bets.liability)
    except ValueError as refused:
        signer = proof.schedule.signer.hex()
        return [
            Step("bets", expected, str(refused), FAILED),
            Step("signature", signer, "nothing that can be signed", FAILED),
        ]
    return [
        judged("bets", expected, found, held=bets.liability <= most),
        signed(
            "signature",
            digest=root.digest,
            signature=bets.signature,
            signer=proof.schedule.signer,
            recover=recover,
        ),
    ]


def anchor_step(proof: RoundProof, facts: Facts | None) -> Step:
    expected = proof.bets.root.hex()
    if facts is None:
        return unchecked("anchor", expected)
    if facts.anchored is None:
        return unchecked("anchor", expected, "not anchored yet")
    return compared("anchor", expected, facts.anchored.root.hex())


def drawn(game: bytes, outcome: bytes) -> Any:
    """What the game draws from an outcome; None for a game that does not exist."""
    return GAMES[game].draw(Stream(outcome)) if game in GAMES else None


def shown(draw: Draw) -> str:
    return str(draw) if isinstance(draw, int) else " ".join(map(str, draw))


def draw_step(game: bytes, outcome: bytes, draw: Draw) -> Step:
    result, found = drawn(game, outcome), shown(draw)
    if result is None:
        return Step("draw", f"a game called {game.decode()}", found, FAILED)
    if isinstance(result, int) != isinstance(draw, int):
        return Step("draw", shown(result), f"{found}, in another form", FAILED)
    return compared("draw", shown(result), found)


def reveal_step(proof: RoundProof, facts: Facts | None) -> Step:
    """The contract was shown this seed in time; until then nobody is known to have shown it.

    From the second of its deadline on, the contract takes no seed any more, but claims.
    """
    number, schedule = proof.round.number, proof.schedule
    if facts is None:
        return unchecked("reveal", proof.seed.hex())
    if facts.revealed is None:
        return unchecked("reveal", proof.seed.hex(), "not revealed on chain yet")
    by = schedule.reveal_by(number)
    return judged(
        "reveal",
        f"{proof.seed.hex()} before {by}",
        f"{facts.revealed.seed.hex()} at {facts.revealed.time}",
        held=facts.revealed.seed == proof.seed and facts.revealed.time < by,
    )


def bet_steps(proof: RoundProof, bet: ProvedBet, outcome: bytes) -> list[Step]:
    """The bet is among those signed, its terms can be read, and it was paid by them."""
    try:
        terms = read_terms(game=bet.game, params=bet.params, pay_table=bet.pay_table)
    except Unknown as unknown:
        return [
            leaf_step(proof, bet),
            Step("terms", "a choice of a pay table", str(unknown), FAILED),
            Step("payout", "what the terms say", str(bet.payout), FAILED),
        ]
    paid = terms.payout(bet.stake, drawn(bet.game, outcome))
    return [
        leaf_step(proof, bet),
        terms_step(proof, bet, terms),
        compared("payout", str(paid), str(bet.payout)),
    ]


def leaf_step(proof: RoundProof, bet: ProvedBet) -> Step:
    leaf = RoundBet(
        round=proof.round,
        position=bet.position,
        bet_id=bet.bet_id,
        payee=bet.payee,
        stake=bet.stake,
        liability=bet.liability,
        details=details(account=bet.account, asset=bet.asset, game=bet.game, params=bet.params),
    ).leaf
    found = "a position beyond the bets"
    if bet.position < proof.bets.count:
        found = merkle.climb(leaf, position=bet.position, proof=bet.proof).hex()
    held = proof.bets.count <= merkle.MAX_LEAVES and merkle.verify(
        proof.bets.root, leaf, position=bet.position, count=proof.bets.count, proof=bet.proof
    )
    return judged("bet", proof.bets.root.hex(), found, held=held)


def terms_step(proof: RoundProof, bet: ProvedBet, terms: Terms) -> Step:
    """The choice is one of the table's game, and the bond stands for the most it can win."""
    game = game_of(proof.round.table)
    if bet.game != game:
        return compared("terms", f"a bet on {game.decode()}", f"one on {bet.game.decode()}")
    native = bet.asset.startswith(proof.round.chain + b"/slip44:")
    due = max(0, terms.most(bet.stake) - bet.stake) if native else 0
    held = max(due, 0) <= bet.liability <= proof.bets.liability
    expected = f"{terms.choice}, a liability of {due}..{proof.bets.liability}"
    return judged("terms", expected, f"a liability of {bet.liability}", held=held)
