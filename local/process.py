"""A child process that is ready when it says so, stops when told, and dies with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PR_SET_PDEATHSIG = 1
GIVEN_TO_NOBODY = range(15_000, 32_000)  # Linux gives 32768 and more
_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """A server did not come up; carries the end of its log."""

    def __init__(self, name: str, log: Path) -> None:
        tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        super().__init__(f"{name} did not start; {log} ends with:\n{tail}")


class Process(Protocol):
    """What may be asked of a process, however it was started: as of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Child:
    """A running child: its pid, and where it writes what it has to say."""

    name: str
    process: Process
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self, grace_s: float = 10.0) -> int:
        """Ask the child to stop, insist after `grace_s`, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        deadline = asyncio.get_running_loop().time() + grace_s
        while self.process.poll() is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


def spawn(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Child:
    """Start a child that receives `stop_signal` even when its parent is killed outright."""

    def die_with_parent() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    return Child(name, process, log, stop_signal)


async def until_ready(
    child: Child, ready: Callable[[], Awaitable[bool]], *, timeout_s: float = 30.0
) -> None:
    """Wait until `ready` answers yes. Raises `StartFailed` when the child ends or time is up."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while asyncio.get_running_loop().time() < deadline:
        if child.process.poll() is not None:
            raise StartFailed(child.name, child.log)
        with contextlib.suppress(OSError):
            if await ready():
                return
        await asyncio.sleep(0.02)
    await child.stop(grace_s=1)
    raise StartFailed(child.name, child.log)


@contextlib.asynccontextmanager
async def running(child: Child) -> AsyncIterator[Child]:
    """The child for the length of a block."""
    try:
        yield child
    finally:
        await child.stop()


def free_port() -> int:
    """A TCP port that nobody holds right now.

    It lies below those that Linux gives to outgoing connections, so that none takes it meanwhile.
    """
    for port in random.SystemRandom().sample(GIVEN_TO_NOBODY, len(GIVEN_TO_NOBODY)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("every port is taken")


async def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens there."""
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    return True


def alive(pid: int) -> bool:
    """Whether a process with that pid runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
