"""Booths as this process knows them: read again when what it knows is a second old."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from api.errors import Problem
from api.tables import KNOWN_S
from casino.pairs import booths
from casino.pairs.booths import Booth
from casino.pairs.plays import Hand
from casino.rounds import tables
from casino.sealed import Sealer
from chains import manifest
from chains.signers import NoSigner, Signer
from settings import Settings


@dataclass
class Booths:
    """All booths by number, and all pay tables by theirs.

    New pairs are opened at the bond `program` on the chain of the name `network`; without a `hand`
    no pair is played here.
    """

    program: str | None = None
    network: str | None = None
    hand: Hand | None = None
    by_id: dict[int, Booth] = field(default_factory=dict)
    pays: dict[int, Any] = field(default_factory=dict)
    _chain: str | None = None
    _until: float = 0.0
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def known(self, pool: Any) -> None:
        """Read them, unless they were just read; once for all who ask meanwhile."""
        if time.monotonic() < self._until:
            return
        async with self._reading:
            if time.monotonic() < self._until:
                return
            async with pool.connection() as connection:
                found = await booths.all_booths(connection)
                self.pays = await tables.all_pays(connection)
                self._chain = await booths.named(connection, self.network)
            self.by_id = {one.id: one for one in found}
            self._until = time.monotonic() + KNOWN_S

    def of_casino(self, casino_id: int) -> Booth:
        """Where a casino's players open pairs. Raises `Problem` 404."""
        for one in self.by_id.values():
            if self._at(one) and one.casino_id == casino_id:
                return one
        raise Problem(404, "no_pairs", "this casino plays no pairs")

    def offered(self, casino_id: int) -> bool:
        """Whether a casino's players may open pairs now."""
        return any(self._at(one) and one.casino_id == casino_id for one in self.by_id.values())

    def once_of_casino(self, casino_id: int) -> Booth:
        """The same, or where they last could. Raises `Problem` 404."""
        if not self.offered(casino_id):
            for one in reversed(self.by_id.values()):
                if one.casino_id == casino_id:
                    return one
        return self.of_casino(casino_id)

    def _at(self, one: Booth) -> bool:
        return (one.network, one.program) == (self._chain, self.program)


def booths_of(settings: Settings, sign: Signer | None) -> Booths:
    """What the settings let this process play. Raises `NoSigner` without a key for receipts."""
    setting = settings.pairs
    if setting is None:
        return Booths()
    if sign is None:
        raise NoSigner("FAIRHOUSE_SIGNER_KEY is not set, and pairs sign their receipts")
    folders = [settings.programs_dir] if settings.programs_dir else []
    means = manifest.load(setting.program, folders).located(
        network=setting.network, address=setting.address
    )
    hand = Hand(Sealer(bytes.fromhex(settings.seed_key)), sign)
    return Booths(means.address, means.network, hand)
