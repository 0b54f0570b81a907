"""Bets: a placed half and an ended half, merged by key whatever the order they come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from casino import rows
from casino.sources import Followed
from chains.chain import Fact

STAGE = """
CREATE TEMP TABLE IF NOT EXISTS page_bets (
    bet text, player_id bigint, player text, game text, stake numeric, payout numeric,
    choice jsonb, outcome jsonb, seed_index bigint, client_seed text, deadline bigint,
    placed_tx text, placed_index bigint, placed_position bigint, placed_at timestamptz,
    settled_tx text, settled_index bigint, settled_position bigint, settled_at timestamptz,
    ended text
) ON COMMIT DELETE ROWS
"""
FILL = "COPY page_bets FROM STDIN"

MOVED = """
CREATE TEMP TABLE IF NOT EXISTS page_moved (
    bet_id bigint, counted_before jsonb, counted_after jsonb, say_placed boolean, say_ended boolean
) ON COMMIT DELETE ROWS
"""
CLEAR = ("DELETE FROM page_bets", "DELETE FROM page_moved")

# What a bet adds to the stats, as numbers that can be taken back. Only a bet whose placing is
# known counts; it counts in the hour it was placed in, whenever it ends.
COUNTED = """
CASE WHEN placed_live THEN jsonb_build_object(
    'player', player_id, 'game', game,
    'hour', coalesce(extract(epoch FROM date_trunc('hour', placed_at, 'UTC')), 0)::bigint,
    'settled', (ended IS NOT DISTINCT FROM 'settled')::int,
    'refunded', (ended IS NOT DISTINCT FROM 'refunded')::int,
    'wins', (ended IS NOT DISTINCT FROM 'settled' AND coalesce(payout, 0) > 0)::int,
    'staked', coalesce(stake, 0)::text,
    'paid', CASE WHEN ended IS NULL THEN '0' ELSE coalesce(payout, 0)::text END)
END
"""

INSERT = f"""
WITH made AS (
    INSERT INTO bets (
        casino_id, source_id, network, asset, bet, player_id, player, game, stake, payout,
        choice, outcome, seed_index, client_seed, deadline, status,
        placed_tx, placed_index, placed_position, placed_at,
        settled_tx, settled_index, settled_position, settled_at,
        finality, settled_finality, counted)
    SELECT %(casino_id)s, %(source_id)s, %(network)s, %(asset)s, bet, player_id, player, game,
        stake, payout, choice, outcome, seed_index, client_seed, deadline,
        coalesce(ended, 'placed'),
        placed_tx, placed_index, placed_position, placed_at,
        settled_tx, settled_index, settled_position, settled_at,
        %(finality)s, CASE WHEN ended IS NOT NULL THEN %(finality)s END, {COUNTED}
    FROM (SELECT *, placed_tx IS NOT NULL AS placed_live FROM page_bets) AS p
    ORDER BY bet
    ON CONFLICT (source_id, bet) DO NOTHING
    RETURNING id, placed_tx, settled_tx, counted
)
INSERT INTO page_moved
SELECT id, NULL, counted, placed_tx IS NOT NULL, placed_tx IS NOT NULL AND settled_tx IS NOT NULL
FROM made
"""

LOCK = """
SELECT 1 FROM bets b JOIN page_bets p ON p.bet = b.bet
WHERE b.source_id = %(source_id)s ORDER BY b.bet FOR UPDATE OF b
"""

# The later half wins where two facts claim the same one; a retracted half gives way to any.
MERGE = f"""
WITH taken AS (
    SELECT b.id, b.counted AS counted_before,
        t.p_new, t.s_new, was.p_live, was.s_live,
        was.p_live OR t.p_new AS placed_live,
        t.p_new AND (NOT was.p_live OR b.placed_tx <> p.placed_tx) AS p_said,
        t.s_new AND (NOT was.s_live OR b.settled_tx <> p.settled_tx) AS s_said,
        CASE WHEN t.p_new THEN p.player_id ELSE coalesce(b.player_id, p.player_id) END AS player_id,
        CASE WHEN t.p_new THEN p.player ELSE coalesce(b.player, p.player) END AS player,
        CASE WHEN t.p_new THEN p.game ELSE b.game END AS game,
        CASE WHEN t.p_new THEN p.stake ELSE b.stake END AS stake,
        CASE WHEN t.p_new THEN p.choice ELSE b.choice END AS choice,
        CASE WHEN t.p_new THEN p.seed_index ELSE b.seed_index END AS seed_index,
        CASE WHEN t.p_new THEN p.client_seed ELSE b.client_seed END AS client_seed,
        CASE WHEN t.p_new THEN p.deadline ELSE b.deadline END AS deadline,
        CASE WHEN t.p_new THEN p.placed_tx ELSE b.placed_tx END AS placed_tx,
        CASE WHEN t.p_new THEN p.placed_index ELSE b.placed_index END AS placed_index,
        CASE WHEN t.p_new THEN p.placed_position ELSE b.placed_position END AS placed_position,
        CASE WHEN t.p_new THEN p.placed_at ELSE b.placed_at END AS placed_at,
        CASE WHEN t.p_new THEN %(finality)s ELSE b.finality END AS finality,
        CASE WHEN t.s_new THEN p.payout ELSE b.payout END AS payout,
        CASE WHEN t.s_new THEN p.outcome ELSE b.outcome END AS outcome,
        CASE WHEN t.s_new THEN p.ended WHEN was.s_live THEN b.status END AS ended,
        CASE WHEN t.s_new THEN p.settled_tx ELSE b.settled_tx END AS settled_tx,
        CASE WHEN t.s_new THEN p.settled_index ELSE b.settled_index END AS settled_index,
        CASE WHEN t.s_new THEN p.settled_position ELSE b.settled_position END AS settled_position,
        CASE WHEN t.s_new THEN p.settled_at ELSE b.settled_at END AS settled_at,
        CASE WHEN t.s_new THEN %(finality)s ELSE b.settled_finality END AS settled_finality
    FROM page_bets p JOIN bets b ON b.source_id = %(source_id)s AND b.bet = p.bet
    CROSS JOIN LATERAL (SELECT
        b.placed_tx IS NOT NULL AND b.finality <> 'retracted' AS p_live,
        b.settled_tx IS NOT NULL AS s_live) AS was
    CROSS JOIN LATERAL (SELECT
        p.placed_tx IS NOT NULL AND (NOT was.p_live OR
            (p.placed_position, p.placed_tx COLLATE "C", p.placed_index)
            > (b.placed_position, b.placed_tx COLLATE "C", b.placed_index)) AS p_new,
        p.settled_tx IS NOT NULL AND (NOT was.s_live OR
            (p.settled_position, p.settled_tx COLLATE "C", p.settled_index)
            > (b.settled_position, b.settled_tx COLLATE "C", b.settled_index)) AS s_new) AS t
    WHERE t.p_new OR t.s_new
), merged AS (
    SELECT *, {COUNTED} AS counted FROM taken
), kept AS (
    UPDATE bets b SET
        player_id = m.player_id, player = m.player, game = m.game, stake = m.stake,
        payout = m.payout, choice = m.choice, outcome = m.outcome, seed_index = m.seed_index,
        client_seed = m.client_seed, deadline = m.deadline,
        status = coalesce(m.ended, CASE WHEN m.placed_live THEN 'placed' ELSE 'retracted' END),
        placed_tx = m.placed_tx, placed_index = m.placed_index,
        placed_position = m.placed_position, placed_at = m.placed_at,
        settled_tx = m.settled_tx, settled_index = m.settled_index,
        settled_position = m.settled_position, settled_at = m.settled_at,
        finality = m.finality, settled_finality = m.settled_finality, counted = m.counted,
        updated_at = now()
    FROM merged m WHERE b.id = m.id
    RETURNING b.id, m.counted_before, b.counted, m.p_said,
        m.placed_live AND m.ended IS NOT NULL AND (m.s_said OR (m.p_new AND NOT m.p_live))
)
INSERT INTO page_moved SELECT * FROM kept
"""

BEFORE = (None, None)


@dataclass(slots=True)
class Gathered:
    """The bets of a page, each with its latest placed and ended fact, and who is named in them."""

    halves: dict[str, tuple[Fact | None, Fact | None]] = field(default_factory=dict)
    players: dict[str, datetime | None] = field(default_factory=dict)

    def add(self, fact: Fact) -> None:
        bet = fact.fields["bet"]
        assert isinstance(bet, str)
        placed, ended = self.halves.get(bet, BEFORE)
        if fact.kind == "bet_placed":
            self.halves[bet] = (later(placed, fact), ended)
        else:
            self.halves[bet] = (placed, later(ended, fact))
        player = fact.fields.get("player")
        if isinstance(player, str):
            meet(self.players, player, fact.time)


def later(held: Fact | None, fact: Fact) -> Fact:
    """Of two facts that claim the same half of a bet, the one further up the chain."""
    if held is None or (fact.position, fact.tx, fact.index) > (held.position, held.tx, held.index):
        return fact
    return held


def meet(players: dict[str, datetime | None], player: str, at: datetime | None) -> None:
    """Keep the earliest time at which a player was seen."""
    first = players.get(player)
    if first is None or (at is not None and at < first):
        players[player] = at


def lines(gathered: Gathered, players: Mapping[str, int]) -> Iterator[str]:
    """One line of COPY per bet, in the order of `STAGE`."""
    text, document, time, null = rows.text, rows.document, rows.Times(), rows.NULL
    for bet, (placed, ended) in gathered.halves.items():
        if placed is not None:
            said = placed.fields
            player = said["player"]
            asked = (
                f"{text(said['game'])}\t{said['stake']}",
                document(said.get("choice")),
                f"{text(said.get('index'))}\t{text(said.get('client_seed'))}"
                f"\t{text(said.get('deadline'))}\t{text(placed.tx)}\t{placed.index}"
                f"\t{placed.position}\t{time(placed.time)}",
            )
        else:
            assert ended is not None
            player = ended.fields.get("player")
            asked = ABSENT_PLACED
        if ended is not None:
            got = ended.fields
            refunded = ended.kind == "bet_refunded"
            paid = text(got["amount"] if refunded else got.get("payout"))
            outcome = document(got.get("outcome"))
            end = (
                f"{text(ended.tx)}\t{ended.index}\t{ended.position}\t{time(ended.time)}"
                f"\t{'refunded' if refunded else 'settled'}"
            )
        else:
            paid = outcome = null
            end = ABSENT_ENDED
        who = f"{players[player]}\t{text(player)}" if isinstance(player, str) else NOBODY
        yield (
            f"{text(bet)}\t{who}\t{asked[0]}\t{paid}\t{asked[1]}\t{outcome}\t{asked[2]}\t{end}\n"
        )


NOBODY = "\\N\t\\N"
ABSENT_PLACED = ("\\N\t\\N", "\\N", "\t".join(["\\N"] * 7))
ABSENT_ENDED = "\t".join(["\\N"] * 5)


async def apply(
    connection: rows.Connection,
    source: Followed,
    gathered: Gathered,
    players: Mapping[str, int],
    *,
    finality: str,
) -> int:
    """Merge a page's bets into the books; `page_moved` then names every bet that changed."""
    for statement in (STAGE, MOVED, *CLEAR):
        await connection.execute(statement)
    if not gathered.halves:
        return 0
    await rows.fill(connection, FILL, lines(gathered, players))
    keys = {
        "casino_id": source.casino_id,
        "source_id": source.id,
        "network": source.network,
        "asset": source.asset,
        "finality": finality,
    }
    made = (await connection.execute(INSERT, keys)).rowcount
    if made == len(gathered.halves):
        return made
    await connection.execute(LOCK, keys)
    return made + (await connection.execute(MERGE, keys)).rowcount
