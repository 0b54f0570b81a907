"""A dialect: how one provider says what all of them mean; it translates, and decides nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, StringConstraints, ValidationError

from casino.providers.calls import Policy
from casino.providers.codes import Code, Refused
from casino.providers.money import Money

Verb = Literal[
    "balance",
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
    "transaction",  # any of these: the body says which
]
M = TypeVar("M", bound=BaseModel)

# Ids come back in answers and go into the books: short, and plain to read.
Word = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[ -}]+$")]


def _written(given: object) -> object:
    return str(given) if type(given) is int else given


Number = Annotated[Word, BeforeValidator(_written)]  # an id that may come as an integer


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a provider's request says. What it left out is None."""

    verb: Verb
    token: str
    id: str = ""
    player: str | None = None
    game: str | None = None
    currency: str | None = None
    round: str | None = None
    amount: object = None  # as it came; the dialect's money reads it
    target: str | None = None
    closes: bool = False
    request: str | None = None
    won: object = None  # as it came, beside the stake of a play
    reward: str | None = None
    jackpots: Sequence[tuple[str, object]] = ()  # what a bet gave or a payout took, as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What it came to: a code when it was refused, and whatever is known of the player's money."""

    code: Code | None = None
    detail: str = ""
    player: str | None = None
    currency: str | None = None
    scale: int = 0
    balance: int | None = None
    number: str | None = None  # our own of the call
    tombstone: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Mapping[str, Any]


class Stamp(NamedTuple):
    """When a message was signed, in seconds since 1970, and its own id; both are signed."""

    time: str
    id: str


class Dialect(ABC):
    """One per provider; a dialect is one file, listed in the table of contents of this room."""

    name: ClassVar[str]
    money: ClassVar[Money]
    fractions: ClassVar[bool] = False  # are its amounts decimals?
    policy: ClassVar[Policy]
    paths: ClassVar[Mapping[str, Verb]]
    words: ClassVar[Mapping[Code, Any]]  # one for every code

    @abstractmethod
    def authentic(self, body: bytes, headers: Mapping[str, str], keys: Sequence[str]) -> bool:
        """Whether the provider signed these very bytes with one of its keys."""

    @property
    def verbs(self) -> frozenset[Verb]:
        """All that it can ask."""
        return frozenset(self.paths.values())

    def word(self, code: Code, verb: Verb | None) -> Any:
        """Its word for a code; some call a thing otherwise where something else was asked."""
        return self.words[code]

    def stamp(self, headers: Mapping[str, str]) -> Stamp | None:
        """When an authentic message was signed, where the provider says so."""
        return None

    @abstractmethod
    def read(self, verb: Verb, body: object) -> Given:
        """What is asked; numbers with a fraction come as `Decimal`. Raises `Refused`."""

    @abstractmethod
    def say(self, given: Given | None, told: Told) -> Reply:
        """The answer; without `given` the request was not understood."""


def shaped(model: type[M], body: object) -> M:
    """The body as a model. Raises `Refused`: what is missing, and what is of another type."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        names = sorted({".".join(map(str, one["loc"])) or "body" for one in faults})
        missing = all(one["type"] == "missing" for one in faults)
        code = Code.MALFORMED if missing else Code.WRONG_TYPE
        raise Refused(code, f"missing or wrong: {', '.join(names)}") from error
