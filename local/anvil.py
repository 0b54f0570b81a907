"""Anvil: a real EVM chain on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.node import package
from local.process import accepts, free_port, running, spawn, until_ready

MNEMONIC = "test test test test test test test test test test test junk"  # anvil's own, public


@dataclass(frozen=True, slots=True)
class Anvil:
    rpc_url: str
    ws_url: str
    pid: int


@contextlib.asynccontextmanager
async def start(
    data_dir: Path,
    *,
    port: int | None = None,
    block_time_s: float | None = 1,
    extra: Sequence[str] = (),
) -> AsyncIterator[Anvil]:
    """A fresh chain, id 31337; `block_time_s` None mines a block for each transaction."""
    port = port or free_port()
    command: list[str | Path] = [
        package("@foundry-rs", "anvil-linux-amd64", "bin", "anvil"),
        "--port",
        str(port),
    ]
    options = ["--host", "127.0.0.1", "--slots-in-an-epoch", "1", "--accounts", "40", "--silent"]
    if block_time_s is not None:
        options += ["--block-time", str(block_time_s)]
    log = data_dir.parent / "logs" / "anvil.log"
    child = spawn("anvil", [*command, *options, *extra], log=log)
    async with running(child):
        await until_ready(child, lambda: accepts(port))
        yield Anvil(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", child.pid)
