"""Builds the EVM contracts: interfaces and bytecode, the same bytes on every machine."""

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
BOND_ABI = HERE / "abi" / "bond.json"
BOND_BYTECODE = HERE / "evm" / "build" / "Bond.bin"
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
    return compile_contracts(folder, [name])[name]


def compile_contracts(folder: Path, names: list[str]) -> dict[str, tuple[list[Any], str]]:
    """As `compile_contract`, for several of a folder at once."""
    sources = {path.name: {"content": path.read_text()} for path in sorted(folder.glob("*.sol"))}
    wanted = {f"{name}.sol": {name: ["abi", "evm.bytecode.object"]} for name in names}
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
    made = {name: answer["contracts"][f"{name}.sol"][name] for name in names}
    return {name: (one["abi"], one["evm"]["bytecode"]["object"]) for name, one in made.items()}


def artifacts() -> dict[Path, str]:
    """What the build writes: path -> text."""
    built = compile_contracts(SOURCES, ["Casino", "Bond"])
    files = (("Casino", ABI, BYTECODE), ("Bond", BOND_ABI, BOND_BYTECODE))
    texts: dict[Path, str] = {}
    for name, abi_file, bytecode_file in files:
        abi, bytecode = built[name]
        texts |= {abi_file: json.dumps(abi, indent=1) + "\n", bytecode_file: bytecode + "\n"}
    return texts


def main() -> None:
    for path, text in artifacts().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"{path.relative_to(HERE.parent)}: {len(text)} characters")


if __name__ == "__main__":
    main()
