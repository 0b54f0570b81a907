"""Processes of the house born by fork from one that has imported everything already.

A process of ours takes a second of processor time to import what it needs, and a fork forty
thousandths. So whoever starts a dozen of them on one machine, as the demo and the tests do, lets
the fork server of `multiprocessing` import once. In production every process has a machine of its
own, and starts by its command.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from local.process import PR_SET_PDEATHSIG, Child

PR_SET_NAME = 15
COMMAND = "cli.main"
APART = "local.apart"


@dataclass(frozen=True, slots=True)
class Fork:
    """A forked process, spoken to as one that `subprocess` started."""

    process: ForkServerProcess
    # Its end can be read once: who waits in a thread must not take it from who looks.
    _reading: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        with self._reading:
            return self.process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired`."""
        connection.wait([self.process.sentinel], timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self.process.name, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def preload(modules: Iterable[str]) -> None:
    """Name what is imported once, before the first fork."""
    forkserver.set_forkserver_preload([APART, COMMAND, *modules])


def warm() -> None:
    """Begin to import, so that the first fork need not wait for it."""
    forkserver.ensure_running()


def fork(
    name: str,
    words: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    errors: Path | None = None,
) -> Child:
    """`fairhouse <words>` in a process of its own, told to stop when its parent is killed outright.

    What it says is added to `log`, what it says on stderr to `errors` if that is another file.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    process = multiprocessing.get_context("forkserver").Process(
        target=_live,
        args=(name, tuple(words), dict(env), log, errors or log),
        name=name,
        daemon=True,  # or a parent that fails waits for its child, which waits for its parent
    )
    process.start()
    return Child(name, Fork(process), log)


def _live(name: str, words: Sequence[str], env: Mapping[str, str], log: Path, errors: Path) -> None:
    """The child's whole life: become a process like any other, then be the command."""
    os.setsid()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    libc.prctl(PR_SET_NAME, f"fh {name}".encode()[:15], 0, 0, 0)
    for number, path in ((1, log), (2, errors)):
        with path.open("ab") as out:
            os.dup2(out.fileno(), number)
    os.environ.clear()
    os.environ.update(env)
    threading.Thread(target=_orphaned, daemon=True).start()
    sys.argv = ["fairhouse", *words]
    import_module(COMMAND).app()


def _orphaned() -> None:
    """Stop when the process that asked for the fork is gone; the fork server lives on with us."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
