"""The only room that reads the environment: every setting, its name, its default and its checks.

What is wrong with a setting is said by its name. Its value is never shown: it may be a secret.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEVELOPMENT_SEED_KEY = "00" * 32
DEVELOPMENT_CASINO_SECRET = "casino-secret-key"
DEVELOPMENT_PROVIDER_SECRET = "provider-secret-key"
# As the League of Entropy lists them (docs.drand.love/developer/http-api).
DRAND_ENDPOINTS = [
    "https://api.drand.sh",
    "https://api2.drand.sh",
    "https://api3.drand.sh",
    "https://drand.cloudflare.com",
    "https://api.drand.secureweb3.com:6875",
]
LEAST_SECRET = 16  # letters of a secret in production


def database_url(url: str) -> str:
    """A URL that every driver reads alike: drivers show what they cannot read."""
    if not _readable(url, ("postgres", "postgresql", "postgresql+psycopg")):
        raise ValueError("must be postgresql://user:password@host:port/name, percent-encoded")
    return url


def redis_url(url: str) -> str:
    if not _readable(url, ("redis", "rediss", "unix")):
        raise ValueError("must be redis://user:password@host:port/number, percent-encoded")
    return url


def http_url(url: str) -> str:
    if not _readable(url, ("https", "http")):
        raise ValueError("must be https://host:port/path")
    return url


def seed_key(text: str) -> str:
    try:
        found = len(bytes.fromhex(text))
    except ValueError:
        found = 0
    if found != 32:
        raise ValueError("must be 32 bytes in hex")
    return text


def listed(given: object) -> object:
    """One value, or several as JSON."""
    if not isinstance(given, str):
        return given
    if not given.startswith("["):
        return [given] if given else []
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("must be one secret, or a JSON list of them") from None


def _readable(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        several = "," in parts.netloc
        whole = several or parts.port is None or parts.port > 0
    except ValueError:
        return False
    return whole and parts.scheme in schemes and "://" in url and parts.netloc.count("@") < 2


def object_or_nothing(given: object) -> object:
    """A JSON object, or nothing at all."""
    if not isinstance(given, str):
        return given
    if not given.strip():
        return None
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("must be a JSON object, or empty") from None


Level = Annotated[
    Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"],
    BeforeValidator(lambda level: level.upper() if isinstance(level, str) else level),
]
DatabaseUrl = Annotated[str, AfterValidator(database_url)]
RedisUrl = Annotated[str, AfterValidator(redis_url)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
SeedKey = Annotated[str, AfterValidator(seed_key)]
Secrets = Annotated[list[str], NoDecode, BeforeValidator(listed)]


class SourceSetting(BaseModel):
    """A program to follow: the manifest's name, and what differs from the manifest here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    program: str
    network: str | None = None
    address: str | None = None
    start: int | None = None
    casino: str | None = None


Role = Literal[
    "wallets:read",
    "wallets:write",
    "withdrawals:approve",
    "bonuses:write",
    "reports:read",
    "games:launch",
    "rounds:bet",
    "pairs:play",
]


class ApiKey(BaseModel):
    """A service that may ask for money to move; of its key only the SHA-256 in hex is kept.

    One with `secrets` signs its requests with any of them, and has no key to show. With a `casino`
    it acts in that one only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", repr=False)
    secrets: list[Annotated[str, Field(min_length=LEAST_SECRET)]] | None = Field(
        default=None, repr=False
    )
    roles: list[Role]
    casino: str | None = None

    @model_validator(mode="after")
    def _shows_or_signs(self) -> ApiKey:
        if (self.digest is None) == (not self.secrets):
            raise ValueError("a service has the digest of a key, or secrets to sign with")
        return self


class WithdrawalLimits(BaseModel):
    """What one withdrawal may take, and up to where no person has to approve it.

    Amounts are in the asset's smallest unit; a day is the last 24 hours of one player.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    least: int = Field(default=1, ge=1)
    most: int | None = Field(default=None, ge=1)
    automatic: int = Field(default=0, ge=0)
    automatic_daily: int = Field(default=0, ge=0)


class TableSetting(BaseModel):
    """A table of scheduled rounds, and the bond that backs it.

    `program` is the bond's manifest. `beacon` is `drand`, or `block:<network>` with the network's
    name in the settings, whose blocks count under `confirmations` others. Times are in seconds.
    Stakes and wins are in the smallest unit of `asset`, the chain's own coin unless it says another
    one; wins are backed by `coins` of the bond's coin for each `units`, up to `max_liability` in a
    round. A batch of that many rounds is committed at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
    game: str
    program: str
    network: str | None = None
    address: str | None = None
    casino: str | None = None
    asset: str | None = None
    beacon: Annotated[str, Field(pattern=r"^(drand|block:[a-z0-9-]+)$")] = "drand"
    confirmations: int = Field(default=0, ge=0)
    patience: float = Field(default=30.0, gt=0)
    period: int = Field(default=10, ge=2, le=86_400)
    lead: int = Field(default=1, ge=1)
    reveal_window: int = Field(default=600, ge=10, le=86_400)
    batch: int = Field(default=64, ge=1, le=256)
    max_liability: int = Field(ge=1)
    least: int = Field(default=1, ge=1)
    most: int = Field(ge=1)
    most_win: int = Field(ge=1)
    most_player: int = Field(ge=1)
    coins: int = Field(default=1, ge=1)
    units: int = Field(default=1, ge=1)


class PairsSetting(BaseModel):
    """Where pairs are played, and the bond at which their seeds are committed.

    `program`, `beacon`, `confirmations`, `patience`, `asset` and `casino` are as of a table.
    `games` are those that are offered, each with its pay table in hex, or nothing for the one that
    the house ships. `most_player` is of all stakes of a player under one pair. At most `batch`
    pairs are committed at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    program: str
    network: str | None = None
    address: str | None = None
    casino: str | None = None
    asset: str | None = None
    beacon: Annotated[str, Field(pattern=r"^(drand|block:[a-z0-9-]+)$")] = "drand"
    confirmations: int = Field(default=0, ge=0)
    patience: float = Field(default=30.0, gt=0)
    games: dict[str, str] = Field(min_length=1)
    batch: int = Field(default=256, ge=1, le=256)
    least: int = Field(default=1, ge=1)
    most: int = Field(ge=1)
    most_win: int = Field(ge=1)
    most_player: int = Field(ge=1)

    @property
    def name(self) -> str:
        """What they are called in the log, where tables are called by their names."""
        return "pairs"


Pairs = Annotated[PairsSetting | None, NoDecode, BeforeValidator(object_or_nothing)]


class Settings(BaseSettings):
    """Settings by environment variable `FAIRHOUSE_<NAME>`; lists and maps are JSON."""

    model_config = SettingsConfigDict(
        env_prefix="FAIRHOUSE_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    environment: Literal["development", "production"] = "development"
    log_level: Level = "INFO"
    data: Path = Path(".fairhouse")

    database_url: DatabaseUrl = Field(
        default="postgresql://fairhouse@127.0.0.1:5432/fairhouse",
        repr=False,
        validation_alias=AliasChoices("FAIRHOUSE_DATABASE_URL", "DATABASE_URL"),
    )
    redis_url: RedisUrl = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,
        validation_alias=AliasChoices("FAIRHOUSE_REDIS_URL", "REDIS_URL"),
    )

    api_host: str = "127.0.0.1"
    api_port: int = 3000
    feed_host: str = "127.0.0.1"
    feed_port: int = 3001
    feed_public_url: str = ""
    default_casino: str = "fairhouse"
    processes: list[str] = [
        "api",
        "feed",
        "indexer",
        "worker-chain",
        "worker-interpretation",
        "worker-stats",
        "worker-bonuses",
        "relay",
        "auditor",
        "keeper",
        "dealer",
    ]
    cors_origins: list[str] = ["*"]
    api_keys: list[ApiKey] = Field(default=[], repr=False)

    casino_secrets: Secrets = Field(
        default=[],
        repr=False,
        validation_alias=AliasChoices("FAIRHOUSE_CASINO_SECRETS", "CASINO_SECRET"),
    )
    provider_secrets: Secrets = Field(
        default=[],
        repr=False,
        validation_alias=AliasChoices("FAIRHOUSE_PROVIDER_SECRETS", "PROVIDER_SECRET"),
    )
    provider_keys: dict[str, list[str]] = Field(default={}, repr=False)
    provider_url: str = ""
    provider_timeout_s: float = Field(default=3.0, gt=0)
    launch_h: int = Field(default=12, ge=1, le=48)
    round_h: int = Field(default=48, ge=1)

    rpc: dict[str, list[str]] = Field(default={}, repr=False)  # providers put keys into URLs
    ws: dict[str, str] = Field(default={}, repr=False)
    sources: list[SourceSetting] = []
    programs_dir: Path | None = None
    confirmations: dict[str, int] = {}

    poll_ms: int = Field(default=1000, ge=50)
    api_connections: int = Field(default=10, ge=1)
    rpc_rate: float = Field(default=50.0, gt=0)
    rpc_timeout_s: float = Field(default=10.0, gt=0)
    rpc_concurrency: int = Field(default=8, ge=1, le=256)
    page_size: int = Field(default=100, ge=1, le=1000)
    evm_range: int = Field(default=500, ge=1)

    chain_concurrency: int = Field(default=5, ge=1)
    interpretation_concurrency: int = Field(default=3, ge=1)
    stats_concurrency: int = Field(default=1, ge=1)
    bonuses_concurrency: int = Field(default=1, ge=1)
    job_rate: float = Field(default=0.0, ge=0)
    retries: int = Field(default=3, ge=0)
    backoff_ms: int = Field(default=1000, ge=1)
    done_retention_h: int = Field(default=1, ge=0)
    failed_retention_h: int = Field(default=24, ge=0)
    stats_interval_ms: int = Field(default=1000, ge=0)
    outbox_retention_h: int = Field(default=24, ge=1)

    seal_s: float = Field(default=5.0, gt=0)
    laws_s: float = Field(default=300.0, gt=0)
    laws_full_h: float = Field(default=24.0, gt=0)

    keeper_solana_key: str = Field(default="", repr=False)
    keeper_evm_key: str = Field(default="", repr=False)
    seed_key: SeedKey = Field(default=DEVELOPMENT_SEED_KEY, repr=False)
    seed_batch: int = Field(default=1024, ge=1, le=65536)
    keeper_max_fee_gwei: float = Field(default=100.0, gt=0)
    keeper_renew_s: float = Field(default=15.0, ge=1)
    keeper_max_price_microlamports: int = Field(default=1_000_000, ge=0)
    withdrawals: dict[str, WithdrawalLimits] = {}

    drand_urls: list[HttpUrl] = Field(default=DRAND_ENDPOINTS, min_length=1, repr=False)
    drand_timeout_s: float = Field(default=3.0, gt=0)
    tables: list[TableSetting] = []
    operator_limits: dict[str, dict[str, Annotated[int, Field(ge=1)]]] = {}
    pairs: Pairs = None
    signer_key: str = Field(default="", repr=False)

    @property
    def casino_keys(self) -> list[str]:
        """What calls of the first provider are signed with: any of them, or nothing at all."""
        return self.casino_secrets or self._known(DEVELOPMENT_CASINO_SECRET)

    @property
    def studio_keys(self) -> list[str]:
        """What we sign to the provider with, the first of them; and it takes any."""
        return self.provider_secrets or self._known(DEVELOPMENT_PROVIDER_SECRET)

    @property
    def own_url(self) -> str:
        """Where this machine reaches its own API."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.api_host, self.api_host)
        return f"http://{host}:{self.api_port}"

    def _known(self, secret: str) -> list[str]:
        """Everybody knows it, so it opens nothing in production."""
        return [secret] if self.environment == "development" else []

    @model_validator(mode="after")
    def _refuse_weak_provider_secrets(self) -> Settings:
        known = {DEVELOPMENT_CASINO_SECRET, DEVELOPMENT_PROVIDER_SECRET}
        for name in ("casino_secrets", "provider_secrets"):
            for secret in getattr(self, name):
                short = len(secret) < LEAST_SECRET or secret in known
                if not secret or (self.environment == "production" and short):
                    said = f"needs secrets of {LEAST_SECRET} letters that nobody knows"
                    raise ValueError(f"FAIRHOUSE_{name.upper()} {said}")
        return self

    @model_validator(mode="after")
    def _refuse_default_secrets_in_production(self) -> Settings:
        if self.environment == "production" and self.seed_key == DEVELOPMENT_SEED_KEY:
            raise ValueError("FAIRHOUSE_SEED_KEY must be set in production: 32 random bytes in hex")
        return self


@lru_cache(maxsize=1)
def load() -> Settings:
    """The process's settings, read once. Raises a `ValueError` for `mistakes` to put into words."""
    return Settings()


def mistakes(error: ValueError) -> list[str]:
    """What is wrong with the settings, a line for each, by name and without values."""
    if not isinstance(error, ValidationError):
        return [str(error)]
    found = [
        (".".join(map(str, one["loc"])) or "settings", one["msg"].removeprefix("Value error, "))
        for one in error.errors()
    ]
    return [f"{name}: {said}" for name, said in found]
