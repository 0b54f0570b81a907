"""How fast raws become arguments, against eth_abi and against only parsing the JSON.

Run it alone: `python -m tests.bench.bench_decode`. Every figure is the best of several rounds in
one process, so the ratios stand even where the seconds do not.
"""

from __future__ import annotations

import gc
import struct
import time
from collections.abc import Callable
from typing import Any

import msgspec
from eth_abi import abi as eth_abi

from chains.chain import Raw
from chains.evm import decode as evm
from chains.evm.interface import read_interface
from chains.evm.logs import Log
from chains.manifest import load
from chains.solana import decode as solana
from chains.solana.interface import discriminator

COUNT = 50_000
ROUNDS = 5
US = "0x" + "ab" * 20
PROGRAM = "FAREvmepkHArRWwLjHmwPQGL9Byg8iKF3hu1vewxTSXe"
HEAD = ["bytes32", "uint16", "uint16", "uint256", "uint256", "uint64"]
NAMES = ["clientSeed", "low", "high", "stake", "maxPayout", "deadline"]
ABI: list[dict[str, Any]] = [
    {
        "type": "event",
        "name": "BetPlaced",
        "inputs": [
            {"name": "index", "type": "uint64", "indexed": True},
            {"name": "player", "type": "address", "indexed": True},
            *({"name": name, "type": type_} for name, type_ in zip(NAMES, HEAD, strict=True)),
        ],
    }
]
SOLANA_FIELDS = [
    ("index", "u64"),
    ("player", "pubkey"),
    ("client_seed", {"array": ["u8", 32]}),
    ("low", "u16"),
    ("high", "u16"),
    ("stake", "u64"),
    ("max_payout", "u64"),
    ("deadline", "u64"),
]
IDL: dict[str, Any] = {
    "events": [
        {"name": "BetPlaced", "fields": [{"name": n, "type": type_} for n, type_ in SOLANA_FIELDS]}
    ]
}


def rate(work: Callable[[], object]) -> float:
    """Items of COUNT per second."""
    best = float("inf")
    gc.collect()
    gc.disable()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    gc.enable()
    return COUNT / best


def evm_logs() -> list[dict[str, Any]]:
    topic = "0x" + read_interface(ABI)[0].topic.hex()
    logs = []
    for n in range(COUNT):
        data = eth_abi.encode(
            HEAD, [n.to_bytes(32, "big"), 1, 5000, 10**18 + n, 2 * 10**18, 1 << 31]
        )
        logs.append(
            {
                "address": US,
                "topics": [topic, f"0x{n:064x}", f"0x{n % 1000:064x}"],
                "data": "0x" + data.hex(),
                "blockNumber": hex(n // 100),
                "transactionHash": f"0x{n:064x}",
                "transactionIndex": "0x0",
                "blockHash": f"0x{n // 100:064x}",
                "logIndex": hex(n % 100),
                "blockTimestamp": hex(1_700_000_000 + n // 100),
                "removed": False,
            }
        )
    return logs


def by_eth_abi(bodies: list[bytes]) -> None:
    for body in bodies:
        eth_abi.decode(["uint64"], body[33:65])
        eth_abi.decode(["address"], body[65:97])
        eth_abi.decode(HEAD, body[97:])


def main() -> None:
    logs = evm_logs()
    answer = msgspec.json.encode(logs)
    typed = msgspec.json.decode(answer, type=list[Log])
    raws = evm.candidates(typed, US)
    bodies = [raw.body for raw in raws]
    decoder = evm.Decoder(ABI, US)
    manifest = load("casino_evm")

    def whole_line() -> None:
        for raw in evm.candidates(msgspec.json.decode(answer, type=list[Log]), US):
            name, args = decoder.decode(raw.kind, raw.body)
            manifest.facts(name, args, raw)

    decoded = [decoder.decode("log", body) for body in bodies]
    figures = {
        "evm: parse JSON, untyped": rate(lambda: msgspec.json.decode(answer)),
        "evm: parse JSON, typed": rate(lambda: msgspec.json.decode(answer, type=list[Log])),
        "evm: eth_abi": rate(lambda: by_eth_abi(bodies)),
        "evm: decode": rate(lambda: [decoder.decode("log", body) for body in bodies]),
        "evm: candidates, typed": rate(lambda: evm.candidates(typed, US)),
        "evm: candidates, dicts": rate(lambda: evm.candidates(logs, US)),
        "evm: facts": rate(
            lambda: [manifest.facts(n, a, r) for (n, a), r in zip(decoded, raws, strict=True)]
        ),
        "evm: JSON to facts": rate(whole_line),
    }
    figures.update(on_solana())
    parse = figures["evm: parse JSON, untyped"]
    print(f"{'per second':<28}{'':>10}{'of eth_abi':>12}{'of parsing':>12}")
    for name, figure in figures.items():
        ratio = f"{figure / figures['evm: eth_abi']:>11.1f}x{figure / parse:>11.2f}x"
        print(f"{name:<28}{figure:>10,.0f}{ratio}")


def on_solana() -> dict[str, float]:
    decoder = solana.Decoder(IDL, PROGRAM)
    begins = discriminator("event", "BetPlaced")
    bodies = [
        begins
        + struct.pack(
            "<Q32s32sHHQQQ",
            n,
            (n % 1000).to_bytes(32, "big"),
            bytes(32),
            1,
            5000,
            10**9,
            2 * 10**9,
            1,
        )
        for n in range(COUNT)
    ]
    manifest = load("casino_solana")
    raws = [Raw(n, "tx", n, "data", body) for n, body in enumerate(bodies)]
    decoded = [decoder.decode("data", body) for body in bodies]
    return {
        "solana: decode": rate(lambda: [decoder.decode("data", body) for body in bodies]),
        "solana: facts": rate(
            lambda: [manifest.facts(n, a, r) for (n, a), r in zip(decoded, raws, strict=True)]
        ),
    }


if __name__ == "__main__":
    main()
