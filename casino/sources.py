"""What the rules must know of the program that a page came from."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from db.session import driver

NATIVE = {"solana": 501, "eip155": 60}
"""SLIP-44 numbers of the coins that programs are paid in, unless their manifest says otherwise."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A source with its casino and the asset its amounts are in."""

    id: int
    program: str
    network: str
    address: str
    casino_id: int
    casino: str
    asset: str


def native(network: str) -> str:
    """The CAIP-19 asset of a network's own coin."""
    return f"{network}/slip44:{NATIVE[network.split(':', 1)[0]]}"


async def followed(session: AsyncSession, source_id: int, *, asset: str | None = None) -> Followed:
    """The source of this id; LookupError if there is none."""
    connection = await driver(session)
    cursor = await connection.execute(
        "SELECT s.id, s.program, s.network, s.address, s.casino_id, c.slug"
        " FROM sources s JOIN casinos c ON c.id = s.casino_id WHERE s.id = %s",
        (source_id,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"there is no source {source_id}")
    source, program, network, address, casino_id, casino = row
    coin = asset or native(network)
    return Followed(source, program, network, address, casino_id, casino, coin)
