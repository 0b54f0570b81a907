"""What checking one proof costs a person: `fairhouse verify file` as a process, and the page.

Run it alone: `python -m tests.bench.bench_verify`. The terminal's ratio is the processor time of
the whole command against that of a bare Python that does nothing but the curves of the same proof:
one key recovered by libsecp256k1 and one pairing. Both are the best of several turns, taken by
turns, so it stands where seconds do not. What it leaves out: a disk that has to be read first,
and other proofs (a pair's bets cost a recovery each). `fairhouse verify round` is of a round that
was played on an Anvil before, with its proof in a file, and asks that node: no network in between.

The page is timed by its own clock in a Chromium that runs already, in a fresh tab each time, so
that nothing is compiled or remembered; it has no bare twin that a ratio would mean anything
against. A phone is slower.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from api.routes.page import STATIC
from chains.evm import send as evm
from games.fairness import published
from local import anvil, players
from tests.api.conftest import CHROMIUM, FLAGS
from tests.api.proved import Evm
from tests.contracts.evm_bond import EvmBond

TURNS = 9
TABS = 7
NAME = "eip155 bet dice"
BARE = """
import sys
from coincurve import PublicKey
from py_arkworks_bls12381 import GT, G1Point, G2Point
digest, signature, drawn = map(bytes.fromhex, sys.argv[1:4])
made = signature[:64] + bytes([signature[64] - 27])
PublicKey.from_signature_and_message(made, digest, hasher=None)
point, key = G1Point.from_compressed_bytes(drawn), G2Point()
GT.pairing_check([point, G1Point.hash_to_curve(digest, b"bench")], [-key, key])
"""
TOOK = re.compile(r"steps in (\d+) ms")


def spent(command: list[str | Path]) -> tuple[float, float]:
    """Processor and wall seconds of a process from start to end. It must end with 0."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, time.perf_counter() - began


def say(name: str, times: list[tuple[float, float]]) -> None:
    best, wall = min(cpu for cpu, _ in times), statistics.median(one for _, one in times)
    least, most = min(one for _, one in times), max(one for _, one in times)
    print(f"{name:32}{best:8.2f} s of processor{wall:8.2f} s by the clock", end="")
    print(f" (median; {least:.2f} to {most:.2f})")


def terminal(told: dict[str, dict[str, str]], file: Path) -> None:
    digest, fairhouse = "11" * 32, Path(sys.executable).parent / "fairhouse"
    curves = [digest, told["bets"]["signature"], told["beacon"]["signature"]]
    commands: dict[str, list[str | Path]] = {
        "bare start and curves": [sys.executable, "-c", BARE, *curves],
        "fairhouse verify file": [fairhouse, "verify", "file", file],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(TURNS):
        for name, command in commands.items():
            found[name].append(spent(command))
    best = {name: min(times) for name, times in found.items()}
    for name, times in found.items():
        say(name, times)
    bare, whole = (cpu for cpu, _ in best.values())
    print(f"{'ratio of processor time':32}{whole / bare:8.1f}")


async def with_a_node(folder: Path) -> None:
    """`fairhouse verify round` of a round that was played on an Anvil, which is asked about it."""
    async with (
        anvil.start(folder / "anvil", block_time_s=None) as node,
        evm.Sender(node.rpc_url, players.evm_key(0)) as owner,
    ):
        bond = Evm(owner, (await EvmBond.deployed(owner)).program)
        file = folder / "round.json"
        proof = await bond.play("dice") | {"kind": "round"}
        file.write_text(json.dumps({part: told for part, told in proof.items() if part != "bet"}))
        fairhouse: Path = Path(sys.executable).parent / "fairhouse"
        command: list[str | Path] = [fairhouse, "verify", "round", "dice.0"]
        command += ["--file", file, "--rpc", node.rpc_url]
        times = [await asyncio.to_thread(spent, command) for _ in range(TURNS)]
    say("fairhouse verify round --rpc", times)


async def checked(browser: Browser, text: str) -> tuple[int, int, float]:
    """The first and second check in a fresh tab by the page's clock, and ours until it is shown."""
    tab = await browser.new_page()
    began = time.perf_counter()
    await tab.goto((STATIC / "verify.html").as_uri())
    took = []
    for _ in range(2):
        await tab.get_by_label("Proof", exact=True).fill(text)
        await tab.get_by_role("button", name="Check").click()
        await tab.locator("#took").wait_for()
        said = TOOK.search(await tab.locator("#took").inner_text())
        assert said is not None
        took.append((int(said[1]), time.perf_counter() - began))
    await tab.close()
    return took[0][0], took[1][0], took[0][1]


async def page(text: str) -> None:
    if CHROMIUM is None:
        print("no Chromium on the PATH: the page is not measured")
        return
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        found = [await checked(browser, text) for _ in range(TABS)]
        await browser.close()
    first, second, shown = zip(*found, strict=True)
    print(
        f"{'page, first check in a tab':32}{statistics.median(first):8.0f} ms, {min(first)} at best"
    )
    print(f"{'page, second check':32}{statistics.median(second):8.0f} ms, {min(second)} at best")
    print(f"{'page, from address to table':32}{statistics.median(shown) * 1_000:8.0f} ms")


def main() -> None:
    cases = json.loads(published.FILE.read_text())["proofs"]
    told = next(case["proof"] for case in cases if case["name"] == NAME)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "proof.json"
        file.write_text(json.dumps(told))
        terminal(told, file)
        asyncio.run(with_a_node(Path(folder)))
    asyncio.run(page(json.dumps(told)))


if __name__ == "__main__":
    main()
