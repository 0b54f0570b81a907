"""Tending: the work of a keeper over and over, whatever its chain answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import psycopg
from loguru import logger

from chains.errors import ChainError, RpcError
from chains.redaction import plainly
from settings import PairsSetting, Settings, TableSetting
from workers import senders
from workers.backing import NoKey
from workers.leader import Connection, connect

TICK_S = 0.5
LONGEST_REST_S = 15.0


class Tended(Protocol):
    """A keeper: `tick` does whatever is due, `close` gives back what is its alone."""

    async def tick(self) -> None: ...

    async def close(self) -> None: ...


S = TypeVar("S", TableSetting, PairsSetting)
Begin = Callable[[Settings, S, Connection, senders.Wallets], Awaitable[Tended | None]]


async def tend(settings: Settings, setting: S, wallets: senders.Wallets, begin: Begin[S]) -> None:
    """Tick until cancelled, or until nobody may commit: trouble of one is never another's.

    `begin` meets the bond; None is a network that is not known yet. Raises `psycopg.Error`.
    """
    failures = 0
    async with await connect(settings) as connection:
        keeper: Tended | None = None
        try:
            while True:
                try:
                    keeper = keeper or await begin(settings, setting, connection, wallets)
                    if keeper is not None:
                        await keeper.tick()
                    failures = 0
                except psycopg.Error:
                    raise
                except NoKey as error:
                    logger.warning("{}", error)
                    return
                except RpcError as error:  # the node is away, what was sent is still under way
                    failures += 1
                    logger.warning("{}: {}", setting.name, error)
                except Exception as error:
                    # What the node meant nobody knows; the bond is met anew, like a stranger.
                    failures += 1
                    said = str(error) if isinstance(error, ChainError) else plainly(error)
                    logger.error("{}: {}", setting.name, said)
                    if keeper is not None:
                        await keeper.close()
                    keeper = None
                await asyncio.sleep(min(TICK_S * 2 ** min(failures, 10), LONGEST_REST_S))
        finally:
            if keeper is not None:
                await keeper.close()
