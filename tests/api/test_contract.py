"""The API against its own description: any request gets an answer that the description allows."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Api


def test_every_answer_is_as_described(api: Api) -> None:
    """Valid and invalid requests to every operation, invented from the description itself."""
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    tried: set[str] = set()
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]
        good = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
        bad = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.one_of(good, bad))
        def answered(case: Any) -> None:
            case.call_and_validate()

        answered()
        tried.add(operation.label)
    assert len(tried) >= 11
