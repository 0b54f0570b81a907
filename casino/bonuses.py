"""Bonuses: money given to play with, and what ends it: wagered to cash, or taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from casino.campaigns import GRANTED, MOST, WHOLE_BP, Campaigns, Place, Terms
from casino.commands import Answer, Command, Desk, Shelf
from casino.outbox import Message
from db.arrays import numbers, texts, times
from db.pipeline import Statement
from ledger.accounts import FEW, Account, bonus, cash, debt
from ledger.errors import InsufficientFunds, Refusal
from ledger.transfers import Posting, Transfer

STAKES = "house:bonus"
CONVERTED, RETRACTED = "system:converted:bonus", "system:retracted:bonus"
PAID = "house:conversions"
HOUSE = (GRANTED, STAKES, CONVERTED, RETRACTED, PAID)
OPEN = ("pending", "active")
Ending = Literal["completed", "expired", "forfeited", "cancelled"]

# Behind the lock of a player's bonus account no grant comes or ends, only counting goes on. So the
# open ones are locked too, by their numbers as whoever counts locks them, and read as they stand
# then. One that somebody else keeps is said to be so, where it is not waited for.
LOCK = """
    SELECT id, done_bp FROM grants
    WHERE id = ANY(ARRAY(SELECT id FROM known WHERE ended_at IS NULL))
    ORDER BY id FOR NO KEY UPDATE"""
LOCK_FREE = """
    SELECT id, done_bp FROM grants_free(ARRAY(SELECT id FROM known WHERE ended_at IS NULL))"""
FIND = """
WITH known AS MATERIALIZED (
    SELECT g.* FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS n(casino_id, player_id, asset)
    CROSS JOIN LATERAL (
        SELECT * FROM grants
        WHERE casino_id = n.casino_id AND player_id = n.player_id AND asset = n.asset OFFSET 0
    ) g
), held AS MATERIALIZED ({lock}
)
SELECT g.casino_id, g.player_id, g.asset, min(o.slug),
    bool_or(g.ended_at IS NULL AND h.id IS NULL), jsonb_agg(jsonb_build_array(g.id,
    c.code, v.version, CASE WHEN v.version <> ALL(%s::text[]) THEN c.terms END, g.campaign_id,
    g.state, g.amount::text, g.deposit::text, g.locked::text, g.required_bp::text,
    coalesce(h.done_bp, g.done_bp)::text, g.activated_at, g.expires_at, g.ended_at, g.reason,
    g.before::text, g.added::text, g.removed::text, coalesce(l.amount, 0)::text) ORDER BY g.id)
FROM known g LEFT JOIN held h ON h.id = g.id
JOIN campaigns c ON c.id = g.campaign_id JOIN casinos o ON o.id = g.casino_id
CROSS JOIN LATERAL (SELECT c.id || '@' || extract(epoch FROM c.created_at) AS version) v
LEFT JOIN late_returns l ON l.grant_id = g.id
GROUP BY g.casino_id, g.player_id, g.asset
"""
FIND_LOCKED = FIND.format(lock=LOCK).encode()
FIND_FREE = FIND.format(lock=LOCK_FREE).encode()
# Terms never change, and may be long: a process reads each version's once. It says which of them it
# has, the newest; it keeps more, so that none is gone when the answer comes.
SAID, REMEMBERED = 256, 2_048
MAKE = b"""
INSERT INTO grants (id, casino_id, player_id, asset, campaign_id, state, amount, deposit, locked,
    required_bp, activated_at, expires_at, ended_at, reason, before, added, removed)
SELECT * FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::text[], %s::bigint[], %s::text[],
    %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[], %s::text[], %s::numeric[], %s::numeric[],
    %s::numeric[])
"""
MOVE = b"""
UPDATE grants g SET state = n.state, done_bp = n.done_bp,
    activated_at = n.activated_at, expires_at = n.expires_at, ended_at = n.ended_at,
    reason = n.reason, before = n.before, added = n.added, removed = n.removed
FROM unnest(%s::bigint[], %s::text[], %s::numeric[], %s::timestamptz[], %s::timestamptz[],
    %s::timestamptz[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[]) AS n(id, state,
    done_bp, activated_at, expires_at, ended_at, reason, before, added, removed)
WHERE g.id = n.id
"""
RETURN = b"""
INSERT INTO late_returns (grant_id, amount) SELECT * FROM unnest(%s::bigint[], %s::numeric[])
ON CONFLICT (grant_id) DO UPDATE SET amount = excluded.amount
"""
WAGER = b"""
INSERT INTO waiting_wagers (casino_id, source, bet, grant_id, game, cash, bonus, settled_at)
SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::bigint[], %s::text[], %s::numeric[],
    %s::numeric[], %s::timestamptz[])
"""


class UnknownCampaign(Refusal):
    code = "UNKNOWN_CAMPAIGN"


class CampaignClosed(Refusal):
    """It gives no more bonuses."""

    code = "CAMPAIGN_CLOSED"


class BonusStacked(Refusal):
    """The player has a bonus in this asset, and the campaign's rule is not to wait behind it."""

    code = "BONUS_STACKED"


class TooManyGrants(Refusal):
    """The player had as many bonuses of the campaign as it allows."""

    code = "TOO_MANY_GRANTS"


class DepositMissing(Refusal):
    """The campaign demands a multiple of bonus plus deposit, and no deposit was named."""

    code = "DEPOSIT_MISSING"


class CashLocked(Refusal):
    """Cash was locked when an active bonus was given: it may be bet, and not be spent."""

    code = "CASH_LOCKED"


class CashOwed(Refusal):
    """Cash is owed for wins that were taken back: it may be bet, and not be spent."""

    code = "CASH_OWED"


class UnknownGrant(Refusal):
    code = "UNKNOWN_GRANT"


class GrantEnded(Refusal):
    code = "GRANT_ENDED"


class Wallet(NamedTuple):
    """Where a player's bonuses are: at most one of them is active at a time."""

    casino_id: int
    player_id: int
    asset: str

    @property
    def cash(self) -> Account:
        return cash(self.casino_id, self.player_id, self.asset)

    @property
    def bonus(self) -> Account:
        return bonus(self.casino_id, self.player_id, self.asset)

    @property
    def debt(self) -> Account:
        return debt(self.casino_id, self.player_id, self.asset)

    def house(self, name: str) -> Account:
        return _house(self.casino_id, name, self.asset)

    def exits(self) -> Iterable[Account]:
        """What says how much of the cash may leave without a bet."""
        return (self.cash, self.bonus, self.debt)

    def accounts(self) -> Sequence[Account]:
        """All that a bonus of it may move."""
        return _accounts(self)


@lru_cache(maxsize=FEW)
def _accounts(wallet: Wallet) -> Sequence[Account]:
    return (wallet.cash, wallet.bonus, *map(wallet.house, HOUSE))


@lru_cache(maxsize=FEW)
def _house(casino_id: int, name: str, asset: str) -> Account:
    return Account(casino_id, name, asset)


@dataclass(frozen=True, slots=True)
class Granted:
    """A bonus as it stands: `done_bp` of `required_bp` is wagered, `late` came after its end."""

    id: int
    campaign: str
    terms: Terms
    campaign_id: int
    state: str
    amount: int
    deposit: int
    required_bp: int
    locked: int = 0
    done_bp: int = 0
    activated_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    before: int | None = None
    added: int | None = None
    removed: int | None = None
    late: int = 0

    @property
    def met(self) -> bool:
        return self.done_bp >= self.required_bp

    def entitled(self, before: int) -> int:
        """How much of the bonus money there was becomes cash."""
        won = max(before - self.amount, 0) if self.terms.sticky else before
        return won if self.terms.max_win is None else min(won, self.terms.max_win)


class Wager(NamedTuple):
    """A settled bet that counts for a grant."""

    source: str
    bet: str
    grant: int
    game: str | None
    cash: int
    bonus: int
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Pocket:
    """A wallet's bonuses, oldest first, and bets of it that settle now.

    `found`: as they stood. `busy`: somebody else keeps one of them.
    """

    casino: str
    grants: tuple[Granted, ...] = ()
    found: tuple[Granted, ...] = ()
    wagers: tuple[Wager, ...] = ()
    busy: bool = False

    @property
    def active(self) -> Granted | None:
        return next((one for one in self.grants if one.state == "active"), None)

    @property
    def waiting(self) -> Granted | None:
        return next((one for one in self.grants if one.state == "pending"), None)

    def grant(self, id: int | None) -> Granted | None:
        """The grant of that number; without one the newest that was ever active."""
        known = (one for one in reversed(self.grants) if one.activated_at is not None)
        return next((one for one in known if id in (one.id, None)), None)

    def with_grant(self, grant: Granted) -> Pocket:
        """With a grant that is new or changed."""
        kept = {one.id: one for one in self.grants} | {grant.id: grant}
        return replace(self, grants=tuple(kept.values()))


class Grants(Shelf[Wallet, Pocket]):
    """The bonuses of wallets; a wallet that never had one is not there."""

    @classmethod
    def find(cls, keys: Sequence[Wallet]) -> Statement:
        return FIND_LOCKED, _wallets(keys)

    @classmethod
    def find_free(cls, keys: Sequence[Wallet]) -> Statement:
        return FIND_FREE, _wallets(keys)

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Wallet, Pocket]:
        casino_id, player_id, asset, slug, busy, documents = row
        grants = tuple(map(_granted, documents))
        return Wallet(casino_id, player_id, asset), Pocket(slug, grants, grants, busy=busy)

    def busy(self, key: Wallet) -> bool:
        here = self.get(key)
        return here is not None and here.busy

    def writes(self) -> Iterable[Statement]:
        pockets = sorted(self.changed.items())
        known = {one.id: one for _, pocket in pockets for one in pocket.found}
        grants = [(wallet, one) for wallet, pocket in pockets for one in pocket.grants]
        made = [(wallet, one) for wallet, one in grants if one.id not in known]
        moved = sorted(
            (one for _, one in grants if one.id in known and one != known[one.id]),
            key=lambda one: one.id,
        )
        # An ended grant is over before the one behind it is active.
        for step in (
            [one for one in moved if one.state not in OPEN and known[one.id].state in OPEN],
            [one for one in moved if one.state in OPEN],
        ):
            if step:
                yield MOVE, _moved(step)
        if made:
            yield MAKE, _made(sorted(made, key=lambda one: one[1].id))
        late = [one for _, one in grants if one.late and one.late != known[one.id].late]
        if late:
            yield RETURN, (numbers(one.id for one in late), numbers(one.late for one in late))
        wagers = [
            (wallet.casino_id, *wager) for wallet, pocket in pockets for wager in pocket.wagers
        ]
        if wagers:
            yield WAGER, _wagers(wagers)


def pocket(desk: Desk, wallet: Wallet) -> Pocket | None:
    """The wallet's bonuses as they stand after what was decided so far."""
    return desk.shelf(Grants).get(wallet)


def end(
    desk: Desk, wallet: Wallet, grant: Granted, state: Ending, *, reason: str
) -> tuple[Granted, int | None]:
    """End a grant that is pending or active, and begin the one that waits behind it.

    All bonus money leaves in one transfer; of a completed grant it becomes cash as far as its terms
    allow. Gives the grant as it ended, and the transfer if there was money. Raises a `Refusal`.
    """
    if grant.state == "pending":
        ended = replace(grant, state=state, ended_at=desk.books.now, reason=reason)
        _told(desk, wallet, ended, state)
        return ended, None
    before = desk.books.line(wallet.bonus).balance
    added = grant.entitled(before) if state == "completed" else 0
    ended = replace(
        grant,
        state=state,
        ended_at=desk.books.now,
        reason=reason,
        before=before,
        added=added,
        removed=before - added,
    )
    transfer_id = None
    if before:
        transfer = Transfer(
            f"bonus.{state}",
            _postings(
                (wallet.bonus, -before),
                (wallet.house(CONVERTED), added),
                (wallet.house(RETRACTED), before - added),
                (wallet.house(PAID), -added),
                (wallet.cash, added),
            ),
            reference=f"grant:{grant.id}",
            extra={"grant": str(grant.id), "reason": reason},
        )
        transfer_id = desk.books.post(transfer).id
    _told(desk, wallet, ended, state)
    _next(desk, wallet)
    return ended, transfer_id


def late(desk: Desk, wallet: Wallet, grant_id: int | None, amount: int) -> int | None:
    """Bonus money that comes back from a bet: None where it belongs to a bonus that is active.

    Of a completed grant it is cash as far as the terms still allow: how much is said. Of one that
    ended otherwise it is nobody's any more: 0.
    """
    here = pocket(desk, wallet)
    grant = None if here is None else here.grant(grant_id)
    if here is None or grant is None:
        return 0
    if grant.state == "active":
        return None
    if grant.state != "completed" or grant.before is None:
        return 0
    so_far = grant.before + grant.late
    desk.shelf(Grants).put(wallet, here.with_grant(replace(grant, late=grant.late + amount)))
    return grant.entitled(so_far + amount) - grant.entitled(so_far)


def regained(desk: Desk, wallet: Wallet, grant_id: int | None, amount: int) -> tuple[int, int]:
    """What a payout in bonus money has left to be taken back: as cash, and as bonus money.

    Of a bonus that is active it is what was not staked since, of a completed one what of it became
    cash, and of any other nothing, as the house took it back with the bonus.
    """
    here = pocket(desk, wallet)
    grant = here.grant(grant_id) if here is not None and amount else None
    if grant is None:
        return 0, 0
    if grant.state == "active":
        return 0, min(max(desk.books.line(wallet.bonus).available, 0), amount)
    if grant.state != "completed" or grant.before is None:
        return 0, 0
    so_far = grant.before + grant.late
    return grant.entitled(so_far) - grant.entitled(max(so_far - amount, 0)), 0


def spendable(desk: Desk, wallet: Wallet) -> int:
    """The cash that may leave the wallet without a bet: neither locked nor owed."""
    there, locked, owed = _kept(desk, wallet)
    return max(there - locked - owed, 0)


def spent(desk: Desk, wallet: Wallet, amount: int) -> None:
    """Whether cash may leave without a bet. Raises `CashLocked` and `CashOwed`.

    A command that does so names `wallet.exits()` and the row `(Grants, wallet)`. Whether there is
    enough at all is for the books to say.
    """
    there, locked, owed = _kept(desk, wallet)
    said = {"available": str(max(there - locked - owed, 0)), "wanted": str(amount)}
    if there - locked < amount <= there:
        raise CashLocked(f"{locked} {wallet.asset} are locked with a bonus", **said)
    if there - locked - owed < amount <= there:
        raise CashOwed(f"{owed} {wallet.asset} are owed to the house", **said)


def withdrawn(desk: Desk, wallet: Wallet, amount: int) -> None:
    """What a withdrawal does to a bonus: it is forfeited, unless its wagering is done.

    A command that pays cash out names `wallet.accounts()`, `wallet.exits()` and the row `(Grants,
    wallet)`, and calls this first. Cash stays as it is, but for a bonus that is converted. Raises
    `CashLocked` and `CashOwed`.
    """
    here = pocket(desk, wallet)
    grant = None if here is None else here.active
    if grant is not None and grant.met:
        end(desk, wallet, grant, "completed", reason="withdrawal")
    spent(desk, wallet, amount)
    if grant is not None and not grant.met:
        end(desk, wallet, grant, "forfeited", reason="withdrawal")


def _kept(desk: Desk, wallet: Wallet) -> tuple[int, int, int]:
    """The cash there is, how much is locked with the active bonus, and how much is owed."""
    here = pocket(desk, wallet)
    grant = None if here is None else here.active
    locked = 0 if grant is None else grant.locked
    owed = -desk.books.line(wallet.debt).balance
    return desk.books.line(wallet.cash).available, locked, owed


def wagered(desk: Desk, wallet: Wallet, wager: Wager) -> None:
    """Count a bet that is settled for good. Counted once by its source and name."""
    here = pocket(desk, wallet)
    if here is not None:
        desk.shelf(Grants).put(wallet, replace(here, wagers=(*here.wagers, wager)))


def progress(
    required_bp: int, done_bp: int, expires_at: datetime | None
) -> dict[str, str | float | None]:
    """How far a bonus is wagered, in the asset's smallest unit: never more than there is."""
    done = min(max(done_bp, 0), required_bp)
    required = -(-required_bp // WHOLE_BP)
    return {
        "required": str(required),
        "done": str(done // WHOLE_BP),
        "remaining": str(-(-(required_bp - done) // WHOLE_BP)),
        "percent": done * 10_000 // required_bp / 100,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }


@dataclass(frozen=True, kw_only=True)
class OfWallet(Command):
    """A command about a player's bonuses in one asset."""

    player_id: int
    asset: str

    @property
    def wallet(self) -> Wallet:
        return Wallet(self.casino_id, self.player_id, self.asset)

    def accounts(self) -> Iterable[Account]:
        return self.wallet.accounts()

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Grants, self.wallet


@dataclass(frozen=True, kw_only=True)
class Grant(OfWallet):
    """A bonus by the newest terms of a campaign; `asset` is the campaign's.

    While it is active, so much of the player's cash as is `locked` with it may be bet, but neither
    spent nor withdrawn.
    """

    casino: str
    campaign: str
    amount: int
    deposit: int = 0
    locked: int = 0

    @property
    def verb(self) -> str:
        return "bonus.grant"

    def asked(self) -> Mapping[str, Any]:
        said = {
            "player": self.player_id,
            "campaign": self.campaign,
            "amount": str(self.amount),
            "deposit": str(self.deposit),
        }
        return {**said, "locked": str(self.locked)} if self.locked else said

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield from super().rows()
        yield Campaigns, Place(self.casino_id, self.campaign)

    def decide(self, desk: Desk) -> Answer:
        if not 0 < self.amount <= MOST or min(self.deposit, self.locked) < 0:
            raise ValueError(f"a bonus of {self.amount} on {self.deposit} with {self.locked}")
        if max(self.deposit, self.locked) > MOST:
            raise ValueError(f"a bonus on {self.deposit} with {self.locked}")
        here = pocket(desk, self.wallet) or Pocket(self.casino)
        grant = self._allowed(desk, here)
        waits = here.active is not None or here.waiting is not None
        desk.shelf(Grants).put(self.wallet, here.with_grant(grant))
        transfer_id = None
        if not waits:
            grant, transfer_id = _activate(desk, self.wallet, grant)
        return Answer(_said(grant), transfer_id=transfer_id)

    def _allowed(self, desk: Desk, here: Pocket) -> Granted:
        """The grant, still pending. Raises a `Refusal` when the campaign's terms forbid it."""
        found = desk.shelf(Campaigns).get(Place(self.casino_id, self.campaign))
        if found is None or found.terms.asset != self.asset:
            raise UnknownCampaign(
                f"there is no campaign {self.campaign} in {self.asset}", campaign=self.campaign
            )
        terms = found.terms
        if terms.closed:
            raise CampaignClosed(f"{self.campaign} is closed", campaign=self.campaign)
        if terms.of == "bonus_and_deposit" and not self.deposit:
            raise DepositMissing(f"{self.campaign} counts the deposit too: name it")
        had = sum(one.campaign == self.campaign for one in here.grants)
        if terms.most_grants is not None and had >= terms.most_grants:
            raise TooManyGrants(f"the player had {had} bonuses of {self.campaign}", had=had)
        open_ = next((one for one in here.grants if one.state in OPEN), None)
        if open_ is not None and terms.stacking == "refuse":
            raise BonusStacked(
                f"the player has the bonus {open_.id} of {open_.campaign}", grant=str(open_.id)
            )
        there = desk.books.line(self.wallet.cash).available
        if self.locked > there:
            raise InsufficientFunds(
                f"{self.wallet.cash.name} has {there} {self.asset} to lock, not {self.locked}",
                account=self.wallet.cash.name,
                asset=self.asset,
                available=str(there),
                wanted=str(self.locked),
            )
        return Granted(
            id=desk.books.number(),
            campaign=self.campaign,
            terms=terms,
            campaign_id=found.id,
            state="pending",
            amount=self.amount,
            deposit=self.deposit,
            locked=self.locked,
            required_bp=terms.required_bp(self.amount, self.deposit),
        )


@dataclass(frozen=True, kw_only=True)
class End(OfWallet):
    """One grant, ended if it is still open."""

    grant_id: int

    def asked(self) -> Mapping[str, Any]:
        return {"grant": str(self.grant_id)}

    def found(self, desk: Desk) -> Granted:
        """Raises `UnknownGrant`."""
        here = pocket(desk, self.wallet)
        for grant in here.grants if here is not None else ():
            if grant.id == self.grant_id:
                return grant
        raise UnknownGrant(f"there is no bonus {self.grant_id}", grant=str(self.grant_id))

    def ended(self, desk: Desk, grant: Granted, state: Ending, reason: str) -> Answer:
        grant, transfer_id = end(desk, self.wallet, grant, state, reason=reason)
        return Answer(_said(grant), transfer_id=transfer_id)


@dataclass(frozen=True, kw_only=True)
class Forfeit(End):
    """Take a bonus back, by a rule or a person: `reason` says which. Cash stays."""

    reason: str
    state: Literal["forfeited", "cancelled"] = "forfeited"

    @property
    def verb(self) -> str:
        return f"bonus.{self.state}"

    def asked(self) -> Mapping[str, Any]:
        return {"grant": str(self.grant_id), "reason": self.reason}

    def decide(self, desk: Desk) -> Answer:
        grant = self.found(desk)
        if grant.state not in OPEN:
            raise GrantEnded(
                f"the bonus {grant.id} is {grant.state}", grant=str(grant.id), state=grant.state
            )
        return self.ended(desk, grant, self.state, self.reason)


@dataclass(frozen=True, kw_only=True)
class Convert(End):
    """Bonus money to cash, once, if the wagering is done."""

    @property
    def verb(self) -> str:
        return "bonus.convert"

    def decide(self, desk: Desk) -> Answer:
        grant = self.found(desk)
        if grant.state == "active" and grant.met:
            return self.ended(desk, grant, "completed", "wagered")
        return Answer(_said(grant))


@dataclass(frozen=True, kw_only=True)
class Expire(End):
    """A bonus whose time is over; it is converted if its wagering was done by then."""

    @property
    def verb(self) -> str:
        return "bonus.expire"

    def decide(self, desk: Desk) -> Answer:
        grant = self.found(desk)
        if grant.state != "active" or grant.expires_at is None:
            return Answer(_said(grant))
        if grant.met:
            return self.ended(desk, grant, "completed", "wagered")
        if grant.expires_at > desk.books.now:
            return Answer(_said(grant))
        return self.ended(desk, grant, "expired", "time")


def _activate(desk: Desk, wallet: Wallet, grant: Granted) -> tuple[Granted, int]:
    """Give the money; the time begins to run. Nothing else of the wallet is active."""
    now = desk.books.now
    posted = desk.books.post(
        Transfer(
            "bonus.granted",
            _postings((wallet.house(GRANTED), -grant.amount), (wallet.bonus, grant.amount)),
            reference=f"grant:{grant.id}",
            extra={"grant": str(grant.id), "campaign": grant.campaign},
        )
    )
    ends = now + timedelta(hours=grant.terms.expires_h)
    grant = replace(grant, state="active", activated_at=now, expires_at=ends)
    _told(desk, wallet, grant, "granted")
    return grant, posted.id


def _next(desk: Desk, wallet: Wallet) -> None:
    here = pocket(desk, wallet)
    if here is not None and (grant := here.waiting) is not None:
        _activate(desk, wallet, grant)


def _told(desk: Desk, wallet: Wallet, grant: Granted, word: str) -> None:
    """Keep a grant as it stands now, and tell its player."""
    here = pocket(desk, wallet)
    if here is None:
        raise LookupError(f"no bonus of {wallet}")
    desk.shelf(Grants).put(wallet, here.with_grant(grant))
    data = {**_said(grant), "at": desk.books.now.isoformat()}
    told = Message("user", f"bonus.{word}", here.casino, data, player=str(wallet.player_id))
    desk.messages.append(told)


def _said(grant: Granted) -> dict[str, Any]:
    body: dict[str, Any] = {
        "grant": str(grant.id),
        "campaign": grant.campaign,
        "asset": grant.terms.asset,
        "state": grant.state,
        "amount": str(grant.amount),
        "locked": str(grant.locked),
        **progress(grant.required_bp, grant.done_bp, grant.expires_at),
    }
    if grant.state not in OPEN:
        ending = {"before": grant.before, "removed": grant.removed, "added": grant.added}
        body["reason"] = grant.reason
        body |= {name: None if value is None else str(value) for name, value in ending.items()}
    return body


def _postings(*amounts: tuple[Account, int]) -> tuple[Posting, ...]:
    return tuple(Posting(account, amount) for account, amount in amounts if amount)


def _wallets(keys: Sequence[Wallet]) -> tuple[str, ...]:
    casinos, players, assets = zip(*keys, strict=True)
    return numbers(casinos), numbers(players), texts(assets), texts(list(_terms)[-SAID:])


def _granted(said: Sequence[Any]) -> Granted:
    id, code, version, terms, campaign_id, state, *rest = said
    amount, deposit, locked, required_bp, done_bp, activated_at, expires_at, ended_at, *ends = rest
    reason, before, added, removed, returned = ends
    return Granted(
        id=id,
        campaign=code,
        terms=_remembered(version, terms),
        campaign_id=campaign_id,
        state=state,
        amount=int(amount),
        deposit=int(deposit),
        locked=int(locked),
        required_bp=int(required_bp),
        done_bp=int(done_bp),
        activated_at=_time(activated_at),
        expires_at=_time(expires_at),
        ended_at=_time(ended_at),
        reason=reason,
        before=_whole(before),
        added=_whole(added),
        removed=_whole(removed),
        late=int(returned),
    )


_terms: dict[str, Terms] = {}  # by their version, those that were used last at the end


def _remembered(version: str, said: Mapping[str, Any] | None) -> Terms:
    """Terms of a version, which are said unless they are known."""
    terms = _terms.pop(version) if said is None else Terms.read(said)
    _terms[version] = terms
    while len(_terms) > REMEMBERED:
        del _terms[next(iter(_terms))]
    return terms


def _time(said: str | None) -> datetime | None:
    return None if said is None else datetime.fromisoformat(said)


def _whole(said: str | None) -> int | None:
    return None if said is None else int(said)


def _ends(grants: Sequence[Granted]) -> tuple[str, ...]:
    return (
        times(one.activated_at for one in grants),
        times(one.expires_at for one in grants),
        times(one.ended_at for one in grants),
        texts(one.reason for one in grants),
        numbers(one.before for one in grants),
        numbers(one.added for one in grants),
        numbers(one.removed for one in grants),
    )


def _moved(grants: Sequence[Granted]) -> tuple[str, ...]:
    return (
        numbers(one.id for one in grants),
        texts(one.state for one in grants),
        numbers(one.done_bp for one in grants),
        *_ends(grants),
    )


def _made(rows: Sequence[tuple[Wallet, Granted]]) -> tuple[str, ...]:
    grants = [one for _, one in rows]
    return (
        numbers(one.id for one in grants),
        numbers(wallet.casino_id for wallet, _ in rows),
        numbers(wallet.player_id for wallet, _ in rows),
        texts(wallet.asset for wallet, _ in rows),
        numbers(one.campaign_id for one in grants),
        texts(one.state for one in grants),
        numbers(one.amount for one in grants),
        numbers(one.deposit for one in grants),
        numbers(one.locked for one in grants),
        numbers(one.required_bp for one in grants),
        *_ends(grants),
    )


def _wagers(rows: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    casinos, sources, bets, grants, games, amounts, bonuses, settled = zip(*rows, strict=True)
    return (
        numbers(casinos),
        texts(sources),
        texts(bets),
        numbers(grants),
        texts(games),
        numbers(amounts),
        numbers(bonuses),
        times(settled),
    )
