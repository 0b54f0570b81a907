"""What the feed is told of a bet that the chain took back, wholly or in part."""

from __future__ import annotations

from typing import Any

import pytest

from casino import finality, pages
from db.session import transaction


async def told(opened: Any, says: Any, messages: Any, *fell: str) -> dict[str, Any]:
    """The message of a bet that was won, after some of its txs fell."""
    source = await opened()
    facts = [says.placed(1, position=5), says.settled(1, payout=7, position=7)]
    async with transaction() as session:
        await pages.apply(session, source, facts, fresh=True)
    async with transaction() as session:
        assert await finality.retract(session, source, txs=fell) == 1
    kind, data = (await messages(source))[-1]
    assert kind == "bet.retracted"
    return dict(data)


@pytest.mark.parametrize(
    ("fell", "left"),
    [
        (["s1"], ("placed", None, None, "p1", "confirmed")),
        (["p1", "s1"], ("retracted", None, None, "p1", "retracted")),
        (["p1"], ("settled", "7", 1234, "s1", "confirmed")),
    ],
)
async def test_a_retraction_says_what_is_left_of_the_bet(
    opened: Any, says: Any, messages: Any, fell: list[str], left: tuple[Any, ...]
) -> None:
    data = await told(opened, says, messages, *fell)
    roll = data["outcome"] and data["outcome"]["roll"]
    shown = (data["status"], data["payout"], roll, data["tx"], data["finality"])
    assert shown == left
    assert (data["settled_at"] is None) == (data["payout"] is None)
