"""Jackpots: won on chain, told on the feed."""

from casino.rows import Beside

WON = Beside(
    "jackpot_won",
    "jackpots",
    fields={"who": "player", "amount": "amount", "pool": "pool", "bet": "bet"},
    columns={
        "player": "who",
        "asset": "%(asset)s",
        "amount": "amount",
        "pool": "pool",
        "bet": "bet",
    },
    then="""
    INSERT INTO outbox (namespace, type, casino, player, data)
    SELECT 'jackpots', 'jackpot.won', %(casino)s, player, jsonb_build_object(
        'id', id, 'network', network, 'program', %(program)s::text, 'casino', %(casino)s::text,
        'player', player, 'pool', pool, 'bet', bet, 'asset', asset, 'amount', amount::text,
        'tx', tx, 'index', index, 'finality', finality,
        'time', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    FROM landed WHERE %(fresh)s ORDER BY position, tx, index
    """,
)
