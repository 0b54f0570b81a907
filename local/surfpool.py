"""Surfpool: a real Solana runtime with JSON-RPC and websockets on this machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from solders.keypair import Keypair

from local import node
from local.process import running, spawn, until_ready

MODULE = ("@solana", "surfpool-linux-x64-gnu", "surfpool-sdk.linux-x64-gnu.node")


@dataclass(frozen=True, slots=True)
class Surfpool:
    """A fresh chain; `payer` holds a thousand SOL to begin with."""

    rpc_url: str
    ws_url: str
    payer: Keypair
    pid: int


@contextlib.asynccontextmanager
async def start(data_dir: Path, *, slot_time_ms: int = 100) -> AsyncIterator[Surfpool]:
    """A chain whose slots advance by the clock; it takes its ports by itself."""
    log = data_dir.parent / "logs" / "surfpool.log"
    log.unlink(missing_ok=True)
    script = Path(__file__).with_suffix(".cjs")
    command: list[str | Path] = [node.binary(), script, node.package(*MODULE), str(slot_time_ms)]
    child = spawn("surfpool", command, log=log)
    async with running(child):
        await until_ready(child, lambda: announced(log))
        said = json.loads(announcement(log))
        payer = Keypair.from_bytes(bytes(said["payer"]))
        yield Surfpool(said["rpc"], said["ws"], payer, child.pid)


def announcement(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line for line in lines if line.startswith('{"rpc"')), "")


async def announced(log: Path) -> bool:
    return bool(announcement(log))
