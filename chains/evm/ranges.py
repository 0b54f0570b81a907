"""How providers say that a range of blocks holds too much, and what they would answer instead."""

from __future__ import annotations

import re

from chains.errors import RpcError

# One line per wording seen; where it names a number of blocks or a range, that is the hint.
BLOCKS = re.compile(
    r"(?:limited to (?:a |an )?|up to (?:a |an )?|max(?:imum)?(?: block| RPC)? range(?: limit)?"
    r"(?: is|:)? ?|must not exceed |exceeds the range allowed for your plan \(\d+ > "
    r"|range greater than |exceeds? maximum block range:? ?|max: ?|greater than the limit of "
    r"|block range limit(?: is)?:? ?|maximum is(?: set to)? )([\d,._]+)(?! ?(?:results|logs))",
    re.IGNORECASE,
)
RANGE = re.compile(
    r"(?:range should work:? ?|block range |with the range )\[?(0x[0-9a-f]+|\d+)"
    r"(?:, ?| ?- ?)(0x[0-9a-f]+|\d+)\]?",
    re.IGNORECASE,
)
TOO_LARGE = (
    r"query returned more than",
    r"more than \d[\d,]* (results|logs)",
    r"max(imum)? results",
    r"(log )?response size (exceeded|should not|is larger|too large)",
    r"response (is |body )?too (big|large)",
    r"backend response too large",
    r"result (set )?(is )?too (big|large)",
    r"range (is )?too (large|wide|big)",
    r"range should work",
    r"eth_getLogs (requests? )?(is|are|and|with up)",
    r"limited to (a |an )?[\d,]+ ?-?(blocks?|block range)",
    r"(exceeds?|exceeded|greater than|larger than).{0,40}(block )?(range|limit of \d)",
    r"(block )?range (limit )?(exceed|must|is (limited|greater|larger))",
    r"max(imum)?( is| block| RPC)? ?range",
    r"max(imum)? (allowed )?(number of )?(blocks?|logs)",
    r"too many (blocks|logs|results)",
    r"(distance|span) between.{0,40}block",
    r"logs matched by query exceeds",
    r"query (timeout|exceeds|set too large)",
    r"(query|request|execution).{0,20}timed? ?out",
    r"specify less number of",
    r"evaluation exceeds",
    r"please (limit|reduce|narrow).{0,40}(range|blocks)",
)
SAID = re.compile("|".join(f"(?:{wording})" for wording in TOO_LARGE), re.IGNORECASE)
# A budget of calls is no property of the range: asking for less would not help.
BUDGET = re.compile(
    r"rate.?limit|too many requests|compute units|requests? (per|limit)|quota|daily|capacity",
    re.IGNORECASE,
)


class RangeTooLarge(RpcError):
    """The node will not answer for so many blocks at once; `hint` is how many it would."""

    def __init__(self, message: str, hint: int | None = None) -> None:
        super().__init__(message, retryable=False)
        self.hint = hint


def too_large(said: str, lower: int, upper: int) -> RangeTooLarge | None:
    """What a refusal of lower..upper means, if it is about the range at all."""
    if not SAID.search(said) or BUDGET.search(said):
        return None
    return RangeTooLarge(said, hinted(said, lower, upper))


def hinted(said: str, lower: int, upper: int) -> int | None:
    """How many blocks the provider would answer for, when it says something that makes sense."""
    asked = upper - lower + 1
    blocks: int | None = None
    if found := RANGE.search(said):
        first, last = (int(number, 0) for number in found.groups())
        # Some hints come inverted, or for another range: only the beginning must be ours.
        blocks = last - first + 1 if first == lower else None
    elif found := BLOCKS.search(said):
        digits = re.sub(r"[,._]", "", found.group(1))
        blocks = int(digits) if digits else None
    return blocks if blocks is not None and 0 < blocks < asked else None
