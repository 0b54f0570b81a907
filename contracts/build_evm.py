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
}


class CompilerRefused(Exception):
    """The sources have errors or warnings; says all of them."""


def compile_contract(folder: Path, name: str) -> tuple[list[Any], str]:
    """The ABI and the creation code in hex of a contract in its file. Raises `CompilerRefused`."""
    sources = {path.name: {"content": path.read_text()} for path in sorted(folder.glob("*.sol"))}
    wanted = {f"{name}.sol": {name: ["abi", "evm.bytecode.object"]}}
    settings = {**SETTINGS, "outputSelection": wanted}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
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
    built = answer["contracts"][f"{name}.sol"][name]
    return built["abi"], built["evm"]["bytecode"]["object"]


def artifacts() -> dict[Path, str]:
    """What the build writes: path -> text."""
    abi, bytecode = compile_contract(SOURCES, "Casino")
    return {ABI: json.dumps(abi, indent=1) + "\n", BYTECODE: bytecode + "\n"}


def main() -> None:
    for path, text in artifacts().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"{path.relative_to(HERE.parent)}: {len(text)} characters")


if __name__ == "__main__":
    main()
