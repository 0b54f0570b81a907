"""Amounts as callers write them: whole numbers of the smallest unit, never floats."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import WithJsonSchema

from api.errors import Problem

MOST = 10**35  # no sum of such amounts ever leaves the books' 78 digits
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
FRACTION = re.compile(r"-?[0-9]*\.[0-9]+|-?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+", re.ASCII)

# Taken as it comes, so that everything that is wrong with an amount has a code of its own.
Amount = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[1-9][0-9]{0,34}$"},
                {"type": "integer", "minimum": 1, "maximum": 2**53},
            ],
            "description": "in the asset's smallest unit",
        }
    ),
]


def units(given: object) -> int:
    """A positive amount. Raises `Problem` 422, with a code for each way to be wrong."""
    if isinstance(given, float) or (isinstance(given, str) and FRACTION.fullmatch(given[:99])):
        said = "an amount is a whole number of the smallest unit; long ones are text"
        raise Problem(422, "amount_not_whole", said)
    written = str(given) if type(given) is int else given
    if not isinstance(written, str) or not WHOLE.fullmatch(written[:99]):
        raise Problem(422, "amount_not_a_number", "an amount is a whole number, or one as text")
    if written.startswith("-") or written == "0":
        raise Problem(422, "amount_not_positive", "an amount is more than nothing")
    if len(written) > len(str(MOST)) or int(written) > MOST:
        raise Problem(422, "amount_too_large", f"an amount is at most {MOST}")
    return int(written)
