"""Keyset pages: `after` is where the page before ended, `limit` at most 100."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from api.state import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
NEWEST = 2**63 - 1


class Page(BaseModel):
    """What a list takes. `after` is the `next` of the page before."""

    after: str | None = Field(default=None, pattern=r"^\d{1,18}-\d{1,18}$")
    limit: int = Field(default=20, ge=1, le=100)

    def edge(self) -> dict[str, Any]:
        """What a query needs: strictly older than (`at`, `id`), at most `limit`."""
        if self.after is None:
            return {"at": LAST, "id": NEWEST, "limit": self.limit}
        micros, id = map(int, self.after.split("-"))
        at = EPOCH + timedelta(
            microseconds=min(micros, (LAST - EPOCH) // timedelta(microseconds=1))
        )
        return {"at": at, "id": id, "limit": self.limit}


def paged(rows: list[Row], page: Page, *, time: str = "placed_at") -> Row:
    """The items, and where the next page begins (None at the end)."""
    following = None
    if len(rows) == page.limit:
        last = rows[-1]
        following = f"{(last[time] - EPOCH) // timedelta(microseconds=1)}-{last['id']}"
    return {"items": rows, "next": following}
