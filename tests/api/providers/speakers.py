"""How a test speaks each dialect: what it means in plain words, as the provider would write it."""

from __future__ import annotations

import base64
import itertools
import time
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import orjson
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from casino.providers import DIALECTS
from casino.providers.codes import Code
from casino.providers.dialect import Dialect, Verb
from casino.providers.signatures import hmac_sha256, stamped
from casino.providers.valkyrie import VERBS, Valkyrie

SECRET, NEXT_SECRET = "a-secret-of-the-casino", "the-secret-that-comes-next"
_numbers = itertools.count(1)


def fresh(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@dataclass(frozen=True, slots=True)
class Seat:
    """A player at a launched game."""

    player: str
    player_id: int
    token: str
    game: str


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: what it came to, and the balance in cents."""

    dialect: Dialect
    verb: Verb
    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.body["status"] in ("OK", "RS_OK")

    @property
    def balance(self) -> int:
        result = self.body.get("transactionResult", self.body)
        said = result["balance"]
        told = said["cashAmount"] if isinstance(said, dict) else said
        return self.dialect.money.read(told, 2)

    @property
    def number(self) -> str | None:
        """Our own of the call, where the dialect has a place for it."""
        result = self.body.get("transactionResult", {})
        found: str | None = self.body.get("casinoTransactionId", result.get("transactionId"))
        return found

    def refused(self, code: Code) -> bool:
        """Whether it says this code in the dialect's own way."""
        word = self.dialect.word(code, self.verb)
        if isinstance(word, int):
            return (self.status, self.body.get("code")) == (word, code)
        if "transactionResult" in self.body or isinstance(self.body.get("error"), dict):
            status = Valkyrie.statuses.get(code, 200)
            said = self.body["status"], self.body.get("error", {}).get("code")
            return (self.status, *said) == (status, "ERROR", word)
        return (self.status, self.body["status"]) == (200, word)


class Speaker(ABC):
    """One provider. `urls` are processes of the API over one database."""

    name: str
    header: str
    # Amounts that are none, as JSON; of a bet in cents.
    no_amounts: tuple[str, ...] = (
        *("1.5", "10.0", '"10"', '"ten"', "null", "true", "[]", "{}"),
        *("1" + "0" * 40, "1e400"),
    )
    field = "amount"

    def __init__(self, client: httpx.AsyncClient, urls: list[str]) -> None:
        self.client, self.urls = client, urls
        self.dialect = DIALECTS[self.name]
        self.paths = {verb: path for path, verb in self.dialect.paths.items()}
        shared = self.paths.pop("transaction", None)
        if shared is not None:
            self.paths |= dict.fromkeys(self.dialect.verbs - {"balance"}, shared)
        self.games = ["1", "2"]

    @abstractmethod
    def body(self, verb: Verb, seat: Seat, **said: Any) -> dict[str, Any]:
        """A request; amounts are cents."""

    @abstractmethod
    def signature(self, raw: bytes, *, key: int = 0) -> dict[str, str]:
        """The headers that one of the two keys makes."""

    async def send(self, verb: Verb, body: dict[str, Any], *, to: int = 0) -> Heard:
        raw = orjson.dumps(body)
        return await self.deliver(verb, raw, self.signature(raw), to=to)

    async def deliver(
        self, verb: Verb, raw: bytes, headers: dict[str, str], *, to: int = 0
    ) -> Heard:
        url = self.urls[to] + self.paths[verb]
        answer = await self.client.post(url, content=raw, headers=headers)
        found = answer.json(parse_float=Decimal)
        return Heard(self.dialect, verb, answer.status_code, found)

    async def balance(self, seat: Seat) -> int:
        heard = await self.send("balance", self.body("balance", seat))
        assert heard.ok, heard
        return heard.balance

    async def debit(self, seat: Seat, amount: int, *, to: int = 0, **said: Any) -> Heard:
        said = {"id": fresh("bet"), "round": fresh("round"), **said}
        return await self.send("debit", self.body("debit", seat, amount=amount, **said), to=to)

    async def credit(self, seat: Seat, amount: int, *, to: int = 0, **said: Any) -> Heard:
        said = {"id": fresh("win"), **said}
        return await self.send("credit", self.body("credit", seat, amount=amount, **said), to=to)

    async def rollback(self, seat: Seat, target: str, *, to: int = 0, **said: Any) -> Heard:
        said = {"id": fresh("back"), "target": target, **said}
        return await self.send("rollback", self.body("rollback", seat, **said), to=to)


class JaqpotSpeaker(Speaker):
    name = "jaqpot"
    header = "x-casino-signature"

    def body(self, verb: Verb, seat: Seat, **said: Any) -> dict[str, Any]:
        related = "originalTransactionId" if verb == "rollback" else "relatedTransactionId"
        names = {
            "id": "transactionId",
            "amount": "amount",
            "round": "roundId",
            "game": "gameId",
            "player": "userId",
            "currency": "currency",
            "closes": "roundClosed",
            "target": related,
        }
        told = {names[key]: value for key, value in said.items() if key in names}
        return {"sessionToken": seat.token, **told}

    def signature(self, raw: bytes, *, key: int = 0) -> dict[str, str]:
        return {"x-casino-signature": hmac_sha256(raw, (SECRET, NEXT_SECRET)[key])}


@dataclass
class Keys:
    """The provider's two key pairs, made once."""

    pairs: list[RSA.RsaKey] = field(default_factory=list)

    def pair(self, number: int) -> RSA.RsaKey:
        while len(self.pairs) <= number:
            self.pairs.append(RSA.generate(1024))
        return self.pairs[number]

    def public(self) -> list[str]:
        return [self.pair(number).public_key().export_key().decode() for number in range(2)]


KEYS = Keys()


class CaletaSpeaker(Speaker):
    name = "caleta"
    header = "x-auth-signature"

    def body(self, verb: Verb, seat: Seat, **said: Any) -> dict[str, Any]:
        told: dict[str, Any] = {
            "request_uuid": said.get("request", str(uuid.uuid4())),
            "token": seat.token,
            "user": said.get("player", seat.player),
            "currency": said.get("currency", "USD"),
        }
        names = {
            "id": "transaction_uuid",
            "round": "round",
            "game": "game_code",
            "closes": "round_closed",
            "target": "reference_transaction_uuid",
        }
        told |= {names[key]: value for key, value in said.items() if key in names}
        if "amount" in said:
            told["amount"] = (
                said["amount"] * 1000 if type(said["amount"]) is int else said["amount"]
            )
        return told

    def signature(self, raw: bytes, *, key: int = 0) -> dict[str, str]:
        made = pkcs1_15.new(KEYS.pair(key)).sign(SHA256.new(raw))
        return {"x-auth-signature": base64.b64encode(made).decode()}


def dollars(cents: object) -> object:
    """As a decimal number, as it is written; what is no amount stays what it is."""
    if type(cents) is not int:
        return cents
    return orjson.Fragment(format(Decimal(cents).scaleb(-2), "f"))


class ValkyrieSpeaker(Speaker):
    name = "valkyrie"
    header = "x-signature"
    no_amounts = (
        *("1.005", "0.0000001", "1.00000000000000000000001", '"10"', '"ten"', "null", "true"),
        *("[]", "{}", "1" + "0" * 40, "1e400", "1e-400", "1" + "0" * 5000),
    )
    field = "cashAmount"

    def body(self, verb: Verb, seat: Seat, **said: Any) -> dict[str, Any]:
        told: dict[str, Any] = {
            "sessionToken": seat.token,
            "playerId": said.get("player", seat.player),
            "currency": said.get("currency", "USD"),
        }
        names = {
            "id": "providerTransactionId",
            "round": "providerRoundId",
            "game": "providerGameId",
            "closes": "isGameOver",
            "target": "providerBetRef",
        }
        told |= {names[key]: value for key, value in said.items() if key in names}
        if verb == "balance":
            return told
        types = {verb: type for type, verb in VERBS.items()}
        told["transactionType"] = types["debit" if verb == "tip" else verb]
        if "amount" in said:
            promo = verb in ("buy_in", "prize", "refund")
            told["promoAmount" if promo else "cashAmount"] = dollars(said["amount"])
        if verb == "tip":
            told["tip"] = {"tipAmount": dollars(said.get("tip", said["amount"]))}
        if "won" in said:
            told["winAmount"] = dollars(said["won"])
        if "reward" in said:
            told["promos"] = [{"promoType": "FREEROUNDS", "promoAwardRef": said["reward"]}]
        if "jackpots" in said:
            told["jackpots"] = [
                {"jackpotId": name, "jackpotAmount": orjson.Fragment(amount)}
                for name, amount in said["jackpots"]
            ]
        return told

    def signature(
        self, raw: bytes, *, key: int = 0, nonce: str | None = None, at: float | None = None
    ) -> dict[str, str]:
        when = str(int(time.time() if at is None else at))
        nonce = str(uuid.uuid4()) if nonce is None else nonce
        made = hmac_sha256(stamped(raw, when, nonce), (SECRET, NEXT_SECRET)[key])
        return {"x-timestamp": when, "x-nonce": nonce, "x-signature": made}


SPEAKERS: dict[str, type[Speaker]] = {
    one.name: one for one in (JaqpotSpeaker, CaletaSpeaker, ValkyrieSpeaker)
}
