"""Problems as RFC 9457 says them: one table from what went wrong to what HTTP says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from loguru import logger
from psycopg.errors import LockNotAvailable
from psycopg_pool import PoolTimeout
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ledger.errors import Refusal

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    402: "Not enough",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "In conflict",
    413: "Too large",
    415: "Not JSON",
    422: "Not understood",
    503: "Not available now",
    500: "Our fault",
}


# What the rules refuse, by its code; what is not here is 422.
REFUSED = {
    "INSUFFICIENT_FUNDS": 402,
    "CASH_LOCKED": 402,
    "CASH_OWED": 402,
    "ACCOUNT_CLOSED": 403,
    "UNKNOWN_ACCOUNT": 404,
    "DUPLICATE_REFERENCE": 409,
    "VERSION_MISMATCH": 409,
    "ALREADY_REVERSED": 409,
    "HOLD_ENDED": 409,
    "UNKNOWN_CAMPAIGN": 404,
    "UNKNOWN_GRANT": 404,
    "CAMPAIGN_ASSET": 409,
    "CAMPAIGN_CLOSED": 409,
    "BONUS_STACKED": 409,
    "TOO_MANY_GRANTS": 409,
    "GRANT_ENDED": 409,
    "UNKNOWN_REWARD": 404,
    "REWARD_STANDS": 409,
    "REWARD_CANCELLED": 409,
    "REWARD_CLAIMED": 409,
    "UNKNOWN_WITHDRAWAL": 404,
    "WRONG_STATE": 409,
    "UNKNOWN_ROUND": 404,
    "ROUND_NOT_OPEN": 409,
    "ROUND_CLOSED": 409,
    "ROUND_FULL": 409,
    "OPERATOR_FULL": 409,
    "TABLE_PAUSED": 409,
    "ROUND_UNSIGNED": 409,
    "UNKNOWN_PAIR": 404,
    "PAIR_WAITING": 409,
    "PAIR_RETIRED": 409,
    "CLIENT_SEED_FIXED": 409,
    "NO_CLIENT_SEED": 409,
    "NONCE_USED": 409,
    "NONCE_SKIPPED": 409,
    "PAIR_UNPLAYED": 409,
    "PAIR_SIGNER_CHANGED": 409,
    "PAIRS_ENDED": 409,
    "PAIRS_STOPPED": 409,
    "ASSET_CHANGED": 409,
    "PAIRS_UNAVAILABLE": 503,
}


class Problem(Exception):
    """An answer that is an error: its status, a code for programs and words for people."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.more = status, code, detail, more


def answer(status: int, code: str, detail: str, **more: Any) -> Response:
    body: dict[str, Any] = {"type": "about:blank", "title": TITLES.get(status, "Error")}
    body |= {"status": status, "code": code, "detail": detail, **more}
    retry = {"retry-after": "2"} if status == 503 else {}
    asked = {"www-authenticate": "Bearer"} if status == 401 else {}
    headers = {"cache-control": "no-store", **retry, **asked}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refused(code: str, evidence: Mapping[str, Any]) -> Response:
    """A refusal of the rules, with its evidence beside what every problem says."""
    more = {name: value for name, value in evidence.items() if name not in FIXED}
    return answer(REFUSED.get(code, 422), code, str(evidence.get("detail", "refused")), **more)


FIXED = {"type", "title", "status", "code", "detail"}


async def on_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return refused(error.code, {**error.evidence, "detail": str(error)})


async def on_problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return answer(error.status, error.code, error.detail, **error.more)


async def on_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    said = answer(error.status_code, code, str(error.detail))
    said.headers.update(error.headers or {})
    return said


async def on_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, ValidationError):
        raise error
    fields = [
        {"field": ".".join(map(str, one["loc"])), "message": one["msg"]}
        for one in error.errors(include_url=False, include_input=False)
    ]
    return answer(422, "invalid", "the request is not understood", errors=fields)


async def on_database(request: Request, error: Exception) -> Response:
    logger.warning("the database does not answer: {}", error)
    return answer(503, "database_unavailable", "the database does not answer; try again soon")


async def on_lock(request: Request, error: Exception) -> Response:
    """Somebody else holds an account for long; nothing was decided."""
    return answer(503, "account_busy", "an account is busy; try again soon, with the same key")


async def on_statement(request: Request, error: Exception) -> Response:
    """SQLAlchemy's wrapping of what the driver raised."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, LockNotAvailable):
        return await on_lock(request, error)
    if isinstance(error, DBAPIError) and isinstance(error.orig, AWAY):
        return await on_database(request, error)
    return await on_anything(request, error)


async def on_anything(request: Request, error: Exception) -> Response:
    return answer(500, "internal", "something broke here; the request id names the log lines")


AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
HANDLERS: dict[Any, Any] = {
    Problem: on_problem,
    Refusal: on_refusal,
    LockNotAvailable: on_lock,
    HTTPException: on_http,
    ValidationError: on_invalid,
    **dict.fromkeys(AWAY, on_database),
    DBAPIError: on_statement,
    PoolTimeout: on_database,
    Exception: on_anything,
}
