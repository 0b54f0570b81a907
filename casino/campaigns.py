"""Campaigns: on which terms bonus money is given, in versions that never change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from casino.commands import Answer, Command, Desk, Later, Shelf
from db.arrays import documents, numbers, texts
from db.pipeline import Statement
from ledger.accounts import Account
from ledger.errors import Refusal, UnknownAccount, UnknownAsset

WHOLE_BP = 10_000
MOST = 10**60
GRANTED = "system:granted:bonus"
CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# A product, or a game of it: that of a provider is called by the provider and its code, which may
# be anything that a call may name it by.
GAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}(/[ -~]{1,193})?")
MOST_MULTIPLIER_BP = {"GB": 10 * WHOLE_BP}
ONE_PRODUCT = frozenset({"GB"})
AMOUNTS = ("max_bet", "max_win")

FIND = b"""
SELECT DISTINCT ON (c.casino_id, c.code) c.casino_id, c.code, c.id, c.version, c.terms
FROM campaigns c JOIN unnest(%s::int[], %s::text[]) AS n(casino_id, code) USING (casino_id, code)
ORDER BY c.casino_id, c.code, c.version DESC
"""
KEEP = b"""
INSERT INTO campaigns (id, casino_id, code, version, asset, terms, actor)
SELECT * FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::jsonb[],
    %s::text[])
"""


class BadTerms(ValueError):
    """Terms that no bonus may have; `field` is the one that says so."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class AssetStays(Refusal):
    """A campaign gives bonuses of one asset, in all its versions."""

    code = "CAMPAIGN_ASSET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a bonus of a campaign demands and allows. Raises `BadTerms`.

    Games are named whole or by their product: `slots/book` is a game of the product `slots`. Stakes
    count by the weight of their game, else of its product, else by the default. Bonus money is
    neither staked nor wagered at excluded games, nor outside of `products` when some are named. A
    bet on chain that wins with a chance above `most_chance_bp` counts for nothing.
    """

    asset: str
    multiplier_bp: int
    of: Literal["bonus", "bonus_and_deposit"] = "bonus"
    weights: Mapping[str, int] = field(default_factory=dict)
    default_weight_bp: int = WHOLE_BP
    excluded: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    most_chance_bp: int | None = None
    max_bet: int | None = None
    above_max_bet: Literal["refuse", "forfeit"] = "refuse"
    max_win: int | None = None
    expires_h: int = 168
    sticky: bool = False
    order: Literal["cash_first", "mixed"] = "cash_first"
    stacking: Literal["refuse", "queue"] = "refuse"
    most_grants: int | None = 1
    jurisdiction: str | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        _within("multiplier_bp", self.multiplier_bp, 1, 1000 * WHOLE_BP)
        _within("default_weight_bp", self.default_weight_bp, 0, 10 * WHOLE_BP)
        _within("expires_h", self.expires_h, 1, 366 * 24)
        for name, least in (("max_bet", 1), ("max_win", 0), ("most_grants", 1)):
            given = getattr(self, name)
            if given is not None:
                _within(name, given, least, MOST)
        if self.most_chance_bp is not None:
            _within("most_chance_bp", self.most_chance_bp, 1, WHOLE_BP)
        for name in ("weights", "excluded", "products"):
            for game in getattr(self, name):
                if not GAME.fullmatch(game):
                    raise BadTerms(name, f"{game[:256]!r} names no game")
        for weight in self.weights.values():
            _within("weights", weight, 0, 10 * WHOLE_BP)
        if any("/" in product for product in self.products):
            raise BadTerms("products", "a product is named without a game")
        self._lawful()

    def _lawful(self) -> None:
        if self.jurisdiction is None:
            return
        if not re.fullmatch(r"[A-Z]{2}", self.jurisdiction) or self.jurisdiction == "UK":
            raise BadTerms("jurisdiction", "a jurisdiction is an ISO 3166 code, such as GB")
        most = MOST_MULTIPLIER_BP.get(self.jurisdiction)
        if most is not None and self.multiplier_bp > most:
            raise BadTerms(
                "multiplier",
                f"in {self.jurisdiction} a bonus is wagered {most // WHOLE_BP} times at most",
            )
        if self.jurisdiction in ONE_PRODUCT and len(self.products) != 1:
            raise BadTerms("products", f"in {self.jurisdiction} an offer is for exactly 1 product")

    def required_bp(self, amount: int, deposit: int) -> int:
        """What must be wagered: stakes times basis points, exactly."""
        based = amount if self.of == "bonus" else amount + deposit
        return based * self.multiplier_bp

    def plays(self, game: str | None) -> bool:
        """Whether bonus money may be staked there."""
        whole = game or ""
        product = whole.partition("/")[0]
        if whole in self.excluded or product in self.excluded:
            return False
        return not self.products or product in self.products

    def document(self) -> dict[str, Any]:
        """As JSON: amounts are decimal strings."""
        said = asdict(self)
        for name in AMOUNTS:
            said[name] = None if said[name] is None else str(said[name])
        if self.most_chance_bp is None:
            del said["most_chance_bp"]  # as terms were said before there was such a thing
        return said

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Terms:
        """From `document`."""
        known = {one.name for one in fields(cls)}
        given = {name: value for name, value in said.items() if name in known}
        for name in AMOUNTS:
            if given.get(name) is not None:
                given[name] = int(given[name])
        for name in ("excluded", "products"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)


def _within(name: str, given: int, least: int, most: int) -> None:
    if not least <= given <= most:
        raise BadTerms(name, f"{name} is from {least} to {most}")


class Place(NamedTuple):
    """A campaign by its code."""

    casino_id: int
    code: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """A version of a campaign's terms."""

    id: int
    version: int
    terms: Terms
    actor: str = ""


class Campaigns(Shelf[Place, Campaign]):
    """The newest version of each campaign; one that is put becomes the next."""

    def __init__(self, rows: Mapping[Place, Campaign], later: Later) -> None:
        super().__init__(rows, later)
        self._made: list[tuple[Place, Campaign]] = []

    @classmethod
    def find(cls, keys: Sequence[Place]) -> Statement:
        return FIND, (numbers(key.casino_id for key in keys), texts(key.code for key in keys))

    @classmethod
    def read(cls, row: Sequence[Any]) -> tuple[Place, Campaign]:
        casino_id, code, id, version, terms = row
        return Place(casino_id, code), Campaign(id, version, Terms.read(terms))

    def put(self, key: Place, row: Campaign) -> None:
        super().put(key, row)
        self._made.append((key, row))
        self._later(self._made.pop)

    def writes(self) -> Iterable[Statement]:
        made = sorted(self._made, key=lambda one: (one[0], one[1].version))
        yield (
            KEEP,
            (
                numbers(one.id for _, one in made),
                numbers(place.casino_id for place, _ in made),
                texts(place.code for place, _ in made),
                numbers(one.version for _, one in made),
                texts(one.terms.asset for _, one in made),
                documents(one.terms.document() for _, one in made),
                texts(one.actor for _, one in made),
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Define(Command):
    """A campaign's terms from now on; the terms it has already make no new version."""

    code: str
    terms: Terms

    @property
    def verb(self) -> str:
        return "campaign.define"

    @property
    def at(self) -> Place:
        return Place(self.casino_id, self.code)

    def asked(self) -> Mapping[str, Any]:
        return {"code": self.code, "terms": self.terms.document()}

    def accounts(self) -> Iterable[Account]:
        yield Account(self.casino_id, GRANTED, self.terms.asset)

    def rows(self) -> Iterable[tuple[type[Shelf[Any, Any]], Any]]:
        yield Campaigns, self.at

    def decide(self, desk: Desk) -> Answer:
        asset, shelf = self.terms.asset, desk.shelf(Campaigns)
        try:
            desk.books.line(*self.accounts())
        except UnknownAccount:
            raise UnknownAsset(f"the books do not count {asset}", asset=asset) from None
        found = shelf.get(self.at)
        if found is not None and found.terms.asset != asset:
            raise AssetStays(
                f"{self.code} gives bonuses in {found.terms.asset}", asset=found.terms.asset
            )
        if found is None or found.terms != self.terms:
            version = 1 if found is None else found.version + 1
            found = Campaign(desk.books.number(), version, self.terms, self.actor)
            shelf.put(self.at, found)
        said = {"code": self.code, "version": found.version, "terms": found.terms.document()}
        return Answer({"campaign": str(found.id), **said})
