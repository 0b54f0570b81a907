"""What a person types at a terminal, and what is said to it."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from local.forks import fork


def fairhouse(
    *words: str | Path, env: Mapping[str, str], timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """`fairhouse <words>`, until it ends."""
    typed = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        child = fork(typed[0], typed, log=out, errors=err, env={**env, "COLUMNS": "200"})
        try:
            code = child.process.wait(timeout)
        finally:
            child.process.kill()
        return subprocess.CompletedProcess(typed, code, out.read_text(), err.read_text())
