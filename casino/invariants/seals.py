"""The audit log is sealed: nothing waits long for its seal, and the last seals hold together.

`fairhouse verify audit` compares every row with its seal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from casino.invariants.laws import Connection, Fault, Window, faults
from casino.seals import SEAL, Seal

LATE_S = 600
NEWEST = 10

LATE = f"""
WITH sealed AS (SELECT coalesce(max(upper), 0) AS upper FROM seals), waiting AS (
    SELECT at FROM requests, sealed WHERE xact >= upper UNION ALL
    SELECT at FROM transfers, sealed WHERE xact >= upper UNION ALL
    SELECT at FROM audit, sealed WHERE xact >= upper
)
SELECT format('%%s rows wait for a seal, the oldest for %%s s', count(*),
    extract(epoch FROM clock_timestamp() - min(at))::bigint) AS said,
    count(*) AS rows, min(at) AS oldest
FROM waiting HAVING min(at) < clock_timestamp() - make_interval(secs => {LATE_S})
"""
REWOUND = """
SELECT 'the database was restored and counts anew: run fairhouse migrate' AS said,
    max(upper) AS sealed, ledger_next() AS next FROM seals HAVING max(upper) > ledger_next()
"""
LAST = f"{SEAL} ORDER BY n DESC LIMIT {NEWEST}".encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """The law."""

    name: str = "seals"
    says: str = f"what was written is sealed within {LATE_S} s, and the last seals hold together"

    async def check(self, connection: Connection, window: Window) -> Sequence[Fault]:
        found = await faults(connection, LATE, {}) + await faults(connection, REWOUND, {})
        rows = await (await connection.execute(LAST)).fetchall()
        seals = [Seal(*row) for row in reversed(rows)]
        for one in seals:
            if one.digest() != one.hash:
                found.append(Fault(f"seal {one.n} was changed", {"seal": str(one.n)}))
        for one, following in pairwise(seals):
            if (following.n, following.prev) != (one.n + 1, one.hash):
                said = f"seal {following.n} does not follow seal {one.n}"
                found.append(Fault(said, {"seal": str(following.n), "after": str(one.n)}))
        return found


LAW = Sealed()
