"""The shapes of answers, as the API describes them to callers; amounts are decimal strings."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """An error as RFC 9457 says it, with a code for programs."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] | None = None


class Bet(BaseModel):
    """A bet; `payout`, `outcome` and `settled_*` are null until it has ended."""

    id: int
    network: str = Field(description="CAIP-2")
    program: str
    casino: str
    game: str | None
    player: str | None
    bet: str = Field(description="the program's own name of the bet")
    asset: str = Field(description="CAIP-19")
    stake: str | None = Field(description="in the asset's smallest unit")
    payout: str | None
    choice: dict[str, Any] | None
    outcome: dict[str, Any] | None
    index: int | None = Field(description="of the committed seed")
    client_seed: str | None
    status: Literal["placed", "settled", "refunded", "retracted"]
    tx: str | None
    settled_tx: str | None
    placed_at: datetime | None
    settled_at: datetime | None
    finality: Literal["confirmed", "finalized", "retracted"]
    settled_finality: Literal["confirmed", "finalized", "retracted"] | None
    deadline: int | None = Field(description="Unix seconds after which anyone may refund")


class Bets(BaseModel):
    """A page of bets; `next` is the `after` of the page that follows, null at the end."""

    items: list[Bet]
    next: str | None


class BetsOfTx(BaseModel):
    items: list[Bet]


class Program(BaseModel):
    program: str
    network: str
    name: str
    address: str


class Info(BaseModel):
    """A casino and the programs it is made of."""

    slug: str
    name: str
    owner: str | None
    theme: dict[str, Any] | None
    status: str
    created_at: datetime
    programs: list[Program]


class Sums(BaseModel):
    """Sums of bets in one asset."""

    asset: str
    bets: int
    settled: int
    refunded: int
    wins: int
    staked: str
    paid: str


class Total(Sums):
    revenue: str
    updated_at: datetime


class Stats(BaseModel):
    casino: str
    players: int
    assets: list[Total]


class Hour(Sums):
    at: datetime = Field(description="when the hour or the day began, UTC")


class Activity(BaseModel):
    items: list[Hour]


class Leader(BaseModel):
    """A place on the leaderboard."""

    place: int
    id: int
    name: str | None
    account: str
    network: str
    asset: str
    bets: int
    wins: int
    staked: str
    paid: str
    net: str


class Leaderboard(BaseModel):
    items: list[Leader]


class Identity(BaseModel):
    kind: str
    scope: str
    external_id: str


class Player(BaseModel):
    """A player and every identity they are known by."""

    id: int
    name: str | None
    account: str
    joined_at: datetime
    identities: list[Identity]


class PlayerSums(Sums):
    net: str


class PlayerStats(BaseModel):
    account: str
    assets: list[PlayerSums]


class CallJackpot(BaseModel):
    """What a call contributed to a jackpot, or won of it: parts of its amount."""

    jackpot: str
    contributed: str
    won: str


class ProviderCall(BaseModel):
    """A provider's debit, credit, rollback or rarer call, by the provider's own id."""

    id: str
    number: str = Field(description="our own of it")
    kind: Literal[
        "debit",
        "credit",
        "rollback",
        "play",
        "reversal",
        "tip",
        "buy_in",
        "prize",
        "refund",
        "cancel",
    ]
    state: Literal["done", "declined", "returned", "tombstone"]
    code: str | None = Field(description="why it was declined")
    player_id: int
    player: str | None
    game: str
    round: str
    asset: str
    amount: str = Field(description="in the asset's smallest unit")
    cash: str
    bonus: str = Field(description="with cash less than the amount, if a bonus had ended meanwhile")
    grant: str | None = Field(description="the bonus under which a bet was placed")
    reward: str | None = Field(description="with which a bet was placed for nothing")
    target: str | None = Field(description="the call that a rollback or a credit is about")
    transfer: str | None
    at: datetime
    jackpots: list[CallJackpot] | None


class ProviderRound(BaseModel):
    round: str
    calls: list[ProviderCall]


class ProviderSums(BaseModel):
    """A day of one game in one asset; `staked` counts bets that were rolled back, too."""

    game: str
    asset: str
    bets: int
    staked: str
    payouts: int
    paid: str
    rollbacks: int
    returned: str
    reversals: int
    regained: str = Field(description="of payouts that were taken back")
    tips: int
    tipped: str
    buy_ins: int
    entered: str
    prizes: int
    awarded: str
    refunds: int
    refunded: str
    free_bets: int
    contributed: str = Field(description="to jackpots, as a part of what was staked")
    jackpots_won: str = Field(description="as a part of what was paid")


class ProviderTotals(BaseModel):
    day: date
    items: list[ProviderSums]


class OpenRound(BaseModel):
    """A round with bets that were neither paid nor rolled back."""

    round: str
    player_id: int
    player: str | None
    game: str
    asset: str
    state: Literal["open", "closed", "stale"]
    bets: int
    staked: str
    opened_at: datetime
    touched_at: datetime


class ProviderUnresolved(BaseModel):
    rounds: list[OpenRound]
    declined: list[ProviderCall]


class Asset(BaseModel):
    """What amounts count; `scale` digits of them are a fraction."""

    id: str = Field(description="CAIP-19, iso4217:... or casino:<slug>/<NAME>")
    symbol: str
    scale: int


class Assets(BaseModel):
    items: list[Asset]


class Balance(BaseModel):
    """What a user has of an asset, in its smallest unit, after `version` entries.

    What was set aside at an earlier moment is not known: then `available` and `held` are null.
    """

    asset: Asset
    balance: str
    available: str | None = Field(description="the balance without what is held")
    held: str | None
    version: int


class Wallet(BaseModel):
    user: str
    at: datetime | None = Field(description="the moment that was asked for; null for now")
    balances: list[Balance]


class CounterAccount(BaseModel):
    name: str
    user: str | None = Field(description="whose it is, if it is a user's")


class Entry(BaseModel):
    """A user's part of a transfer, with the balance before and after it."""

    transfer: str
    type: str
    asset: str
    amount: str = Field(description="with a minus when it left the wallet")
    before: str
    after: str
    version: int
    counter_accounts: list[CounterAccount]
    description: str | None
    metadata: dict[str, Any] | None
    reference: str | None
    reverses: str | None = Field(description="the transfer that this one took back")
    at: datetime


class Entries(BaseModel):
    """A page of entries; `next` is the `after` of the page that follows, null at the end."""

    items: list[Entry]
    next: str | None


class Moved(BaseModel):
    """What a request moved, and how the user's account stood right after it."""

    user: str
    transfer: str
    type: Literal["top_up", "bonus", "spend", "transfer"]
    asset: str
    amount: str
    balance: str
    version: int
    at: datetime


class Terms(BaseModel):
    """What a bonus of a campaign demands and allows; `multiplier_bp` 350000 is 35 times."""

    asset: str
    multiplier_bp: int
    of: Literal["bonus", "bonus_and_deposit"]
    weights: dict[str, int]
    default_weight_bp: int
    excluded: list[str]
    products: list[str]
    most_chance_bp: int | None = None
    max_bet: str | None
    above_max_bet: Literal["refuse", "forfeit"]
    max_win: str | None
    expires_h: int
    sticky: bool
    order: Literal["cash_first", "mixed"]
    stacking: Literal["refuse", "queue"]
    most_grants: int | None
    jurisdiction: str | None
    closed: bool


class Campaign(BaseModel):
    """A version of a campaign's terms; versions never change."""

    campaign: str
    code: str
    version: int
    terms: Terms


class CampaignAt(Campaign):
    created_at: datetime
    actor: str


class Campaigns(BaseModel):
    items: list[CampaignAt]
    next: str | None


class Bonus(BaseModel):
    """A bonus, how far it is wagered, and once it ended what became of its money."""

    grant: str
    campaign: str
    asset: str
    state: Literal["pending", "active", "completed", "expired", "forfeited", "cancelled"]
    amount: str
    locked: str = Field(description="of the cash, which is not spent while the bonus is active")
    required: str = Field(description="to be wagered, in the asset's smallest unit")
    done: str
    remaining: str
    percent: float
    expires_at: datetime | None
    reason: str | None = None
    before: str | None = Field(default=None, description="bonus money when it ended")
    added: str | None = Field(default=None, description="what of it became cash")
    removed: str | None = None


class Granted(Bonus):
    deduped: bool = Field(description="whether the key stood already")


class Reward(BaseModel):
    """Bets that a player may place at a provider's games for nothing."""

    reward: str
    provider: str
    asset: str
    game: str | None = Field(description="without one it is for all of the provider's games")
    count: int
    used: int
    state: Literal["granted", "cancelled"]
    expires_at: datetime


class GivenReward(Reward):
    deduped: bool = Field(description="whether the key stood already")


class RewardAt(Reward):
    given_at: datetime
    actor: str
    reason: str | None = Field(description="why it was cancelled")


class Rewards(BaseModel):
    items: list[RewardAt]
    next: str | None


class BonusAt(Bonus):
    granted_at: datetime
    activated_at: datetime | None
    ended_at: datetime | None


class Bonuses(BaseModel):
    items: list[BonusAt]
    next: str | None


class Withdrawal(BaseModel):
    """A withdrawal as it stands; `trouble` is why it waits, `tx` what paid it."""

    id: str
    state: Literal["requested", "approved", "rejected", "sending", "sent", "settled", "failed"]
    player_id: int
    asset: str = Field(description="CAIP-19")
    amount: str = Field(description="in the asset's smallest unit")
    network: str = Field(description="CAIP-2")
    address: str
    request: str = Field(description="its name on the chain, 32 bytes in hex")
    actor: str = Field(description="the service that asked for it")
    requested_at: datetime
    decided_by: str | None = Field(description="who approved or rejected it, or `rule`")
    decided_at: datetime | None
    reason: str | None
    trouble: str | None
    tx: str | None
    ended_at: datetime | None


class Withdrawals(BaseModel):
    """A page of withdrawals; `next` is the `after` of the page that follows, null at the end."""

    items: list[Withdrawal]
    next: str | None


class Health(BaseModel):
    """Every part's state; `troubles` says in words what is not well."""

    status: Literal["ok", "degraded", "unavailable"]
    troubles: list[str]
    database: dict[str, Any]
    redis: dict[str, Any]
    sources: list[dict[str, Any]] = []
    pages: dict[str, Any] = {}
    outbox: dict[str, Any] | None = None
    dead_letters: int = 0
    withdrawals: list[dict[str, Any]] = []
    tables: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    laws: list[dict[str, Any]] = []
    processes: list[dict[str, Any]] = []


class Line(BaseModel):
    """What a page must know before it can listen."""

    feed_url: str
    casino: str


class Limits(BaseModel):
    """Of one stake, one payout, and all stakes of a player in a round; in the smallest unit."""

    least: str
    most: str
    most_win: str
    most_player: str


class TableLimits(Limits):
    """And of the casino: what it may lose beyond the stakes in all its rounds under way."""

    most_operator: str | None = Field(description="null for no such limit")


class CurrentRound(BaseModel):
    """The round that takes bets or is the next to do so; countdowns run by `server_time`."""

    number: int
    opens_at: datetime
    closes_at: datetime
    server_time: datetime
    bets: int
    stake: str
    first: int = Field(description="of the batch that its seed was committed with")
    count: int
    root: str = Field(description="of that batch, on chain before any of its rounds opened")
    tx: str
    max_liability: str = Field(description="what the bond backs of a round, in its coin")
    reveal_window: int = Field(description="seconds after closing until the bond may be claimed")


class BondPlace(BaseModel):
    network: str = Field(description="CAIP-2")
    program: str


class Table(BaseModel):
    """A table. `trouble` says why no more rounds are committed, if none are."""

    table: str
    game: str
    asset: str = Field(description="CAIP-19")
    limits: TableLimits
    returns: list[float] = Field(description="the least and the most that comes back of stakes")
    pay_table: str = Field(description="in hex, as bets are bound to it")
    bond: BondPlace
    beacon: str
    paused: bool
    trouble: str | None
    round: CurrentRound | None


class Tables(BaseModel):
    items: list[Table]


class RoundBet(BaseModel):
    """An accepted bet, with its place in the round's tree of bets."""

    user: str
    bet: str
    table: str
    round: int
    position: int
    choice: dict[str, Any]
    asset: str
    stake: str
    liability: str = Field(description="what the bond backs of it, in its coin")
    params: str
    leaf: str
    signer: str | None = Field(description="whose signature it has to be: 20 bytes, of its batch")
    signature: str | None = Field(
        description="65 bytes over the receipt of this leaf at this position; null without a key"
    )
    balance: str
    at: datetime


class UserBet(BaseModel):
    """A bet of a user; `payout` is null until the round is settled or void."""

    bet: str
    table: str
    round: int
    position: int
    account: str
    choice: dict[str, Any]
    asset: str
    stake: str
    state: Literal["placed", "won", "lost", "returned", "owed"]
    payout: str | None
    leaf: str
    at: datetime
    ended_at: datetime | None
    id: int


class RoundBets(BaseModel):
    items: list[UserBet]
    next: str | None


class Round(BaseModel):
    """A round as far as it came: bets_root with its close, seed and result with its draw."""

    id: str
    table: str
    game: str
    asset: str
    round: int
    state: Literal["waiting", "open", "closed", "drawn", "settled", "void", "skipped"]
    opens_at: datetime
    closes_at: datetime
    bets: int
    stake: str
    payout: str | None
    reason: str | None
    bets_root: str | None
    signature: str | None
    liability: str
    seed: str | None
    outcome: str | None
    beacon: dict[str, Any] | None
    result: int | list[int] | None
    closed_at: datetime | None
    drawn_at: datetime | None
    ended_at: datetime | None
    anchor_tx: str | None
    anchored_at: datetime | None
    reveal_tx: str | None
    revealed_at: datetime | None
    commitment: dict[str, Any]


class Rounds(BaseModel):
    items: list[Round]
    next: str | None


class Proof(BaseModel):
    """A proof file; docs/fairness/proof.md says each of its fields."""

    scheme: str
    kind: Literal["round", "bet"]
    chain: str
    program: str
    table: str
    round: str
    schedule: dict[str, Any]
    commitment: dict[str, Any]
    seed: str
    bets: dict[str, Any]
    beacon: dict[str, Any]
    result: dict[str, Any]
    bet: dict[str, Any] | None = None


class BoothGame(BaseModel):
    """A game that pairs play, for bets to come."""

    game: str
    returns: list[float] = Field(description="the least and the most that comes back of stakes")
    pay_table: str = Field(description="in hex, as bets are bound to it")


class Booth(BaseModel):
    """Where pairs are played. `trouble` says why none become active, if none do."""

    asset: str = Field(description="CAIP-19")
    games: list[BoothGame]
    limits: Limits
    bond: BondPlace
    beacon: str
    trouble: str | None


class PairOpened(BaseModel):
    """A pair that waits for its commitment to be final, and for the beacon after it."""

    user: str
    pair: str
    epoch: int
    account: str = Field(description="how commitments and receipts call the player")
    state: Literal["waiting"]
    client_seed: str | None = Field(description="in hex")
    bond: BondPlace
    at: datetime


class PairChosen(BaseModel):
    """The client seed of a pair in hex, and the commitment of the house's, once it is drawn."""

    user: str
    pair: str
    state: Literal["waiting", "active"]
    client_seed: str
    commit: str | None


class PairEnded(BaseModel):
    """A pair that takes no more bets. `last` is the digest of its last receipt."""

    user: str
    pair: str
    state: Literal["retired"]
    bets: int
    stake: str
    payout: str
    last: str | None


class PairCommitment(BaseModel):
    """Where a pair's commitment stands: at `place` of `places` under the root of a number.

    Until it is `final` the chain may not have it, and where it landed is not told.
    """

    number: int
    place: int
    places: int
    root: str
    commit: str
    tx: str | None
    position: int | None
    time: int | None
    final_at: int | None
    kind: Literal["drand", "block"]
    network: str
    program: str
    final: bool


class Pair(BaseModel):
    """A pair as far as it came: the seed with its reveal, the beacon once it activated it."""

    pair: str
    account: str
    epoch: int
    state: Literal["waiting", "active", "retired", "revealed", "unplayed"]
    asset: str
    client_seed: str | None = Field(description="in hex")
    bets: int = Field(description="how many it took; the next nonce")
    stake: str
    payout: str
    last: str | None = Field(description="digest of the newest receipt")
    seed: str | None
    commitment: PairCommitment | None
    beacon: dict[str, Any] | None
    activation: str | None = Field(description="hash of the beacon, as outcomes take it")
    signer: str | None = Field(description="who signs its receipts, 20 bytes")
    opened_at: datetime
    active_at: datetime | None
    retired_at: datetime | None
    reveal_tx: str | None
    revealed_at: datetime | None


class PairReceipt(BaseModel):
    """All that a receipt's digest is made of, beside nonce, asset, game and stake of its bet."""

    chain: str
    account: str
    epoch: str
    client_seed: str
    activation: str
    params_hash: str
    at: str = Field(description="unix milliseconds")
    previous: str = Field(description="digest of the receipt before; the commitment at nonce 0")
    digest: str
    signature: str
    signer: str


class PlayedBet(BaseModel):
    """A bet of a pair, which is over: its receipt and what came of it."""

    bet: str
    nonce: int
    game: str
    choice: dict[str, Any]
    asset: str
    stake: str
    params: str
    receipt: PairReceipt
    outcome: str
    result: int | list[int]
    payout: str
    at: datetime


class PairBet(PlayedBet):
    """A bet that was just played. `state` is the pair's after it."""

    user: str
    pair: str
    state: Literal["active", "retired"]
    balance: str


class PairBets(BaseModel):
    items: list[PlayedBet]
    next: int | None


class PairProof(BaseModel):
    """A proof file; docs/fairness/proof.md says each of its fields."""

    scheme: str
    kind: Literal["pair"]
    chain: str
    program: str
    number: str
    beacon: str
    account: str
    epoch: str
    commitment: dict[str, Any]
    seed: str
    client_seed: str
    activation: dict[str, Any]
    signer: str
    count: str
    bets: list[dict[str, Any]]
