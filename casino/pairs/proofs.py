"""Proofs of pairs: all that anybody needs to check one by themselves, in one file."""

from __future__ import annotations

from typing import Any

from psycopg.rows import tuple_row

from casino import rows
from casino.pairs.booths import Booth
from casino.pairs.records import PairKey
from casino.rounds.settlements import plain
from casino.rounds.tables import ROOMS
from games.fairness import merkle
from games.fairness.pairs import Pair, hash_params
from games.fairness.receipts import Receipt
from games.fairness.rounds import DRAND, Beacon
from games.fairness.verify import PairProof, written
from games.fairness.verify.proofs import Commitment, PairBet, Shown

MOST = 4096  # bets in one file: of a pair with more, the next file begins at a later nonce

PAIR = b"""
SELECT p.account, p.asset, p.number, p.place, p.seed, p.client_seed, p.bets, b.root, b.count,
    b.kind, b.signer, b.tx, b.position, b.committed_at, b.beacon
FROM pairs p JOIN pair_batches b ON b.booth_id = p.booth_id AND b.number = p.number
WHERE p.player_id = %s AND p.epoch = %s AND p.booth_id = %s AND p.state = 'revealed'
"""
COMMITS = b"SELECT commit FROM pairs WHERE booth_id = %s AND number = %s ORDER BY place"
BETS = b"""
SELECT b.nonce, b.game, b.params, p.encoded, b.stake, b.said_at, b.previous, b.signature,
    b.outcome, b.result, b.payout
FROM pair_bets b JOIN pay_tables p ON p.id = b.pay_id
WHERE b.player_id = %s AND b.epoch = %s AND b.nonce >= %s ORDER BY b.nonce LIMIT %s
"""
# A pair that was retired before its player chose a seed never took a bet.
UNCHOSEN = b"-"


async def proof(
    connection: rows.Connection, booth: Booth, key: PairKey, *, first: int = 0, most: int = MOST
) -> dict[str, object] | None:
    """The proof of a pair and its bets from the nonce `first` on, by `docs/fairness/proof.md`.

    None for a pair whose seed the final chain does not show yet.
    """
    found = await _rows(connection, PAIR, *key, booth.id)
    if not found:
        return None
    account, asset, number, place, seed, client_seed, count, root, places, kind, *batch = found[0]
    signer, tx, position, time, beacon = batch
    commits = [bytes(row[0]) for row in await _rows(connection, COMMITS, booth.id, number)]
    siblings = tuple(merkle.Tree.over(commits).proof(place))
    pair = Pair(booth.chain, account.encode(), key.epoch)
    chosen = UNCHOSEN if client_seed is None else bytes(client_seed)
    activation = _shown(beacon)
    return written(
        PairProof(
            pair=pair,
            program=ROOMS[booth.network.partition(":")[0]].parse(booth.program),
            number=number,
            beacon=kind.encode(),
            commitment=Commitment(
                tx.removeprefix("0x").encode(), position, time, bytes(root), siblings
            ),
            place=place,
            places=places,
            seed=bytes(seed),
            client_seed=chosen,
            activation=activation,
            signer=bytes(signer),
            count=count,
            bets=tuple(
                _bet(asset, pair, chosen, activation.beacon.hash, row)
                for row in await _rows(connection, BETS, *key, first, most)
            ),
        )
    )


def _bet(
    asset: str, pair: Pair, client_seed: bytes, activation: bytes, row: tuple[Any, ...]
) -> PairBet:
    nonce, game, params, pays, stake, at, previous, signature, outcome, result, payout = row
    receipt = Receipt(
        pair=pair,
        nonce=nonce,
        client_seed=client_seed,
        activation=activation,
        asset=asset.encode(),
        game=game.encode(),
        params_hash=hash_params(bytes(params)),
        stake=int(stake),
        at=at,
        previous=bytes(previous),
    )
    return PairBet(
        receipt=receipt,
        signature=bytes(signature),
        params=bytes(params),
        pay_table=bytes(pays),
        outcome=bytes(outcome),
        draw=plain(result["drawn"]),
        payout=int(payout),
    )


def _shown(said: dict[str, Any]) -> Shown:
    beacon = Beacon(
        said["kind"].encode(),
        bytes.fromhex(said["chain_hash"]),
        int(said["round"]),
        bytes.fromhex(said["randomness"]),
    )
    return Shown(beacon, bytes.fromhex(said["evidence"]) if beacon.kind == DRAND else b"")


async def _rows(connection: rows.Connection, query: bytes, *values: Any) -> list[Any]:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
