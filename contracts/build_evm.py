"""Builds the EVM contract: interface and bytecode, the same bytes on every machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from local import node

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "evm" / "src"
ABI = HERE / "abi" / "casino.json"
BYTECODE = HERE / "evm" / "build" / "Casino.bin"
SETTINGS = {
    "optimizer": {"enabled": True, "runs": 1000},
    "viaIR": True,
    "evmVersion": "cancun",
    # Without the metadata hash the bytes depend on the code alone, not on paths and comments.
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {"Casino.sol": {"Casino": ["abi", "evm.bytecode.object"]}},
}


class CompilerRefused(Exception):
    """The sources have errors or warnings; says all of them."""


def compile_sources() -> tuple[list[Any], str]:
    """The ABI and the creation code in hex. Raises `CompilerRefused`."""
    sources = {path.name: {"content": path.read_text()} for path in sorted(SOURCES.glob("*.sol"))}
    request = {"language": "Solidity", "sources": sources, "settings": SETTINGS}
    done = subprocess.run(
        [node.binary(), HERE / "evm" / "solc.cjs"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        cwd=node.ROOT,
    )
    answer = json.loads(done.stdout)
    if answer.get("errors"):
        raise CompilerRefused("\n".join(e["formattedMessage"] for e in answer["errors"]))
    built = answer["contracts"]["Casino.sol"]["Casino"]
    return built["abi"], built["evm"]["bytecode"]["object"]


def artifacts() -> dict[Path, str]:
    """What the build writes: path -> text."""
    abi, bytecode = compile_sources()
    return {ABI: json.dumps(abi, indent=1) + "\n", BYTECODE: bytecode + "\n"}


def main() -> None:
    for path, text in artifacts().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"{path.relative_to(HERE.parent)}: {len(text)} characters")


if __name__ == "__main__":
    main()
