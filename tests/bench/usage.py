"""What processes used, as the kernel counted it: processor time and the peak of their memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process and the children it has now; `cpu_s` also of those that ended."""

    cpu_s: float
    peak_mb: float
    resident_mb: float


def usage(pid: int) -> Usage:
    """Raises `FileNotFoundError` when there is no such process."""
    family = [pid, *children(pid)]
    sizes = [memory(one) for one in family]
    return Usage(
        cpu_s(pid, ended=True) + sum(cpu_s(one) for one in family[1:]),
        sum(size["VmHWM"] for size in sizes),
        sum(size["VmRSS"] for size in sizes),
    )


def usages(pids: Mapping[str, int]) -> dict[str, Usage]:
    return {name: usage(pid) for name, pid in pids.items()}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cpu_s(pid: int, *, ended: bool = False) -> float:
    """User and system time; with `ended` also of children that were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11 : 15 if ended else 13]) / TICKS


def memory(pid: int) -> dict[str, float]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    parts = (line.split() for line in lines if line.startswith(("VmHWM", "VmRSS")))
    return {part[0].rstrip(":"): int(part[1]) / 1024 for part in parts}


def table(before: Mapping[str, Usage], after: Mapping[str, Usage], seconds: float) -> str:
    """One line for each process: its time, its share of one core, its peak."""
    lines = [f"  {'process':<24}{'CPU s':>8}{'CPU %':>8}{'peak MB':>9}"]
    for name, end in after.items():
        spent = end.cpu_s - (before[name].cpu_s if name in before else 0.0)
        share = 100 * spent / seconds
        lines.append(f"  {name:<24}{spent:>8.1f}{share:>8.1f}{end.peak_mb:>9.0f}")
    return "\n".join(lines)
