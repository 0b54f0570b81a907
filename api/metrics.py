"""What Prometheus reads: the line's health as gauges, and this process's requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

PER_SOURCE = ("head", "frontier", "finalized", "lag")

LAWS: tuple[tuple[str, str, Callable[[dict[str, Any]], float]], ...] = (
    ("holds", "Whether a law of the books holds.", lambda law: law["holds"] is not False),
    ("known", "Whether a law could be checked the last time.", lambda law: law["known"]),
    ("faults", "Places where a law was found broken, at most 20.", lambda law: law["faults"]),
    ("checked_seconds", "Time since a law was checked.", lambda law: law["checked_s_ago"]),
)

TABLES = (
    ("open", "Whether a table takes bets."),
    ("commits", "Whether a table gets more rounds."),
    ("late", "Rounds that should be over."),
    ("skipped", "Rounds of the newest batch whose seeds became final too late to open."),
)

PAIRS = (
    ("commits", "Whether pairs are committed to a bond."),
    ("waiting", "Pairs that should be active."),
    ("unrevealed", "Retired pairs whose seed should be revealed."),
)

REQUESTS = CollectorRegistry()
ANSWERED = Counter(
    "fairhouse_http_requests", "Requests answered.", ("method", "status"), registry=REQUESTS
)
SECONDS = Histogram("fairhouse_http_seconds", "Time to answer.", registry=REQUESTS)


class Line(Collector):
    """One look at the line, as gauges."""

    def __init__(self, report: dict[str, Any]) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        report = self._report
        for part in ("database", "redis"):
            yield gauge(f"{part}_up", "Whether it answers.", float(report[part]["ok"]))
        for name in PER_SOURCE:
            family = GaugeMetricFamily(
                f"fairhouse_source_{name}",
                f"The {name} of a source.",
                labels=("program", "network"),
            )
            for source in report.get("sources", []):
                if source[name] is not None:
                    family.add_metric((source["program"], source["network"]), float(source[name]))
            yield family
        pages = GaugeMetricFamily("fairhouse_pages", "Pages under way.", labels=("state",))
        for state in ("found", "stored"):
            count = report.get("pages", {}).get(state, {}).get("pages", 0)
            pages.add_metric((state,), float(count))
        yield pages
        waiting = (report.get("outbox") or {}).get("waiting", 0)
        yield gauge("outbox_waiting", "Messages not yet relayed.", float(waiting))
        yield gauge("dead_letters", "Undecodable events.", float(report.get("dead_letters", 0)))
        for name, said in TABLES:
            family = GaugeMetricFamily(f"fairhouse_table_{name}", said, labels=("table",))
            for table in report.get("tables", []):
                family.add_metric((table["table"],), float(table[name]))
            yield family
        for name, said in PAIRS:
            family = GaugeMetricFamily(f"fairhouse_pairs_{name}", said, labels=("program",))
            for booth in report.get("pairs", []):
                family.add_metric((booth["program"],), float(booth[name]))
            yield family
        waiting_out = GaugeMetricFamily(
            "fairhouse_withdrawals",
            "Withdrawals under way.",
            labels=("network", "state", "trouble"),
        )
        for one in report.get("withdrawals", []):
            named = (one["network"], one["state"], one["trouble"] or "")
            waiting_out.add_metric(named, float(one["withdrawals"]))
        yield waiting_out
        for name, about, value in LAWS:
            family = GaugeMetricFamily(f"fairhouse_law_{name}", about, labels=("law",))
            for law in report.get("laws", []):
                family.add_metric((law["name"],), float(value(law)))
            yield family
        processes = GaugeMetricFamily(
            "fairhouse_processes", "Instances of a process.", labels=("process", "state")
        )
        for process in report.get("processes", []):
            for state in ("live", "silent"):
                processes.add_metric((process["process"], state), float(process[state]))
        yield processes


def gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fairhouse_{name}", about, value=value)


def text(report: dict[str, Any]) -> bytes:
    """All metrics in Prometheus' text format."""
    line = CollectorRegistry()
    line.register(Line(report))
    return generate_latest(line) + generate_latest(REQUESTS)
