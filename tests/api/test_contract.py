"""The API against its own description: any request gets an answer that the description allows."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Api, key
from tests.reliability import LONG

# What is well formed may still be refused: by funds that lack, by a version that moved on.
ALLOWED = ["2xx", "402", "404", "409"]
EXAMPLES = 50 if LONG else 12  # of each operation


def test_every_answer_is_as_described(api: Api) -> None:
    """Valid and invalid requests to every operation, invented from the description itself."""
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    schema.config.checks.positive_data_acceptance.expected_statuses = ALLOWED
    for user in ("anyone", "someone"):
        given_before(api, user)
    tried: Counter[str] = Counter()
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        good = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
        bad = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[*HealthCheck])
        @given(st.one_of(good.map(possible), bad.filter(sent)))
        def answered(case: Any) -> None:
            headers = {"Authorization": key("owner")["authorization"]}
            answer = case.call_and_validate(headers=headers)
            tried[f"{case.operation.label} {answer.status_code}"] += 1

        answered()
    assert len({label.rpartition(" ")[0] for label in tried}) >= 18
    for way in ("top-up", "bonus", "spend", "transfer"):
        assert tried[f"POST /api/wallets/{{user}}/{way} 200"], tried


def given_before(api: Api, user: str) -> None:
    headers = {**key("till"), "x-idempotency-key": user}
    body = {"asset": "GOLD_COINS", "amount": 1000}
    path = f"{api.url}/api/wallets/{user}/top-up"
    httpx.post(path, json=body, headers=headers).raise_for_status()


def sent(case: Any) -> bool:
    """Whether what is wrong with a request leaves this process: a parameter that is an empty list,
    or an object of nothing, does not, and without it the request may be a good one."""
    return all(map(said, (case.query or {}).values()))


def said(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(said, value.values() if isinstance(value, dict) else value))
    return value is not None


def possible(case: Any) -> Any:
    """A valid movement of money, between users and in an asset that there are."""
    if case.method.upper() == "POST" and "/wallets/" not in case.path:
        case.headers["X-Idempotency-Key"] = uuid4().hex
        if case.path == "/api/campaigns":
            case.body |= {"code": uuid4().hex, "asset": "GOLD_COINS", "jurisdiction": None}
            case.body |= {"multiplier": "1", "max_bet": 1, "max_win": 1, "products": []}
        if case.path == "/api/grants":
            case.body |= {"amount": 1, "deposit": 1, "locked": 1}
        if case.path == "/api/rewards":
            case.body |= {"asset": "GOLD_COINS"}
    elif case.method.upper() == "POST":
        case.path_parameters["user"] = "anyone"
        case.headers["X-Idempotency-Key"] = uuid4().hex
        case.body |= {"asset": "GOLD_COINS", "metadata": {"asked": True}, "amount": 1}
        case.body |= {"to": "someone"} if "to" in case.body else {}
    return case
