"""From confirmed on the chain to a message in the feed, under real bets, woken and polling.

Run it alone: `python -m tests.bench.bench_latency --seconds 15`. The headless demo runs twice, the
chains' websockets once waking the indexer and once not; the demo itself notes when each chain
shows a transaction and when the feed tells of it. The limit is polling alone: a bet waits half an
interval on the average before anybody looks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cli import grounds
from local.process import free_port
from settings import Settings

OWN_MS = 100  # what the way through the house may take, the median of all bets
POLL_MS = Settings.model_fields["poll_ms"].default
BOUND_MB = 300  # of any process of ours
SERVERS = ("postgres", "redis", "anvil", "surfpool")


def demo(folder: Path, wake: bool, seconds: float, rates: tuple[float, float]) -> dict[str, Any]:
    """One demo's report. Raises `RuntimeError` when it fails or its comparison differs."""
    report = folder / "report.json"
    told = grounds.inherited() | {
        "FAIRHOUSE_DATA": str(folder / "data"),
        "FAIRHOUSE_API_PORT": str(free_port()),
        "FAIRHOUSE_FEED_PORT": str(free_port()),
        "FAIRHOUSE_LOG_LEVEL": "WARNING",
    }
    words = ["demo", "--headless", "--for", seconds, "--report", report]
    words += ["--evm-rate", rates[0], "--solana-rate", rates[1], "--wake" if wake else "--no-wake"]
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *map(str, words)],
        env=told,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the demo ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return dict(json.loads(report.read_text()))


def say(report: dict[str, Any], aim_ms: float) -> None:
    print("woken by websockets" if report["woken"] else f"polling every {POLL_MS} ms")
    for network, one in report["networks"].items():
        got = one["latency_ms"]
        print(
            f"  {one['name']:<14}{got['count']:>6} messages: p50 {got['p50']:.0f} ms"
            f" (aim: below {aim_ms:.0f}, ratio {got['p50'] / aim_ms:.2f}), p99 {got['p99']:.0f} ms,"
            f" longest {got['max']:.0f} ms; {network}"
        )
    print(f"  {'process':<24}{'peak MB':>9}{'middle':>8}{'end':>8}{'end/middle':>12}")
    for name, memory in report["memory"].items():
        peak, middle, end = (memory[part] for part in ("peak_mb", "middle_mb", "end_mb"))
        print(f"  {name:<24}{peak:>9.0f}{middle:>8.0f}{end:>8.0f}{end / middle:>12.2f}")


def check(report: dict[str, Any]) -> None:
    """Raises `SystemExit` when a process of ours outgrew its bound."""
    for name, memory in report["memory"].items():
        if name not in SERVERS and memory["peak_mb"] > BOUND_MB:
            raise SystemExit(f"{name} needs {memory['peak_mb']} MB, more than {BOUND_MB}")
    print(f"  no process of ours above its bound of {BOUND_MB} MB")


def main(seconds: float, rates: tuple[float, float]) -> None:
    print(f"{rates[0]:g} bets/s on EVM and {rates[1]:g} on Solana for {seconds:g} s, twice")
    for wake, aim_ms in ((True, OWN_MS), (False, POLL_MS / 2 + OWN_MS)):
        with tempfile.TemporaryDirectory(prefix="fairhouse-bench-") as name:
            os.chmod(name, 0o755)  # as root the database runs under another uid
            report = demo(Path(name), wake, seconds, rates)
        say(report, aim_ms)
        check(report)


if __name__ == "__main__":
    given = argparse.ArgumentParser(description="confirmed to feed, in milliseconds")
    given.add_argument("--seconds", type=float, default=30)
    given.add_argument("--evm-rate", type=float, default=20)
    given.add_argument("--solana-rate", type=float, default=5)
    wanted = given.parse_args()
    main(wanted.seconds, (wanted.evm_rate, wanted.solana_rate))
