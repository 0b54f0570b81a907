"""What must be true of the books at any time: one file for each law, and a line for it here."""

from casino.invariants import (
    balances,
    bets,
    bonuses,
    calls,
    custody,
    entries,
    floors,
    holds,
    lapses,
    outbox,
    pairs,
    rounds,
    seals,
    sums,
)
from casino.invariants.laws import Law

LAWS: tuple[Law, ...] = (
    sums.LAW,
    entries.LAW,
    balances.LAW,
    floors.LAW,
    holds.LAW,
    lapses.LAW,
    custody.LAW,
    bets.LAW,
    bonuses.LAW,
    calls.LAW,
    pairs.LAW,
    rounds.LAW,
    outbox.LAW,
    seals.LAW,
)
