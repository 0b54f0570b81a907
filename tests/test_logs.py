"""Lines that a person reads, and lines that a machine reads."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

import logs
from settings import Settings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logger.remove()
    logging.basicConfig(handlers=[], level=logging.WARNING, force=True)


def test_production_writes_one_json_object_per_line_with_its_ids() -> None:
    sink = io.StringIO()
    logs.setup(Settings(environment="production", seed_key="11" * 32), "worker", sink=sink)
    with logger.contextualize(page=7, job="a"):
        logger.info("read {} events", 3)
    try:
        raise ValueError("told")
    except ValueError:
        logger.exception("failed")
    first, second = (json.loads(line) for line in sink.getvalue().splitlines())
    assert (first["message"], first["process"]) == ("read 3 events", "worker")
    assert (first["page"], first["job"], first["level"]) == (7, "a", "INFO")
    assert "ValueError: told" in second["exception"]
    assert "page" not in second


def test_development_writes_plain_lines_with_its_ids() -> None:
    sink = io.StringIO()
    logs.setup(Settings(environment="development"), "indexer", sink=sink)
    with logger.contextualize(page=7):
        logger.warning("slow {braces}")
    logging.getLogger("library").warning("said %s", "so")
    first, second = sink.getvalue().splitlines()[:2]
    assert first.endswith("indexer slow {braces}  [page=7]")
    assert second.endswith("indexer said so")
