"""A worker process: one queue, its own concurrency, stopped cleanly by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import threading
from types import FrameType

import uvloop
from dramatiq import Worker
from loguru import logger

import logs
import queues
from db import session
from settings import Settings
from workers import heartbeat, main

# How long an idle consumer waits in Redis before it looks whether it is to stop.
IDLE_MS = 500


def concurrency(settings: Settings, queue: str) -> int:
    return {
        "chain": settings.chain_concurrency,
        "interpretation": settings.interpretation_concurrency,
        "stats": settings.stats_concurrency,
        "bonuses": settings.bonuses_concurrency,
    }[queue]


def run(settings: Settings, queue: str) -> None:
    """Work until told to stop. Raises `KeyError` for an unknown queue."""
    threads = concurrency(settings, queue)
    logs.setup(settings, f"worker-{queue}")
    session.configure(settings.database_url, pool_size=threads + 2)
    broker = queues.setup(settings)
    main.declare(broker, settings)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # for the loop that the actors share
    worker = Worker(broker, queues={queue}, worker_timeout=IDLE_MS, worker_threads=threads)
    stopped = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        logger.info("stopping on {}", signal.Signals(number).name)
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    broker.emit_after("process_boot")
    worker.start()
    logger.info("{} threads wait on {}", threads, queue)
    with heartbeat.beating(settings.database_url, f"worker-{queue}"):
        stopped.wait()
        worker.stop(timeout=20_000)
    broker.close()
