"""Logs: pretty lines in development, one JSON object per line in production.

Page, job and request ids come from `logger.contextualize(page=...)` around the work, and stand in
every line that is written inside.
"""

from __future__ import annotations

import inspect
import logging
import sys
import traceback
from typing import TYPE_CHECKING, TextIO

import orjson
from loguru import logger

from settings import Settings

if TYPE_CHECKING:
    from loguru import Message, Record

PRETTY = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> "
    "<cyan>{extra[process]}</cyan> {message}{extra[_context]}\n{exception}"
)
HIDDEN = ("process", "_context")


def setup(settings: Settings, process: str, *, sink: TextIO | None = None) -> None:
    """Send everything this process logs, the standard library's included, to one sink."""
    out = sink or sys.stderr
    production = settings.environment == "production"
    logger.remove()
    logger.configure(extra={"process": process, "_context": ""}, patcher=_with_context)
    if production:
        logger.add(lambda message: _write(out, message), level=settings.log_level)
    else:
        logger.add(out, level=settings.log_level, format=lambda record: PRETTY, diagnose=False)
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def as_json(record: Record) -> bytes:
    """A record as one JSON object: what, when, who, and the ids of the work it belongs to."""
    said: dict[str, object] = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "process": record["extra"].get("process"),
        "message": record["message"],
        "where": f"{record['name']}:{record['line']}",
    }
    said |= {name: value for name, value in record["extra"].items() if name not in HIDDEN}
    if (error := record["exception"]) is not None and error.type is not None:
        lines = traceback.format_exception(error.type, error.value, error.traceback)
        said["exception"] = "".join(lines)
    return orjson.dumps(said, default=str)


def _write(out: TextIO, message: Message) -> None:
    out.write(as_json(message.record).decode() + "\n")
    out.flush()


def _with_context(record: Record) -> None:
    ids = [f"{name}={value}" for name, value in record["extra"].items() if name not in HIDDEN]
    record["extra"]["_context"] = f"  [{' '.join(ids)}]" if ids else ""


class _Bridge(logging.Handler):
    """Takes what libraries say through `logging` to the same place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())
